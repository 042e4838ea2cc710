/** Bytes of encrypted repositories on their way to and from the driver. Memory is a frame a layer, whatever the length of the content. */
import { Readable } from "node:stream";
import type { FrameKey, StoredReader } from "#sealing/frames.ts";
import { FrameError, frameBytes } from "#sealing/frames.ts";
import { createNestedFramer, nestedSize, openNestedFrames } from "#sealing/nested-frames.ts";
import type { Random } from "#std/random.ts";
import type { ByteSpan, LocalBytes, SegmentKey, SegmentWriter } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import type { RegistryCore } from "./context.ts";

/** How many bytes a stored copy has: more than its content when it is framed, once for each of its keys, which are sealed one by one. */
export function storedSize({ sizeBytes, sealedKey }: { readonly sizeBytes: number; readonly sealedKey?: string }): number {
  return nestedSize(sizeBytes, sealedKey === undefined ? 0 : sealedKey.split(".").length);
}

/** Frames what is written to a segment. */
export function protectWriter(writer: SegmentWriter, keys: readonly FrameKey[], random: Random): SegmentWriter {
  const layers = createNestedFramer(keys, random);
  const writeAll = async (pieces: readonly Buffer[]): Promise<void> => {
    // The writer may detach what it is given; small buffers share their memory with others.
    for (const piece of pieces) await writer.write(piece.length === piece.buffer.byteLength ? piece : Uint8Array.from(piece));
  };
  return {
    write: (chunk) => writeAll(layers.push(chunk)),
    async finish() {
      await writeAll(layers.end());
      return writer.finish();
    },
    abort: () => writer.abort(),
  };
}

/** A segment of so many bytes of content. */
export interface SizedSegment {
  readonly segmentKey: SegmentKey;
  readonly sizeBytes: number;
}

/** The content of a protected segment. Throws StorageError while it is read: `not-found`, or `corrupt` when it is not what was written. */
export async function* readProtectedSegment(
  core: RegistryCore,
  segment: SizedSegment,
  keys: readonly FrameKey[],
): AsyncGenerator<Uint8Array> {
  const { segmentKey, sizeBytes } = segment;
  const read: StoredReader = async function* (span) {
    yield* cut(await core.storage.readSegment(segmentKey), span);
  };
  yield* verified(`segment ${segmentKey}`, openNestedFrames(keys, sizeBytes, read)({ first: 0, last: sizeBytes - 1 }));
}

/** The part of a stream that lies in the span. */
async function* cut(stream: AsyncIterable<unknown>, { first, last }: ByteSpan): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for await (const each of stream) {
    const chunk = each as Uint8Array;
    const part = chunk.subarray(Math.max(0, first - offset), Math.max(0, last + 1 - offset));
    if (part.length > 0) yield part;
    offset += chunk.length;
    if (offset > last) return;
  }
}

/**
 * Writes the content of several segments into one new segment of the same upload, under the same keys. Leaves nothing when it fails; a crash
 * leaves a segment without a row, which garbage collection finds.
 */
export async function joinProtected(
  core: RegistryCore,
  uploadId: string,
  segments: readonly SizedSegment[],
  keys: readonly FrameKey[],
): Promise<SegmentKey> {
  const segmentKey = `${uploadId}/whole-${core.random.bytes(8).toString("hex")}`;
  const writer = protectWriter(await core.storage.openSegment(segmentKey), keys, core.random);
  try {
    for (const segment of segments) for await (const piece of readProtectedSegment(core, segment, keys)) await writer.write(piece);
    await writer.finish();
    return segmentKey;
  } catch (error) {
    await writer.abort();
    await core.storage.deleteSegment(segmentKey);
    throw error;
  }
}

/** A stored copy of so many bytes of content. */
export interface ProtectedCopy {
  readonly storageKey: string;
  readonly sizeBytes: number;
  readonly keys: readonly FrameKey[];
}

/**
 * Opens a protected copy, whole or a span of it. The first bytes are read and verified before it resolves, so that what is refused is refused
 * before an answer begins; what fails later breaks the stream off with StorageError("corrupt"), and no byte of it comes out.
 */
export async function openProtectedCopy(core: RegistryCore, copy: ProtectedCopy, span: ByteSpan | undefined): Promise<LocalBytes> {
  const { storageKey, sizeBytes, keys } = copy;
  const storedBytes = nestedSize(sizeBytes, keys.length);
  const read: StoredReader = async function* (part) {
    const stored = await core.storage.read(storageKey, storedBytes, part);
    if (stored.kind !== "bytes") throw new StorageError("unavailable", "the driver does not hand out bytes");
    yield* stored.stream as AsyncIterable<Uint8Array>;
  };
  const wanted = span ?? { first: 0, last: sizeBytes - 1 };
  const pieces = verified(`stored copy ${storageKey}`, openNestedFrames(keys, sizeBytes, read)(wanted));
  return { kind: "bytes", stream: streamOf(await pieces.next(), pieces), sizeBytes: wanted.last - wanted.first + 1 };
}

/** What does not verify is, to everybody above, a copy that is corrupt. */
async function* verified(what: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    if (error instanceof FrameError) throw new StorageError("corrupt", `${what}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function close(pieces: AsyncGenerator<Uint8Array>): Promise<void> {
  try {
    await pieces.return(undefined);
  } catch {
    // Nobody waits for the bytes any more, so it does not matter that they could not be read.
  }
}

/** A stream that closes what it reads from also when nobody has begun to read it. */
function streamOf(first: IteratorResult<Uint8Array>, pieces: AsyncGenerator<Uint8Array>): Readable {
  let waiting: IteratorResult<Uint8Array> | undefined = first;
  return new Readable({
    highWaterMark: frameBytes,
    read() {
      const next = waiting === undefined ? pieces.next() : Promise.resolve(waiting);
      waiting = undefined;
      next.then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, done) {
      void close(pieces);
      done(error);
    },
  });
}
