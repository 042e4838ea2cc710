/** SAML providers (IAM User Guide, "SAML 2.0 federation"): identity providers whose signed assertions an account takes. */
import {
  deleteSamlProvider as deleteProvider,
  deleteSamlProviderTags,
  findSamlProvider,
  listSamlProviders as listNames,
  putSamlProvider,
  putSamlProviderTags,
  updateSamlProvider as updateProvider,
} from "#metadata/saml-providers.ts";
import type { SamlProvider, SamlProviderKey } from "#metadata/saml-providers.ts";
import type { Random } from "#std/random.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
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

/** Part of a listing by key: what comes after `after`, and how many at most. */
interface TagPage {
  readonly after: string | undefined;
  readonly limit: number;
}

const maxProviders = 100;
const maxTags = 50;
const hundredYearsMs = 100 * 365.2425 * 86_400_000;
const arnForm = /^arn:aws:iam::([0-9]{12}):saml-provider\/([\w.-]{1,128})$/;
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** `arn:aws:iam::<account>:saml-provider/<name>` */
export function samlProviderArn(accountId: string, name: string): string {
  return `arn:aws:iam::${accountId}:saml-provider/${name}`;
}

/** The provider that an ARN names, or undefined. */
export function parseSamlProviderArn(arn: string): SamlProviderKey | undefined {
  const [, accountId, name] = arnForm.exec(arn) ?? [];
  return accountId === undefined || name === undefined ? undefined : { accountId, name };
}

/** Makes a provider. Throws IdentityError `invalid-input`, `exists` or `limit`. */
export async function createSamlProvider(ctx: IdentityContext, request: SamlProviderRequest): Promise<SamlProviderDetails> {
  const { name, document } = request;
  const { core, accountId } = ctx;
  const tags = checkTags(request.tags);
  const settings = { uuid: makeProviderId(core.random), document, ...readMetadata(document) };
  const made = await putSamlProvider(core.metadata, {
    accountId,
    name,
    settings,
    // From entries, so that a key named __proto__ is a key like any other.
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
    now: core.clock.now(),
    limit: maxProviders,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "saml-provider", name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "SAMLProvidersPerAccount", limit: maxProviders });
  return detailsOf(made.provider);
}

/** The provider of that ARN. Throws IdentityError `not-found`. */
export async function getSamlProvider(ctx: IdentityContext, arn: string): Promise<SamlProviderDetails> {
  const provider = await findSamlProvider(ctx.core.metadata, keyOf(ctx, arn));
  if (provider === undefined) throw missing(arn);
  return detailsOf(provider);
}

/** The account's providers by name; there are at most a hundred. One after the other, because their documents may be large. */
export async function listSamlProviders({ core, accountId }: IdentityContext): Promise<readonly SamlProviderSummary[]> {
  const summaries: SamlProviderSummary[] = [];
  for (const name of await listNames(core.metadata, accountId)) {
    const provider = await findSamlProvider(core.metadata, { accountId, name });
    if (provider !== undefined) summaries.push(summaryOf(provider));
  }
  return summaries;
}

/** Replaces the metadata document. Throws IdentityError `invalid-input` or `not-found`. */
export async function updateSamlProvider(ctx: IdentityContext, arn: string, document: string): Promise<void> {
  const settings = { document, ...readMetadata(document) };
  if (!(await updateProvider(ctx.core.metadata, keyOf(ctx, arn), settings))) throw missing(arn);
}

/** Deletes a provider; who came by it has no way in any more. Throws IdentityError `not-found`. */
export async function deleteSamlProvider(ctx: IdentityContext, arn: string): Promise<void> {
  if (!(await deleteProvider(ctx.core.metadata, keyOf(ctx, arn)))) throw missing(arn);
}

/** Adds tags, or replaces those of the same keys. Throws IdentityError. */
export async function tagSamlProvider(ctx: IdentityContext, arn: string, tags: readonly IdentityTag[]): Promise<void> {
  const outcome = await putSamlProviderTags(ctx.core.metadata, keyOf(ctx, arn), { tags: checkTags(tags), maxTags });
  if (outcome === "not-found") throw missing(arn);
  if (outcome === "too-many") throw refuse("limit", { quota: "TagsPerResource", limit: maxTags });
}

/** Removes tags; keys that are not there are no error. Throws IdentityError `not-found`. */
export async function untagSamlProvider(ctx: IdentityContext, arn: string, keys: readonly string[]): Promise<void> {
  if (!(await deleteSamlProviderTags(ctx.core.metadata, keyOf(ctx, arn), keys))) throw missing(arn);
}

/** A page of a provider's tags by key; `next` is the last key when there are more. Throws IdentityError `not-found`. */
export async function listSamlProviderTags(
  ctx: IdentityContext,
  arn: string,
  { after, limit }: TagPage,
): Promise<{ readonly tags: readonly IdentityTag[]; readonly next: string | undefined }> {
  const { tags } = await getSamlProvider(ctx, arn);
  const rest = after === undefined ? tags : tags.filter(({ key }) => fold(key) > fold(after));
  const page = rest.slice(0, limit);
  return { tags: page, next: rest.length > limit ? page.at(-1)?.key : undefined };
}

/** All tags of a provider; none when there is no such provider. */
export async function findSamlProviderTags(ctx: IdentityContext, arn: string): Promise<readonly IdentityTag[]> {
  const key = parseSamlProviderArn(arn);
  if (key?.accountId !== ctx.accountId) return [];
  const provider = await findSamlProvider(ctx.core.metadata, key);
  return provider === undefined ? [] : tagsOf(provider);
}

function readMetadata(document: string): SamlMetadata {
  const metadata = parseSamlMetadata(document);
  if (!metadata.ok) throw refuse("invalid-input", { message: metadata.problem });
  return metadata.value;
}

function keyOf({ accountId }: IdentityContext, arn: string): SamlProviderKey {
  const key = parseSamlProviderArn(arn);
  if (key?.accountId !== accountId) throw missing(arn);
  return key;
}

function missing(arn: string): Error {
  return refuse("not-found", { noun: "saml-provider", name: arn });
}

function makeProviderId(random: Random): string {
  return `SAMLSP${Array.from(random.bytes(20), (byte) => base32.charAt(byte & 31)).join("")}`;
}

function summaryOf({ accountId, name, settings, createdAt }: SamlProvider): SamlProviderSummary {
  return { arn: samlProviderArn(accountId, name), validUntil: settings.validUntil ?? createdAt + hundredYearsMs, createdAt };
}

function detailsOf(provider: SamlProvider): SamlProviderDetails {
  const { uuid, document } = provider.settings;
  return { ...summaryOf(provider), uuid, document, tags: tagsOf(provider) };
}

function tagsOf({ tags }: SamlProvider): readonly IdentityTag[] {
  const all = Object.entries(tags).map(([key, value]) => ({ key, value }));
  return all.sort((a, b) => (fold(a.key) < fold(b.key) ? -1 : 1));
}

function fold(key: string): string {
  return key.toLowerCase();
}
