import * as manifests from "#metadata/manifests.ts";
import type { Digest } from "#oci/digest.ts";
import { digestAlgorithm, digestOf } from "#oci/digest.ts";
import type { Descriptor, ParsedManifest } from "#oci/manifest.ts";
import { parseManifest } from "#oci/manifest.ts";
import { isNonDistributable } from "#oci/media-type.ts";
import type { Reference } from "#oci/reference.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { followUpsOf } from "./follow-up.ts";
import type { AskPusher } from "./follow-up.ts";
import { manifestBytes, sealManifest } from "./manifest-bytes.ts";
import { openProtection } from "./protection.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** What a client learns of a manifest without its bytes. */
export interface ManifestFacts {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
}

/** A manifest as it was pushed, byte for byte. */
export interface StoredManifest extends ManifestFacts {
  /** Never given out twice; undefined for what is handed on before it is stored here. */
  readonly manifestId?: number;
  readonly bytes: Uint8Array;
}

/** What is pushed, and by which door. */
export interface NewManifest {
  readonly bytes: Uint8Array;
  /** As the request declares it; the body may name it too, and then both must agree. */
  readonly mediaType?: string | undefined;
  /** When given, the bytes must have it. */
  readonly digest?: Digest | undefined;
  readonly tags: readonly Tag[];
  /** On the data plane an identical push is accepted again, and sparse indexes may be allowed; ECR's API refuses both. */
  readonly plane: "oci" | "ecr";
  /** The children of an index may come later, whatever the registry's setting: they follow from where the index comes from. */
  readonly sparse?: boolean;
  /**
   * Present for a copy of what another registry holds: the versions of its tags. Such a copy is never sent on to other registries, and a tag
   * that is newer here, or immutable, stays where it is.
   */
  readonly tagVersions?: ReadonlyMap<Tag, number> | undefined;
  /** Present for what a pull-through cache rule fetched: when the upstream was asked. A tag that was pushed here, or is immutable, stays where it is. */
  readonly upstreamSeenAt?: number;
  /** Written in the same step, whether or not anything changes. */
  readonly alongside?: manifests.PutAlongside;
  /** Who pushes may be asked what else they may do. Absent where nobody pushes, but the registry itself. */
  readonly askPusher?: AskPusher | undefined;
}

/** What became of a push. */
export interface PutManifestResult {
  /** Never given out twice. */
  readonly manifestId: number;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly subject?: Digest;
  readonly tags: readonly Tag[];
}

/** The manifest that a tag or digest names. Throws `repository-not-found`, `manifest-not-found`, `manifest-archived`, `key-unusable`. */
export async function getManifest(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  reference: Reference,
): Promise<StoredManifest> {
  const manifest = await requireManifest(ctx, registry, name, reference);
  const place = { ...manifest, isPlain: manifest.encryptionType === "AES256" };
  const bytes = await manifestBytes(ctx, place, repositoryDetail(registry, name));
  if (bytes === undefined) return refuseMissing(registry, name, reference);
  return { ...factsOf(manifest), manifestId: manifest.manifestId, bytes };
}

/** Like {@link getManifest} without reading the bytes: what it says can be had, so the key is asked too. */
export async function findManifestFacts(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  reference: Reference,
): Promise<ManifestFacts> {
  const manifest = await requireManifest(ctx, registry, name, reference);
  if (manifest.encryptionType !== "AES256") await openProtection(ctx.core, manifest.repositoryId, repositoryDetail(registry, name));
  return factsOf(manifest);
}

async function requireManifest(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  reference: Reference,
): Promise<manifests.ResolvedManifest> {
  const manifest = await manifests.resolveManifest(ctx.core.metadata, repositoryKey(registry, name), reference);
  if (manifest === "no-repository") return refuse("repository-not-found", repositoryDetail(registry, name));
  if (manifest === "no-manifest") return refuseMissing(registry, name, reference);
  const { status } = manifest;
  if (status !== "ACTIVE") return refuse("manifest-archived", { ...repositoryDetail(registry, name), ...named(reference), status });
  return manifest;
}

function refuseMissing(registry: RegistryRef, name: RepositoryName, reference: Reference): never {
  return refuse("manifest-not-found", { ...repositoryDetail(registry, name), ...named(reference) });
}

function named(reference: Reference): { readonly tag: string } | { readonly digest: string } {
  return reference.kind === "tag" ? { tag: reference.tag } : { digest: reference.digest };
}

function factsOf({ digest, mediaType, sizeBytes }: manifests.ResolvedManifest): ManifestFacts {
  return { digest: digest as Digest, mediaType, sizeBytes };
}

/**
 * Stores a manifest and moves the tags onto it, in one step. Throws `repository-not-found`, `manifest-too-large`, `manifest-invalid`
 * (also for a descriptor whose size is not that of what is stored), `digest-mismatch`, `manifest-blobs-missing`, `manifest-children-missing`, `tag-immutable`, `limit-exceeded`, and on ECR's plane
 * `manifest-exists` for what is there already. In an encrypted repository also `key-unusable`.
 */
