import type { Hash } from "node:crypto";
import { LRUCache } from "lru-cache";

/**
 * The running hashes of open upload sessions in this process, and which sessions are being written to right now.
 * A cache and a courtesy, never the truth: a hash that is not here is made again from the segments, and two processes
 * that append to one session are told apart by the compare-and-set in the metadata.
 */
export interface UploadHashes {
  /** A copy of the hash that has seen exactly the first `coveredBytes` bytes of the session; undefined when there is none. */
  copy(uploadId: string, coveredBytes: number): Hash | undefined;
  /** Keeps a hash for the next append, in place of an earlier one. The caller must not touch it afterwards. */
  keep(uploadId: string, coveredBytes: number, hash: Hash): void;
  forget(uploadId: string): void;
  /** Reserves the session for one writer of this process; undefined when there is one already. Call the result exactly once. */
  reserve(uploadId: string): (() => void) | undefined;
  /** Whether a writer of this process is at work on the session. */
  isReserved(uploadId: string): boolean;
}

/** An idle session is forgotten after this time; its next append reads the earlier segments again. */
const idleMs = 3_600_000;

/** A bounded store of running hashes: at most `maxEntries`, each for an hour without use. */
export function createUploadHashes(maxEntries = 10_000): UploadHashes {
  const hashes = new LRUCache<string, { readonly coveredBytes: number; readonly hash: Hash }>({ max: maxEntries, ttl: idleMs });
  const reserved = new Set<string>();
  return {
    copy(uploadId, coveredBytes) {
      const entry = hashes.get(uploadId);
      return entry?.coveredBytes === coveredBytes ? entry.hash.copy() : undefined;
    },
    keep(uploadId, coveredBytes, hash) {
      hashes.set(uploadId, { coveredBytes, hash });
    },
    forget(uploadId) {
      hashes.delete(uploadId);
    },
    reserve(uploadId) {
      if (reserved.has(uploadId)) return undefined;
      reserved.add(uploadId);
      return () => reserved.delete(uploadId);
    },
    isReserved: (uploadId) => reserved.has(uploadId),
  };
}
