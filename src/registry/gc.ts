/**
 * Garbage collection. Runs beside pushes and pulls, needs no read-only mode, and may run twice at once.
 * The protocol, and why no race loses a blob, is written down in `docs/gc.md`.
 */
import * as garbage from "#metadata/garbage.ts";
import { endExpiredMoves } from "#metadata/storage-class-tier.ts";
import { deleteUploadSession } from "#metadata/upload-sessions.ts";
import type { StoredEntry } from "#storage/driver.ts";
import { inBatches, repeatUntilDone } from "./batches.ts";
import type { RegistryCore } from "./context.ts";
import { selectOrphanedCopies, selectOrphanedSegments } from "./orphan.ts";

/** What a pass may be told. */
export interface GcOptions {
  /**
   * Replaces the waiting times for unreferenced and condemned blobs and orphaned bytes; 0 ignores the grace of links too. The undo window
   * of deletions and the life of upload sessions stay as they are.
   */
  readonly graceMs?: number | undefined;
  /** Ends the pass early, between two batches: the server stops, or another one has taken the job over. */
  readonly signal?: AbortSignal | undefined;
}

/** What a pass did. */
export interface GcReport {
  readonly expiredUploads: number;
  /** Rows of deletions that can no longer be undone. */
  readonly purgedTombstones: number;
  readonly droppedLinks: number;
  readonly condemnedBlobs: number;
  /** Condemned blobs that became `gone`. */
  readonly killedBlobs: number;
  /** Stored copies deleted because their blob is gone. */
  readonly deletedCopies: number;
  readonly orphanedCopies: number;
  readonly orphanedSegments: number;
  /** Bytes of the orphaned copies and segments. */
  readonly orphanedBytes: number;
  /** What the driver could not delete now; the next pass tries again. */
  readonly failures: number;
  readonly durationMs: number;
}

/** Rows in one transaction, entries in one question. Small: a push waits behind it on SQLite. */
const batchSize = 200;

interface Waits {
  readonly now: number;
  readonly tombstoneMs: number;
  readonly unreferencedMs: number;
  readonly condemnedMs: number;
  readonly ignoreGrace: boolean;
}

/**
 * Runs one pass to its end. Failures of the driver are counted and logged; a failure of the metadata ends the pass.
 * Throws the signal's reason when it is aborted; what was done stays done, and the next pass goes on.
 */
export async function runGarbageCollection(core: RegistryCore, options: GcOptions = {}): Promise<GcReport> {
  const startedAt = core.clock.now();
  const waits = waitsFor(core, options, startedAt);
  const { metadata } = core;
  const { signal } = options;
  const pass: Pass = { core, signal, failures: 0 };
  const expiredUploads = await repeatUntilDone(signal, () => endExpiredUploads(pass, waits.now));
  await repeatUntilDone(signal, () => endExpiredMoves(metadata, { now: waits.now, limit: batchSize }));
  const deletedBefore = waits.now - waits.tombstoneMs;
  const purgedTombstones = await repeatUntilDone(signal, () => garbage.purgeTombstones(metadata, { deletedBefore, limit: batchSize }));
  const droppedLinks = await repeatUntilDone(signal, () =>
    garbage.dropStaleLinks(metadata, { now: waits.now, limit: batchSize, ignoreGrace: waits.ignoreGrace }),
  );
  const condemnedBlobs = await repeatUntilDone(signal, () =>
    garbage.condemnBlobs(metadata, { unreferencedSince: waits.now - waits.unreferencedMs, now: waits.now, limit: batchSize }),
  );
  const condemnedBefore = waits.now - waits.condemnedMs;
  const killedBlobs = await repeatUntilDone(signal, () => garbage.killBlobs(metadata, { condemnedBefore, limit: batchSize }));
  const deletedCopies = await deleteGoneCopies(pass, condemnedBefore);
  const copies = await sweep(pass, core.storage.listStored(), waits, selectOrphanedCopies, (key) => core.storage.delete(key));
  const segments = await sweep(pass, core.storage.listSegments(), waits, selectOrphanedSegments, (key) => core.storage.deleteSegment(key));
  const report: GcReport = {
    expiredUploads,
    purgedTombstones,
    droppedLinks,
    condemnedBlobs,
    killedBlobs,
    deletedCopies,
    orphanedCopies: copies.count,
    orphanedSegments: segments.count,
    orphanedBytes: copies.bytes + segments.bytes,
    failures: pass.failures,
    durationMs: core.clock.now() - startedAt,
  };
  core.log.info({ ...report }, "garbage collection finished");
  return report;
}

