/** Identity providers: whose tokens an account takes as proof of who somebody is. */
import { readJson } from "#std/json.ts";
import type { Selectable } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import type { IdentityProviderTable } from "./schema-identity.ts";

/** Names a provider; `name` is the last part of its ARN, for OpenID Connect the issuer without its scheme. */
export interface IdentityProviderKey {
  readonly accountId: string;
  readonly kind: "oidc";
  readonly name: string;
}

/** What is set of an OpenID Connect provider. */
export interface OidcSettings {
  /** The issuer without `https://`. */
  readonly url: string;
  /** The audiences that tokens may be made for. */
  readonly clientIds: readonly string[];
  /** SHA-1 of certificates, in hex. */
  readonly thumbprints: readonly string[];
  /** The keys that sign tokens (RFC 7517), for an issuer that cannot be reached from here. */
  readonly jwks?: Readonly<Record<string, unknown>>;
}

/** A provider. The time is milliseconds since the epoch. */
export interface IdentityProvider extends IdentityProviderKey {
  readonly providerId: number;
  readonly settings: OidcSettings;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

/** What making a provider answers. */
export type NewProviderOutcome =
  | { readonly outcome: "created"; readonly provider: IdentityProvider }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** Makes a provider; `limit` is how many of its kind the account may have. */
export async function putIdentityProvider(
  db: Database,
  input: IdentityProviderKey & {
    readonly settings: OidcSettings;
    readonly tags: Readonly<Record<string, string>>;
    readonly now: number;
    readonly limit: number;
  },
): Promise<NewProviderOutcome> {
  return db.transaction(async (tx): Promise<NewProviderOutcome> => {
    await moveIdentityEpoch(tx);
    const names = await tx
      .selectFrom("identity_provider")
      .select("name")
      .where("account_id", "=", input.accountId)
      .where("kind", "=", input.kind)
      .execute();
    if (names.some(({ name }) => name === input.name)) return { outcome: "exists" };
    if (names.length >= input.limit) return { outcome: "limit" };
    const row = await tx
      .insertInto("identity_provider")
      .values({
        account_id: input.accountId,
        kind: input.kind,
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
export async function findIdentityProvider(db: Database, key: IdentityProviderKey): Promise<IdentityProvider | undefined> {
  const row = await db.read
    .selectFrom("identity_provider")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", key.kind)
    .where("name", "=", key.name)
    .executeTakeFirst();
  return row === undefined ? undefined : providerOf(row);
}

/** The names of an account's providers of a kind, in order; an account has at most a hundred. */
export async function listIdentityProviders(db: Database, key: Omit<IdentityProviderKey, "name">): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("identity_provider")
    .select("name")
    .where("account_id", "=", key.accountId)
    .where("kind", "=", key.kind)
    .orderBy("name")
    .execute();
  return rows.map(({ name }) => name);
}

/** A change of one setting; adding what is there and removing what is not changes nothing. */
export type ProviderChange =
  | { readonly addClientId: string; readonly maxClientIds: number }
  | { readonly removeClientId: string }
  | { readonly thumbprints: readonly string[] }
  /** Keys of its own; undefined: those that the issuer publishes. */
  | { readonly jwks: OidcSettings["jwks"] | undefined };

/** Changes a provider; `limit`: it has as many client ids as it may have. */
export async function updateIdentityProvider(
  db: Database,
  key: IdentityProviderKey,
  change: ProviderChange,
): Promise<"updated" | "not-found" | "limit"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await tx
      .selectFrom("identity_provider")
      .selectAll()
      .where("account_id", "=", key.accountId)
      .where("kind", "=", key.kind)
      .where("name", "=", key.name)
      .executeTakeFirst();
    if (row === undefined) return "not-found";
    const settings = changed(providerOf(row).settings, change);
    if (settings === undefined) return "limit";
    await tx
      .updateTable("identity_provider")
      .set({ settings: JSON.stringify(settings) })
      .where("provider_id", "=", row.provider_id)
      .execute();
    return "updated";
  });
}

function changed(settings: OidcSettings, change: ProviderChange): OidcSettings | undefined {
  const { clientIds } = settings;
  if ("jwks" in change) {
    const { jwks: _former, ...others } = settings;
    return change.jwks === undefined ? others : { ...others, jwks: change.jwks };
  }
  if ("thumbprints" in change) return { ...settings, thumbprints: change.thumbprints };
  if ("removeClientId" in change) return { ...settings, clientIds: clientIds.filter((clientId) => clientId !== change.removeClientId) };
  if (clientIds.includes(change.addClientId)) return settings;
  return clientIds.length < change.maxClientIds ? { ...settings, clientIds: [...clientIds, change.addClientId] } : undefined;
}

/** Removes a provider. False when there is none of that name. */
export async function deleteIdentityProvider(db: Database, key: IdentityProviderKey): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const removed = await tx
      .deleteFrom("identity_provider")
      .where("account_id", "=", key.accountId)
      .where("kind", "=", key.kind)
      .where("name", "=", key.name)
      .returning("provider_id")
      .execute();
    return removed.length > 0;
  });
}

function providerOf(row: Selectable<IdentityProviderTable>): IdentityProvider {
  return {
    providerId: row.provider_id,
    accountId: row.account_id,
    kind: "oidc",
    name: row.name,
    settings: readJson(row.settings) as OidcSettings,
    tags: readJson(row.tags) as Record<string, string>,
    createdAt: row.created_at,
  };
}
