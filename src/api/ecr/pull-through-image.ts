/** Images and layers of names that a pull-through cache rule covers, by ECR's API. */
import { authorize } from "#access/authorize.ts";
import { givenTagKeys } from "#access/condition-keys.ts";
import { lastingArn } from "#access/principal.ts";
import type { Digest } from "#oci/digest.ts";
import { parseReference } from "#oci/reference.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Pull } from "#pullthrough/pull.ts";
import type { RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import type { RegistryErrorKind } from "#registry/errors.ts";
import type { StoredManifest } from "#registry/manifest.ts";
import { listReferrers } from "#registry/referrer.ts";
import type { Referrer, ReferrerPage } from "#registry/referrer.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import type { ImageFailure, ImageIdentifier } from "./model/shapes.ts";

/** What became of the images that were asked for. */
export interface PulledImages {
  /** On their way into the repository, which does not hold them yet. */
  readonly passing: readonly (StoredManifest & { readonly tag?: string | undefined })[];
  readonly failures: readonly ImageFailure[];
  /** For the repository to answer. */
  readonly others: readonly ImageIdentifier[];
}

/** ECR's codes for images that an upstream does not give; the reasons are ours. */
const upstreamFailures: Partial<Record<RegistryErrorKind, Required<Pick<ImageFailure, "failureCode" | "failureReason">>>> = {
  "upstream-denied": { failureCode: "UpstreamAccessDenied", failureReason: "The upstream registry denied access to the requested image" },
  "upstream-rate-limited": {
    failureCode: "UpstreamTooManyRequests",
    failureReason: "The upstream registry limits requests; try again later",
  },
  "upstream-unavailable": {
    failureCode: "UpstreamUnavailable",
    failureReason: "The upstream registry did not provide the requested image",
  },
};
const notFound = { failureCode: "ImageNotFound", failureReason: "Requested image not found" } as const;
const imagesAtOnce = 8;

/** Fetches the images that a rule covers and the repository does not hold. Throws what is no matter of a single image, such as a missing repository. */
export async function pullImages(
  call: ApiCall,
  registry: RegistryRef,
  name: RepositoryName,
  { imageIds, acceptedMediaTypes }: { readonly imageIds: readonly ImageIdentifier[]; readonly acceptedMediaTypes?: readonly string[] },
): Promise<PulledImages> {
  const pull = await pullOf(call, registry, name);
  if (pull === undefined) return { passing: [], failures: [], others: imageIds };
  const puller = await call.pullThrough.puller();
  const passing: (StoredManifest & { readonly tag?: string | undefined })[] = [];
  const failures: ImageFailure[] = [];
  const others: ImageIdentifier[] = [];
  let missing: RegistryError | undefined;
  const one = async (imageId: ImageIdentifier): Promise<void> => {
    const reference = parseReference(imageId.imageDigest ?? imageId.imageTag ?? "");
    if (!reference.ok) return void others.push(imageId);
    try {
      const manifest = await puller.getManifest(pull, reference.value);
      if (manifest.manifestId !== undefined || (await isStored(call, registry, name, manifest.digest))) others.push(imageId);
      else if (acceptedMediaTypes?.includes(manifest.mediaType) === false) failures.push({ imageId, ...notFound });
      else {
        passing.push({ ...manifest, tag: imageId.imageTag });
        const principalArn = lastingArn(call.principal);
        call.context.core.pulls.note({ registry, manifestId: manifest.stored, principalArn });
      }
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      const failure = upstreamFailures[error.refusal.kind];
      if (failure !== undefined) failures.push({ imageId, ...failure });
      else if (error.refusal.kind === "manifest-not-found") failures.push({ imageId, ...notFound });
      else if (error.refusal.kind === "repository-not-found") missing = error;
      else others.push(imageId);
    }
  };
  const waiting = [...imageIds];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await one(next);
  };
  await Promise.all(Array.from({ length: imagesAtOnce }, work));
  if (missing !== undefined && passing.length === 0) throw missing;
  return { passing, failures, others };
}

/** An index is stored when it has been fetched, and then it is the repository's to answer for. */
async function isStored(call: ApiCall, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<boolean> {
  const { findManifest } = await import("#pullthrough/stored-content.ts");
  return (await findManifest(call.context, registry, name, { kind: "digest", digest })) !== undefined;
}

/** Fetches the layer when a rule covers it and the repository does not hold it; when this resolves, what can be there is there. Throws ApiFault. */
export async function pullLayer(call: ApiCall, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<void> {
  const pull = await pullOf(call, registry, name);
  if (pull === undefined) return;
  try {
    await (await call.pullThrough.puller()).storeBlob(pull, digest);
  } catch (error) {
    const isUpstream = error instanceof RegistryError && error.refusal.kind.startsWith("upstream-");
    if (!isUpstream) throw error;
    throw new ApiFault("UnableToGetUpstreamLayerException", `The upstream registry did not provide the layer with digest '${digest}'`);
  }
}

/** One page of referrers: the repository's, and under a rule also those that the upstream names. Throws ApiFault. */
export async function pullReferrers(
  call: ApiCall,
  registry: RegistryRef,
  name: RepositoryName,
  subject: Digest,
  page: ReferrerPage,
): Promise<{ readonly referrers: readonly Referrer[]; readonly next?: string }> {
  const pull = await pullOf(call, registry, name);
  if (pull === undefined) return listReferrers(call.context, registry, name, subject, page);
  try {
    return await (await call.pullThrough.puller()).listReferrers(pull, subject, page);
  } catch (error) {
    const isUpstream = error instanceof RegistryError && error.refusal.kind.startsWith("upstream-");
    if (!isUpstream) throw error;
    throw new ApiFault(
      "UnableToListUpstreamImageReferrersException",
      `The upstream registry did not list the referrers of the image with digest '${subject}'`,
    );
  }
}

async function pullOf(call: ApiCall, registry: RegistryRef, name: RepositoryName): Promise<Pull | undefined> {
  const rule = await call.pullThrough.ruleFor(registry, name);
  if (rule === undefined) return undefined;
  const resource = call.addressing.repositoryArn(registry, name);
  const may: Pull["may"] = async (action, resourceTags = {}) => {
    const asked = { action, resource, region: registry.region, origin: call.origin, keys: givenTagKeys(resourceTags) };
    const decision = await authorize(call.access, call.principal, asked);
    call.exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
    return decision.allowed;
  };
  return { context: call.context, registry, name, rule, may };
}
