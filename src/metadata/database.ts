/**
 * The metadata room: facts about repositories, manifests, tags, blobs, uploads, jobs and keys, in SQL, on SQLite or
 * Postgres with the same meaning. SQL lives only here. Operations are named functions, plain data in and out, each one
 * transaction; no transaction is handed to anybody outside. The room knows no bytes of blobs and no HTTP.
 *
 * Locks (Postgres) are always taken in this order, which is why they do not wait for each other in a circle: identity
 * epoch, registry, repository (shared by pushes, exclusive by deletes and settings), blobs by digest, manifests by insertion, tags by
 * name, manifests by id, usage counters, change log. Garbage collection skips what others have locked.
 */
import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import type { Log } from "#std/log.ts";
import { tellingFull } from "./database-full.ts";
import { postgresDialect, sqliteDialect } from "./dialect.ts";
import type { Dialect } from "./dialect.ts";
import { noticingEpoch } from "./identity-epoch.ts";
import { migrate, readVersion } from "./migrations.ts";
import { isPostgresFull, openPostgres } from "./postgres.ts";
import type { PreparedRunner } from "./prepared.ts";
import type { Schema } from "./schema.ts";
import { isSqliteFull, openSqlite } from "./sqlite.ts";

/** An open metadata database. */
export interface Database {
  readonly dialect: Dialect;
  /** For reads outside transactions; sees every transaction that has been committed. */
  readonly read: Kysely<Schema>;
  /** The hot reads. */
  readonly prepared: PreparedRunner;
  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. On Postgres (read committed)
   * it may run several times, when it lost against another transaction; on SQLite transactions stand in a queue.
   * Throws `DatabaseFull` when there is no room. Invariant: `work` does nothing but statements on `tx`, and keeps nothing from a run that failed.
   */
  transaction<T>(work: (tx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** A number that has moved when anything was committed, where the database can say so for next to nothing; else undefined. */
  readDataVersion(): number | undefined;
  /** Resolves when the database answers; rejects otherwise. */
  check(): Promise<void>;
  /** Waits for transactions under way, then closes. */
  close(): Promise<void>;
}

/** Which database to open. */
export type DatabaseTarget =
  | { readonly kind: "sqlite"; readonly file: string }
  | { readonly kind: "postgres"; readonly url: string; readonly maxConnections?: number };

/**
 * Opens the database and brings its schema up to date. Throws `NewerSchemaError` when a newer program made it, and the
 * driver's error when it cannot be reached or written.
 */
export async function openDatabase(target: DatabaseTarget, options: { readonly log: Log }): Promise<Database> {
  return target.kind === "sqlite" ? openOnSqlite(target.file, options.log) : openOnPostgres(target.url, target.maxConnections, options.log);
}

/** The schema version of an open database. */
export async function readSchemaVersion(db: Database): Promise<number> {
  return readVersion(db.read);
}

async function openOnSqlite(file: string, log: Log): Promise<Database> {
  const connections = openSqlite(file);
  try {
    reportMigrations(log, await migrate(connections.write, sqliteDialect));
    connections.openReader();
  } catch (error) {
    connections.close();
    throw error;
  }
  const queue = createQueue();
  return {
    dialect: sqliteDialect,
    read: connections.read,
    prepared: connections.prepared,
    transaction: (work) =>
      queue.run(() =>
        tellingFull(isSqliteFull, () => connections.write.transaction().execute(work)).finally(() => connections.forgetDataVersion()),
      ),
    readDataVersion: () => connections.readDataVersion(),
    check: () => checkReads(connections.read),
    async close() {
      await queue.run(async () => connections.close());
    },
  };
}

async function openOnPostgres(url: string, maxConnections: number | undefined, log: Log): Promise<Database> {
  const connections = openPostgres(url, maxConnections, log);
  try {
    reportMigrations(log, await migrate(connections.kysely, postgresDialect));
  } catch (error) {
    await connections.close();
    throw error;
  }
  const db: Database = {
    dialect: postgresDialect,
    read: connections.kysely,
    prepared: connections.prepared,
    transaction: (work) =>
      noticingEpoch(
        () => db,
        (track) =>
          tellingFull(isPostgresFull, () =>
            connections.transaction((tx) => {
              track(tx);
              return work(tx);
            }),
          ),
      ),
    readDataVersion: () => undefined,
    check: () => checkReads(connections.kysely),
    close: () => connections.close(),
  };
  return db;
}

/** One transaction after another: SQLite has one writer, and a second one that waits inside SQLite would block the event loop. */
function createQueue(): { run<T>(task: () => Promise<T>): Promise<T> } {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(task) {
      const result = last.then(task, task);
      // A failed task is its caller's matter; the queue goes on.
      last = result.catch(() => undefined);
      return result;
    },
  };
}

async function checkReads(read: Kysely<Schema>): Promise<void> {
  await sql`select value from epoch where name = 'identity'`.execute(read);
}

function reportMigrations(log: Log, { applied }: { readonly applied: readonly string[] }): void {
  for (const name of applied) log.info({ migration: name }, "database schema migrated");
}
