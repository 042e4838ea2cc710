/** Secrets: names, descriptions, marks of deletion, tags and resource policies. Their values are in `secret-versions.ts`. */
import { readJson } from "#std/json.ts";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { StoredPolicy } from "./resource-policies.ts";
import type { Schema } from "./schema.ts";
import { changeSecret, lockSecret, secretOf, setSecret } from "./secret-rows.ts";
import type { Secret, SecretGone, SecretKey } from "./secret-rows.ts";
import { insertSecretVersion } from "./secret-versions.ts";
import type { NewSecretVersion } from "./secret-versions.ts";

/** What `createSecret` answers. */
export type CreateSecretOutcome =
  | { readonly outcome: "created"; readonly secret: Secret }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** What of a secret decides about access to it. */
export interface SecretAccess {
  readonly policy: StoredPolicy | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

const findAccess = preparedStatement(
  "find_secret_access",
  "select secret_id, policy, policy_principals from secret where account_id = ?1 and region = ?2 and name = ?3 and suffix = ?4",
);
const findTags = preparedStatement("find_secret_tags", "select key, value from secret_tag where secret_id = ?1 order by key");

/** The secret of that name, marked deleted or not; undefined when there is none. */
export async function findSecret(db: Database, key: SecretKey): Promise<Secret | undefined> {
  const row = await db.read
    .selectFrom("secret")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("region", "=", key.region)
    .where("name", "=", key.name)
    .executeTakeFirst();
  return row === undefined ? undefined : secretOf(row);
}

/** The resource policy and the tags of the secret with that name and suffix; undefined when there is no such secret. */
export async function findSecretAccess(db: Database, key: SecretKey & { readonly suffix: string }): Promise<SecretAccess | undefined> {
  type Row = { readonly secret_id: number; readonly policy: string | null; readonly policy_principals: string | null };
  const row = await db.prepared.one<Row>(findAccess, [key.accountId, key.region, key.name, key.suffix]);
  if (row === undefined) return undefined;
  return { policy: policyOf(row), tags: await readSecretTags(db, row.secret_id) };
}

/** The tags of a secret, in byte order of their keys. */
export async function readSecretTags(db: Database, secretId: number): Promise<Record<string, string>> {
  const rows = await db.prepared.all<{ readonly key: string; readonly value: string }>(findTags, [secretId]);
  // From entries, so that a key named __proto__ is a key like any other.
  return Object.fromEntries(rows.map((row) => [row.key, row.value]));
}

/** Makes a secret, with its first version when one is given. */
export async function createSecret(
  db: Database,
  input: {
    readonly key: SecretKey;
    readonly suffix: string;
    readonly description: string | undefined;
    readonly tags: Readonly<Record<string, string>>;
    readonly version: NewSecretVersion | undefined;
    /** How many secrets the account may have in the region. */
    readonly maxSecrets: number;
    readonly now: number;
  },
): Promise<CreateSecretOutcome> {
  const { accountId, region, name } = input.key;
  return db.transaction(async (tx): Promise<CreateSecretOutcome> => {
    const { count } = await tx
      .selectFrom("secret")
      .select((row) => row.fn.countAll().as("count"))
      .where("account_id", "=", accountId)
      .where("region", "=", region)
      .executeTakeFirstOrThrow();
    const row = await tx
      .insertInto("secret")
      .values({
        account_id: accountId,
        region,
        name,
        suffix: input.suffix,
        description: input.description ?? null,
        created_at: input.now,
        changed_at: input.now,
      })
      // The unique index turns a race for a name into one winner.
      .onConflict((conflict) => conflict.columns(["account_id", "region", "name"]).doNothing())
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return { outcome: "exists" };
    if (Number(count) >= input.maxSecrets) {
      await tx.deleteFrom("secret").where("secret_id", "=", row.secret_id).execute();
      return { outcome: "limit" };
    }
    await insertTags(tx, row.secret_id, Object.entries(input.tags));
    if (input.version !== undefined) await insertSecretVersion(tx, row.secret_id, input.version);
    return { outcome: "created", secret: secretOf(row) };
  });
}

/** Marks a secret deleted: it can be restored until `removeAt`. */
export async function markSecretDeleted(
  db: Database,
  input: { readonly secretId: number; readonly removeAt: number; readonly now: number },
): Promise<{ readonly outcome: "marked" } | SecretGone> {
  return changeSecret(db, input.secretId, async (tx) => {
    await setSecret(tx, input.secretId, { remove_at: input.removeAt, changed_at: input.now });
    return { outcome: "marked" };
  });
}

/** Takes the mark away; no error when there is none. False when there is no such secret any more. */
export async function restoreSecret(db: Database, input: { readonly secretId: number; readonly now: number }): Promise<boolean> {
  return db.transaction(async (tx) => {
    if ((await lockSecret(db, tx, input.secretId)) === undefined) return false;
    await setSecret(tx, input.secretId, { remove_at: null, changed_at: input.now });
    return true;
  });
}

/** Removes a secret with everything that belongs to it, marked or not. No error when it is gone. */
export async function removeSecret(db: Database, secretId: number): Promise<void> {
  await db.transaction(async (tx) => {
    const secret = await lockSecret(db, tx, secretId);
    if (secret !== undefined) await deleteRows(db, tx, [secretId]);
  });
}

/** Removes secrets whose time to be restored has passed, the earliest first and at most `limit`; answers how many. */
export async function removeDueSecrets(db: Database, input: { readonly now: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const due = await tx
      .selectFrom("secret")
      .select("secret_id")
      .where("remove_at", "<=", input.now)
      .orderBy("remove_at")
      .orderBy("secret_id")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    await deleteRows(
      db,
      tx,
      due.map((row) => row.secret_id),
    );
    return due.length;
  });
}

