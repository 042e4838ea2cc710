/** From the bytes of a session to a blob: what the content is, then the stored copy, then the row. */
import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import * as sessions from "#metadata/upload-sessions.ts";
import type { Digest, DigestAlgorithm } from "#oci/digest.ts";
import { digestFromHex } from "#oci/digest.ts";
import { nestedSize } from "#sealing/nested-frames.ts";
import { StorageError } from "#storage/driver.ts";
import type { BlobFacts } from "./blob.ts";
import { factsOf } from "./blob.ts";
import type { RegistryCore } from "./context.ts";
import { joinProtected } from "./protected-bytes.ts";
import type { SizedSegment } from "./protected-bytes.ts";
import { authorOf } from "./scope.ts";
import type { IncomingBytes } from "./upload-bytes.ts";
import { SegmentsGone, hashSession, receiveSegment, storageRefusal } from "./upload-bytes.ts";
import type { OpenUpload, UploadProtection, UploadScope } from "./upload-session.ts";
import { refuseUnknown, segmentPlan } from "./upload-session.ts";

/** Everything a session holds at its end. */
export interface UploadContent {
  readonly segments: readonly SizedSegment[];
  readonly sizeBytes: number;
  /**
   * Undefined when the segments are gone because an earlier attempt, interrupted before its row was written, made them a stored copy.
   * That attempt compared the digest first, and the driver finds its copy under the same digest only.
   */
  readonly digest: Digest | undefined;
}

/** Content of known segments that `hash` has seen completely. */
export function contentOf(
  algorithm: DigestAlgorithm,
  hash: Hash,
  segments: readonly SizedSegment[],
): UploadContent & { readonly digest: Digest } {
  return {
    ...sizesOf(segments),
    digest: digestFromHex(algorithm, hash.digest("hex")),
  };
}

/**
 * Receives the closing bytes, if there are any, and says what the session holds then. The closing segment never counts by itself: it
 * becomes part of the stored copy or is dropped, so that a closing request can be sent again with the same bytes.
 */
export async function gatherContent(
  upload: OpenUpload,
  algorithm: DigestAlgorithm,
  incoming: IncomingBytes | undefined,
): Promise<UploadContent> {
  const { session, ctx } = upload;
  let isGone = false;
  const openHash = async (): Promise<Hash> => {
    try {
      return await hashSession(ctx.core, session, algorithm, upload.protection?.keys);
    } catch (error) {
      if (!(error instanceof SegmentsGone)) throw error;
      isGone = true;
      return createHash(algorithm);
    }
  };
  const received = incoming === undefined ? undefined : await receiveSegment(ctx.core, incoming, segmentPlan(upload, incoming, openHash));
  const segments = received === undefined ? session.segments : [...session.segments, received];
  const isKnown = received === undefined && algorithm === session.algorithm && session.digestSoFar !== undefined;
  if (isKnown) return { ...sizesOf(segments), digest: digestFromHex(algorithm, session.digestSoFar) };
  const content = contentOf(algorithm, received?.hash ?? (await openHash()), segments);
  return isGone ? { ...content, digest: undefined } : content;
}

function sizesOf(segments: readonly SizedSegment[]): Omit<UploadContent, "digest"> {
  return { segments, sizeBytes: segments.reduce((sum, segment) => sum + segment.sizeBytes, 0) };
}

/**
 * Makes the stored copy durable, then writes the row that names it and ends the session. Both steps can be repeated.
 * Throws `upload-not-found` when the session ended meanwhile, `storage-full`.
 */
export async function storeContent(
  upload: UploadScope & Pick<OpenUpload, "protection">,
  content: UploadContent,
  digest: Digest,
): Promise<{ readonly facts: BlobFacts; readonly wasLinked: boolean }> {
  const { ctx, registry, name, uploadId } = upload;
  const { clock, limits, metadata, uploads } = ctx.core;
  const { sizeBytes } = content;
  const { protection } = upload;
  const storageKey =
    protection === undefined
      ? await commitBytes(upload, content, digest)
      : await commitBytes(upload, await wholeContent(upload, protection, content), digest);
  const outcome = await sessions.completeUpload(metadata, {
    uploadId,
    digest,
    sizeBytes,
    storageKey,
    ...(protection !== undefined && { sealedKey: protection.sealKeys(digest) }),
    graceUntil: clock.now() + limits.linkGraceMs,
    author: authorOf(ctx),
  });
  // Another process ended the session. The copy may be that process's by now: it is not ours to delete.
  if (outcome.outcome === "not-found") return refuseUnknown(registry, name, uploadId);
  uploads.forget(uploadId);
  if (protection !== undefined) await dropJoined(ctx.core, content);
  if (outcome.discard !== undefined) await discardCopy(ctx.core, outcome.discard);
  return { facts: factsOf(digest, outcome.blob), wasLinked: outcome.wasLinked };
}

/**
 * The content as one stored piece: a protected segment is framed like a blob, so the only one of an upload becomes the copy as it is, and
 * several are decrypted into a new one. They stay until the row is there, so that all of this can be repeated.
 */
async function wholeContent(
  { ctx, registry, name, uploadId }: UploadScope,
  { keys }: UploadProtection,
  { segments, sizeBytes }: UploadContent,
): Promise<Omit<UploadContent, "digest">> {
  const storedBytes = nestedSize(sizeBytes, keys.length);
  if (segments.length === 1) return { segments, sizeBytes: storedBytes };
  try {
    const segmentKey = await joinProtected(ctx.core, uploadId, segments, keys);
    return { segments: [{ segmentKey, sizeBytes: storedBytes }], sizeBytes: storedBytes };
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not-found") return refuseUnknown(registry, name, uploadId);
    throw storageRefusal(error);
  }
}

/** Frees the segments that were joined; a single one has become the copy. What fails here, garbage collection does. */
async function dropJoined(core: RegistryCore, { segments }: UploadContent): Promise<void> {
  if (segments.length < 2) return;
  try {
    for (const { segmentKey } of segments) await core.storage.deleteSegment(segmentKey);
  } catch (error) {
    core.log.warn({ error: String(error) }, "the segments of a finished upload could not be deleted yet");
  }
}

async function commitBytes(
  { ctx, registry, name, uploadId }: UploadScope,
  content: Omit<UploadContent, "digest">,
  digest: Digest,
): Promise<string> {
  const target = { digest, incarnation: uploadId, sizeBytes: content.sizeBytes };
  try {
    return await ctx.core.storage.commit(
      content.segments.map((segment) => segment.segmentKey),
      target,
    );
  } catch (error) {
    if (error instanceof StorageError && error.kind === "not-found") return refuseUnknown(registry, name, uploadId);
    throw storageRefusal(error);
  }
}

/** Frees a copy that turned out to be the second of its digest. Its row is in state `gone`: what fails here, garbage collection does. */
async function discardCopy(core: RegistryCore, storageKey: string): Promise<void> {
  try {
    await core.storage.delete(storageKey);
  } catch (error) {
    core.log.warn({ error: String(error), storageKey }, "a redundant copy could not be deleted yet");
  }
}
