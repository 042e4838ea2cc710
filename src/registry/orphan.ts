/** Bytes without a fact: what crashes leave behind. Found by listing the driver and asking the metadata, in this order. */
import { knownStorageKeys, knownUploads } from "#metadata/garbage.ts";
import type { StoredEntry } from "#storage/driver.ts";
import type { RegistryCore } from "./context.ts";

/**
 * Those stored copies that no row names and no open upload session can still claim.
 *
 * Invariant: sessions are asked first, keys second. A session's row ends in the transaction that inserts the row naming its copy, so a
 * copy whose session has ended either has its row by the time keys are asked, or never gets one. The other way round, a
 * session that ends between the two questions would make a good copy look orphaned.
 */
export async function selectOrphanedCopies(core: RegistryCore, entries: readonly StoredEntry[]): Promise<readonly StoredEntry[]> {
  const unclaimed = await selectOrphanedSegments(core, entries);
  if (unclaimed.length === 0) return [];
  const known = await knownStorageKeys(
    core.metadata,
    unclaimed.map((entry) => entry.key),
  );
  return unclaimed.filter((entry) => !known.has(entry.key));
}

/** Those segments whose upload session is not there. A session's row exists before its first segment and is never made again. */
export async function selectOrphanedSegments(core: RegistryCore, entries: readonly StoredEntry[]): Promise<readonly StoredEntry[]> {
  if (entries.length === 0) return [];
  const owners = [...new Set(entries.map((entry) => entry.owner))];
  const open = await knownUploads(core.metadata, owners);
  return entries.filter((entry) => !open.has(entry.owner));
}
