import { LRUCache } from "lru-cache";

/**
 * The bytes of manifests, by manifest id. Ids are never used again and a manifest's bytes never change, so an entry
 * cannot be stale; whether the caller may see it, and whether it still exists, is decided by the row read before.
 */
export interface ManifestCache {
  get(manifestId: number): Uint8Array | undefined;
  /** Keeps the bytes unless they alone exceed an eighth of the cache. */
  set(manifestId: number, bytes: Uint8Array): void;
  readonly sizeBytes: number;
}

/** What an entry costs beside its bytes. */
const entryOverheadBytes = 256;

/** A least-recently-used cache of at most `limitBytes`; 0 keeps nothing. */
export function createManifestCache(limitBytes: number): ManifestCache {
  if (limitBytes <= 0) return { get: () => undefined, set: () => undefined, sizeBytes: 0 };
  const entries = new LRUCache<number, Uint8Array>({
    maxSize: limitBytes,
    maxEntrySize: Math.max(1, Math.floor(limitBytes / 8)),
    sizeCalculation: (bytes) => bytes.byteLength + entryOverheadBytes,
  });
  return {
    get: (manifestId) => entries.get(manifestId),
    set(manifestId, bytes) {
      entries.set(manifestId, bytes);
    },
    get sizeBytes() {
      return entries.calculatedSize;
    },
  };
}
