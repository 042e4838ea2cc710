/**
 * Upload sessions. Bytes first, facts second: a segment is durable before it counts, a stored copy before its row.
 * Whoever retries after a crash finds either the state before or the state after; there is no undo code.
 */
import { createHash } from "node:crypto";
import * as sessions from "#metadata/upload-sessions.ts";
import type { Digest, DigestAlgorithm } from "#oci/digest.ts";
import { digestAlgorithm, parseDigest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { BlobFacts } from "./blob.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";
import type { IncomingBytes, SegmentPlan } from "./upload-bytes.ts";
import { hashSession, receiveSegment } from "./upload-bytes.ts";
import type { UploadContent } from "./upload-content.ts";
import { contentOf, gatherContent, storeContent } from "./upload-content.ts";
import type { OpenUpload, UploadScope } from "./upload-session.ts";
import {
  abandonUpload,
  checkFirstByte,
  exclusively,
  openUpload,
  protectUpload,
  refuseMoved,
  refuseTooMany,
  removeUpload,
  requireUpload,
  segmentPlan,
} from "./upload-session.ts";

/** What a client may know of a session. */
export interface UploadState {
  readonly uploadId: string;
  readonly receivedBytes: number;
}

/** Opens a session. `algorithm` is what the client announced; any other one can still be asked for at the end. Throws `repository-not-found`, `key-unusable`. */
export async function startUpload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  options: { readonly algorithm?: DigestAlgorithm | undefined } = {},
): Promise<UploadState> {
  const { uploadId } = await beginUpload(ctx, registry, name, options.algorithm ?? "sha256");
  return { uploadId, receivedBytes: 0 };
}

async function beginUpload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  algorithm: DigestAlgorithm,
): Promise<UploadScope & Pick<OpenUpload, "protection">> {
  const { random, metadata, clock, limits } = ctx.core;
  const uploadId = random.uuid();
  const repository = await sessions.createUploadSession(metadata, {
    uploadId,
    key: repositoryKey(registry, name),
    principalId: ctx.actor.principalId,
    algorithm,
    expiresAt: clock.now() + limits.uploadTtlMs,
    author: authorOf(ctx),
  });
  if (repository === undefined) return refuse("repository-not-found", repositoryDetail(registry, name));
  const upload = { ctx, registry, name, uploadId };
  if (repository.encryptionType === "AES256") return { ...upload, protection: undefined };
  try {
    return { ...upload, protection: await protectUpload(upload, repository.repositoryId) };
  } catch (error) {
    await abandonUpload(upload);
    throw error;
  }
}

/** Where a session stands. Throws `repository-not-found`, `upload-not-found`. */
export async function getUpload(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, uploadId: string): Promise<UploadState> {
  const { session } = await requireUpload(ctx, registry, name, uploadId);
  return { uploadId, receivedBytes: session.receivedBytes };
}

/** Ends a session and frees its bytes; an append under way fails. Throws `repository-not-found`, `upload-not-found`. */
export async function cancelUpload(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, uploadId: string): Promise<void> {
  await removeUpload(await requireUpload(ctx, registry, name, uploadId));
}

/**
 * Appends one body. Throws `upload-not-found`, `upload-range` when the bytes do not begin where the session stands, `upload-busy` while
 * another append is at work, `upload-size`, `body-aborted`, `limit-exceeded`, `storage-full`; the session then stands where it stood.
 */
export async function appendUpload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  uploadId: string,
  incoming: IncomingBytes,
): Promise<UploadState> {
  const upload = await openUpload(ctx, registry, name, uploadId);
  return exclusively(upload, async () => ({ uploadId, receivedBytes: await appendSegment(upload, incoming) }));
}

/**
 * UploadLayerPart: like {@link appendUpload} for bytes `firstByte` to `lastByte` inclusive. Throws also `upload-size` when they are not
 * that many, `limit-exceeded` for too many parts, `parameter-invalid`.
 */
export async function appendPart(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  uploadId: string,
  part: IncomingBytes & { readonly lastByte: number },
): Promise<{ readonly lastByteReceived: number }> {
  const upload = await openUpload(ctx, registry, name, uploadId);
  const { limits } = ctx.core;
  checkFirstByte(upload, part);
  const sizeBytes = part.lastByte - (part.firstByte ?? upload.session.receivedBytes) + 1;
  if (sizeBytes < 1) refuse("parameter-invalid", { parameter: "partLastByte", constraint: "Must not be less than partFirstByte" });
  if (sizeBytes > limits.partMaxBytes) {
    refuse("parameter-invalid", {
      parameter: "layerPartBlob",
      constraint: `Member must have length less than or equal to ${limits.partMaxBytes}`,
    });
  }
  if (part.announcedBytes !== undefined && part.announcedBytes !== sizeBytes) {
    refuse("upload-size", { announcedBytes: sizeBytes, receivedBytes: part.announcedBytes });
  }
  if (upload.session.parts >= limits.partsPerUpload) refuseTooMany(upload, "parts", limits.partsPerUpload);
  const receivedBytes = await exclusively(upload, () => appendSegment(upload, { ...part, announcedBytes: sizeBytes }));
  return { lastByteReceived: receivedBytes - 1 };
}

