/** What identity providers of both kinds have in common: their ARNs and their tags. */
import { deleteProviderTags, putProviderTags } from "#metadata/identity-provider-tags.ts";
import { findIdentityProvider } from "#metadata/identity-providers.ts";
import type { IdentityProviderKey, ProviderKind } from "#metadata/identity-providers.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { checkTags, maxTags, pageOfTags, sortTags } from "./tag.ts";
import type { IdentityTag, TagListing, TagPage } from "./tag.ts";

const arnForms: Readonly<Record<ProviderKind, RegExp>> = {
  oidc: /^arn:aws:iam::([0-9]{12}):oidc-provider\/([!-~]{1,255})$/,
  saml: /^arn:aws:iam::([0-9]{12}):saml-provider\/([\w.-]{1,128})$/,
};

/** `arn:aws:iam::<account>:oidc-provider/<issuer without its scheme>` or `arn:aws:iam::<account>:saml-provider/<name>` */
export function providerArn({ accountId, kind, name }: IdentityProviderKey): string {
  return `arn:aws:iam::${accountId}:${kind}-provider/${name}`;
}

/** The provider that an ARN names, or undefined. */
export function parseProviderArn<Kind extends ProviderKind>(kind: Kind, arn: string): IdentityProviderKey<Kind> | undefined {
  const [, accountId, name] = arnForms[kind].exec(arn) ?? [];
  return accountId === undefined || name === undefined ? undefined : { accountId, kind, name };
}

/** What the ARN of a provider of the account names. Throws IdentityError `not-found` for every other text. */
export function providerKey<Kind extends ProviderKind>(ctx: IdentityContext, kind: Kind, arn: string): IdentityProviderKey<Kind> {
  const key = parseProviderArn(kind, arn);
  if (key?.accountId !== ctx.accountId) throw missingProvider(kind, arn);
  return key;
}

/** The error for an ARN that names no provider of the account. */
export function missingProvider(kind: ProviderKind, arn: string): Error {
  return refuse("not-found", { noun: `${kind}-provider`, name: arn });
}

/** Tags as they are stored. From entries, so that a key named __proto__ is a key like any other. */
export function storedTags(tags: readonly IdentityTag[]): Readonly<Record<string, string>> {
  return Object.fromEntries(tags.map(({ key, value }) => [key, value]));
}

/** Stored tags as they are shown: by key. */
export function shownTags(tags: Readonly<Record<string, string>>): readonly IdentityTag[] {
  return sortTags(Object.entries(tags).map(([key, value]) => ({ key, value })));
}

/** Adds tags to a provider, or replaces those of the same keys. Throws IdentityError. */
export async function tagProvider(ctx: IdentityContext, kind: ProviderKind, arn: string, tags: readonly IdentityTag[]): Promise<void> {
  const outcome = await putProviderTags(ctx.core.metadata, providerKey(ctx, kind, arn), { tags: checkTags(tags), maxTags });
  if (outcome === "not-found") throw missingProvider(kind, arn);
  if (outcome === "too-many") throw refuse("limit", { quota: "TagsPerResource", limit: maxTags });
}

/** Removes tags from a provider; keys that it does not have are no error. Throws IdentityError `not-found`. */
export async function untagProvider(ctx: IdentityContext, kind: ProviderKind, arn: string, keys: readonly string[]): Promise<void> {
  if (!(await deleteProviderTags(ctx.core.metadata, providerKey(ctx, kind, arn), keys))) throw missingProvider(kind, arn);
}

/** A page of a provider's tags by key. Throws IdentityError `not-found`. */
export async function listProviderTags(ctx: IdentityContext, kind: ProviderKind, arn: string, page: TagPage): Promise<TagListing> {
  const provider = await findIdentityProvider(ctx.core.metadata, providerKey(ctx, kind, arn));
  if (provider === undefined) throw missingProvider(kind, arn);
  return pageOfTags(shownTags(provider.tags), page);
}

/** All tags of a provider, at most fifty; none when there is no such provider in the account. */
export async function findProviderTags(ctx: IdentityContext, kind: ProviderKind, arn: string): Promise<readonly IdentityTag[]> {
  const key = parseProviderArn(kind, arn);
  if (key?.accountId !== ctx.accountId) return [];
  const provider = await findIdentityProvider(ctx.core.metadata, key);
  return provider === undefined ? [] : shownTags(provider.tags);
}