export async function putManifest(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  input: NewManifest,
): Promise<PutManifestResult> {
  const { limits, metadata } = ctx.core;
  const { bytes, tags, plane } = input;
  if (bytes.byteLength > limits.manifestBytes) return refuse("manifest-too-large", { limitBytes: limits.manifestBytes });
  const digest = checkDigest(input);
  const manifest = readManifest(input);
  const { mediaType, kind, config, subject, artifactType, annotations } = manifest;
  const stored: manifests.PutManifest = {
    key: repositoryKey(registry, name),
    digest,
    mediaType,
    kind,
    bytes,
    ...(config !== undefined && { config: contentReference(config) }),
    layers: manifest.layers.filter((layer) => !isNonDistributable(layer.mediaType)).map(contentReference),
    children: manifest.children.map(contentReference),
    ...(subject !== undefined && { subjectDigest: subject.digest }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
    contentSizeBytes: manifest.contentSizeBytes,
    tags,
    tagVersions: input.tagVersions,
    upstreamSeenAt: input.upstreamSeenAt,
    alongside: input.alongside,
    allowMissingChildren: input.sparse === true || (plane === "oci" && limits.allowSparseIndexes),
    whenSame: plane === "oci" ? "accept" : "refuse",
    maxManifests: limits.manifestsPerRepository,
    maxTagsPerManifest: limits.tagsPerManifest,
    followUps: await followUpsOf(ctx.core, { registry, name, manifest, isCopy: input.tagVersions !== undefined }, input.askPusher),
    author: authorOf(ctx),
  };
  let outcome = await manifests.putManifest(metadata, stored);
  if (outcome.outcome === "unsealed") {
    const place = { repositoryId: outcome.repositoryId, digest };
    const sealed = await sealManifest(ctx, place, repositoryDetail(registry, name), bytes);
    outcome = await manifests.putManifest(metadata, { ...stored, sealed });
  }
  if (outcome.outcome !== "stored") return refusePut(ctx, registry, name, digest, tags, outcome);
  const { manifestId } = outcome.manifest;
  return { manifestId, digest, mediaType, tags, ...(subject !== undefined && { subject: subject.digest }) };
}

/** The digest under which the bytes are stored: SHA-256, or the one asked for if the bytes have it. */
function checkDigest({ bytes, digest: expected }: NewManifest): Digest {
  const actual = digestOf(expected === undefined ? "sha256" : digestAlgorithm(expected), bytes);
  if (expected !== undefined && actual !== expected) return refuse("digest-mismatch", { expected, actual });
  return actual;
}

function readManifest({ bytes, mediaType }: NewManifest): ParsedManifest {
  const result = parseManifest(bytes, mediaType);
  return result.ok ? result.value : refuse("manifest-invalid", { problem: result.problem });
}

function contentReference({ digest, mediaType, sizeBytes }: Descriptor): manifests.ContentReference {
  return { digest, mediaType, sizeBytes };
}

function refusePut(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digest: Digest,
  tags: readonly Tag[],
  outcome: Exclude<manifests.PutManifestOutcome, { readonly outcome: "stored" }>,
): never {
  const detail = repositoryDetail(registry, name);
  const where = `the repository with name '${name}' in registry with id '${registry.accountId}'`;
  // Unsealed a second time: the repository was replaced by another one of its name in between.
  if (outcome.outcome === "repository-not-found" || outcome.outcome === "unsealed") return refuse("repository-not-found", detail);
  if (outcome.outcome === "blobs-missing") return refuse("manifest-blobs-missing", { ...detail, digests: outcome.digests });
  if (outcome.outcome === "children-missing") return refuse("manifest-children-missing", { ...detail, digests: outcome.digests });
  if ("actualBytes" in outcome) {
    const { digest: named, statedBytes, actualBytes } = outcome;
    return refuse("manifest-invalid", {
      problem: `the descriptor of '${named}' states ${statedBytes} bytes, but the stored content has ${actualBytes} bytes`,
    });
  }
  if (outcome.outcome === "tag-immutable") return refuse("tag-immutable", { ...detail, tag: outcome.tag });
  if (outcome.outcome === "same") return refuse("manifest-exists", { ...detail, digest, ...(tags[0] !== undefined && { tag: tags[0] }) });
  const { manifestsPerRepository, tagsPerManifest } = ctx.core.limits;
  const message =
    outcome.which === "manifests"
      ? `T${where.slice(1)} already has the maximum allowed number of images which is '${manifestsPerRepository}'`
      : `Adding tag '${tags[0] ?? ""}' to an image in ${where} exceeds the maximum allowed number of tags per image which is '${tagsPerManifest}'`;
  return refuse("limit-exceeded", { message });
}

/** Deletes a manifest with its tags (data plane): its referrers stay and stay listed. Throws `repository-not-found`, `manifest-not-found`, `manifest-referenced`. */
export async function deleteManifest(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<void> {
  const detail = repositoryDetail(registry, name);
  const input = {
    key: repositoryKey(registry, name),
    digest,
    linkGraceMs: ctx.core.limits.linkGraceMs,
    withReferrers: false,
    author: authorOf(ctx),
  };
  const result = await manifests.deleteManifest(ctx.core.metadata, input);
  if (result.outcome === "repository-not-found") refuse("repository-not-found", detail);
  if (result.outcome === "not-found") refuse("manifest-not-found", { ...detail, digest });
  if (result.outcome === "referenced") refuse("manifest-referenced", { ...detail, digest, parents: result.parents });
}

/** Deletes a tag (data plane): its manifest stays, untagged. Throws `repository-not-found`, `manifest-not-found`. */
export async function deleteTag(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, tag: Tag): Promise<void> {
  const detail = repositoryDetail(registry, name);
  const result = await manifests.deleteTag(ctx.core.metadata, {
    key: repositoryKey(registry, name),
    tag,
    lastTagDeletesManifest: false,
    linkGraceMs: ctx.core.limits.linkGraceMs,
    withReferrers: false,
    author: authorOf(ctx),
  });
  if (result.outcome === "deleted") return;
  if (result.outcome === "repository-not-found") refuse("repository-not-found", detail);
  if (result.outcome === "referenced") refuse("manifest-referenced", { ...detail, digest: result.digest, parents: result.parents });
  refuse("manifest-not-found", { ...detail, tag });
}