/** Receives one body and lets it count; answers how many bytes the session holds then. */
async function appendSegment(upload: OpenUpload, incoming: IncomingBytes): Promise<number> {
  const { session } = upload;
  const { core } = upload.ctx;
  const { uploadId, receivedBytes: offset } = session;
  checkFirstByte(upload, incoming);
  const plan = segmentPlan(upload, incoming, () => hashSession(core, session, session.algorithm, upload.protection?.keys));
  const received = await receiveSegment(core, incoming, plan);
  if (received === undefined) return offset;
  const { segmentKey, sizeBytes, hash } = received;
  const now = core.clock.now();
  // When this throws, nobody knows whether the bytes count: they stay until the session ends.
  const outcome = await sessions.commitSegment(core.metadata, {
    uploadId,
    segmentKey,
    offset,
    sizeBytes,
    digestSoFar: hash.copy().digest("hex"),
    expiresAt: now + core.limits.uploadTtlMs,
    now,
  });
  if (outcome.outcome !== "committed") {
    await core.storage.deleteSegment(segmentKey);
    await plan.abandon();
    return refuseMoved(upload, incoming, outcome);
  }
  core.uploads.keep(uploadId, offset + sizeBytes, hash);
  return offset + sizeBytes;
}

/** What closes a session. */
export interface UploadClosing {
  /** What the bytes must be; of any registered algorithm. */
  readonly digest: Digest;
  /** The last bytes, if the closing request carries some. */
  readonly incoming?: IncomingBytes | undefined;
}

/**
 * Ends a session: its bytes become a blob of the repository. Can be repeated after a crash at any moment before it answered.
 * Throws what {@link appendUpload} throws, the session then stands where it stood; and `digest-mismatch`, which cancels the session.
 */
export async function completeUpload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  uploadId: string,
  closing: UploadClosing,
): Promise<BlobFacts> {
  const upload = await openUpload(ctx, registry, name, uploadId);
  return exclusively(upload, async () => {
    if (closing.incoming !== undefined) checkFirstByte(upload, closing.incoming);
    const content = await gatherContent(upload, digestAlgorithm(closing.digest), closing.incoming);
    if (content.digest !== undefined && content.digest !== closing.digest) {
      await abandonUpload(upload);
      return refuse("digest-mismatch", { expected: closing.digest, actual: content.digest });
    }
    return (await storeContent(upload, content, closing.digest)).facts;
  });
}

/** A whole blob in one request: one transaction before the bytes and one after. Nothing is left of it when it fails. Throws `repository-not-found` and what {@link completeUpload} throws. */
export async function uploadWhole(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  request: { readonly digest: Digest; readonly incoming: IncomingBytes },
): Promise<BlobFacts> {
  const { digest, incoming } = request;
  const { core } = ctx;
  const algorithm = digestAlgorithm(digest);
  const upload = await beginUpload(ctx, registry, name, algorithm);
  const { uploadId } = upload;
  // No row for the only segment: its key follows from the session's, and bytes of a session that is not there are garbage.
  const plan: SegmentPlan = {
    segmentKey: `${uploadId}/0`,
    keys: upload.protection?.keys,
    roomBytes: core.limits.blobMaxBytes,
    begin: async () => createHash(algorithm),
    abandon: async () => undefined,
    // Nobody else knows the id.
    lost: async () => undefined,
    tooLarge: () => refuseTooMany({ registry, name, uploadId }, "bytes", core.limits.blobMaxBytes),
  };
  try {
    return await exclusively(upload, async () => {
      const received = await receiveSegment(core, incoming, plan);
      const content = contentOf(algorithm, received?.hash ?? createHash(algorithm), received === undefined ? [] : [received]);
      if (content.digest !== digest) return refuse("digest-mismatch", { expected: digest, actual: content.digest });
      return (await storeContent(upload, content, digest)).facts;
    });
  } catch (error) {
    await abandonUpload(upload, [plan.segmentKey]);
    throw error;
  }
}

/**
 * CompleteLayerUpload: one of the offered digests must be the bytes' own; answers that one. Throws `upload-empty`, `upload-part-too-small`,
 * `upload-digest-mismatch`, after which the session can still be completed; and `blob-exists` when the repository held the blob already,
 * after which it holds it for a full grace again.
 */
export async function completeUploadParts(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  uploadId: string,
  digests: readonly string[],
): Promise<{ readonly digest: Digest }> {
  const upload = await openUpload(ctx, registry, name, uploadId);
  const detail = { ...repositoryDetail(registry, name), uploadId };
  return exclusively(upload, async () => {
    const { session } = upload;
    if (session.receivedBytes === 0) return refuse("upload-empty", detail);
    const { smallestNonLastPartBytes: smallest = Number.POSITIVE_INFINITY } = session;
    if (smallest < ctx.core.limits.partMinBytes) return refuse("upload-part-too-small", detail);
    const own = await gatherContent(upload, session.algorithm, undefined);
    const digest = await selectOffered(upload, own, digests);
    if (digest === undefined) return refuse("upload-digest-mismatch", { ...detail, actual: own.digest ?? "" });
    const { wasLinked } = await storeContent(upload, own, digest);
    return wasLinked ? refuse("blob-exists", { ...repositoryDetail(registry, name), digest }) : { digest };
  });
}

/** The offered digest that the content has. Other algorithms than the session's are tried only when they are offered: they cost a read of all bytes. */
async function selectOffered(upload: OpenUpload, own: UploadContent, offered: readonly string[]): Promise<Digest | undefined> {
  const digests = offered.map((text) => parseDigest(text)).flatMap((result) => (result.ok ? [result.value] : []));
  if (own.digest !== undefined && digests.includes(own.digest)) return own.digest;
  const others = new Set(digests.map((digest) => digestAlgorithm(digest)).filter((algorithm) => algorithm !== upload.session.algorithm));
  for (const algorithm of others) {
    const { digest } = await gatherContent(upload, algorithm, undefined);
    if (digest !== undefined && digests.includes(digest)) return digest;
  }
  return undefined;
}
