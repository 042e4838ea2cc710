/** Tags of identities (IAM User Guide, "Rules for tagging in IAM and AWS STS"): at most fifty, and keys are one without regard to case. */
import { findIdentity } from "#metadata/identities.ts";
import type { IdentityKey } from "#metadata/identity-rows.ts";
import { deleteIdentityTags, listIdentityTags, putIdentityTags } from "#metadata/identity-tags.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";

/** A tag. */
export interface IdentityTag {
  readonly key: string;
  readonly value: string;
}

/** Part of a listing by key: what comes after `after`, and how many at most. */
export interface TagPage {
  readonly after: string | undefined;
  readonly limit: number;
}

/** A page of tags by key; `next` is the last key when there are more. */
export interface TagListing {
  readonly tags: readonly IdentityTag[];
  readonly next: string | undefined;
}

/** How many tags one thing may have. */
export const maxTags = 50;

/** Checks tags that are given together, and answers them. Throws IdentityError `invalid-input` or `limit`. */
export function checkTags(tags: readonly IdentityTag[]): readonly IdentityTag[] {
  const keys = new Set(tags.map(({ key }) => key.toLowerCase()));
  if (keys.size !== tags.length)
    throw refuse("invalid-input", { message: "Duplicate tag keys found. Please note that Tag keys are case insensitive." });
  if ([...keys].some((key) => key.startsWith("aws:")))
    throw refuse("invalid-input", { message: "aws: prefixed tag key names are not allowed for external use." });
  if (tags.length > maxTags) throw refuse("limit", { quota: "TagsPerResource", limit: maxTags });
  return tags;
}

/** Adds tags to an identity, or replaces those of the same keys. Throws IdentityError. */
export async function tagIdentity(
  ctx: IdentityContext,
  kind: IdentityKey["kind"],
  name: string,
  tags: readonly IdentityTag[],
): Promise<void> {
  const key = { accountId: ctx.accountId, kind, name };
  const { outcome } = await putIdentityTags(ctx.core.metadata, { ...key, tags: checkTags(tags), maxTags });
  if (outcome === "not-found") throw refuse("not-found", { noun: kind, name });
  if (outcome === "too-many") throw refuse("limit", { quota: "TagsPerResource", limit: maxTags });
}

/** Removes tags from an identity; keys that it does not have are no error. Throws IdentityError `not-found`. */
export async function untagIdentity(ctx: IdentityContext, kind: IdentityKey["kind"], name: string, keys: readonly string[]): Promise<void> {
  if (await deleteIdentityTags(ctx.core.metadata, { accountId: ctx.accountId, kind, name, keys })) return;
  throw refuse("not-found", { noun: kind, name });
}

/** A page of an identity's tags. Throws IdentityError `not-found`. */
export async function listTags(ctx: IdentityContext, kind: IdentityKey["kind"], name: string, page: TagPage): Promise<TagListing> {
  const { metadata } = ctx.core;
  const identity = await findIdentity(metadata, { accountId: ctx.accountId, kind, name });
  if (identity === undefined) throw refuse("not-found", { noun: kind, name });
  return pageOfTags(await listIdentityTags(metadata, identity.identityId), page);
}

/** A page of these tags, which are all that one thing has. */
export function pageOfTags(all: readonly IdentityTag[], { after, limit }: TagPage): TagListing {
  const sorted = sortTags(all);
  const rest = after === undefined ? sorted : sorted.filter(({ key }) => key.toLowerCase() > after.toLowerCase());
  const tags = rest.slice(0, limit);
  return { tags, next: rest.length > limit ? tags.at(-1)?.key : undefined };
}

/** By key, without regard to case. */
export function sortTags(tags: readonly IdentityTag[]): readonly IdentityTag[] {
  return tags.toSorted((a, b) => (a.key.toLowerCase() < b.key.toLowerCase() ? -1 : 1));
}

/** All tags of an identity, at most fifty; none when there is no such identity. */
export async function findTags(
  { core, accountId }: IdentityContext,
  kind: IdentityKey["kind"],
  name: string,
): Promise<readonly IdentityTag[]> {
  const identity = await findIdentity(core.metadata, { accountId, kind, name });
  return identity === undefined ? [] : listIdentityTags(core.metadata, identity.identityId);
}
