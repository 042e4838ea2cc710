/** Names of keys, `alias/…`: unique in an account and region, at most so many for one key. */
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import { kmsKeyOf, lockKmsKey } from "./kms-keys.ts";
import type { KmsKey, KmsKeyState, KmsScope } from "./kms-keys.ts";
import type { Schema } from "./schema.ts";

/** Names an alias; `name` begins with `alias/`. */
export interface KmsAliasKey extends KmsScope {
  readonly name: string;
}

/** An alias. Times are milliseconds since the epoch. */
export interface KmsAlias extends KmsAliasKey {
  readonly keyId: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What making or moving an alias answers; the key is the one that it was to name. */
export type PutKmsAliasOutcome =
  | { readonly outcome: "put" }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" }
  | { readonly outcome: "alias-not-found" }
  | { readonly outcome: "key-not-found" }
  | { readonly outcome: "wrong-state"; readonly key: KmsKey };

/** What is to be made or moved. */
export interface PutKmsAlias extends KmsAliasKey {
  readonly keyId: string;
  /** The states in which the key may be. */
  readonly onlyIn: readonly KmsKeyState[];
  readonly now: number;
  /** How many aliases a key may have. */
  readonly limit: number;
}

/** The key that an alias names, or undefined. */
export async function findKmsKeyByAlias(db: Database, alias: KmsAliasKey): Promise<KmsKey | undefined> {
  const row = await db.read
    .selectFrom("kms_alias as a")
    .innerJoin("kms_key as k", "k.key_id", "a.key_id")
    .selectAll("k")
    .where("a.account_id", "=", alias.accountId)
    .where("a.region", "=", alias.region)
    .where("a.name", "=", alias.name)
    .executeTakeFirst();
  return row === undefined ? undefined : kmsKeyOf(row);
}

/** A page of aliases by name, of all keys or of one; `after` is the last name of the page before. */
export async function listKmsAliases(
  db: Database,
  input: KmsScope & { readonly keyId?: string | undefined; readonly after: string | undefined; readonly limit: number },
): Promise<readonly KmsAlias[]> {
  let query = db.read
    .selectFrom("kms_alias")
    .selectAll()
    .where("account_id", "=", input.accountId)
    .where("region", "=", input.region)
    .where("name", ">", input.after ?? "");
  if (input.keyId !== undefined) query = query.where("key_id", "=", input.keyId);
  const rows = await query.orderBy("name").limit(input.limit).execute();
  return rows.map((row) => ({
    accountId: row.account_id,
    region: row.region,
    name: row.name,
    keyId: row.key_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }));
}

/** Makes an alias. */
export async function createKmsAlias(db: Database, input: PutKmsAlias): Promise<PutKmsAliasOutcome> {
  return db.transaction(async (tx): Promise<PutKmsAliasOutcome> => {
    const refused = await refuseTarget(db, tx, input);
    if (refused !== undefined) return refused;
    const { accountId, region, name, keyId, now } = input;
    const made = await tx
      .insertInto("kms_alias")
      .values({ account_id: accountId, region, name, key_id: keyId, created_at: now, updated_at: now })
      .onConflict((conflict) => conflict.doNothing())
      .returning("name")
      .execute();
    return { outcome: made.length > 0 ? "put" : "exists" };
  });
}

/** Makes an alias name another key. */
export async function updateKmsAlias(db: Database, input: PutKmsAlias): Promise<PutKmsAliasOutcome> {
  return db.transaction(async (tx): Promise<PutKmsAliasOutcome> => {
    const refused = await refuseTarget(db, tx, input);
    if (refused !== undefined) return refused;
    const moved = await tx
      .updateTable("kms_alias")
      .set({ key_id: input.keyId, updated_at: input.now })
      .where("account_id", "=", input.accountId)
      .where("region", "=", input.region)
      .where("name", "=", input.name)
      .returning("name")
      .execute();
    return { outcome: moved.length > 0 ? "put" : "alias-not-found" };
  });
}

/** Removes an alias; its key stays. False when there is none. */
export async function deleteKmsAlias(db: Database, alias: KmsAliasKey): Promise<boolean> {
  return db.transaction(async (tx) => {
    const gone = await tx
      .deleteFrom("kms_alias")
      .where("account_id", "=", alias.accountId)
      .where("region", "=", alias.region)
      .where("name", "=", alias.name)
      .returning("name")
      .execute();
    return gone.length > 0;
  });
}

/** Locks the key that is to be named, so that its aliases can be counted, and says why it may not be. */
async function refuseTarget(db: Database, tx: Transaction<Schema>, input: PutKmsAlias): Promise<PutKmsAliasOutcome | undefined> {
  const key = await lockKmsKey(db, tx, input.keyId);
  if (key === undefined) return { outcome: "key-not-found" };
  if (!input.onlyIn.includes(key.state)) return { outcome: "wrong-state", key };
  const { count } = await tx
    .selectFrom("kms_alias")
    .select((row) => row.fn.countAll<number>().as("count"))
    .where("key_id", "=", input.keyId)
    .where("name", "!=", input.name)
    .executeTakeFirstOrThrow();
  return count >= input.limit ? { outcome: "limit" } : undefined;
}
