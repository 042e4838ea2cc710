/** Identity providers: whose tokens and signed assertions an account takes as proof of who somebody is. */
import { readJson } from "#std/json.ts";
import type { Kysely, Selectable } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import type { IdentityProviderTable } from "./schema-identity.ts";
import type { Schema } from "./schema.ts";

type Tags = Readonly<Record<string, string>>;

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

interface SettingsOf {
  readonly oidc: OidcSettings;
  readonly saml: SamlSettings;
}

/** By what protocol a provider proves who somebody is: OpenID Connect or SAML 2.0. */
export type ProviderKind = keyof SettingsOf;

/** Names a provider; `name` is the last part of its ARN, for OpenID Connect the issuer without its scheme. */
export interface IdentityProviderKey<Kind extends ProviderKind = ProviderKind> {
  readonly accountId: string;
  readonly kind: Kind;
  readonly name: string;
}

/** A provider. The time is milliseconds since the epoch. */
export interface IdentityProvider<Kind extends ProviderKind> extends IdentityProviderKey<Kind> {
  readonly settings: SettingsOf[Kind];
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

/** What making a provider answers. */
export type NewProviderOutcome<Kind extends ProviderKind> =
  | { readonly outcome: "created"; readonly provider: IdentityProvider<Kind> }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** Makes a provider; `limit` is how many of its kind the account may have. */
export async function putIdentityProvider<Kind extends ProviderKind>(
  db: Database,
  input: Omit<IdentityProvider<Kind>, "createdAt"> & { readonly now: number; readonly limit: number },
): Promise<NewProviderOutcome<Kind>> {
  return db.transaction(async (tx): Promise<NewProviderOutcome<Kind>> => {
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
export async function findIdentityProvider<Kind extends ProviderKind>(
  db: Database,
  key: IdentityProviderKey<Kind>,
): Promise<IdentityProvider<Kind> | undefined> {
  const row = await rowOf(db.read, key);
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

/** Changes a provider's settings; `change` answers undefined to leave them as they are and have `refused` answered. */
export async function changeProviderSettings<Kind extends ProviderKind>(
  db: Database,
  key: IdentityProviderKey<Kind>,
  change: (former: SettingsOf[Kind]) => SettingsOf[Kind] | undefined,
): Promise<"changed" | "not-found" | "refused"> {
  return changeProvider(db, key, (provider) => {
    const settings = change(provider.settings);
    return settings === undefined ? undefined : { settings: JSON.stringify(settings) };
  });
}

/** Changes a provider's tags; `change` answers undefined to leave them as they are and have `refused` answered. */
export async function changeProviderTags(
  db: Database,
  key: IdentityProviderKey,
  change: (former: Tags) => Tags | undefined,
): Promise<"changed" | "not-found" | "refused"> {
  return changeProvider(db, key, (provider) => {
    const tags = change(provider.tags);
    return tags === undefined ? undefined : { tags: JSON.stringify(tags) };
  });
}

/** Every change of identities moves the epoch's row first, so no two of them run at once. */
async function changeProvider<Kind extends ProviderKind>(
  db: Database,
  key: IdentityProviderKey<Kind>,
  change: (former: IdentityProvider<Kind>) => { readonly settings?: string; readonly tags?: string } | undefined,
): Promise<"changed" | "not-found" | "refused"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await rowOf(tx, key);
    if (row === undefined) return "not-found";
    const columns = change(providerOf(row));
    if (columns === undefined) return "refused";
    await tx.updateTable("identity_provider").set(columns).where("provider_id", "=", row.provider_id).execute();
    return "changed";
  });
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

async function rowOf(db: Kysely<Schema>, key: IdentityProviderKey): Promise<Selectable<IdentityProviderTable> | undefined> {
  return db
    .selectFrom("identity_provider")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", key.kind)
    .where("name", "=", key.name)
    .executeTakeFirst();
}

/** The caller knows the kind: it asked for it. */
function providerOf<Kind extends ProviderKind>(row: Selectable<IdentityProviderTable>): IdentityProvider<Kind> {
  return {
    accountId: row.account_id,
    kind: row.kind as Kind,
    name: row.name,
    settings: readJson(row.settings) as SettingsOf[Kind],
    tags: readJson(row.tags) as Tags,
    createdAt: row.created_at,
  };
}
