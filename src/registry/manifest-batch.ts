/** Many manifests at once, named by digest, tag or both: what fails is told per name, and the rest succeeds. */
import type { ManifestSelector, StatusFilter, TagStatus, TaggedManifest } from "#metadata/manifests.ts";
import * as manifests from "#metadata/manifests.ts";
import type { Digest } from "#oci/digest.ts";
import { parseDigest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { parseTag } from "#oci/tag.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { RepositoryDetail } from "./errors.ts";
import type { StoredManifest } from "./manifest.ts";
import { manifestBytes } from "./manifest-bytes.ts";
import type { PageRequest } from "./repository.ts";
import { cutPage, getRepository } from "./repository.ts";
import { isKeyRefusal } from "./protection.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** Names a manifest as a client wrote it, not yet parsed. */
export interface ManifestName {
  readonly digest?: string | undefined;
  readonly tag?: string | undefined;
}

/** Why one of the names failed. */
export interface ManifestFailure {
  readonly id: ManifestName;
  readonly code:
    | "not-found"
    | "referenced"
    | "tag-digest-mismatch"
    | "missing-id"
    | "digest-invalid"
    | "tag-invalid"
    | "key-unusable"
    | "archived";
  /** With `referenced`: the digests of the indexes that hold it. */
  readonly parents?: readonly string[];
  /** With `key-unusable`: why. */
  readonly reason?: string;
  /** With `archived`: whether it is on its way back. */
  readonly status?: "ARCHIVED" | "ACTIVATING";
}

/** A (digest, tag) pair; without tag for an untagged manifest. */
export interface ManifestTagPair {
  readonly digest: Digest;
  readonly tag?: string;
}

type Selection = { readonly id: ManifestName; readonly selector: ManifestSelector };

/** A name without a problem, as the metadata wants it. */
function selectManifest(id: ManifestName): Selection | ManifestFailure {
  const { digest, tag } = id;
  if (digest === undefined && tag === undefined) return { id, code: "missing-id" };
  if (digest !== undefined && !parseDigest(digest).ok) return { id, code: "digest-invalid" };
  if (tag !== undefined && !parseTag(tag).ok) return { id, code: "tag-invalid" };
  return { id, selector: { ...(digest !== undefined && { digest }), ...(tag !== undefined && { tag }) } };
}

/** The names that can be looked up, each once, and the failures of the others. */
function sortNames(ids: readonly ManifestName[]): { readonly selections: readonly Selection[]; readonly failures: ManifestFailure[] } {
  const unique = new Map(ids.map((id) => [JSON.stringify([id.digest ?? null, id.tag ?? null]), selectManifest(id)]));
  const selections: Selection[] = [];
  const failures: ManifestFailure[] = [];
  for (const result of unique.values()) {
    if ("code" in result) failures.push(result);
    else selections.push(result);
  }
  return { selections, failures };
}

/** What {@link describeManifests} found: aligned with the names that were found, in their order. */
export interface DescribedManifests {
  /** Their bytes are not sealed. */
  readonly isPlain: boolean;
  readonly manifests: readonly { readonly id: ManifestName; readonly manifest: TaggedManifest }[];
  readonly failures: readonly ManifestFailure[];
}

/** The named manifests with all their tags. A name with digest and tag that do not belong together fails. Throws `repository-not-found`. */
export async function describeManifests(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  ids: readonly ManifestName[],
): Promise<DescribedManifests> {
  const { repositoryId, encryptionType } = await getRepository(ctx, registry, name);
  const { selections, failures } = sortNames(ids);
  // By tag alone where a tag is given, so that a digest that does not belong to it can be told from a missing one.
  const selectors = selections.map(({ selector }) => (selector.tag === undefined ? selector : { tag: selector.tag }));
  const rows = await manifests.findManifestsWithTags(ctx.core.metadata, repositoryId, selectors);
  const found: { readonly id: ManifestName; readonly manifest: TaggedManifest }[] = [];
  for (const [position, { id, selector }] of selections.entries()) {
    const manifest = rows[position];
    if (manifest === undefined) failures.push({ id, code: "not-found" });
    else if (selector.digest !== undefined && selector.digest !== manifest.digest) failures.push({ id, code: "tag-digest-mismatch" });
    else found.push({ id, manifest });
  }
  return { isPlain: encryptionType === "AES256", manifests: found, failures };
}

/** The named manifests with their bytes; `tag` only where the name had one. Throws `repository-not-found`. */
export async function getManifests(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  ids: readonly ManifestName[],
): Promise<{ readonly manifests: readonly (StoredManifest & { readonly tag?: string })[]; readonly failures: readonly ManifestFailure[] }> {
  const described = await describeManifests(ctx, registry, name, ids);
  const failures = [...described.failures];
  const found: (StoredManifest & { readonly tag?: string })[] = [];
  for (const { id, manifest } of described.manifests) {
    const { manifestId, mediaType, sizeBytes, status } = manifest;
    if (status !== "ACTIVE") {
      failures.push({ id, code: "archived", status });
      continue;
    }
    const bytes = await bytesOrFailure(ctx, { id, manifest, isPlain: described.isPlain }, repositoryDetail(registry, name));
    if (bytes !== undefined && "code" in bytes) failures.push(bytes);
    else if (bytes === undefined) failures.push({ id, code: "not-found" });
    else {
      const tag = id.tag === undefined ? {} : { tag: id.tag };
      found.push({ manifestId, digest: manifest.digest as Digest, mediaType, sizeBytes, bytes, ...tag });
    }
  }
  return { manifests: found, failures };
}

/** One key that refuses to be used is a failure of each item. */
async function bytesOrFailure(
  ctx: RegistryContext,
  { id, manifest, isPlain }: DescribedManifests["manifests"][number] & Pick<DescribedManifests, "isPlain">,
  detail: RepositoryDetail,
): Promise<Uint8Array | ManifestFailure | undefined> {
  try {
    return await manifestBytes(ctx, { ...manifest, isPlain }, detail);
  } catch (error) {
    if (!isKeyRefusal(error)) throw error;
    return { id, code: "key-unusable", reason: error.refusal.detail.reason };
  }
}

/**
 * ECR's BatchDeleteImage: by tag the tag goes, and the manifest with its last one; by digest the manifest with all its tags. Referrers go
 * with their subject. A child whose index is named in the same call goes too, whatever the order. Throws `repository-not-found`.
 */
export async function removeManifests(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  ids: readonly ManifestName[],
): Promise<{ readonly removed: readonly ManifestTagPair[]; readonly failures: readonly ManifestFailure[] }> {
  await getRepository(ctx, registry, name);
  const { selections, failures } = sortNames(ids);
  const removed: ManifestTagPair[] = [];
  let waiting: readonly Selection[] = selections;
  for (;;) {
    const blocked: { readonly selection: Selection; readonly failure: ManifestFailure }[] = [];
    for (const selection of waiting) {
      const result = await removeOne(ctx, registry, name, selection);
      if (!("code" in result)) removed.push(...result.removed);
      else if (result.code === "referenced") blocked.push({ selection, failure: result });
      else failures.push(result);
    }
    // What an index held back may go now that the index is gone; nothing has changed when all are still held back.
    if (blocked.length === 0 || blocked.length === waiting.length) {
      return { removed, failures: [...failures, ...blocked.map(({ failure }) => failure)] };
    }
    waiting = blocked.map(({ selection }) => selection);
  }
}

async function removeOne(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  { id, selector }: Selection,
): Promise<{ readonly removed: readonly ManifestTagPair[] } | ManifestFailure> {
  const { metadata } = ctx.core;
  const input = {
    key: repositoryKey(registry, name),
    linkGraceMs: ctx.core.limits.linkGraceMs,
    withReferrers: true,
    author: authorOf(ctx),
  };
  const { digest, tag } = selector;
  if (tag !== undefined) {
    const byTag = { ...input, tag, ...(digest !== undefined && { digest }), lastTagDeletesManifest: true };
    const result = await manifests.deleteTag(metadata, byTag);
    if (result.outcome === "deleted") return { removed: [{ digest: result.digest as Digest, tag }] };
    return refusalOf(id, result);
  }
  const result = await manifests.deleteManifest(metadata, { ...input, digest: digest ?? "" });
  if (result.outcome !== "deleted") return refusalOf(id, result);
  const pair = { digest: result.digest as Digest };
  return { removed: result.tags.length === 0 ? [pair] : result.tags.map((each) => ({ ...pair, tag: each })) };
}

type Refused = Exclude<manifests.DeleteTagOutcome | manifests.DeleteManifestOutcome, { readonly outcome: "deleted" }>;

function refusalOf(id: ManifestName, result: Refused): ManifestFailure {
  if (result.outcome === "referenced") return { id, code: "referenced", parents: result.parents };
  return { id, code: result.outcome === "tag-digest-mismatch" ? "tag-digest-mismatch" : "not-found" };
}

/** Which manifests a listing shows. */
export interface ManifestFilter {
  /** Absent: any. */
  readonly tagStatus?: TagStatus | undefined;
  /** Absent: what can be pulled. */
  readonly status?: StatusFilter | undefined;
}

/** One page of manifests with their tags, in the order of their ids; `next` is the `after` of the next page. Throws `repository-not-found`. */
export async function listManifests(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  page: PageRequest<number> & ManifestFilter,
): Promise<{ readonly manifests: readonly TaggedManifest[]; readonly next?: number }> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const { after, limit, tagStatus = "ANY", status = "ACTIVE" } = page;
  const query = { tagStatus, status, ...(after !== undefined && { after }), limit: limit + 1 };
  const { items, last } = cutPage(await manifests.listManifests(ctx.core.metadata, repositoryId, query), limit);
  return { manifests: items, ...(last !== undefined && { next: last.manifestId }) };
}

/** Where a listing of (digest, tag) pairs stands. An untagged manifest has an empty tag. */
export interface ManifestTagPosition {
  readonly manifestId: number;
  readonly tag: string;
}

/** One page of (digest, tag) pairs; an untagged manifest once, without tag. Throws `repository-not-found`. */
export async function listManifestTags(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  page: PageRequest<ManifestTagPosition> & ManifestFilter,
): Promise<{ readonly entries: readonly ManifestTagPair[]; readonly next?: ManifestTagPosition }> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const { after, limit, tagStatus = "ANY", status = "ACTIVE" } = page;
  const query = { tagStatus, status, ...(after !== undefined && { after }), limit: limit + 1 };
  const { items, last } = cutPage(await manifests.listManifestTags(ctx.core.metadata, repositoryId, query), limit);
  const entries = items.map(({ digest, tag }) => ({ digest: digest as Digest, ...(tag !== undefined && { tag }) }));
  return { entries, ...(last !== undefined && { next: { manifestId: last.manifestId, tag: last.tag ?? "" } }) };
}
