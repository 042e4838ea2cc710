/** Undoing deletions, and making them final before their time. */
import { findManifest } from "#metadata/manifests.ts";
import type { Tombstone } from "#metadata/tombstones.ts";
import * as tombstones from "#metadata/tombstones.ts";
import type { Digest } from "#oci/digest.ts";
import { parseDigest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { parseTag } from "#oci/tag.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** What was deleted: a manifest by digest, a tag, or with neither the repository itself. */
export interface Deleted {
  readonly digest?: string | undefined;
  readonly tag?: string | undefined;
}

/** What came back. */
export interface RestoreResult {
  readonly restored: "repository" | "manifest" | "tag";
  readonly digest?: string;
  readonly tags?: readonly string[];
}

/** Where a listing of tombstones stands. */
export interface TombstonePosition {
  readonly kind: "manifest" | "tag";
  readonly tombstoneId: number;
}

/** One page of what was deleted in a repository and can still come back. Throws `repository-not-found`. */
export async function listTombstones(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  page: { readonly after?: TombstonePosition | undefined; readonly limit: number },
): Promise<{ readonly tombstones: readonly Tombstone[]; readonly next?: TombstonePosition }> {
  const { after, limit } = page;
  const query = { ...(after !== undefined && { after }), limit: limit + 1 };
  const found = await tombstones.listTombstones(ctx.core.metadata, repositoryKey(registry, name), query);
  if (found === undefined) return refuse("repository-not-found", repositoryDetail(registry, name));
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (found.length <= limit || last === undefined) return { tombstones: items };
  return { tombstones: items, next: { kind: last.kind, tombstoneId: last.tombstoneId } };
}

/**
 * Brings back what was deleted last under that name: a manifest with the tags it lost by its deletion, a tag (with its manifest, if that
 * was deleted too), or a whole repository. Throws `manifest-not-found` or `repository-not-found` when there is nothing to bring
 * back, and `manifest-exists` or `repository-exists` when something live is in its place.
 */
export async function restore(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, what: Deleted): Promise<RestoreResult> {
  const detail = repositoryDetail(registry, name);
  const { metadata } = ctx.core;
  const input = { key: repositoryKey(registry, name), author: authorOf(ctx) };
  const target = readTarget(what);
  if (target === undefined) {
    const result = await tombstones.restoreRepository(metadata, input);
    if (result.outcome === "restored") return { restored: "repository" };
    return refuse(result.outcome === "in-the-way" ? "repository-exists" : "repository-not-found", detail);
  }
  const result =
    target.kind === "digest"
      ? await tombstones.restoreManifest(metadata, { ...input, digest: target.digest })
      : await tombstones.restoreTag(metadata, { ...input, tag: target.tag });
  if (result.outcome === "restored") {
    return { restored: target.kind === "digest" ? "manifest" : "tag", digest: result.digest, tags: result.tags };
  }
  if (result.outcome === "repository-not-found") return refuse("repository-not-found", detail);
  if (result.outcome === "not-found") return refuse("manifest-not-found", { ...detail, ...nameOf(target) });
  return refuse("manifest-exists", { ...detail, ...(await livingIn(ctx, registry, name, target)) });
}

/**
 * Makes a deletion final now: the named manifest or tag can no longer be restored, and garbage collection may take its blobs after the
 * usual waiting times. Throws `repository-not-found`, `manifest-not-found`, `parameter-invalid`.
 */
export async function purge(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  what: Deleted,
): Promise<{ readonly purged: number }> {
  const detail = repositoryDetail(registry, name);
  const { metadata } = ctx.core;
  const input = { key: repositoryKey(registry, name), author: authorOf(ctx) };
  const target = readTarget(what);
  if (target === undefined) return refuse("parameter-invalid", { parameter: "tag", constraint: "A tag or a digest must be given" });
  const result =
    target.kind === "digest"
      ? await tombstones.purgeManifest(metadata, { ...input, digest: target.digest })
      : await tombstones.purgeTag(metadata, { ...input, tag: target.tag });
  if (result.outcome === "purged") return { purged: result.count };
  if (result.outcome === "repository-not-found") return refuse("repository-not-found", detail);
  return refuse("manifest-not-found", { ...detail, ...nameOf(target) });
}

type Target = { readonly kind: "digest"; readonly digest: Digest } | { readonly kind: "tag"; readonly tag: Tag };

function readTarget({ digest, tag }: Deleted): Target | undefined {
  if (digest !== undefined && tag !== undefined) {
    return refuse("parameter-invalid", { parameter: "tag", constraint: "A tag and a digest must not be given together" });
  }
  if (digest !== undefined) {
    const parsed = parseDigest(digest);
    return parsed.ok ? { kind: "digest", digest: parsed.value } : refuse("digest-invalid", { digest, problem: parsed.problem });
  }
  if (tag === undefined) return undefined;
  const parsed = parseTag(tag);
  return parsed.ok ? { kind: "tag", tag: parsed.value } : refuse("tag-invalid", { tag });
}

function nameOf(target: Target): { readonly digest: string } | { readonly tag: string } {
  return target.kind === "digest" ? { digest: target.digest } : { tag: target.tag };
}

/** What stands where a deleted manifest or tag should come back. */
async function livingIn(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  target: Target,
): Promise<{ readonly digest: string; readonly tag?: string }> {
  if (target.kind === "digest") return { digest: target.digest };
  const { manifest } = await findManifest(ctx.core.metadata, repositoryKey(registry, name), target);
  return { digest: manifest?.digest ?? "", tag: target.tag };
}
