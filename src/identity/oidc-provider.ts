/** OpenID Connect providers (IAM User Guide, "Create an OpenID Connect identity provider"): issuers whose tokens an account takes. */
import {
  changeProviderSettings,
  deleteIdentityProvider,
  findIdentityProvider,
  listIdentityProviders,
  putIdentityProvider,
} from "#metadata/identity-providers.ts";
import type { IdentityProvider, OidcSettings } from "#metadata/identity-providers.ts";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { missingProvider, providerArn, providerKey, shownTags, storedTags } from "./provider.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";
import { parseUploadedKeys } from "./uploaded-keys.ts";
import type { UploadedKey } from "./uploaded-keys.ts";

/** A provider as it is shown. The time is milliseconds since the epoch. */
export interface OidcProviderDetails {
  readonly arn: string;
  /** The issuer without `https://`. */
  readonly url: string;
  readonly clientIds: readonly string[];
  readonly thumbprints: readonly string[];
  readonly tags: readonly IdentityTag[];
  readonly createdAt: number;
}

/** What a provider is made from. */
export interface OidcProviderRequest {
  /** As {@link parseIssuer} answers it. */
  readonly name: string;
  readonly clientIds: readonly string[];
  readonly thumbprints: readonly string[];
  readonly tags: readonly IdentityTag[];
}

const maxProviders = 100;
const maxClientIds = 100;
const maxThumbprints = 5;
const maxIssuerLength = 255;
/** What AWS says about every other URL. */
const badUrl = "Invalid Open ID Connect Provider URL";
const issuerForm = /^https:\/\/([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:\/[\w.~%:@!$&'()+,;=/-]*)?)$/;

/** Reads an issuer's URL and answers it without its scheme: https, without a user, query or fragment. */
export function parseIssuer(url: string): Parsed<string> {
  const name = issuerForm.exec(url)?.[1];
  return name !== undefined && url.length <= maxIssuerLength && URL.canParse(url) ? parsed(name) : problem(badUrl);
}

/** Makes a provider. Throws IdentityError. */
export async function createOidcProvider(ctx: IdentityContext, request: OidcProviderRequest): Promise<OidcProviderDetails> {
  const { name } = request;
  const clientIds = [...new Set(request.clientIds)];
  if (clientIds.length > maxClientIds) throw tooManyClientIds();
  const tags = checkTags(request.tags);
  const made = await putIdentityProvider(ctx.core.metadata, {
    accountId: ctx.accountId,
    kind: "oidc",
    name,
    settings: { url: name, clientIds, thumbprints: checkThumbprints(request.thumbprints) },
    tags: storedTags(tags),
    now: ctx.core.clock.now(),
    limit: maxProviders,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "oidc-provider", name: `https://${name}` });
  if (made.outcome === "limit") throw refuse("limit", { quota: "OpenIdConnectProvidersPerAccount", limit: maxProviders });
  return detailsOf(made.provider);
}

/** The provider of that ARN. Throws IdentityError `not-found`. */
export async function getOidcProvider(ctx: IdentityContext, arn: string): Promise<OidcProviderDetails> {
  return detailsOf(await findProvider(ctx, arn));
}

/** The ARNs of the account's providers; there are at most a hundred. */
export async function listOidcProviders({ core, accountId }: IdentityContext): Promise<readonly string[]> {
  return (await listIdentityProviders(core.metadata, { accountId, kind: "oidc" })).map((name) =>
    providerArn({ accountId, kind: "oidc", name }),
  );
}

/** Deletes a provider; one that is not there is no error, as AWS documents it. Throws IdentityError for what is no ARN of the account. */
export async function deleteOidcProvider(ctx: IdentityContext, arn: string): Promise<void> {
  await deleteIdentityProvider(ctx.core.metadata, providerKey(ctx, "oidc", arn));
}

/** Adds a client id; one that is there already is no error. Throws IdentityError. */
export async function addClientId(ctx: IdentityContext, arn: string, clientId: string): Promise<void> {
  await update(ctx, arn, (former) => {
    const { clientIds } = former;
    if (clientIds.includes(clientId)) return former;
    return clientIds.length < maxClientIds ? { ...former, clientIds: [...clientIds, clientId] } : undefined;
  });
}

/** Removes a client id; one that is not there is no error. Throws IdentityError `not-found`. */
export async function removeClientId(ctx: IdentityContext, arn: string, clientId: string): Promise<void> {
  await update(ctx, arn, (former) => ({ ...former, clientIds: former.clientIds.filter((name) => name !== clientId) }));
}

/** Replaces the thumbprints. Throws IdentityError. */
export async function updateThumbprints(ctx: IdentityContext, arn: string, thumbprints: readonly string[]): Promise<void> {
  const checked = checkThumbprints(thumbprints);
  await update(ctx, arn, (former) => ({ ...former, thumbprints: checked }));
}

/**
 * Makes these the keys that the provider's tokens are checked with, and answers those that were taken; its issuer is asked no more. Throws
 * IdentityError: `not-found`, or `invalid-input` for what is no set of public keys.
 */
export async function setProviderKeys(ctx: IdentityContext, arn: string, jwks: unknown): Promise<readonly UploadedKey[]> {
  const keys = parseUploadedKeys(jwks);
  if (!keys.ok) throw refuse("invalid-input", { message: keys.problem });
  await update(ctx, arn, (former) => ({ ...former, jwks: { keys: keys.value } }));
  return keys.value;
}

/** The keys that were set, or undefined while the issuer is asked for them. Throws IdentityError `not-found`. */
export async function getProviderKeys(ctx: IdentityContext, arn: string): Promise<unknown> {
  return (await findProvider(ctx, arn)).settings.jwks?.["keys"];
}

/** Forgets the keys that were set; none is no error. Throws IdentityError `not-found`. */
export async function removeProviderKeys(ctx: IdentityContext, arn: string): Promise<void> {
  await update(ctx, arn, ({ jwks: _former, ...others }) => others);
}

async function findProvider(ctx: IdentityContext, arn: string): Promise<IdentityProvider<"oidc">> {
  const provider = await findIdentityProvider(ctx.core.metadata, providerKey(ctx, "oidc", arn));
  if (provider === undefined) throw missingProvider("oidc", arn);
  return provider;
}

/** `change` answers undefined when there would be too many client ids. */
async function update(ctx: IdentityContext, arn: string, change: (former: OidcSettings) => OidcSettings | undefined): Promise<void> {
  const outcome = await changeProviderSettings(ctx.core.metadata, providerKey(ctx, "oidc", arn), change);
  if (outcome === "not-found") throw missingProvider("oidc", arn);
  if (outcome === "refused") throw tooManyClientIds();
}

function tooManyClientIds(): Error {
  return refuse("limit", { quota: "ClientIdsPerOpenIdConnectProvider", limit: maxClientIds });
}

function checkThumbprints(thumbprints: readonly string[]): readonly string[] {
  if (thumbprints.length <= maxThumbprints) return thumbprints;
  // AWS's sentence; five are taken.
  throw refuse("invalid-input", { message: "Thumbprint list must contain fewer than 5 entries." });
}

function detailsOf(provider: IdentityProvider<"oidc">): OidcProviderDetails {
  const { settings, tags, createdAt } = provider;
  return {
    arn: providerArn(provider),
    url: settings.url,
    clientIds: settings.clientIds,
    thumbprints: settings.thumbprints,
    tags: shownTags(tags),
    createdAt,
  };
}
