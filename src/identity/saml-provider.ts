/** SAML providers (IAM User Guide, "SAML 2.0 federation"): identity providers whose signed assertions an account takes. */
import {
  changeProviderSettings,
  deleteIdentityProvider,
  findIdentityProvider,
  listIdentityProviders,
  putIdentityProvider,
} from "#metadata/identity-providers.ts";
import type { IdentityProvider } from "#metadata/identity-providers.ts";
import type { Random } from "#std/random.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { missingProvider, providerArn, providerKey, shownTags, storedTags } from "./provider.ts";
import { parseSamlMetadata } from "./saml-metadata.ts";
import type { SamlMetadata } from "./saml-metadata.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";

/** A provider in a listing. Times are milliseconds since the epoch. */
export interface SamlProviderSummary {
  readonly arn: string;
  /** A hundred years after its making where the document says nothing, as AWS shows it. */
  readonly validUntil: number;
  readonly createdAt: number;
}

/** A provider as it is shown. */
export interface SamlProviderDetails extends SamlProviderSummary {
  /** AWS's unique identifier of the provider. */
  readonly uuid: string;
  /** The metadata document as it was given. */
  readonly document: string;
  /** By key. */
  readonly tags: readonly IdentityTag[];
}

/** What a provider is made from. */
export interface SamlProviderRequest {
  readonly name: string;
  readonly document: string;
  readonly tags: readonly IdentityTag[];
}

const maxProviders = 100;
const hundredYearsMs = 100 * 365.2425 * 86_400_000;
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Makes a provider. Throws IdentityError `invalid-input`, `exists` or `limit`. */
export async function createSamlProvider(ctx: IdentityContext, request: SamlProviderRequest): Promise<SamlProviderDetails> {
  const { name, document } = request;
  const { core, accountId } = ctx;
  const tags = checkTags(request.tags);
  const settings = { uuid: makeProviderId(core.random), document, ...readMetadata(document) };
  const made = await putIdentityProvider(core.metadata, {
    accountId,
    kind: "saml",
    name,
    settings,
    tags: storedTags(tags),
    now: core.clock.now(),
    limit: maxProviders,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "saml-provider", name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "SAMLProvidersPerAccount", limit: maxProviders });
  return detailsOf(made.provider);
}

/** The provider of that ARN. Throws IdentityError `not-found`. */
export async function getSamlProvider(ctx: IdentityContext, arn: string): Promise<SamlProviderDetails> {
  const provider = await findIdentityProvider(ctx.core.metadata, providerKey(ctx, "saml", arn));
  if (provider === undefined) throw missingProvider("saml", arn);
  return detailsOf(provider);
}

/** The account's providers by name; there are at most a hundred. One after the other, because their documents may be large. */
export async function listSamlProviders({ core, accountId }: IdentityContext): Promise<readonly SamlProviderSummary[]> {
  const summaries: SamlProviderSummary[] = [];
  for (const name of await listIdentityProviders(core.metadata, { accountId, kind: "saml" })) {
    const provider = await findIdentityProvider(core.metadata, { accountId, kind: "saml", name });
    if (provider !== undefined) summaries.push(summaryOf(provider));
  }
  return summaries;
}

/** Replaces the metadata document. Throws IdentityError `invalid-input` or `not-found`. */
export async function updateSamlProvider(ctx: IdentityContext, arn: string, document: string): Promise<void> {
  const settings = { document, ...readMetadata(document) };
  const outcome = await changeProviderSettings(ctx.core.metadata, providerKey(ctx, "saml", arn), ({ uuid }) => ({ uuid, ...settings }));
  if (outcome === "not-found") throw missingProvider("saml", arn);
}

/** Deletes a provider; who came by it has no way in any more. Throws IdentityError `not-found`. */
export async function deleteSamlProvider(ctx: IdentityContext, arn: string): Promise<void> {
  if (!(await deleteIdentityProvider(ctx.core.metadata, providerKey(ctx, "saml", arn)))) throw missingProvider("saml", arn);
}

function readMetadata(document: string): SamlMetadata {
  const metadata = parseSamlMetadata(document);
  if (!metadata.ok) throw refuse("invalid-input", { message: metadata.problem });
  return metadata.value;
}

function makeProviderId(random: Random): string {
  return `SAMLSP${Array.from(random.bytes(20), (byte) => base32.charAt(byte & 31)).join("")}`;
}

function summaryOf(provider: IdentityProvider<"saml">): SamlProviderSummary {
  const { settings, createdAt } = provider;
  return { arn: providerArn(provider), validUntil: settings.validUntil ?? createdAt + hundredYearsMs, createdAt };
}

function detailsOf(provider: IdentityProvider<"saml">): SamlProviderDetails {
  const { uuid, document } = provider.settings;
  return { ...summaryOf(provider), uuid, document, tags: shownTags(provider.tags) };
}
