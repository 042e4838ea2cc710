import type { Digest } from "#oci/digest.ts";
import { digestOf, parseDigest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { parseTag } from "#oci/tag.ts";
import type { RegistryRef } from "#registry/context.ts";
import { refuse } from "#registry/errors.ts";
import { putManifest } from "#registry/manifest.ts";
import type { StoredManifest } from "#registry/manifest.ts";
import type { ManifestFailure, ManifestName } from "#registry/manifest-batch.ts";
import { describeManifests, getManifests, removeManifests } from "#registry/manifest-batch.ts";
import { lastingArn } from "#access/principal.ts";
import { askPusher } from "#access/ask-pusher.ts";
import { namedTagKey, noTag } from "#access/condition-keys.ts";
import type { ConditionKeys } from "#access/condition-keys.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import { digestGrammar, imageFailureShape } from "./image-failure.ts";
import { pullImages } from "./pull-through-image.ts";
import type { Image, ImageFailure, ImageIdentifier, PutImageRequest } from "./model/shapes.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** A manifest of 4 MiB in which every character is written as a six-character escape, and the other members. */
const putImageBodyLimitBytes = 26 * 1_048_576;
/** Manifests are a few kilobytes; a hundred of the largest ones do not fit into one answer. */
const answerLimitBytes = 16 * 1_048_576;

/** Pushing, pulling and deleting images. */
export const imageOperations: EcrRows<"PutImage" | "BatchGetImage" | "BatchDeleteImage"> = {
  PutImage: {
    action: "ecr:PutImage",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input]),
    bodyLimitBytes: putImageBodyLimitBytes,
    check: (input) => {
      if (input.imageTag !== undefined) tagOf(input.imageTag);
      if (input.imageDigest !== undefined) checkDigestGrammar(input.imageDigest);
    },
    handle: putImage,
  },

  BatchGetImage: {
    action: "ecr:BatchGetImage",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags(input.imageIds),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const pulled = await pullImages(call, registry, name, input);
      const passing = pulled.passing.map((manifest) => imageShape(registry, name, manifest));
      if (pulled.others.length === 0) return { images: passing, failures: pulled.failures };
      const { wanted, failures } = await selectCandidates(call, { ...input, imageIds: pulled.others });
      const got = await getManifests(call.context, registry, name, wanted);
      const principalArn = lastingArn(call.principal);
      for (const { manifestId } of got.manifests) call.context.core.pulls.note({ registry, manifestId, principalArn });
      return {
        images: [...passing, ...got.manifests.map((manifest) => imageShape(registry, name, manifest))],
        failures: [...pulled.failures, ...failures, ...got.failures.map(failureOf)],
      };
    },
  },

  BatchDeleteImage: {
    action: "ecr:BatchDeleteImage",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags(input.imageIds),
    handle: async (call, input) => {
      const name = repositoryNameOf(input.repositoryName);
      const { removed, failures } = await removeManifests(call.context, registryOf(call, input), name, input.imageIds.map(manifestName));
      return { imageIds: removed.map(({ digest, tag }) => imageIdShape(digest, tag)), failures: failures.map(failureOf) };
    },
  },
};

/** ECR's `Image`. */
function imageShape(registry: RegistryRef, name: RepositoryName, manifest: StoredManifest & { readonly tag?: string | undefined }): Image {
  const { digest, tag, bytes, mediaType } = manifest;
  return {
    registryId: registry.accountId,
    repositoryName: name,
    imageId: imageIdShape(digest, tag),
    imageManifest: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
    imageManifestMediaType: mediaType,
  };
}

async function putImage(call: ApiCall, input: PutImageRequest) {
  const registry = registryOf(call, input);
  const name = repositoryNameOf(input.repositoryName);
  const bytes = Buffer.from(input.imageManifest, "utf8");
  const stored = await putManifest(call.context, registry, name, {
    bytes,
    mediaType: input.imageManifestMediaType,
    digest: expectedDigest(input, bytes),
    tags: input.imageTag === undefined ? [] : [tagOf(input.imageTag)],
    plane: "ecr",
    askPusher: askPusher(call),
  });
  return {
    image: {
      registryId: registry.accountId,
      repositoryName: name,
      imageId: imageIdShape(stored.digest, input.imageTag),
      imageManifest: input.imageManifest,
      imageManifestMediaType: stored.mediaType,
    },
  };
}

