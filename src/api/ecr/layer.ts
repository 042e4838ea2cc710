import type { Digest } from "#oci/digest.ts";
import { parseDigest } from "#oci/digest.ts";
import type { BlobFacts } from "#registry/blob.ts";
import { checkBlobs, createDownloadTicket, listArchivedBlobs } from "#registry/blob.ts";
import { refuse } from "#registry/errors.ts";
import { getRepository } from "#registry/repository.ts";
import { appendPart, completeUploadParts, getUpload, startUpload } from "#registry/upload.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { digestPattern } from "../errors.ts";
import { ApiFault } from "../fault.ts";
import { digestGrammar } from "./image-failure.ts";
import type { Layer, LayerFailure } from "./model/shapes.ts";
import { pullLayer } from "./pull-through-image.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows, UploadLayerPartInput } from "./table.ts";

/** Blobs by the API: asking, uploading in parts, downloading by URL. */
export const layerOperations: EcrRows<
  "BatchCheckLayerAvailability" | "InitiateLayerUpload" | "UploadLayerPart" | "CompleteLayerUpload" | "GetDownloadUrlForLayer"
> = {
  BatchCheckLayerAvailability: {
    action: "ecr:BatchCheckLayerAvailability",
    resource: repositoryArn,
    handle: async (call, input) => {
      const digests = input.layerDigests.map(digestOrUndefined).filter((digest) => digest !== undefined);
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const held = await checkBlobs(call.context, registry, name, digests);
      const missing = digests.filter((digest) => !held.has(digest));
      const archived = missing.length === 0 ? noDigests : await listArchivedBlobs(call.context, registry, name, missing);
      const verdicts = input.layerDigests.map((text) => layerVerdict(text, held, archived));
      return {
        layers: verdicts.flatMap((verdict) => verdict.layer ?? []),
        failures: verdicts.flatMap((verdict) => verdict.failure ?? []),
      };
    },
  },

  InitiateLayerUpload: {
    action: "ecr:InitiateLayerUpload",
    resource: repositoryArn,
    handle: async (call, input) => {
      const upload = await startUpload(call.context, registryOf(call, input), repositoryNameOf(input.repositoryName), {});
      return { uploadId: upload.uploadId, partSize: call.context.core.limits.partSizeBytes };
    },
  },

  UploadLayerPart: {
    action: "ecr:UploadLayerPart",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      await checkPartSize(call, input);
      const part = await appendPart(call.context, registry, name, input.uploadId, {
        chunks: input.layerPartBlob.take(),
        announcedBytes: input.layerPartBlob.sizeBytes,
        firstByte: input.partFirstByte,
        lastByte: input.partLastByte,
      });
      return {
        registryId: registry.accountId,
        repositoryName: name,
        uploadId: input.uploadId,
        lastByteReceived: part.lastByteReceived,
      };
    },
  },

  CompleteLayerUpload: {
    action: "ecr:CompleteLayerUpload",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { digest } = await completeUploadParts(call.context, registry, name, input.uploadId, input.layerDigests);
      return { registryId: registry.accountId, repositoryName: name, uploadId: input.uploadId, layerDigest: digest };
    },
  },

  GetDownloadUrlForLayer: {
    action: "ecr:GetDownloadUrlForLayer",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const digest = digestOrUndefined(input.layerDigest);
      if (digest === undefined) {
        // A digest that we cannot even compute is one that nobody holds; the repository is judged first, as always.
        await getRepository(call.context, registry, name);
        return refuse("blob-not-found", { registryId: registry.accountId, repositoryName: name, digest: input.layerDigest });
      }
      await pullLayer(call, registry, name, digest);
      const { ticket } = await createDownloadTicket({ ...call.context, actor: call.principal }, registry, name, digest);
      return { downloadUrl: `${call.addressing.endpoint(registry, call.origin)}/download/${ticket}`, layerDigest: digest };
    },
  },
};

const noDigests: ReadonlySet<string> = new Set();

function digestOrUndefined(text: string): Digest | undefined {
  const digest = parseDigest(text);
  return digest.ok ? digest.value : undefined;
}

/**
 * What ECR says of one digest. A blob that is not held is a layer that is UNAVAILABLE and not a failure:
 * clients upload what is unavailable, and give up when there are only failures.
 */
function layerVerdict(
  text: string,
  held: ReadonlyMap<Digest, BlobFacts>,
  archived: ReadonlySet<string>,
): { readonly layer?: Layer; readonly failure?: LayerFailure } {
  if (text === "") return layerFailure(text, "MissingLayerDigest", "layer digest cannot be null");
  if (!digestGrammar.test(text)) {
    return layerFailure(text, "InvalidLayerDigest", `layer digest should satisfy the regex '${digestPattern}'`);
  }
  const facts = held.get(text as Digest);
  if (facts === undefined) return { layer: { layerDigest: text, layerAvailability: archived.has(text) ? "ARCHIVED" : "UNAVAILABLE" } };
  const mediaType = facts.mediaType === undefined ? {} : { mediaType: facts.mediaType };
  return { layer: { layerDigest: text, layerAvailability: "AVAILABLE", layerSize: facts.sizeBytes, ...mediaType } };
}

function layerFailure(
  layerDigest: string,
  failureCode: "InvalidLayerDigest" | "MissingLayerDigest",
  problem: string,
): { failure: LayerFailure } {
  return { failure: { layerDigest, failureCode, failureReason: `Invalid request parameters: ${problem}` } };
}

/** A part must have exactly the bytes that its range says; the refusal tells where the upload stands, so that the client can resume. */
async function checkPartSize(call: ApiCall, input: UploadLayerPartInput): Promise<void> {
  const statedBytes = input.partLastByte - input.partFirstByte + 1;
  const { sizeBytes } = input.layerPartBlob;
  if (sizeBytes === statedBytes && sizeBytes > 0) return;
  const problem =
    statedBytes > 0
      ? `The layer part has ${sizeBytes} bytes instead of ${statedBytes}`
      : `Last byte of the layer part is ${input.partLastByte}, before its first byte ${input.partFirstByte}`;
  const registry = registryOf(call, input);
  const name = repositoryNameOf(input.repositoryName);
  const upload = await getUpload(call.context, registry, name, input.uploadId);
  throw new ApiFault("InvalidLayerPartException", problem, 400, {
    registryId: registry.accountId,
    repositoryName: name,
    uploadId: input.uploadId,
    lastValidByteReceived: upload.receivedBytes - 1,
  });
}
