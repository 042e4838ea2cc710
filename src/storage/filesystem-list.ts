/** Walks the storage folder entry by entry. What has no name of ours is left alone; what vanishes meanwhile is left out. */
import type { Dirent } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { StoredEntry } from "./driver.ts";
import { isAbsent, storageFault, storing, systemErrorCode } from "./filesystem-fault.ts";
import { removeEmptyFolder } from "./filesystem-folder.ts";
import type { StoragePaths } from "./filesystem-paths.ts";
import { parseStorageKey, segmentKeyOf, storedAlgorithms } from "./filesystem-paths.ts";

/** Entries that one read of a folder brings. */
const entriesPerRead = 256;

/** All stored copies. */
export async function* listStoredFiles(paths: StoragePaths): AsyncGenerator<StoredEntry> {
  for (const algorithm of storedAlgorithms) {
    const algorithmFolder = paths.algorithmFolder(algorithm);
    for await (const prefix of entriesOf(algorithmFolder)) {
      if (!prefix.isDirectory()) continue;
      const folder = join(algorithmFolder, prefix.name);
      for await (const { name } of entriesOf(folder)) {
        const key = `${algorithm}/${name}`;
        const owner = parseStorageKey(key)?.incarnation;
        // A file in the wrong folder would be another one under its key.
        if (owner === undefined || paths.storedFile(key) !== join(folder, name)) continue;
        const entry = await describe(key, owner, join(folder, name));
        if (entry !== undefined) yield entry;
      }
    }
  }
}

/** All segments, also those that are being written. Removes folders of uploads that a crash left empty: nobody else would find them. */
export async function* listSegmentFiles(paths: StoragePaths): AsyncGenerator<StoredEntry> {
  for await (const upload of entriesOf(paths.segmentsFolder)) {
    if (!upload.isDirectory()) continue;
    const uploadId = upload.name;
    const folder = join(paths.segmentsFolder, uploadId);
    let isEmpty = true;
    for await (const { name: ordinal } of entriesOf(folder)) {
      isEmpty = false;
      const key = segmentKeyOf(uploadId, ordinal);
      const entry = key === undefined ? undefined : await describe(key, uploadId, join(folder, ordinal));
      if (entry !== undefined) yield entry;
    }
    if (isEmpty && segmentKeyOf(uploadId, "0") !== undefined) await storing("listing", () => removeEmptyFolder(folder));
  }
}

/** The entries of a folder; none when it is not there, or is none. */
async function* entriesOf(folder: string): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(folder, { bufferSize: entriesPerRead });
  } catch (error) {
    if (!isAbsent(error) && systemErrorCode(error) !== "ENOTDIR") throw storageFault(error, "listing");
  }
}

async function describe(key: string, owner: string, file: string): Promise<StoredEntry | undefined> {
  try {
    const found = await stat(file);
    return found.isFile() ? { key, owner, sizeBytes: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw storageFault(error, "listing");
  }
}