/** The digest that the caller names. One that ECR's grammar allows and that nothing can have does not match, whatever the bytes are. */
function expectedDigest(input: PutImageRequest, bytes: Uint8Array): Digest | undefined {
  if (input.imageDigest === undefined) return undefined;
  const digest = parseDigest(input.imageDigest);
  return digest.ok ? digest.value : refuse("digest-mismatch", { expected: input.imageDigest, actual: digestOf("sha256", bytes) });
}

/** The tag in an input as a value. Throws `tag-invalid`. */
function tagOf(text: string): Tag {
  const tag = parseTag(text);
  return tag.ok ? tag.value : refuse("tag-invalid", { tag: text });
}

function checkDigestGrammar(digest: string): void {
  if (!digestGrammar.test(digest)) refuse("digest-invalid", { digest, problem: "" });
}

interface SelectedImages {
  readonly wanted: readonly ManifestName[];
  readonly failures: readonly ImageFailure[];
}

/** Which of the asked images the answer will hold, before any of their bytes are read. Throws ApiFault when they are too many bytes. */
async function selectCandidates(
  call: ApiCall,
  input: {
    readonly registryId?: string;
    readonly repositoryName: string;
    readonly imageIds: readonly ImageIdentifier[];
    readonly acceptedMediaTypes?: readonly string[];
  },
): Promise<SelectedImages> {
  const name = repositoryNameOf(input.repositoryName);
  const described = await describeManifests(call.context, registryOf(call, input), name, input.imageIds.map(manifestName));
  const failures = described.failures.map(failureOf);
  const wanted: ManifestName[] = [];
  let totalBytes = 0;
  for (const { id, manifest } of described.manifests) {
    // Nothing is converted: an image whose type the caller does not accept is one that is not there for it.
    if (input.acceptedMediaTypes?.includes(manifest.mediaType) === false) {
      failures.push(imageFailureShape(imageIdOf(id), { code: "not-found" }));
      continue;
    }
    wanted.push(id);
    totalBytes += manifest.sizeBytes;
  }
  if (totalBytes > answerLimitBytes) {
    throw new ApiFault(
      "LimitExceededException",
      `The manifests of the requested images have ${totalBytes} bytes together, and one answer holds ${answerLimitBytes}: ask for fewer images at once`,
    );
  }
  return { wanted, failures };
}

/** The tags that a request names, for conditions: each is asked for by itself, and so is having none. */
export function namedTags(imageIds: readonly { readonly imageTag?: string | undefined }[]): ConditionKeys {
  return { [namedTagKey]: [...new Set(imageIds.map(({ imageTag }) => imageTag ?? noTag))] };
}

/** Throws `parameter-invalid` for an identifier without digest and tag, `digest-invalid` for one whose digest is none in ECR's grammar. */
export function checkImageId({ imageDigest, imageTag }: ImageIdentifier, parameter: string): void {
  if (imageDigest === undefined && imageTag === undefined) throw invalidParameter(parameter, "both tag and digest cannot be null");
  if (imageDigest !== undefined) checkDigestGrammar(imageDigest);
}

/** An identifier as the registry takes it. */
export function manifestName(imageId: ImageIdentifier): ManifestName {
  return { digest: imageId.imageDigest, tag: imageId.imageTag };
}

/** ECR's `ImageIdentifier`; without tag for what has none or was not asked by tag. */
export function imageIdShape(digest: string, tag: string | undefined): ImageIdentifier {
  return { imageDigest: digest, ...(tag !== undefined && { imageTag: tag }) };
}

function imageIdOf({ digest, tag }: ManifestName): ImageIdentifier {
  return { ...(digest !== undefined && { imageDigest: digest }), ...(tag !== undefined && { imageTag: tag }) };
}

function failureOf(failure: ManifestFailure): ImageFailure {
  return imageFailureShape(imageIdOf(failure.id), failure);
}
