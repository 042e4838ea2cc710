/** The way of bytes into an upload session: from the client, through the running hash, into a segment that is durable before it counts. */
import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import type { UploadSession } from "#metadata/upload-sessions.ts";
import type { DigestAlgorithm } from "#oci/digest.ts";
import type { FrameKey } from "#sealing/frames.ts";
import type { SegmentKey, SegmentWriter } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import type { RegistryCore } from "./context.ts";
import { RegistryError, refuse } from "./errors.ts";
import { protectWriter, readProtectedSegment } from "./protected-bytes.ts";
import type { SizedSegment } from "./protected-bytes.ts";

/** Bytes on their way in. */
export interface IncomingBytes {
  /**
   * Chunks in order; each belongs to the registry once handed out and may be detached. When an upload is refused in the middle, the
   * iterator is left where it stands: who made it decides what becomes of the rest.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** What the request announced (Content-Length). */
  readonly announcedBytes?: number | undefined;
  /** Where the request says the bytes begin (Content-Range). */
  readonly firstByte?: number | undefined;
}

/** A segment that is durable and does not count yet. */
export interface ReceivedSegment {
  readonly segmentKey: SegmentKey;
  readonly sizeBytes: number;
  /** Has seen everything up to the segment's end. */
  readonly hash: Hash;
}

/** How `receiveSegment` opens what it writes to. */
export interface SegmentPlan {
  readonly segmentKey: SegmentKey;
  /** How many bytes may come at most. */
  readonly roomBytes: number;
  /** What encrypts the segment; undefined in plain repositories. */
  readonly keys: readonly FrameKey[] | undefined;
  /** Called once before the first byte is stored; answers the hash over all earlier bytes. */
  begin(): Promise<Hash>;
  /** Called when the body failed after `begin` was called. Does not throw. */
  abandon(): Promise<void>;
  /** Throws the refusal for more bytes than there is room. */
  tooLarge(): never;
  /** Called when the segment went away under its writer. Throws the refusal when that is because the session was ended meanwhile. */
  lost(): Promise<void>;
}

/**
 * Receives one body as a segment. Undefined when the body is empty: then nothing was begun. After any failure no byte is left.
 * Throws `upload-size` when the length is not the announced one, `body-aborted` when the client went away, `storage-full`, what
 * `plan.tooLarge` and `plan.lost` throw, and whatever `begin` throws.
 */
export async function receiveSegment(core: RegistryCore, incoming: IncomingBytes, plan: SegmentPlan): Promise<ReceivedSegment | undefined> {
  const { announcedBytes } = incoming;
  if (announcedBytes !== undefined && announcedBytes > plan.roomBytes) plan.tooLarge();
  const source = incoming.chunks[Symbol.asyncIterator]();
  let writer: SegmentWriter | undefined;
  let hash: Hash | undefined;
  let hasBegun = false;
  let sizeBytes = 0;
  try {
    for (;;) {
      const chunk = await nextChunk(source, sizeBytes);
      if (chunk === undefined) break;
      if (chunk.byteLength === 0) continue;
      sizeBytes += chunk.byteLength;
      if (announcedBytes !== undefined && sizeBytes > announcedBytes) refuse("upload-size", { announcedBytes, receivedBytes: sizeBytes });
      if (sizeBytes > plan.roomBytes) plan.tooLarge();
      if (hash === undefined) {
        hasBegun = true;
        hash = await plan.begin();
        writer = await openWriter(core, plan);
      }
      // Before the write: the writer may detach the buffer.
      hash.update(chunk);
      await writer?.write(chunk);
    }
    if (announcedBytes !== undefined && sizeBytes !== announcedBytes) refuse("upload-size", { announcedBytes, receivedBytes: sizeBytes });
    await writer?.finish();
    return hash === undefined ? undefined : { segmentKey: plan.segmentKey, sizeBytes, hash };
  } catch (error) {
    if (writer !== undefined) await dropBytes(core, plan.segmentKey, writer);
    if (hasBegun) await plan.abandon();
    if (error instanceof StorageError && error.kind === "not-found") await plan.lost();
    throw storageRefusal(error);
  }
}

