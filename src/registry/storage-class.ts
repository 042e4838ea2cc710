/** The archive: what goes there is kept with its tags and can come back, and cannot be pulled meanwhile. */
import { findManifestsWithTags } from "#metadata/manifests.ts";
import type { ManifestStatus } from "#metadata/manifests.ts";
import type { ClassRefusal } from "#metadata/storage-class.ts";
import * as storageClass from "#metadata/storage-class.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { RepositoryDetail } from "./errors.ts";
import { refuse } from "./errors.ts";
import type { ManifestName } from "./manifest-batch.ts";
import { getRepository } from "./repository.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

export type { ClassRefusal } from "#metadata/storage-class.ts";

/**
 * Archives manifests in one transaction: those that are active, and that no index outside the archive holds (one among them does not count). An
 * index goes without its children: they are free then, and go or stay by themselves. What cannot go is told by digest, and the rest goes. At most
 * as many digests as a page has. Throws `repository-not-found`.
 */
export async function archiveManifests(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digests: readonly Digest[],
): Promise<{ readonly archived: readonly Digest[]; readonly refused: readonly ClassRefusal[] }> {
  const result = await storageClass.archiveManifests(ctx.core.metadata, {
    key: repositoryKey(registry, name),
    digests,
    linkGraceMs: ctx.core.limits.linkGraceMs,
    author: authorOf(ctx),
  });
  if (result.outcome === "repository-not-found") return refuse("repository-not-found", repositoryDetail(registry, name));
  return { archived: result.digests as readonly Digest[], refused: result.refused };
}

/**
 * Archives a manifest, or begins to bring it back, with the archived children of an index; a job ends that. Throws `repository-not-found`,
 * `manifest-not-found`, `storage-class-refused`, `parameter-invalid`.
 */
export async function updateStorageClass(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  change: { readonly id: ManifestName; readonly target: "STANDARD" | "ARCHIVE" },
): Promise<{ readonly digest: Digest; readonly status: ManifestStatus }> {
  const { id, target } = change;
  const detail = repositoryDetail(registry, name);
  const digest = await findDigest(ctx, registry, name, id);
  if (target === "ARCHIVE") {
    const { refused } = await archiveManifests(ctx, registry, name, [digest]);
    if (refused[0] !== undefined) return refuseChange(detail, id, refused[0]);
    return { digest, status: "ARCHIVED" };
  }
  const key = repositoryKey(registry, name);
  const result = await storageClass.startActivation(ctx.core.metadata, { key, digest, author: authorOf(ctx) });
  if (result.outcome === "repository-not-found") return refuse("repository-not-found", detail);
  if (result.outcome !== "started") return refuseChange(detail, id, result);
  return { digest, status: "ACTIVATING" };
}

/** The digest of the manifest that a name means, whatever its class. */
async function findDigest(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, id: ManifestName): Promise<Digest> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const { digest, tag } = id;
  if (digest === undefined && tag === undefined)
    return refuse("parameter-invalid", { parameter: "imageId", constraint: "both tag and digest cannot be null" });
  const [found] = await findManifestsWithTags(ctx.core.metadata, repositoryId, [tag === undefined ? { digest: digest ?? "" } : { tag }]);
  if (found === undefined || (digest !== undefined && found.digest !== digest))
    return refuse("manifest-not-found", { ...repositoryDetail(registry, name), ...named(id) });
  return found.digest as Digest;
}

function named({ digest, tag }: ManifestName): { readonly digest?: string; readonly tag?: string } {
  return { ...(digest !== undefined && { digest }), ...(tag !== undefined && { tag }) };
}

const statusReasons: Readonly<Record<ManifestStatus, string>> = {
  ACTIVE: "the image is in the STANDARD storage class already",
  ARCHIVED: "the image is in the ARCHIVE storage class already",
  ACTIVATING: "the image is being restored",
};

function refuseChange(detail: RepositoryDetail, id: ManifestName, refusal: ClassRefusal): never {
  const { digest } = refusal;
  if (refusal.outcome === "not-found") return refuse("manifest-not-found", { ...detail, ...named(id) });
  const reason =
    refusal.outcome === "status" ? statusReasons[refusal.status] : `it is referenced by manifest list: [${refusal.parents.join(", ")}]`;
  return refuse("storage-class-refused", { ...detail, digest, ...(id.tag !== undefined && { tag: id.tag }), reason });
}
