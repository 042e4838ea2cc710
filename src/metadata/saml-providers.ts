/** SAML providers: the identity providers of kind `saml`, whose signed assertions an account takes as proof of who somebody is. */
import { readJson } from "#std/json.ts";
import type { Selectable, Transaction } from "kysely";
import type { Database } from "./database.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { IdentityProviderTable } from "./schema-identity.ts";
import type { Schema } from "./schema.ts";

/** Names a provider: its account, and the last part of its ARN. */
export interface SamlProviderKey {
  readonly accountId: string;
  readonly name: string;
}

/** What is set of a SAML provider: the document as it was given, and what was read from it. */
export interface SamlSettings {
  /** AWS's unique identifier of the provider. */
  readonly uuid: string;
  readonly document: string;
  readonly entityId: string;
  /** The certificates that sign, each base64 of its DER. */
  readonly certificates: readonly string[];
  /** When the document ends, if it says so; milliseconds since the epoch. */
  readonly validUntil?: number;
}

/** A provider. The time is milliseconds since the epoch. */
export interface SamlProvider extends SamlProviderKey {
  readonly settings: SamlSettings;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

/** What making a provider answers. */
export type NewSamlProviderOutcome =
  | { readonly outcome: "created"; readonly provider: SamlProvider }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** Makes a provider; `limit` is how many the account may have. */
export async function putSamlProvider(
  db: Database,
  input: Omit<SamlProvider, "createdAt"> & { readonly now: number; readonly limit: number },
): Promise<NewSamlProviderOutcome> {
  return db.transaction(async (tx): Promise<NewSamlProviderOutcome> => {
    await moveIdentityEpoch(tx);
    const names = await tx
      .selectFrom("identity_provider")
      .select("name")
      .where("account_id", "=", input.accountId)
      .where("kind", "=", "saml")
      .execute();
    if (names.some(({ name }) => name === input.name)) return { outcome: "exists" };
    if (names.length >= input.limit) return { outcome: "limit" };
    const row = await tx
      .insertInto("identity_provider")
      .values({
        account_id: input.accountId,
        kind: "saml",
        name: input.name,
        settings: JSON.stringify(input.settings),
        tags: JSON.stringify(input.tags),
        created_at: input.now,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return { outcome: "created", provider: providerOf(row) };
  });
}

/** The provider of that name, or undefined. */
export async function findSamlProvider(db: Database, key: SamlProviderKey): Promise<SamlProvider | undefined> {
  const row = await db.read
    .selectFrom("identity_provider")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", "saml")
    .where("name", "=", key.name)
    .executeTakeFirst();
  return row === undefined ? undefined : providerOf(row);
}

/** The names of an account's providers, in order; an account has at most a hundred. */
export async function listSamlProviders(db: Database, accountId: string): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("identity_provider")
    .select("name")
    .where("account_id", "=", accountId)
    .where("kind", "=", "saml")
    .orderBy("name")
    .execute();
  return rows.map(({ name }) => name);
}

/** Replaces what was read from the provider's document, and the document. False when there is none of that name. */
export async function updateSamlProvider(db: Database, key: SamlProviderKey, settings: Omit<SamlSettings, "uuid">): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await rowOf(tx, key);
    if (row === undefined) return false;
    const { uuid } = providerOf(row).settings;
    await tx
      .updateTable("identity_provider")
      .set({ settings: JSON.stringify({ uuid, ...settings }) })
      .where("provider_id", "=", row.provider_id)
      .execute();
    return true;
  });
}

/** Adds tags, or replaces those whose keys are the same without regard to case; all, or none when there would be more than `maxTags`. */
export async function putSamlProviderTags(
  db: Database,
  key: SamlProviderKey,
  input: { readonly tags: readonly { readonly key: string; readonly value: string }[]; readonly maxTags: number },
): Promise<"put" | "too-many" | "not-found"> {
  const newKeys = new Set(input.tags.map((tag) => tag.key.toLowerCase()));
  return changeTags(db, key, (tags) => {
    const kept = Object.entries(tags).filter(([name]) => !newKeys.has(name.toLowerCase()));
    const next = [...kept, ...input.tags.map((tag) => [tag.key, tag.value] as const)];
    return next.length > input.maxTags ? undefined : Object.fromEntries(next);
  });
}

/** Removes tags; keys that are not there are no error. False when there is no such provider. */
export async function deleteSamlProviderTags(db: Database, key: SamlProviderKey, keys: readonly string[]): Promise<boolean> {
  const removed = new Set(keys.map((name) => name.toLowerCase()));
  const outcome = await changeTags(db, key, (tags) =>
    Object.fromEntries(Object.entries(tags).filter(([name]) => !removed.has(name.toLowerCase()))),
  );
  return outcome !== "not-found";
}

/** Removes a provider. False when there is none of that name. */
export async function deleteSamlProvider(db: Database, key: SamlProviderKey): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const removed = await tx
      .deleteFrom("identity_provider")
      .where("account_id", "=", key.accountId)
      .where("kind", "=", "saml")
      .where("name", "=", key.name)
      .returning("provider_id")
      .execute();
    return removed.length > 0;
  });
}

type Tags = Readonly<Record<string, string>>;

/** `change` answers undefined when there would be too many. */
async function changeTags(
  db: Database,
  key: SamlProviderKey,
  change: (tags: Tags) => Tags | undefined,
): Promise<"put" | "too-many" | "not-found"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await rowOf(tx, key);
    if (row === undefined) return "not-found";
    const tags = change(providerOf(row).tags);
    if (tags === undefined) return "too-many";
    await tx
      .updateTable("identity_provider")
      .set({ tags: JSON.stringify(tags) })
      .where("provider_id", "=", row.provider_id)
      .execute();
    return "put";
  });
}

async function rowOf(tx: Transaction<Schema>, key: SamlProviderKey): Promise<Selectable<IdentityProviderTable> | undefined> {
  return tx
    .selectFrom("identity_provider")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", "saml")
    .where("name", "=", key.name)
    .executeTakeFirst();
}

function providerOf(row: Selectable<IdentityProviderTable>): SamlProvider {
  return {
    accountId: row.account_id,
    name: row.name,
    settings: readJson(row.settings) as SamlSettings,
    tags: readJson(row.tags) as Record<string, string>,
    createdAt: row.created_at,
  };
}
