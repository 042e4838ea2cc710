import type { Json } from "#std/json.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { RegistryRef } from "#registry/context.ts";
import { refuse } from "#registry/errors.ts";
import type { DescribedManifests } from "#registry/manifest-batch.ts";
import { describeManifests, listManifestTags, listManifests } from "#registry/manifest-batch.ts";
import { getRepository } from "#registry/repository.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import { digestGrammar } from "./image-failure.ts";
import { imageIdShape, manifestName, namedTags } from "./image.ts";
import type { DescribeImagesRequest, DescribeImagesResponse, ImageDetail, ImageIdentifier, ImageStatusFilter } from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
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
      if (!showsActive(imageStatus)) return await nothingBut(call, registry, input.repositoryName, { imageIds: [] });
      const limit = input.maxResults ?? defaultPage;
      const page = await listManifestTags(call.context, registry, name, { tagStatus, after, limit });
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
      const registry = registryOf(call, input);
      const { imageStatus } = input.filter ?? {};
      if (input.imageIds !== undefined) return await describeNamed(call, input, input.imageIds);
      if (!showsActive(imageStatus)) return await nothingBut(call, registry, input.repositoryName, { imageDetails: [] });
      return await describePage(call, input);
    },
  },
};

/** Every image is active: there is no archive to be in. */
function showsActive(imageStatus: ImageStatusFilter | undefined): boolean {
  return imageStatus === undefined || imageStatus === "ACTIVE" || imageStatus === "ANY";
}

/** An empty answer for a repository that exists. */
async function nothingBut<Answer>(call: ApiCall, registry: RegistryRef, repositoryName: string, answer: Answer): Promise<Answer> {
  await getRepository(call.context, registry, repositoryNameOf(repositoryName));
  return answer;
}

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
  for (const { imageDigest, imageTag } of input.imageIds) {
    if (imageDigest === undefined && imageTag === undefined) throw invalidParameter("imageIds", "both tag and digest cannot be null");
    if (imageDigest !== undefined && !digestGrammar.test(imageDigest)) refuse("digest-invalid", { digest: imageDigest, problem: "" });
  }
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
  const { tagStatus = "ANY", imageStatus } = input.filter ?? {};
  const shown = [...unique.values()].filter(
    ({ tags }) => showsActive(imageStatus) && (tagStatus === "ANY" || (tagStatus === "TAGGED") === tags.length > 0),
  );
  return { imageDetails: shown.map((manifest) => imageDetailShape(registry, name, manifest)) };
}

async function describePage(call: ApiCall, input: DescribeImagesRequest): Promise<DescribeImagesResponse> {
  const registry = registryOf(call, input);
  const name = repositoryNameOf(input.repositoryName);
  const { tagStatus = "ANY", imageStatus = "ACTIVE" } = input.filter ?? {};
  const listing = ["DescribeImages", registry.accountId, registry.region, name, tagStatus, imageStatus];
  const after = openPage(call, listing, input.nextToken, isManifestId);
  const page = await listManifests(call.context, registry, name, { tagStatus, after, limit: input.maxResults ?? defaultPage });
  return {
    imageDetails: page.manifests.map((manifest) => imageDetailShape(registry, name, manifest)),
    ...sealPage(call, listing, page.next),
  };
}

/** ECR's `ImageDetail`. */
function imageDetailShape(registry: RegistryRef, name: string, manifest: TaggedManifest): ImageDetail {
  const { tags, scanFailure, subjectDigest } = manifest;
  const artifactMediaType = artifactMediaTypeOf(manifest);
  return {
    registryId: registry.accountId,
    repositoryName: name,
    imageDigest: manifest.digest,
    ...(tags.length > 0 && { imageTags: tags }),
    imageSizeInBytes: manifest.contentSizeBytes,
    // ECR gives this one time in whole seconds.
    imagePushedAt: Math.floor(manifest.pushedAt / 1_000) * 1_000,
    // A scan that could not be made says so; it never looks like a clean one.
    ...(scanFailure !== undefined && { imageScanStatus: { status: "FAILED", description: scanFailure } }),
    imageManifestMediaType: manifest.mediaType,
    ...(artifactMediaType !== undefined && { artifactMediaType }),
    ...(subjectDigest !== undefined && { subjectManifestDigest: subjectDigest }),
    imageStatus: "ACTIVE",
  };
}

/** What the image is: the type of its config, or of the artifact where the config says nothing. Indexes have none. */
function artifactMediaTypeOf({ kind, configMediaType, artifactType }: TaggedManifest): string | undefined {
  if (kind === "index") return undefined;
  return configMediaType === mediaTypes.ociEmpty ? (artifactType ?? configMediaType) : configMediaType;
}
