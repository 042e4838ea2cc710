import type { Repository, TagMutability } from "#metadata/repositories.ts";
import * as repositories from "#metadata/repositories.ts";
import type { StoredPolicy } from "#metadata/resource-policies.ts";
import * as resourceTags from "#metadata/resource-tags.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { newLifecyclePolicy } from "./lifecycle.ts";
import { createProtection, plainDomain } from "./protection.ts";
import type { CreatedProtection, NewProtection } from "./protection.ts";
import { checkResourceTagKey, checkResourceTags } from "./resource-tag.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";
import { checkMutabilityFilters } from "./tag-mutability.ts";

/** What a new repository may be told; everything else has ECR's defaults. */
export interface NewRepository {
  /** Default `MUTABLE`. */
  readonly tagMutability?: TagMutability | undefined;
  readonly mutabilityFilters?: readonly string[] | undefined;
  readonly scanOnPush?: boolean | undefined;
  readonly resourceTags?: Readonly<Record<string, string>> | undefined;
  /** Default: no key of its own (`AES256`). */
  readonly encryption?: NewProtection | undefined;
  /** Who else may use it from its first moment on. */
  readonly policy?: StoredPolicy | undefined;
  /** The text of a lifecycle policy. */
  readonly lifecyclePolicy?: string | undefined;
}

/** Where a page begins (exclusive) and how long it may be. */
export interface PageRequest<Position> {
  readonly after?: Position | undefined;
  readonly limit: number;
}

/** Creates a repository with its resource tags, at once. Throws `repository-exists`, `limit-exceeded`, `parameter-invalid`, `resource-tag-invalid`, `resource-tags-too-many`, `lifecycle-policy-invalid`, `key-unusable`. */
export async function createRepository(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  options: NewRepository = {},
): Promise<Repository> {
  const { limits, metadata } = ctx.core;
  const { tagMutability = "MUTABLE", mutabilityFilters = [], scanOnPush = false, resourceTags: tags = {}, encryption } = options;
  checkMutabilityFilters(tagMutability, mutabilityFilters);
  checkResourceTags(limits, tags);
  const lifecyclePolicy = options.lifecyclePolicy === undefined ? undefined : newLifecyclePolicy(ctx.core, options.lifecyclePolicy);
  // Last of what may be refused: it makes grants.
  const protection = encryption === undefined ? undefined : await protect(ctx, registry, name, encryption);
  const result = await repositories.createRepository(metadata, {
    key: repositoryKey(registry, name),
    tagMutability,
    mutabilityFilters,
    scanOnPush,
    encryptionType: encryption?.type ?? "AES256",
    protectionDomain: protection?.protectionDomain ?? plainDomain,
    encryption: protection?.encryption,
    resourceTags: tags,
    policy: options.policy,
    lifecyclePolicy,
    maxRepositories: limits.repositoriesPerRegistry,
    author: authorOf(ctx),
  });
  if (result.outcome === "created") return result.repository;
  if (protection !== undefined) await ctx.core.keys.retire(protection.encryption.keyArn, protection.encryption);
  if (result.outcome === "exists") return refuse("repository-exists", repositoryDetail(registry, name));
  return refuse("limit-exceeded", {
    message: `The registry with id '${registry.accountId}' already has the maximum allowed number of repositories which is '${limits.repositoriesPerRegistry}'`,
  });
}

/** Grants are made before the repository is there; for a name that is taken none are made. */
async function protect(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  encryption: NewProtection,
): Promise<CreatedProtection> {
  const existing = await repositories.findRepository(ctx.core.metadata, repositoryKey(registry, name));
  return existing === undefined
    ? createProtection(ctx.core, registry, name, encryption)
    : refuse("repository-exists", repositoryDetail(registry, name));
}

/** The repository of that name. Throws `repository-not-found`. */
export async function getRepository(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName): Promise<Repository> {
  const repository = await repositories.findRepository(ctx.core.metadata, repositoryKey(registry, name));
  return repository ?? refuse("repository-not-found", repositoryDetail(registry, name));
}