async function openWriter({ storage, random }: RegistryCore, { segmentKey, keys }: SegmentPlan): Promise<SegmentWriter> {
  const writer = await storage.openSegment(segmentKey);
  return keys === undefined ? writer : protectWriter(writer, keys, random);
}

/** Frees what was received. What cannot be freed now is found by garbage collection, and must not hide why the body was refused. */
async function dropBytes(core: RegistryCore, segmentKey: SegmentKey, writer: SegmentWriter): Promise<void> {
  try {
    await writer.abort();
    await core.storage.deleteSegment(segmentKey);
  } catch (error) {
    core.log.warn({ error: String(error), segmentKey }, "a refused segment could not be removed");
  }
}

/** The next chunk, undefined at the end. A source that fails is a client that went away, unless it refuses in our own terms. */
async function nextChunk(source: AsyncIterator<Uint8Array>, receivedBytes: number): Promise<Uint8Array | undefined> {
  try {
    const next = await source.next();
    return next.done === true ? undefined : next.value;
  } catch (error) {
    if (error instanceof RegistryError || !isBrokenBody(error)) throw error;
    return refuse("body-aborted", { receivedBytes });
  }
}

/** Errors of the connection carry one of Node's codes (`ECONNRESET`, `ERR_STREAM_PREMATURE_CLOSE`); a decoder's own refusal does not and is passed on. */
function isBrokenBody(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return error.name === "AbortError" || (typeof code === "string" && /^[A-Z][A-Z0-9_]+$/.test(code));
}

/** A full disk is a refusal; everything else stays what it was. */
export function storageRefusal(error: unknown): unknown {
  if (!(error instanceof StorageError) || error.kind !== "no-space") return error;
  return new RegistryError({ kind: "storage-full", detail: {} });
}

/** The earlier segments of a session are not there any more: another attempt to complete it has turned them into a stored copy, or somebody deleted files. */
export class SegmentsGone extends Error {
  override readonly name = "SegmentsGone";
}

/**
 * A hash over everything the session holds: the running one of this process, or one made by reading the segments again, which is
 * needed after a restart, on another node, and for an algorithm nobody announced. Throws {@link SegmentsGone}, and
 * StorageError("corrupt") when the segments are not what was received.
 */
export async function hashSession(
  core: RegistryCore,
  session: UploadSession,
  algorithm: DigestAlgorithm,
  keys: readonly FrameKey[] | undefined,
): Promise<Hash> {
  const isOwn = algorithm === session.algorithm;
  const running = isOwn ? core.uploads.copy(session.uploadId, session.receivedBytes) : undefined;
  if (running !== undefined) return running;
  const hash = createHash(algorithm);
  let readBytes = 0;
  for (const segment of session.segments) {
    for await (const chunk of await readSegment(core, segment, keys)) {
      hash.update(chunk as Uint8Array);
      readBytes += (chunk as Uint8Array).byteLength;
    }
  }
  const isWhole = readBytes === session.receivedBytes;
  if (!isWhole || (isOwn && session.digestSoFar !== undefined && hash.copy().digest("hex") !== session.digestSoFar)) {
    throw new StorageError("corrupt", `the segments of upload session ${session.uploadId} are not what was received`);
  }
  if (isOwn) core.uploads.keep(session.uploadId, session.receivedBytes, hash.copy());
  return hash;
}

async function readSegment(
  core: RegistryCore,
  segment: SizedSegment,
  keys: readonly FrameKey[] | undefined,
): Promise<AsyncIterable<unknown>> {
  if (keys !== undefined) return readSealed(core, segment, keys);
  try {
    return await core.storage.readSegment(segment.segmentKey);
  } catch (error) {
    throw goneOr(error, segment);
  }
}

async function* readSealed(core: RegistryCore, segment: SizedSegment, keys: readonly FrameKey[]): AsyncGenerator {
  try {
    yield* readProtectedSegment(core, segment, keys);
  } catch (error) {
    throw goneOr(error, segment);
  }
}

function goneOr(error: unknown, { segmentKey }: SizedSegment): unknown {
  return error instanceof StorageError && error.kind === "not-found" ? new SegmentsGone(segmentKey, { cause: error }) : error;
}