function waitsFor({ limits }: RegistryCore, { graceMs }: GcOptions, now: number): Waits {
  return {
    now,
    tombstoneMs: limits.undoMs,
    unreferencedMs: graceMs ?? limits.unreferencedGraceMs,
    condemnedMs: Math.min(graceMs ?? limits.condemnedMs, limits.condemnedMs),
    ignoreGrace: graceMs === 0,
  };
}

interface Pass {
  readonly core: RegistryCore;
  readonly signal: AbortSignal | undefined;
  failures: number;
}

/** Ends a batch of expired sessions, except those that this process is writing to at the moment. */
async function endExpiredUploads(pass: Pass, now: number): Promise<number> {
  const { core } = pass;
  const expired = await garbage.listExpiredUploads(core.metadata, { now, limit: batchSize });
  let ended = 0;
  for (const { uploadId } of expired) {
    if (core.uploads.isReserved(uploadId)) continue;
    const segmentKeys = await deleteUploadSession(core.metadata, uploadId);
    core.uploads.forget(uploadId);
    for (const key of segmentKeys ?? []) await attempt(pass, key, () => core.storage.deleteSegment(key));
    ended += 1;
  }
  return ended;
}

/**
 * Deletes the bytes first and the row second: a crash in between deletes them again, which is no error. A copy that another one has replaced
 * is still read by who looked before, so it waits as a condemned one does.
 */
async function deleteGoneCopies(pass: Pass, condemnedBefore: number): Promise<number> {
  const { core, signal } = pass;
  let deleted = 0;
  let after = 0;
  await repeatUntilDone(signal, async () => {
    // Goes on behind a copy that cannot be deleted: it must not hold up the others.
    const gone = await garbage.listGone(core.metadata, { limit: batchSize, after, condemnedBefore });
    for (const { blobId, storageKey } of gone) {
      after = blobId;
      if (!(await attempt(pass, storageKey, () => core.storage.delete(storageKey)))) continue;
      await garbage.forgetGone(core.metadata, blobId);
      deleted += 1;
    }
    return gone.length;
  });
  return deleted;
}

type SelectOrphans = (core: RegistryCore, entries: readonly StoredEntry[]) => Promise<readonly StoredEntry[]>;

/** Goes once over what the driver holds and deletes what is old enough and belongs to nobody. */
async function sweep(
  pass: Pass,
  entries: AsyncIterable<StoredEntry>,
  waits: Waits,
  selectOrphans: SelectOrphans,
  remove: (key: string) => Promise<void>,
): Promise<{ readonly count: number; readonly bytes: number }> {
  let count = 0;
  let bytes = 0;
  for await (const batch of inBatches(entries, batchSize, pass.signal)) {
    const old = waits.ignoreGrace ? batch : batch.filter((entry) => entry.modifiedAt <= waits.now - waits.unreferencedMs);
    for (const { key, sizeBytes } of await selectOrphans(pass.core, old)) {
      if (!(await attempt(pass, key, () => remove(key)))) continue;
      count += 1;
      bytes += sizeBytes;
    }
  }
  return { count, bytes };
}

async function attempt(pass: Pass, key: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    pass.failures += 1;
    pass.core.log.warn({ error: String(error), key }, "garbage could not be deleted");
    return false;
  }
}