/** The named repositories, in the order asked. Throws `repository-not-found` for the first that is missing. */
export async function findRepositories(
  ctx: RegistryContext,
  registry: RegistryRef,
  names: readonly RepositoryName[],
): Promise<readonly Repository[]> {
  const found: Repository[] = [];
  for (const name of names) found.push(await getRepository(ctx, registry, name));
  return found;
}

/** One page of the registry's repositories in byte order of their names; `next` is the `after` of the next page. */
export async function listRepositories(
  ctx: RegistryContext,
  registry: RegistryRef,
  page: PageRequest<string>,
): Promise<{ readonly repositories: readonly Repository[]; readonly next?: string }> {
  const found = await repositories.listRepositories(
    ctx.core.metadata,
    { accountId: registry.accountId, region: registry.region },
    { ...(page.after !== undefined && { after: page.after }), limit: page.limit + 1 },
  );
  const { items, last } = cutPage(found, page.limit);
  return { repositories: items, ...(last !== undefined && { next: last.name }) };
}

/** Cuts what was read with `limit + 1` to a page; `last` is its last item when there is more behind it. */
export function cutPage<Item>(found: readonly Item[], limit: number): { readonly items: readonly Item[]; readonly last?: Item } {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return found.length > limit && last !== undefined ? { items, last } : { items };
}

/** Deletes a repository; with `force` also what it holds. Can be undone for as long as the undo window is. Throws `repository-not-found`, `repository-not-empty`. */
export async function deleteRepository(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  options: { readonly force: boolean },
): Promise<Repository> {
  const result = await repositories.deleteRepository(ctx.core.metadata, {
    key: repositoryKey(registry, name),
    force: options.force,
    author: authorOf(ctx),
  });
  if (result.outcome === "deleted") return result.repository;
  const kind = result.outcome === "not-empty" ? "repository-not-empty" : "repository-not-found";
  return refuse(kind, repositoryDetail(registry, name));
}

/** Replaces mode and filters together; tags that exist are not looked at. Throws `repository-not-found`, `parameter-invalid`. */
export async function putTagMutability(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  mutability: { readonly tagMutability: TagMutability; readonly mutabilityFilters?: readonly string[] | undefined },
): Promise<Repository> {
  const { tagMutability, mutabilityFilters = [] } = mutability;
  checkMutabilityFilters(tagMutability, mutabilityFilters);
  const repository = await repositories.setTagMutability(ctx.core.metadata, {
    key: repositoryKey(registry, name),
    tagMutability,
    mutabilityFilters,
    author: authorOf(ctx),
  });
  return repository ?? refuse("repository-not-found", repositoryDetail(registry, name));
}

/** The repository's resource tags. Throws `repository-not-found`. */
export async function listResourceTags(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
): Promise<Readonly<Record<string, string>>> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  return resourceTags.listResourceTags(ctx.core.metadata, repositoryId);
}

/** Adds resource tags or overwrites those of the same key. Throws `repository-not-found`, `resource-tag-invalid`, `resource-tags-too-many`. */
export async function putResourceTags(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  checkResourceTags(ctx.core.limits, tags);
  const { repositoryId } = await getRepository(ctx, registry, name);
  const result = await resourceTags.putResourceTags(ctx.core.metadata, {
    repositoryId,
    tags,
    maxTags: ctx.core.limits.resourceTags,
    author: authorOf(ctx),
  });
  if (result.outcome === "too-many") refuse("resource-tags-too-many", {});
  if (result.outcome === "not-found") refuse("repository-not-found", repositoryDetail(registry, name));
}

/** Removes resource tags; keys that are not set are ignored. Throws `repository-not-found`, `resource-tag-invalid`. */
export async function deleteResourceTags(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  keys: readonly string[],
): Promise<void> {
  for (const key of keys) checkResourceTagKey(key);
  const { repositoryId } = await getRepository(ctx, registry, name);
  await resourceTags.deleteResourceTags(ctx.core.metadata, { repositoryId, keys, author: authorOf(ctx) });
}
