/**
 * Two drivers as one: what is pushed goes to the standard one, and copies can be made in the other. A key of the cold one carries a prefix,
 * which no driver's own keys begin with; all others belong to the standard one, so a registry that had no cold tier keeps its keys.
 */
import type { Readable } from "node:stream";
import type { SegmentKey, StorageDriver, StorageKey, StorageTier, StoredEntry, TierCopy } from "./driver.ts";
import { StorageError } from "./driver.ts";

const coldPrefix = "cold:";

/** The drivers of the tiers; they share nothing. */
export interface Tiers {
  readonly standard: StorageDriver;
  readonly cold: StorageDriver;
}

/** Joins two drivers. Whoever opened them closes them. */
export function createTieredDriver(tiers: Tiers): StorageDriver {
  const { standard, cold } = tiers;
  const ownerOf = (key: StorageKey): StorageDriver => tiers[tierOf(key)];
  return {
    name: `${standard.name}, cold: ${cold.name}`,
    async check() {
      await standard.check();
      await cold.check();
    },
    openSegment: (key) => standard.openSegment(key),
    readSegment: (key) => standard.readSegment(key),
    // Those of copies under way are in either; whose they are, only the listing says.
    async deleteSegment(key) {
      await standard.deleteSegment(key);
      await cold.deleteSegment(key);
    },
    commit: (segments, target) => standard.commit(segments, target),
    read: (key, sizeBytes, span) => ownerOf(key).read(ownKey(key), sizeBytes, span),
    stat: (key) => ownerOf(key).stat(ownKey(key)),
    delete: (key) => ownerOf(key).delete(ownKey(key)),
    async *listStored(): AsyncGenerator<StoredEntry> {
      yield* standard.listStored();
      for await (const entry of cold.listStored()) yield { ...entry, key: `${coldPrefix}${entry.key}` };
    },
    async *listSegments(): AsyncGenerator<StoredEntry> {
      yield* standard.listSegments();
      yield* cold.listSegments();
    },
    tiers: { tierOf, copy: (copy) => copyTo(ownerOf(copy.from), tiers[copy.to], copy) },
  };
}

function tierOf(key: StorageKey): StorageTier {
  return key.startsWith(coldPrefix) ? "cold" : "standard";
}

function ownKey(key: StorageKey): StorageKey {
  return key.startsWith(coldPrefix) ? key.slice(coldPrefix.length) : key;
}

/** Bytes first: the copy is durable before anybody can name it. */
async function copyTo(source: StorageDriver, target: StorageDriver, copy: TierCopy): Promise<StorageKey> {
  const { from, storedBytes, to, digest, incarnation } = copy;
  const segment = `${incarnation}/copy`;
  const stored = await source.read(ownKey(from), storedBytes);
  if (stored.kind !== "bytes") throw new StorageError("unavailable", "the driver does not hand out bytes");
  try {
    await writeSegment(target, segment, stored.stream, copy);
  } finally {
    stored.stream.destroy();
  }
  try {
    const key = await target.commit([segment], { digest, incarnation, sizeBytes: storedBytes });
    return to === "cold" ? `${coldPrefix}${key}` : key;
  } catch (error) {
    await target.deleteSegment(segment);
    throw error;
  }
}

async function writeSegment(target: StorageDriver, key: SegmentKey, stream: Readable, { storedBytes, onChunk }: TierCopy): Promise<void> {
  const writer = await target.openSegment(key);
  try {
    for await (const each of stream) {
      const chunk = each as Uint8Array;
      await onChunk?.(chunk);
      // The writer may detach what it is given; small buffers share their memory with others.
      await writer.write(chunk.length === chunk.buffer.byteLength ? chunk : Uint8Array.from(chunk));
    }
    const { sizeBytes } = await writer.finish();
    if (sizeBytes !== storedBytes) throw new StorageError("corrupt", `copied ${sizeBytes} bytes instead of ${storedBytes}`);
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
