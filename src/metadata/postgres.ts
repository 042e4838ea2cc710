/** The only file that knows `pg`. */
import { setTimeout as sleep } from "node:timers/promises";
import { Kysely, PostgresDialect } from "kysely";
import type { Transaction } from "kysely";
import pg from "pg";
import type { Log } from "#std/log.ts";
import type { PreparedRunner, PreparedStatement, StatementValue } from "./prepared.ts";
import type { Schema } from "./schema.ts";

const defaultMaxConnections = 10;
const connectTimeoutMs = 10_000;
const statementTimeoutMs = 30_000;
/** A transaction that its process forgot must not hold row locks for long. */
const idleInTransactionTimeoutMs = 30_000;
/** Conflicts are rare and short; more attempts than this means that something else is wrong. */
const maxAttempts = 12;
const retryStepMs = 4;

/** SQLSTATE codes of conflicts between transactions: run again from the start, the other one is visible then. */
const conflictCodes: ReadonlySet<string> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "23505", // unique_violation: both inserted what neither saw
]);

/** disk_full: a file could not be extended. */
const diskFullCode = "53100";

/** A pool of connections to one Postgres database. */
export interface PostgresConnections {
  readonly kysely: Kysely<Schema>;
  readonly prepared: PreparedRunner;
  transaction<T>(work: (tx: Transaction<Schema>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Makes the pool; connects when first used. */
export function openPostgres(url: string, maxConnections: number | undefined, log: Log): PostgresConnections {
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections ?? defaultMaxConnections,
    application_name: "supercargo",
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
    types: { getTypeParser: (oid, format) => (oid === pg.types.builtins.INT8 ? parseInt8 : pg.types.getTypeParser(oid, format)) as never },
  });
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on("error", (error) => log.warn({ error: error.message }, "an idle database connection was lost"));
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return {
    kysely,
    prepared: {
      async all<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row[]> {
        const result = await pool.query({ name: statement.name, text: statement.postgresText, values: [...values] });
        return result.rows as Row[];
      },
      async one<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row | undefined> {
        const result = await pool.query({ name: statement.name, text: statement.postgresText, values: [...values] });
        return result.rows[0] as Row | undefined;
      },
    },
    transaction: (work) => transactionWithRetries(kysely, work),
    close: () => kysely.destroy(),
  };
}

/** Runs the work until no other transaction is in its way; it may therefore run several times, with nothing kept from the failed runs. */
async function transactionWithRetries<T>(kysely: Kysely<Schema>, work: (tx: Transaction<Schema>) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await kysely.transaction().setIsolationLevel("read committed").execute(work);
    } catch (error) {
      if (attempt >= maxAttempts || !isConflict(error)) throw error;
      await sleep(attempt * retryStepMs);
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && conflictCodes.has(error.code);
}

/** Is this Postgres' word for a full disk? */
export function isPostgresFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === diskFullCode;
}

/** Ids, sizes and times stay far below 2^53; anything else must not be rounded in silence. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`integer from the database is too large: ${text}`);
  return value;
}
