/** Tags of OpenID Connect providers. */
import { deleteProviderTags, putProviderTags } from "#metadata/identity-provider-tags.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { findOidcProvider, getOidcProvider, oidcProviderKey } from "./oidc-provider.ts";
import { checkTags, maxTags, pageOfTags } from "./tag.ts";
import type { IdentityTag, TagListing, TagPage } from "./tag.ts";

/** Adds tags to a provider, or replaces those of the same keys. Throws IdentityError. */
export async function tagOidcProvider(ctx: IdentityContext, arn: string, tags: readonly IdentityTag[]): Promise<void> {
  const outcome = await putProviderTags(ctx.core.metadata, oidcProviderKey(ctx, arn), { tags: checkTags(tags), maxTags });
  if (outcome === "not-found") throw refuse("not-found", { noun: "oidc-provider", name: arn });
  if (outcome === "too-many") throw refuse("limit", { quota: "TagsPerResource", limit: maxTags });
}

/** Removes tags from a provider; keys that it does not have are no error. Throws IdentityError `not-found`. */
export async function untagOidcProvider(ctx: IdentityContext, arn: string, keys: readonly string[]): Promise<void> {
  if (await deleteProviderTags(ctx.core.metadata, oidcProviderKey(ctx, arn), keys)) return;
  throw refuse("not-found", { noun: "oidc-provider", name: arn });
}

/** A page of a provider's tags by key. Throws IdentityError `not-found`. */
export async function listOidcProviderTags(ctx: IdentityContext, arn: string, page: TagPage): Promise<TagListing> {
  return pageOfTags((await getOidcProvider(ctx, arn)).tags, page);
}

/** All tags of a provider, at most fifty; none when there is no such provider in the account. */
export async function findOidcProviderTags(ctx: IdentityContext, arn: string): Promise<readonly IdentityTag[]> {
  return (await findOidcProvider(ctx, arn))?.tags ?? [];
}
