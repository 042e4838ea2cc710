/** Long-term access keys of users and of root, beyond finding one by its id (that is `accounts.ts`). Secrets are sealed before they come here. */
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn } from "./identity-rows.ts";
import type { Schema } from "./schema.ts";

/** Whose keys are meant: a user's, or root's when there is no name. */
export interface KeyHolder {
  readonly accountId: string;
  readonly userName: string | undefined;
}

/** One key of a holder. */
export interface HeldKey extends KeyHolder {
  readonly accessKeyId: string;
}

/** Whether requests may be signed with a key. */
export type KeyStatus = "Active" | "Inactive";

/** A key without its secret. Times are milliseconds since the epoch. */
export interface ListedKey {
  readonly accessKeyId: string;
  readonly status: KeyStatus;
  readonly createdAt: number;
}

/** What making a key answers; `userName` as the user was made. */
export type NewKeyOutcome =
  | { readonly outcome: "created"; readonly userName: string | undefined }
  | { readonly outcome: "limit" }
  | { readonly outcome: "user-not-found" };

/** What changing or deleting a key answers. */
export type KeyChangeOutcome = "changed" | "key-not-found" | "user-not-found";

/** Of whom a key is, and when it last signed a request. */
export interface KeyUse extends KeyHolder {
  /** The row of the user; undefined for a root key. */
  readonly identityId: number | undefined;
  readonly last: { readonly at: number; readonly service: string; readonly region: string } | undefined;
}

/** A use within this time of the noted one is not worth another write. */
const notedEveryMs = 60_000;

/** Stores a new active key, unless its holder has `limit` keys already. */
export async function createAccessKey(
  db: Database,
  input: HeldKey & { readonly secretSealed: string; readonly now: number; readonly limit: number },
): Promise<NewKeyOutcome> {
  return db.transaction(async (tx): Promise<NewKeyOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolder(tx, input);
    if (holder === undefined) return { outcome: "user-not-found" };
    const held = await tx
      .selectFrom("access_key")
      .select("access_key_id")
      .where("account_id", "=", input.accountId)
      .where("identity_id", holder.identityId === null ? "is" : "=", holder.identityId)
      .execute();
    if (held.length >= input.limit) return { outcome: "limit" };
    await tx
      .insertInto("access_key")
      .values({
        access_key_id: input.accessKeyId,
        account_id: input.accountId,
        identity_id: holder.identityId,
        secret_sealed: input.secretSealed,
        status: "Active",
        created_at: input.now,
      })
      .execute();
    return { outcome: "created", userName: holder.name };
  });
}

/** Allows or forbids signing with a key. */
export async function setAccessKeyStatus(db: Database, input: HeldKey & { readonly status: KeyStatus }): Promise<KeyChangeOutcome> {
  return db.transaction(async (tx): Promise<KeyChangeOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolder(tx, input);
    if (holder === undefined) return "user-not-found";
    const changed = await tx
      .updateTable("access_key")
      .set({ status: input.status })
      .where("access_key_id", "=", input.accessKeyId)
      .where("account_id", "=", input.accountId)
      .where("identity_id", holder.identityId === null ? "is" : "=", holder.identityId)
      .returning("access_key_id")
      .execute();
    return changed.length === 0 ? "key-not-found" : "changed";
  });
}

/** Deletes a key. */
export async function deleteAccessKey(db: Database, input: HeldKey): Promise<KeyChangeOutcome> {
  return db.transaction(async (tx): Promise<KeyChangeOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolder(tx, input);
    if (holder === undefined) return "user-not-found";
    const deleted = await tx
      .deleteFrom("access_key")
      .where("access_key_id", "=", input.accessKeyId)
      .where("account_id", "=", input.accountId)
      .where("identity_id", holder.identityId === null ? "is" : "=", holder.identityId)
      .returning("access_key_id")
      .execute();
    return deleted.length === 0 ? "key-not-found" : "changed";
  });
}

/** A page of the keys of a user, or of root when `identityId` is undefined, by id; `after` is the last id of the page before. */
export async function listAccessKeys(
  db: Database,
  input: {
    readonly accountId: string;
    readonly identityId: number | undefined;
    readonly after: string | undefined;
    readonly limit: number;
  },
): Promise<{ readonly keys: readonly ListedKey[]; readonly next: string | undefined }> {
  const rows = await db.read
    .selectFrom("access_key")
    .select(["access_key_id", "status", "created_at"])
    .where("account_id", "=", input.accountId)
    .where("identity_id", input.identityId === undefined ? "is" : "=", input.identityId ?? null)
    .where("access_key_id", ">", input.after ?? "")
    .orderBy("access_key_id")
    .limit(input.limit + 1)
    .execute();
  const keys = rows.slice(0, input.limit).map((row) => ({ accessKeyId: row.access_key_id, status: row.status, createdAt: row.created_at }));
  return { keys, next: rows.length > input.limit ? keys.at(-1)?.accessKeyId : undefined };
}

/** Who holds a key and when it was last used; undefined when there is no such key. */
export async function findKeyUse(db: Database, accessKeyId: string): Promise<KeyUse | undefined> {
  const row = await db.read
    .selectFrom("access_key as k")
    .leftJoin("identity as i", "i.identity_id", "k.identity_id")
    .select(["k.account_id", "k.identity_id", "k.last_used_at", "k.last_used_service", "k.last_used_region", "i.name"])
    .where("k.access_key_id", "=", accessKeyId)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { last_used_at: at, last_used_service: service, last_used_region: region } = row;
  return {
    accountId: row.account_id,
    identityId: row.identity_id ?? undefined,
    userName: row.name ?? undefined,
    last: at === null || service === null || region === null ? undefined : { at, service, region },
  };
}

/**
 * Notes that a key signed a request: at most once a minute a key, whoever of several nodes is told. No error when the key is gone.
 * It decides nothing, so the identity epoch stays where it is.
 */
export async function noteKeyUse(
  db: Database,
  input: { readonly accessKeyId: string; readonly service: string; readonly region: string; readonly now: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("access_key")
      .set({ last_used_at: input.now, last_used_service: input.service, last_used_region: input.region })
      .where("access_key_id", "=", input.accessKeyId)
      .where((is) => is.or([is("last_used_at", "is", null), is("last_used_at", "<=", input.now - notedEveryMs)]))
      .execute();
  });
}

async function findHolder(
  tx: Transaction<Schema>,
  { accountId, userName }: KeyHolder,
): Promise<{ readonly identityId: number | null; readonly name: string | undefined } | undefined> {
  if (userName === undefined) return { identityId: null, name: undefined };
  const user = await findIdentityIn(tx, { accountId, kind: "user", name: userName });
  return user === undefined ? undefined : { identityId: user.identityId, name: user.name };
}
