/**
 * The only file that knows `node:sqlite`. A SQLite database is two connections on one file in WAL mode: one that writes
 * and one that reads, so that a page of a listing never waits for a commit.
 */
import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { Kysely, SqliteDialect } from "kysely";
import type { SqliteDatabase, SqliteStatement } from "kysely";
import { LRUCache } from "lru-cache";
import type { PreparedRunner, PreparedStatement, StatementValue } from "./prepared.ts";
import type { Schema } from "./schema.ts";

/** How long a statement waits for another process's lock (a command line tool on the same file). Blocks the event loop, hence short. */
const busyTimeoutMs = 5_000;
/** Statement texts differ only where code differs, so a few hundred hold them all. */
const statementCacheSize = 512;
const pageCacheKib = 32_768;
/** SQLITE_FULL: what a write that fails with ENOSPC is called. */
const sqliteFull = 13;

/** The two connections of one SQLite file. */
export interface SqliteConnections {
  readonly write: Kysely<Schema>;
  readonly read: Kysely<Schema>;
  readonly prepared: PreparedRunner;
  /** Moves when another connection than the reading one commits; costs some microseconds. */
  readDataVersion(): number;
  /** Makes the next look a real one; called after each commit of this process. */
  forgetDataVersion(): void;
  /** Runs once the schema exists. */
  openReader(): void;
  close(): void;
}

/** Opens (and creates, readable by its owner only) the file. Call `openReader` after the migrations. */
export function openSqlite(file: string): SqliteConnections {
  closeSync(openSync(file, "a", 0o600));
  const writer = new DatabaseSync(file, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
  writer.exec("pragma journal_mode = wal");
  // FULL: a commit that a client has been told of survives power loss.
  writer.exec("pragma synchronous = full");
  configure(writer);
  let reader: DatabaseSync | undefined;
  const readerNow = (): DatabaseSync => {
    if (reader === undefined) throw new Error("the reading connection is not open");
    return reader;
  };
  const hot = new Map<string, StatementSync>();
  const prepare = (statement: PreparedStatement): StatementSync => {
    let prepared = hot.get(statement.name);
    if (prepared === undefined) hot.set(statement.name, (prepared = readerNow().prepare(statement.sqliteText)));
    return prepared;
  };
  let dataVersion: StatementSync | undefined;
  // Requests that are answered in one turn of the event loop share one look: nothing this process commits can lie between them unseen.
  let versionOfTurn: number | undefined;
  const forgetVersion = (): void => {
    versionOfTurn = undefined;
  };
  return {
    write: new Kysely<Schema>({ dialect: new SqliteDialect({ database: kyselyDatabase(writer) }) }),
    read: new Kysely<Schema>({ dialect: new SqliteDialect({ database: async () => kyselyDatabase(readerNow()) }) }),
    prepared: {
      all: async <Row>(statement: PreparedStatement, values: readonly StatementValue[]) => prepare(statement).all(...values) as Row[],
      one: async <Row>(statement: PreparedStatement, values: readonly StatementValue[]) =>
        prepare(statement).get(...values) as Row | undefined,
    },
    readDataVersion() {
      if (versionOfTurn !== undefined) return versionOfTurn;
      dataVersion ??= readerNow().prepare("pragma data_version");
      versionOfTurn = Number(dataVersion.get()?.["data_version"]);
      setImmediate(forgetVersion);
      return versionOfTurn;
    },
    forgetDataVersion: forgetVersion,
    openReader() {
      reader = new DatabaseSync(file, { timeout: busyTimeoutMs, readOnly: true });
      configure(reader);
    },
    close() {
      reader?.close();
      writer.close();
    },
  };
}

/** Is this SQLite's word for a full disk? */
export function isSqliteFull(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === sqliteFull;
}

function configure(connection: DatabaseSync): void {
  connection.exec(`pragma cache_size = -${pageCacheKib}`);
  connection.exec("pragma temp_store = memory");
  connection.exec("pragma trusted_schema = off");
}

/** The small object that Kysely's dialect asks for, with a statement cache: Kysely prepares on every call. */
function kyselyDatabase(connection: DatabaseSync): SqliteDatabase {
  const cache = new LRUCache<string, SqliteStatement>({ max: statementCacheSize });
  return {
    prepare(text) {
      const known = cache.get(text);
      if (known !== undefined) return known;
      const statement = text === "rollback" ? rollbackStatement(connection) : kyselyStatement(connection, text);
      cache.set(text, statement);
      return statement;
    },
    // The connections are closed by their owner.
    close() {},
  };
}

function kyselyStatement(connection: DatabaseSync, text: string): SqliteStatement {
  // Immediate: taking the write lock at the first write instead can fail after reads that another process has made stale.
  const statement = connection.prepare(text === "begin" ? "begin immediate" : text);
  type Values = Parameters<StatementSync["all"]>;
  return {
    reader: statement.columns().length > 0,
    all: (values) => statement.all(...(values as Values)),
    run: (values) => statement.run(...(values as Values)),
    iterate() {
      // An iterator that is open across an await pins an old snapshot and blocks checkpoints.
      throw new Error("SQLite rows are not streamed; read a page");
    },
  };
}

/** SQLite has already rolled back by itself after some failures (a full disk); a second rollback would hide the first error. */
function rollbackStatement(connection: DatabaseSync): SqliteStatement {
  return {
    reader: false,
    all: () => [],
    run() {
      if (connection.isTransaction) connection.exec("rollback");
      return { changes: 0, lastInsertRowid: 0 };
    },
    iterate: () => [][Symbol.iterator](),
  };
}
