/** Keys of the key management service: their settings, states and policies. Their secrets are in `kms-materials.ts`. */
import { readJson } from "#std/json.ts";
import type { Selectable, Transaction } from "kysely";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { StoredPolicy } from "./resource-policies.ts";
import type { KmsKeyTable } from "./schema-kms.ts";
import type { Schema } from "./schema.ts";

/** Where keys live: they are found in their own account and region only. */
export interface KmsScope {
  readonly accountId: string;
  readonly region: string;
}

/** What a key may be; a deleted key has no row. */
export type KmsKeyState = KmsKeyTable["state"];

/** A key. Times are milliseconds since the epoch. */
export interface KmsKey extends KmsScope {
  readonly keyId: string;
  readonly description: string;
  /** `AWS`: made by the service itself on first use. */
  readonly manager: KmsKeyTable["manager"];
  readonly state: KmsKeyState;
  readonly createdAt: number;
  /** When the materials are destroyed; present exactly in the state `PendingDeletion`. */
  readonly deletionAt: number | undefined;
  /** Undefined while the key is not rotated by itself. */
  readonly rotationPeriodDays: number | undefined;
  readonly nextRotationAt: number | undefined;
  readonly onDemandRotations: number;
  /** The number of the material that encrypts, from 1. */
  readonly material: number;
  readonly materialId: string;
}

/** What a key is made from; its first material has the number 1. */
export interface NewKmsKey extends KmsScope {
  readonly keyId: string;
  readonly description: string;
  readonly manager: KmsKey["manager"];
  readonly policy: StoredPolicy;
  readonly tags: Readonly<Record<string, string>>;
  readonly rotation: { readonly periodDays: number; readonly nextAt: number } | undefined;
  readonly materialId: string;
  readonly sealed: string;
  /** An alias that is made with it; when the alias is there already, its key is answered instead. */
  readonly alias: string | undefined;
  readonly now: number;
  /** How many keys made by customers the account may have in the region. */
  readonly limit: number;
}

/** What making a key answers. */
export type NewKmsKeyOutcome =
  | { readonly outcome: "created"; readonly key: KmsKey }
  | { readonly outcome: "alias-exists"; readonly key: KmsKey }
  | { readonly outcome: "limit" };

/** What of a key may be changed; what is not given stays, and `null` takes away. */
export interface KmsKeyPatch {
  readonly description?: string;
  readonly state?: "Enabled" | "Disabled" | { readonly deletionAt: number };
  readonly policy?: StoredPolicy;
  readonly rotation?: { readonly periodDays: number; readonly nextAt: number } | null;
}

/** What changing a key answers; `wrong-state` with the key as it is. */
export type UpdateKmsKeyOutcome =
  | { readonly outcome: "updated"; readonly key: KmsKey }
  | { readonly outcome: "wrong-state"; readonly key: KmsKey }
  | { readonly outcome: "not-found" };

/** What of a key decides about access to it. */
export interface KmsKeyAccess {
  readonly policy: StoredPolicy;
  readonly tags: Readonly<Record<string, string>>;
}

const findById = preparedStatement("find_kms_key", "select * from kms_key where key_id = ?1");
const findAccess = preparedStatement(
  "find_kms_key_access",
  "select policy, policy_principals from kms_key where key_id = ?1 and account_id = ?2 and region = ?3",
);
const findTags = preparedStatement("find_kms_key_tags", "select key, value from kms_key_tag where key_id = ?1");

/** The key of that id, wherever it lives. */
export async function findKmsKey(db: Database, keyId: string): Promise<KmsKey | undefined> {
  const row = await db.prepared.one<Selectable<KmsKeyTable>>(findById, [keyId]);
  return row === undefined ? undefined : kmsKeyOf(row);
}

/** The policy and the tags of a key; undefined when the account has no such key in the region. */
export async function findKeyForDecision(db: Database, key: KmsScope & { readonly keyId: string }): Promise<KmsKeyAccess | undefined> {
  type Row = { readonly policy: string; readonly policy_principals: string };
  const row = await db.prepared.one<Row>(findAccess, [key.keyId, key.accountId, key.region]);
  if (row === undefined) return undefined;
  const tags = await db.prepared.all<{ readonly key: string; readonly value: string }>(findTags, [key.keyId]);
  return {
    policy: { document: row.policy, principals: readJson(row.policy_principals) as Record<string, string> },
    tags: Object.fromEntries(tags.map((tag) => [tag.key, tag.value])),
  };
}

