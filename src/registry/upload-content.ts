/** From the bytes of a session to a blob: what the content is, then the stored copy, then the row. */
import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import * as sessions from "#metadata/upload-sessions.ts";
import type { Digest, DigestAlgorithm } from "#oci/digest.ts";
import { digestFromHex } from "#oci/digest.ts";
import type { SegmentKey } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import type { BlobFacts } from "./blob.ts";
import { factsOf } from "./blob.ts";
import type { RegistryCore } from "./context.ts";
import { authorOf } from "./scope.ts";
import type { IncomingBytes } from "./upload-bytes.ts";
import { SegmentsGone, hashSession, receiveSegment, storageRefusal } from "./upload-bytes.ts";
import type { OpenUpload, UploadScope } from "./upload-session.ts";
import { refuseUnknown, segmentPlan } from "./upload-session.ts";

/** Everything a session holds at its end. */
export interface UploadContent {
  readonly segmentKeys: readonly SegmentKey[];
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
  segments: readonly { readonly segmentKey: SegmentKey; readonly sizeBytes: number }[],
): UploadContent & { readonly digest: Digest } {
  return {
    segmentKeys: segments.map((segment) => segment.segmentKey),
    sizeBytes: segments.reduce((sum, segment) => sum + segment.sizeBytes, 0),
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
      return await hashSession(ctx.core, session, algorithm);
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

function sizesOf(segments: readonly { readonly segmentKey: SegmentKey; readonly sizeBytes: number }[]): Omit<UploadContent, "digest"> {
  return {
    segmentKeys: segments.map((segment) => segment.segmentKey),
    sizeBytes: segments.reduce((sum, segment) => sum + segment.sizeBytes, 0),
  };
}

/**
 * Makes the stored copy durable, then writes the row that names it and ends the session. Both steps can be repeated.
 * Throws `upload-not-found` when the session ended meanwhile, `storage-full`.
 */
export async function storeContent(
  upload: UploadScope,
  content: UploadContent,
  digest: Digest,
): Promise<{ readonly facts: BlobFacts; readonly wasLinked: boolean }> {
  const { ctx, registry, name, uploadId } = upload;
  const { clock, limits, metadata, uploads } = ctx.core;
  const { sizeBytes } = content;
  const storageKey = await commitBytes(upload, content, digest);
  const outcome = await sessions.completeUpload(metadata, {
    uploadId,
    digest,
    sizeBytes,
    storageKey,
    graceUntil: clock.now() + limits.linkGraceMs,
    author: authorOf(ctx),
  });
  // Another process ended the session. The copy may be that process's by now: it is not ours to delete.
  if (outcome.outcome === "not-found") return refuseUnknown(registry, name, uploadId);
  uploads.forget(uploadId);
  if (outcome.discard !== undefined) await discardCopy(ctx.core, outcome.discard);
  return { facts: factsOf(digest, outcome.blob), wasLinked: outcome.wasLinked };
}

async function commitBytes({ ctx, registry, name, uploadId }: UploadScope, content: UploadContent, digest: Digest): Promise<string> {
  const target = { digest, incarnation: uploadId, sizeBytes: content.sizeBytes };
  try {
    return await ctx.core.storage.commit(content.segmentKeys, target);
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
