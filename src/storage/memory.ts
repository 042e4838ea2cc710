/** The driver that forgets everything with its process: for tests and for trying out. It knows no limits. */
import { Readable } from "node:stream";
import { assert } from "#std/assert.ts";
import type { Clock } from "#std/clock.ts";
import type { CommitTarget, SegmentKey, SegmentWriter, StorageDriver, StoredEntry } from "./driver.ts";
import { StorageError } from "./driver.ts";

interface Segment {
  readonly chunks: Uint8Array[];
  sizeBytes: number;
  modifiedAt: number;
  isFinished: boolean;
}

interface Copy {
  readonly bytes: Buffer;
  readonly incarnation: string;
  readonly modifiedAt: number;
}

interface Store {
  readonly clock: Clock;
  readonly segments: Map<SegmentKey, Segment>;
  readonly copies: Map<string, Copy>;
}

/** Makes an empty store in memory. */
export function createMemoryDriver({ clock }: { readonly clock: Clock }): StorageDriver {
  const store: Store = { clock, segments: new Map(), copies: new Map() };
  const { segments, copies } = store;
  return {
    name: "memory",
    async check() {},
    openSegment: async (key) => openSegment(store, key),
    readSegment: async (key) => streamOf(Buffer.concat(finishedSegment(store, key).chunks)),
    async deleteSegment(key) {
      segments.delete(key);
    },
    commit: async (keys, target) => commit(store, keys, target),
    async read(key, sizeBytes, span) {
      const bytes = copies.get(key)?.bytes;
      if (bytes === undefined) throw new StorageError("not-found", `stored copy ${key} is not there`);
      if (bytes.byteLength !== sizeBytes) throw new StorageError("corrupt", `${key} has ${bytes.byteLength} bytes instead of ${sizeBytes}`);
      assert(span === undefined || (span.first >= 0 && span.first <= span.last && span.last < sizeBytes), "a span lies inside of its blob");
      const part = span === undefined ? bytes : bytes.subarray(span.first, span.last + 1);
      return { kind: "bytes", sizeBytes: part.byteLength, stream: streamOf(part) };
    },
    async stat(key) {
      const copy = copies.get(key);
      return copy === undefined ? undefined : { sizeBytes: copy.bytes.byteLength };
    },
    async delete(key) {
      copies.delete(key);
    },
    async *listStored(): AsyncGenerator<StoredEntry> {
      for (const [key, { bytes, incarnation, modifiedAt }] of copies)
        yield { key, sizeBytes: bytes.byteLength, modifiedAt, owner: incarnation };
    },
    async *listSegments(): AsyncGenerator<StoredEntry> {
      for (const [key, { sizeBytes, modifiedAt }] of segments) yield { key, sizeBytes, modifiedAt, owner: key.slice(0, key.indexOf("/")) };
    },
  };
}

function openSegment({ segments, clock }: Store, key: SegmentKey): SegmentWriter {
  assert(/^[a-z0-9-]+\/[a-z0-9-]+$/.test(key), "a segment key is '<upload id>/<ordinal>'");
  if (segments.has(key)) throw new StorageError("unavailable", `segment ${key} is there already`);
  const segment: Segment = { chunks: [], sizeBytes: 0, modifiedAt: clock.now(), isFinished: false };
  segments.set(key, segment);
  return {
    async write(chunk) {
      if (segments.get(key) !== segment) throw new StorageError("unavailable", `segment ${key} was dropped`);
      assert(!segment.isFinished, "a finished segment takes no more bytes");
      segment.chunks.push(chunk);
      segment.sizeBytes += chunk.byteLength;
      segment.modifiedAt = clock.now();
    },
    async finish() {
      if (segments.get(key) !== segment) throw new StorageError("unavailable", `segment ${key} was dropped`);
      assert(!segment.isFinished, "a segment is finished once");
      segment.isFinished = true;
      return { sizeBytes: segment.sizeBytes };
    },
    async abort() {
      if (segments.get(key) === segment) segments.delete(key);
    },
  };
}

function commit(store: Store, keys: readonly SegmentKey[], { digest, incarnation, sizeBytes }: CommitTarget): string {
  const key = `${digest}.${incarnation}`;
  const known = store.copies.get(key)?.bytes;
  const bytes = known ?? Buffer.concat(keys.flatMap((segment) => finishedSegment(store, segment).chunks));
  if (bytes.byteLength !== sizeBytes) throw new StorageError("corrupt", `${digest} has ${bytes.byteLength} bytes instead of ${sizeBytes}`);
  if (known === undefined) store.copies.set(key, { bytes, incarnation, modifiedAt: store.clock.now() });
  for (const segment of keys) store.segments.delete(segment);
  return key;
}

function finishedSegment({ segments }: Store, key: SegmentKey): Segment {
  const segment = segments.get(key);
  if (segment?.isFinished !== true) throw new StorageError("not-found", `segment ${key} is not there`);
  return segment;
}

/** A copy, because readers may keep or change what they are given. */
function streamOf(bytes: Buffer): Readable {
  const copy = Buffer.from(bytes);
  return new Readable({
    read() {
      this.push(copy);
      this.push(null);
    },
  });
}
