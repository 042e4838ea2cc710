import type { Json } from "#std/json.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import { refuse } from "#registry/errors.ts";
import type { DescribedManifests } from "#registry/manifest-batch.ts";
import { describeManifests, listManifestTags, listManifests } from "#registry/manifest-batch.ts";
import { findPullTimes } from "#registry/pull-time.ts";
import { findScans } from "#registry/scan.ts";
import type { ScanState } from "#registry/scan.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import { checkImageId, imageIdShape, manifestName, namedTags } from "./image.ts";
import type { DescribeImagesRequest, DescribeImagesResponse, ImageDetail, ImageIdentifier } from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
import { scanStatusShape, scanSummaryShape } from "./scan-findings.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

type TaggedManifest = DescribedManifests["manifests"][number]["manifest"];

const defaultPage = 100;

/** Looking through a repository. */
export const imageListingOperations: EcrRows<"ListImages" | "DescribeImages"> = {
  ListImages: {
    action: "ecr:ListImages",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { tagStatus = "ANY", imageStatus } = input.filter ?? {};
      const listing = ["ListImages", registry.accountId, registry.region, name, tagStatus, imageStatus ?? "ACTIVE"];
      const position = openPage(call, listing, input.nextToken, isTagPosition);
      const after = position === undefined ? undefined : { manifestId: position[0], tag: position[1] };
      const limit = input.maxResults ?? defaultPage;
      const page = await listManifestTags(call.context, registry, name, { tagStatus, status: imageStatus, after, limit });
      const next = page.next === undefined ? undefined : [page.next.manifestId, page.next.tag];
      return { imageIds: page.entries.map(({ digest, tag }) => imageIdShape(digest, tag)), ...sealPage(call, listing, next) };
    },
  },

  DescribeImages: {
    action: "ecr:DescribeImages",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags(input.imageIds ?? []),
    check: (input) => checkImageIds(input),
    handle: async (call, input) => {
      if (input.imageIds !== undefined) return await describeNamed(call, input, input.imageIds);
      return await describePage(call, input);
    },
  },
};

function isTagPosition(position: Json): position is [number, string] {
  return Array.isArray(position) && position.length === 2 && typeof position[0] === "number" && typeof position[1] === "string";
}

function isManifestId(position: Json): position is number {
  return typeof position === "number";
}

function checkImageIds(input: DescribeImagesRequest): void {
  if (input.imageIds === undefined) return;
  if (input.maxResults !== undefined) throw invalidParameter("maxResults", "Member must be null when imageIds is set");
  if (input.nextToken !== undefined) throw invalidParameter("nextToken", "Member must be null when imageIds is set");
  for (const imageId of input.imageIds) checkImageId(imageId, "imageIds");
}

/** The named images, one element per digest; the first that is not there fails the whole call. */
async function describeNamed(
  call: ApiCall,
  input: DescribeImagesRequest,
  imageIds: readonly ImageIdentifier[],
): Promise<DescribeImagesResponse> {
  const registry = registryOf(call, input);
  const name = repositoryNameOf(input.repositoryName);
  const { manifests, failures } = await describeManifests(call.context, registry, name, imageIds.map(manifestName));
  const missing = failures[0];
  if (missing !== undefined) {
    const { digest, tag } = missing.id;
    return refuse("manifest-not-found", {
      registryId: registry.accountId,
      repositoryName: name,
      ...(digest !== undefined && { digest }),
      ...(tag !== undefined && { tag }),
    });
  }
  const unique = new Map(manifests.map(({ manifest }) => [manifest.manifestId, manifest]));
  // Who names an image wants to know of it, wherever it is, unless the filter says otherwise.
  const { tagStatus = "ANY", imageStatus = "ANY" } = input.filter ?? {};
  const shown = [...unique.values()].filter(
    ({ tags, status }) =>
      (imageStatus === "ANY" || status === imageStatus) && (tagStatus === "ANY" || (tagStatus === "TAGGED") === tags.length > 0),
  );
  return { imageDetails: await imageDetailShapes(call, registry, name, shown) };
}

async function describePage(call: ApiCall, input: DescribeImagesRequest): Promise<DescribeImagesResponse> {
  const registry = registryOf(call, input);
  const name = repositoryNameOf(input.repositoryName);
  const { tagStatus = "ANY", imageStatus = "ACTIVE" } = input.filter ?? {};
  const listing = ["DescribeImages", registry.accountId, registry.region, name, tagStatus, imageStatus];
  const after = openPage(call, listing, input.nextToken, isManifestId);
  const page = await listManifests(call.context, registry, name, {
    tagStatus,
    status: imageStatus,
    after,
    limit: input.maxResults ?? defaultPage,
  });
  return {
    imageDetails: await imageDetailShapes(call, registry, name, page.manifests),
    ...sealPage(call, listing, page.next),
  };
}

/** The manifests with what is known of them beside their rows. */
async function imageDetailShapes(
  call: ApiCall,
  registry: RegistryRef,
  name: RepositoryName,
  manifests: readonly TaggedManifest[],
): Promise<readonly ImageDetail[]> {
  const pullTimes = await findPullTimes(call.context, manifests);
  const scans = await findScans(
    call.context,
    registry,
    name,
    manifests.map(({ manifestId }) => manifestId),
  );
  return manifests.map((manifest) => {
    const pulledAt = pullTimes.get(manifest.manifestId);
    return {
      ...imageDetailShape(registry, name, manifest),
      ...scanShape(scans.get(manifest.manifestId)),
      ...(pulledAt !== undefined && { lastRecordedPullTime: pulledAt }),
    };
  });
}

/** A scan that could not be made says so; it never looks like a clean one. */
function scanShape(scan: ScanState | undefined): Pick<ImageDetail, "imageScanStatus" | "imageScanFindingsSummary"> {
  if (scan === undefined) return {};
  const { summary } = scan;
  return { imageScanStatus: scanStatusShape(scan), ...(summary !== undefined && { imageScanFindingsSummary: scanSummaryShape(summary) }) };
}

/** ECR's `ImageDetail`. */
function imageDetailShape(registry: RegistryRef, name: string, manifest: TaggedManifest): ImageDetail {
  const { tags, subjectDigest } = manifest;
  const artifactMediaType = artifactMediaTypeOf(manifest);
  return {
    registryId: registry.accountId,
    repositoryName: name,
    imageDigest: manifest.digest,
    ...(tags.length > 0 && { imageTags: tags }),
    imageSizeInBytes: manifest.contentSizeBytes,
    // ECR gives this one time in whole seconds.
    imagePushedAt: Math.floor(manifest.pushedAt / 1_000) * 1_000,
    imageManifestMediaType: manifest.mediaType,
    ...(artifactMediaType !== undefined && { artifactMediaType }),
    ...(subjectDigest !== undefined && { subjectManifestDigest: subjectDigest }),
    imageStatus: manifest.status,
    ...(manifest.lastArchivedAt !== undefined && { lastArchivedAt: manifest.lastArchivedAt }),
    ...(manifest.lastActivatedAt !== undefined && { lastActivatedAt: manifest.lastActivatedAt }),
  };
}

/** What the image is: the type of its config, or of the artifact where the config says nothing. Indexes have none. */
function artifactMediaTypeOf({ kind, configMediaType, artifactType }: TaggedManifest): string | undefined {
  if (kind === "index") return undefined;
  return configMediaType === mediaTypes.ociEmpty ? (artifactType ?? configMediaType) : configMediaType;
}
