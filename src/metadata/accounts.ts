import { sql } from "kysely";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";

/** An access key with its sealed secret. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly accountId: string;
  /** Stable and never used again. */
  readonly principalId: string;
  readonly principalArn: string;
  readonly secretSealed: string;
  readonly status: "Active" | "Inactive";
}

interface AccessKeyRow {
  readonly access_key_id: string;
  readonly account_id: string;
  readonly principal_id: string;
  readonly principal_arn: string;
  readonly secret_sealed: string;
  readonly status: "Active" | "Inactive";
}

const accessKeyColumns = "access_key_id, account_id, principal_id, principal_arn, secret_sealed, status";
const findKey = preparedStatement("find_access_key", `select ${accessKeyColumns} from access_key where access_key_id = ?1`);
const findRoot = preparedStatement(
  "find_root_key",
  `select ${accessKeyColumns} from access_key where account_id = ?1 and kind = 'root' order by created_at desc, access_key_id limit 1`,
);
const readEpoch = preparedStatement("read_identity_epoch", "select value from epoch where name = 'identity'");

/** How long Postgres nodes believe the last epoch they read. */
const epochPollMs = 500;

interface EpochCache {
  epoch: number;
  dataVersion: number | undefined;
  readAt: number;
}

const epochs = new WeakMap<Database, EpochCache>();

/** Makes the account known; no error when it is already. */
export async function ensureAccount(db: Database, input: { readonly accountId: string; readonly now: number }): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .insertInto("account")
      .values({ account_id: input.accountId, created_at: input.now })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/** Stores the root key of an account in place of its earlier root keys, and moves the identity epoch. Makes the account known. */
export async function putAccessKey(
  db: Database,
  input: {
    readonly accessKeyId: string;
    readonly accountId: string;
    readonly principalId: string;
    readonly principalArn: string;
    readonly secretSealed: string;
    readonly now: number;
  },
): Promise<void> {
  await db.transaction(async (tx) => {
    // The epoch's row first: it serialises identity writes, so two root keys cannot replace each other half.
    await tx
      .updateTable("epoch")
      .set({ value: sql`value + 1` })
      .where("name", "=", "identity")
      .execute();
    await tx
      .insertInto("account")
      .values({ account_id: input.accountId, created_at: input.now })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await tx.deleteFrom("access_key").where("account_id", "=", input.accountId).where("kind", "=", "root").execute();
    await tx
      .insertInto("access_key")
      .values({
        access_key_id: input.accessKeyId,
        account_id: input.accountId,
        principal_id: input.principalId,
        principal_arn: input.principalArn,
        secret_sealed: input.secretSealed,
        status: "Active",
        kind: "root",
        created_at: input.now,
      })
      .execute();
  });
}

/** The access key of that id, active or not. */
export async function findAccessKey(db: Database, accessKeyId: string): Promise<AccessKey | undefined> {
  const [row] = await db.prepared.all<AccessKeyRow>(findKey, [accessKeyId]);
  return row === undefined ? undefined : accessKeyOf(row);
}

/** The root key of an account. */
export async function findRootKey(db: Database, accountId: string): Promise<AccessKey | undefined> {
  const [row] = await db.prepared.all<AccessKeyRow>(findRoot, [accountId]);
  return row === undefined ? undefined : accessKeyOf(row);
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

/** A setting of the instance itself. */
export async function readInstanceSetting(db: Database, key: string): Promise<string | undefined> {
  const row = await db.read.selectFrom("instance").select("value").where("key", "=", key).executeTakeFirst();
  return row?.value;
}

/** Sets a setting of the instance itself. */
export async function writeInstanceSetting(db: Database, key: string, value: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .insertInto("instance")
      .values({ key, value })
      .onConflict((conflict) => conflict.column("key").doUpdateSet({ value }))
      .execute();
  });
}

/** Sets a setting of the instance itself unless it is set, and answers the value that holds: of several nodes that start at once, one decides. */
export async function claimInstanceSetting(db: Database, key: string, value: string): Promise<string> {
  return db.transaction(async (tx) => {
    await tx
      .insertInto("instance")
      .values({ key, value })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const row = await tx.selectFrom("instance").select("value").where("key", "=", key).executeTakeFirstOrThrow();
    return row.value;
  });
}

function accessKeyOf(row: AccessKeyRow): AccessKey {
  return {
    accessKeyId: row.access_key_id,
    accountId: row.account_id,
    principalId: row.principal_id,
    principalArn: row.principal_arn,
    secretSealed: row.secret_sealed,
    status: row.status,
  };
}