/** Adds tags, or replaces their values; all of them or, when the secret would have more than `maxTags`, none. */
export async function putSecretTags(
  db: Database,
  input: {
    readonly secretId: number;
    readonly tags: Readonly<Record<string, string>>;
    readonly maxTags: number;
    readonly now: number;
  },
): Promise<{ readonly outcome: "put" } | { readonly outcome: "too-many" } | SecretGone> {
  const { secretId } = input;
  return changeSecret(db, secretId, async (tx): Promise<{ readonly outcome: "put" | "too-many" }> => {
    const rows = await tx.selectFrom("secret_tag").select("key").where("secret_id", "=", secretId).execute();
    const keys = new Set([...rows.map((row) => row.key), ...Object.keys(input.tags)]);
    if (keys.size > input.maxTags) return { outcome: "too-many" };
    await insertTags(tx, secretId, Object.entries(input.tags));
    await setSecret(tx, secretId, { changed_at: input.now });
    return { outcome: "put" };
  });
}

/** Removes tags; keys that are not there are no error. */
export async function deleteSecretTags(
  db: Database,
  input: { readonly secretId: number; readonly keys: readonly string[]; readonly now: number },
): Promise<{ readonly outcome: "deleted" } | SecretGone> {
  const { secretId } = input;
  return changeSecret(db, secretId, async (tx) => {
    await tx.deleteFrom("secret_tag").where("secret_id", "=", secretId).where(db.dialect.textIn("key", input.keys)).execute();
    await setSecret(tx, secretId, { changed_at: input.now });
    return { outcome: "deleted" };
  });
}

/** Sets, replaces, or with `undefined` removes the resource policy. */
export async function putSecretPolicy(
  db: Database,
  input: { readonly secretId: number; readonly policy: StoredPolicy | undefined; readonly now: number },
): Promise<{ readonly outcome: "put" } | SecretGone> {
  const { secretId, policy } = input;
  return changeSecret(db, secretId, async (tx) => {
    const columns = {
      policy: policy?.document ?? null,
      policy_principals: policy === undefined ? null : JSON.stringify(policy.principals),
    };
    await setSecret(tx, secretId, { ...columns, changed_at: input.now });
    return { outcome: "put" };
  });
}

async function insertTags(tx: Transaction<Schema>, secretId: number, tags: readonly (readonly [string, string])[]): Promise<void> {
  if (tags.length === 0) return;
  await tx
    .insertInto("secret_tag")
    .values(tags.map(([key, value]) => ({ secret_id: secretId, key, value })))
    .onConflict((conflict) => conflict.columns(["secret_id", "key"]).doUpdateSet((set) => ({ value: set.ref("excluded.value") })))
    .execute();
}

async function deleteRows(db: Database, tx: Transaction<Schema>, secretIds: readonly number[]): Promise<void> {
  for (const table of ["secret_tag", "secret_stage", "secret_version", "secret"] as const)
    await tx.deleteFrom(table).where(db.dialect.integerIn("secret_id", secretIds)).execute();
}

function policyOf(row: { readonly policy: string | null; readonly policy_principals: string | null }): StoredPolicy | undefined {
  if (row.policy === null || row.policy_principals === null) return undefined;
  return { document: row.policy, principals: readJson(row.policy_principals) as Record<string, string> };
}