/** A page of the keys of an account in a region, by id; `after` is the last id of the page before. */
export async function listKmsKeys(
  db: Database,
  input: KmsScope & { readonly after: string | undefined; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("kms_key")
    .select("key_id")
    .where("account_id", "=", input.accountId)
    .where("region", "=", input.region)
    .where("key_id", ">", input.after ?? "")
    .orderBy("key_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => row.key_id);
}

/** Makes a key with its first material and its tags, and where asked with an alias. Of several made at once the last ones may pass the limit. */
export async function createKmsKey(db: Database, input: NewKmsKey): Promise<NewKmsKeyOutcome> {
  return db.transaction(async (tx): Promise<NewKmsKeyOutcome> => {
    if (input.manager === "CUSTOMER" && (await countKeys(tx, input)) >= input.limit) return { outcome: "limit" };
    const row = await tx
      .insertInto("kms_key")
      .values({
        key_id: input.keyId,
        account_id: input.accountId,
        region: input.region,
        description: input.description,
        manager: input.manager,
        state: "Enabled",
        policy: input.policy.document,
        policy_principals: JSON.stringify(input.policy.principals),
        created_at: input.now,
        deletion_at: null,
        rotation_period_days: input.rotation?.periodDays ?? null,
        next_rotation_at: input.rotation?.nextAt ?? null,
        on_demand_rotations: 0,
        material: 1,
        material_id: input.materialId,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    if (input.alias !== undefined) {
      const existing = await claimAlias(tx, input, input.alias);
      if (existing !== undefined) {
        await tx.deleteFrom("kms_key").where("key_id", "=", input.keyId).execute();
        return { outcome: "alias-exists", key: existing };
      }
    }
    await tx
      .insertInto("kms_material")
      .values({
        key_id: input.keyId,
        material: 1,
        material_id: input.materialId,
        sealed: input.sealed,
        rotation: null,
        created_at: input.now,
      })
      .execute();
    const tags = Object.entries(input.tags).map(([key, value]) => ({ key_id: input.keyId, key, value }));
    if (tags.length > 0) await tx.insertInto("kms_key_tag").values(tags).execute();
    return { outcome: "created", key: kmsKeyOf(row) };
  });
}

/** Gives the alias to the new key; answers the key that has it already, if one does. */
async function claimAlias(tx: Transaction<Schema>, input: NewKmsKey, name: string): Promise<KmsKey | undefined> {
  const { accountId, region, keyId, now } = input;
  const made = await tx
    .insertInto("kms_alias")
    .values({ account_id: accountId, region, name, key_id: keyId, created_at: now, updated_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .returning("key_id")
    .execute();
  if (made.length > 0) return undefined;
  const row = await tx
    .selectFrom("kms_alias as a")
    .innerJoin("kms_key as k", "k.key_id", "a.key_id")
    .selectAll("k")
    .where("a.account_id", "=", accountId)
    .where("a.region", "=", region)
    .where("a.name", "=", name)
    .executeTakeFirstOrThrow();
  return kmsKeyOf(row);
}

async function countKeys(tx: Transaction<Schema>, { accountId, region }: KmsScope): Promise<number> {
  const { count } = await tx
    .selectFrom("kms_key")
    .select((row) => row.fn.countAll<number>().as("count"))
    .where("account_id", "=", accountId)
    .where("region", "=", region)
    .where("manager", "=", "CUSTOMER")
    .executeTakeFirstOrThrow();
  return count;
}

/** Changes a key while it is in one of the states. */
export async function updateKmsKey(
  db: Database,
  input: { readonly keyId: string; readonly onlyIn: readonly KmsKeyState[]; readonly patch: KmsKeyPatch },
): Promise<UpdateKmsKeyOutcome> {
  return db.transaction(async (tx): Promise<UpdateKmsKeyOutcome> => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key === undefined) return { outcome: "not-found" };
    if (!input.onlyIn.includes(key.state)) return { outcome: "wrong-state", key };
    const row = await tx
      .updateTable("kms_key")
      .set(columnsOf(input.patch))
      .where("key_id", "=", input.keyId)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { outcome: "updated", key: kmsKeyOf(row) };
  });
}

function columnsOf({ description, state, policy, rotation }: KmsKeyPatch): Partial<Selectable<KmsKeyTable>> {
  return {
    ...(description !== undefined && { description }),
    ...(state !== undefined && {
      state: typeof state === "object" ? "PendingDeletion" : state,
      deletion_at: typeof state === "object" ? state.deletionAt : null,
    }),
    ...(policy !== undefined && { policy: policy.document, policy_principals: JSON.stringify(policy.principals) }),
    ...(rotation !== undefined && { rotation_period_days: rotation?.periodDays ?? null, next_rotation_at: rotation?.nextAt ?? null }),
  };
}

/** The ids of keys whose deletion is due, the longest due first. */
export async function listDueKmsDeletions(
  db: Database,
  input: { readonly now: number; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("kms_key")
    .select("key_id")
    .where("deletion_at", "<=", input.now)
    .orderBy("deletion_at")
    .orderBy("key_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => row.key_id);
}

/** Deletes a key whose deletion is due, with its materials and all that belongs to it. False when it is not due any more, or gone. */
export async function destroyKmsKey(db: Database, input: { readonly keyId: string; readonly now: number }): Promise<boolean> {
  return db.transaction(async (tx) => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key?.deletionAt === undefined || key.deletionAt > input.now) return false;
    for (const table of ["kms_grant", "kms_alias", "kms_key_tag", "kms_material", "kms_key"] as const)
      await tx.deleteFrom(table).where("key_id", "=", input.keyId).execute();
    return true;
  });
}

/** The ids of enabled keys whose rotation is due, the longest due first. */
export async function listDueKmsRotations(
  db: Database,
  input: { readonly now: number; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("kms_key")
    .select("key_id")
    .where("state", "=", "Enabled")
    .where("next_rotation_at", "<=", input.now)
    .orderBy("next_rotation_at")
    .orderBy("key_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => row.key_id);
}

/** Inside a transaction of this room: the key, and nobody else changes it or what belongs to it until the end. */
export async function lockKmsKey(db: Database, tx: Transaction<Schema>, keyId: string): Promise<KmsKey | undefined> {
  const row = await tx.selectFrom("kms_key").selectAll().where("key_id", "=", keyId).$call(db.dialect.lockForUpdate).executeTakeFirst();
  return row === undefined ? undefined : kmsKeyOf(row);
}

/** A row as callers see it. */
export function kmsKeyOf(row: Selectable<KmsKeyTable>): KmsKey {
  return {
    keyId: row.key_id,
    accountId: row.account_id,
    region: row.region,
    description: row.description,
    manager: row.manager,
    state: row.state,
    createdAt: row.created_at,
    deletionAt: row.deletion_at ?? undefined,
    rotationPeriodDays: row.rotation_period_days ?? undefined,
    nextRotationAt: row.next_rotation_at ?? undefined,
    onDemandRotations: row.on_demand_rotations,
    material: row.material,
    materialId: row.material_id,
  };
}
