/** The identity epoch: one number that every write of an identity or a policy moves, and that caches of them are stamped with. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { Schema } from "./schema.ts";

const readEpoch = preparedStatement("read_identity_epoch", "select value from epoch where name = 'identity'");

/** How long Postgres nodes believe the last epoch they read. */
const epochPollMs = 500;

interface EpochCache {
  epoch: number;
  dataVersion: number | undefined;
  readAt: number;
}

const epochs = new WeakMap<Database, EpochCache>();

/** Transactions that moved the epoch. */
const movers = new WeakSet<Transaction<Schema>>();

/**
 * Tells every cache of identities and policies that something changed. The first statement of each transaction that changes one: it also
 * locks the row, so identity writes follow one another and none sees half of another.
 */
export async function moveIdentityEpoch(tx: Transaction<Schema>): Promise<void> {
  await tx
    .updateTable("epoch")
    .set({ value: sql`value + 1` })
    .where("name", "=", "identity")
    .execute();
  movers.add(tx);
}

/**
 * A number that moves with every identity write; caches of identities hold while it stands. At most 500 ms old on
 * Postgres, always current on SQLite, where it is read again only when the file has changed. Rejects when the database
 * cannot be reached: nobody lives on yesterday's permissions.
 */
export async function readIdentityEpoch(db: Database): Promise<number> {
  const dataVersion = db.readDataVersion();
  const readAt = performance.now();
  const known = epochs.get(db);
  if (known !== undefined && known.dataVersion === dataVersion && (dataVersion !== undefined || readAt - known.readAt < epochPollMs)) {
    return known.epoch;
  }
  const [row] = await db.prepared.all<{ value: number }>(readEpoch, []);
  const epoch = row?.value ?? 0;
  epochs.set(db, { epoch, dataVersion, readAt });
  return epoch;
}

/**
 * Runs a transaction's work such that this node knows of an epoch that it moved itself as soon as that is committed, rather than when it asks
 * for it the next time.
 */
export async function noticingEpoch<T>(db: () => Database, run: (track: (tx: Transaction<Schema>) => void) => Promise<T>): Promise<T> {
  let last: Transaction<Schema> | undefined;
  const result = await run((tx) => (last = tx));
  if (last !== undefined && movers.has(last)) epochs.delete(db());
  return result;
}
