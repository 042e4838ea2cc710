/**
 * Every difference between the two databases as a named capability. Code outside this file, `sqlite.ts` and
 * `postgres.ts` never asks which database it is.
 */
import { sql } from "kysely";
import type { RawBuilder, SelectQueryBuilder } from "kysely";

/** Adds a row lock to a select; for `query.$call(lock)`. */
export type RowLock = <DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>) => SelectQueryBuilder<DB, TB, O>;

/** Column types for the migrations. */
export interface ColumnTypes {
  /** A surrogate key that is never given out twice, with its primary key clause. */
  readonly id: string;
  readonly integer: string;
  /** Compared byte by byte. */
  readonly text: string;
  readonly bytes: string;
  /** Default of `change.transaction_id`: the writing transaction's number where several write at once. */
  readonly transactionIdDefault: string;
  /** What follows the closing parenthesis of `create table`. */
  readonly tableSuffix: string;
}

/** What one kind of database can do. */
export interface Dialect {
  /** For messages, never for decisions. */
  readonly name: "sqlite" | "postgres";
  readonly columnTypes: ColumnTypes;
  /** Run at the start of each migration's transaction: what keeps other nodes out meanwhile. */
  readonly migrationPreamble: readonly string[];
  /** Exclusive row locks until the end of the transaction. Nothing on SQLite: a transaction there is the only writer. */
  readonly lockForUpdate: RowLock;
  /** Shared row locks until the end of the transaction. */
  readonly lockForShare: RowLock;
  /** Exclusive row locks on those rows that nobody else has locked; the others are left out. */
  readonly lockForUpdateSkipLocked: RowLock;
  /** `column` is one of `texts`; one statement text whatever their number, so that prepared statements are found again. */
  textIn(column: string, texts: readonly string[]): RawBuilder<boolean>;
  /** `column` is one of `integers`. */
  integerIn(column: string, integers: readonly number[]): RawBuilder<boolean>;
  /** True for rows of `change` below which no transaction can commit any more. */
  readonly changeSettled: RawBuilder<boolean>;
}

/** SQLite: one writer, so no row locks; lists travel as JSON. */
export const sqliteDialect: Dialect = {
  name: "sqlite",
  columnTypes: {
    // autoincrement: an id of a deleted row must not come back, caches are keyed by ids.
    id: "integer primary key autoincrement",
    integer: "integer",
    text: "text",
    bytes: "blob",
    transactionIdDefault: "0",
    tableSuffix: " strict",
  },
  // The transaction begins immediate, and that is the lock.
  migrationPreamble: [],
  lockForUpdate: (query) => query,
  lockForShare: (query) => query,
  lockForUpdateSkipLocked: (query) => query,
  textIn: (column, texts) => sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(texts)}))`,
  integerIn: (column, integers) => sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(integers)}))`,
  changeSettled: sql<boolean>`1 = 1`,
};

/** Postgres: read committed, explicit row locks, lists as arrays. */
export const postgresDialect: Dialect = {
  name: "postgres",
  columnTypes: {
    id: "bigint generated always as identity primary key",
    integer: "bigint",
    text: 'text collate "C"',
    bytes: "bytea",
    transactionIdDefault: "(pg_current_xact_id()::text::bigint)",
    tableSuffix: "",
  },
  // The number is arbitrary and ours; a migration may take longer than a request may.
  migrationPreamble: ["set local statement_timeout = 0", "select pg_advisory_xact_lock(7263811904)"],
  lockForUpdate: (query) => query.forUpdate(),
  lockForShare: (query) => query.forShare(),
  lockForUpdateSkipLocked: (query) => query.forUpdate().skipLocked(),
  textIn: (column, texts) => sql<boolean>`${sql.ref(column)} = any(${[...texts]}::text[])`,
  integerIn: (column, integers) => sql<boolean>`${sql.ref(column)} = any(${[...integers]}::bigint[])`,
  changeSettled: sql<boolean>`transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint`,
};
