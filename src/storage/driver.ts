/**
 * Storage: bytes by key. A driver knows keys and bytes and never learns what a manifest, a repository or an upload session is.
 *
 * Invariant: every stored copy has a key of its own, never used again; the metadata row names the key, and garbage
 * collection deletes exactly that key. So a late delete can never hit a newer copy of the same digest.
 *
 * Two kinds of thing are kept:
 * - a *segment*: the bytes of one append of an upload, written once, durable before `writeSegment` returns;
 * - a *stored copy*: the bytes of a finished blob, made from segments by `commit`.
 */
import type { Readable, Writable } from "node:stream";

/** Names a segment. Chosen by the caller before the first byte: `<upload id>/<ordinal>`, characters `[a-z0-9-]` and one `/`. */
export type SegmentKey = string;

/** Names a stored copy. Made by the driver in `commit`; opaque to everyone else. */
export type StorageKey = string;

/** First and last byte, both inclusive. */
export interface ByteSpan {
  readonly first: number;
  readonly last: number;
}

/** Bytes that the driver hands out itself. An open file may stand behind them: read them, or give up with `stream.destroy()`. */
export interface LocalBytes {
  readonly kind: "bytes";
  /** The bytes in chunks that the reader may keep. Fails with StorageError("corrupt") rather than end early. */
  readonly stream: Readable;
  /** How many bytes come: of the span, when one was asked for. */
  readonly sizeBytes: number;
  /**
   * The fast way to a socket, instead of `stream`: writes all bytes with few reused buffers, ends the sink, and resolves when the last
   * byte has been flushed. The sink must have flushed a chunk when it calls a write's callback, as sockets and HTTP responses have.
   * After a failure the sink is destroyed, so that a client never takes a part for the whole. Rejects with StorageError when the bytes
   * cannot be read to their end, with the signal's reason when it aborts, and with an error of code `ERR_STREAM_PREMATURE_CLOSE`
   * when the sink was closed by the other side.
   */
  readonly pipeTo?: (sink: Writable, signal?: AbortSignal) => Promise<void>;
}

/** Where the bytes of a stored copy are: here, or at a URL that the client may be sent to. */
export type StoredBytes = LocalBytes | { readonly kind: "elsewhere"; readonly url: string };

/** Says for which content a stored copy is made. */
export interface CommitTarget {
  /** `<algorithm>:<lower-case hex>`. */
  readonly digest: string;
  /** Makes the key unique for ever: the upload's id. The same digest and incarnation always give the same key. */
  readonly incarnation: string;
  readonly sizeBytes: number;
}

/** One stored copy or segment found while listing. */
export interface StoredEntry {
  readonly key: string;
  readonly sizeBytes: number;
  /** Milliseconds since the epoch; when the bytes were last written. */
  readonly modifiedAt: number;
  /** For a stored copy its incarnation, for a segment its upload id. */
  readonly owner: string;
}

/** Why a driver failed, as far as callers can act on it. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: "not-found" | "no-space" | "corrupt" | "unavailable";
  constructor(kind: StorageError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Receives the bytes of one segment in order. Buffers handed to `write` belong to the writer from then on: it may detach them. */
export interface SegmentWriter {
  /** Resolves when the writer can take more (back-pressure); bytes are not yet durable. Rejects with StorageError("no-space") on a full disk. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes all bytes durable (data sync and, for a new name, folder sync). After it resolves they survive kill -9 and power loss. */
  finish(): Promise<{ readonly sizeBytes: number }>;
  /** Forgets the segment and frees its bytes. Safe after any failure, and more than once. */
  abort(): Promise<void>;
}

/** Where a stored copy is: at hand, or where it costs less and takes longer to come back from. */
export type StorageTier = "standard" | "cold";

/** A copy that is to be made in another tier. */
export interface TierCopy {
  readonly from: StorageKey;
  /** Of the stored copy, framed or not. */
  readonly storedBytes: number;
  readonly to: StorageTier;
  readonly digest: string;
  /** Of the new copy; never used before. */
  readonly incarnation: string;
  /** Sees each chunk before it is written, and may refuse by rejecting: nothing is left then. */
  readonly onChunk?: (chunk: Uint8Array) => Promise<void> | void;
}

/** Several places under one driver. The copy of a finished upload is standard; keys say where their copy is. */
export interface StorageTiers {
  tierOf(key: StorageKey): StorageTier;
  /**
   * Makes another copy under a new key, durable when it resolves; the old one stays. Leaves nothing when it fails; a crash leaves what
   * `listStored` or `listSegments` shows with the incarnation as its owner. Throws StorageError.
   */
  copy(copy: TierCopy): Promise<StorageKey>;
}

/** The contract that every driver keeps; `driver-contract.ts` is its executable form. */
export interface StorageDriver {
  /** A short name for messages: "filesystem", "memory". */
  readonly name: string;
  /** Checks that the driver can read and write; used by readiness and at start. Throws StorageError. */
  check(): Promise<void>;

  /** Begins a segment. Fails if the key exists. */
  openSegment(key: SegmentKey): Promise<SegmentWriter>;
  /** Reads a finished segment from its start. Throws StorageError("not-found"). */
  readSegment(key: SegmentKey): Promise<Readable>;
  /** Removes a segment; no error when it is not there. */
  deleteSegment(key: SegmentKey): Promise<void>;

  /**
   * Makes a stored copy from finished segments, in order; the segments are gone afterwards. Durable when it resolves
   * (one segment: rename, then folder sync; several: joined, data sync, rename, folder sync). No segments: an empty copy.
   * Idempotent: when an earlier call for the same target got as far as storing the copy, it succeeds again even though the segments are gone.
   * Throws StorageError("not-found") when neither the copy nor all segments exist, StorageError("corrupt") when sizes disagree.
   */
  commit(segments: readonly SegmentKey[], target: CommitTarget): Promise<StorageKey>;
  /** Opens a stored copy of that size, whole or a span of it. Throws StorageError("not-found"); "corrupt" when the copy has another size. */
  read(key: StorageKey, sizeBytes: number, span?: ByteSpan): Promise<StoredBytes>;
  /** Size of a stored copy, or undefined. */
  stat(key: StorageKey): Promise<{ readonly sizeBytes: number } | undefined>;
  /** Removes a stored copy durably; no error when it is not there. */
  delete(key: StorageKey): Promise<void>;

  /** All stored copies, in no order; for garbage collection and fsck. Never holds the whole list in memory. */
  listStored(): AsyncIterable<StoredEntry>;
  /** All segments, finished or not. */
  listSegments(): AsyncIterable<StoredEntry>;

  /** Absent where there is one place only. */
  readonly tiers?: StorageTiers;
}
