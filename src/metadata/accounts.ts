import type { Database } from "./database.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import { preparedStatement } from "./prepared.ts";

/** A long-term access key with its sealed secret. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly accountId: string;
  readonly secretSealed: string;
  readonly status: "Active" | "Inactive";
  /** The user whose key it is; undefined for a root key. */
  readonly user: KeyOwner | undefined;
}

/** The user of an access key. */
export interface KeyOwner {
  readonly identityId: number;
  readonly uniqueId: string;
  readonly path: string;
  readonly name: string;
}

interface AccessKeyRow {
  readonly access_key_id: string;
  readonly account_id: string;
  readonly secret_sealed: string;
  readonly status: "Active" | "Inactive";
  readonly identity_id: number | null;
  readonly unique_id: string | null;
  readonly path: string | null;
  readonly name: string | null;
}

const accessKeyColumns = "k.access_key_id, k.account_id, k.secret_sealed, k.status, k.identity_id, i.unique_id, i.path, i.name";
const findKey = preparedStatement(
  "find_access_key",
  `select ${accessKeyColumns} from access_key k left join identity i on i.identity_id = k.identity_id where k.access_key_id = ?1`,
);
const findRoot = preparedStatement(
  "find_root_key",
  `select ${accessKeyColumns} from access_key k left join identity i on i.identity_id = k.identity_id
   where k.account_id = ?1 and k.identity_id is null order by k.created_at desc, k.access_key_id limit 1`,
);
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

/** An account of this deployment. */
export interface Account {
  readonly accountId: string;
  readonly name: string | undefined;
  readonly createdAt: number;
}

/** Makes an account. False when there is one of that number. */
export async function createAccount(
  db: Database,
  input: { readonly accountId: string; readonly name: string | undefined; readonly now: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const made = await tx
      .insertInto("account")
      .values({ account_id: input.accountId, name: input.name ?? null, created_at: input.now })
      .onConflict((conflict) => conflict.doNothing())
      .returning("account_id")
      .execute();
    return made.length > 0;
  });
}

/** A page of accounts by number; `after` is the last number of the page before. */
export async function listAccounts(
  db: Database,
  input: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly Account[]> {
  const rows = await db.read
    .selectFrom("account")
    .select(["account_id", "name", "created_at"])
    .where("account_id", ">", input.after ?? "")
    .orderBy("account_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => ({ accountId: row.account_id, name: row.name ?? undefined, createdAt: row.created_at }));
}

/** Is there an account of that number? */
export async function accountExists(db: Database, accountId: string): Promise<boolean> {
  return (await db.read.selectFrom("account").select("account_id").where("account_id", "=", accountId).executeTakeFirst()) !== undefined;
}

/**
 * Stores the root key of an account in place of its earlier root keys, ends the temporary credentials that root asked for with those, and moves
 * the identity epoch. Makes the account known.
 */
export async function putRootKey(
  db: Database,
  input: { readonly accessKeyId: string; readonly accountId: string; readonly secretSealed: string; readonly now: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    // The epoch's row first: it serialises identity writes, so two root keys cannot replace each other half.
    await moveIdentityEpoch(tx);
    await tx
      .insertInto("account")
      .values({ account_id: input.accountId, created_at: input.now })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    // Who replaces a root key has lost it, or fears so: nothing that was made with it may live on.
    await tx.deleteFrom("session").where("account_id", "=", input.accountId).where("identity_id", "is", null).execute();
    await tx.deleteFrom("access_key").where("account_id", "=", input.accountId).where("identity_id", "is", null).execute();
    await tx
      .insertInto("access_key")
      .values({
        access_key_id: input.accessKeyId,
        account_id: input.accountId,
        secret_sealed: input.secretSealed,
        status: "Active",
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
    secretSealed: row.secret_sealed,
    status: row.status,
    user:
      row.identity_id === null
        ? undefined
        : { identityId: row.identity_id, uniqueId: row.unique_id ?? "", path: row.path ?? "/", name: row.name ?? "" },
  };
}
