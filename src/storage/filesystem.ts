/** The driver for a folder on a local or network filesystem. The layout is drawn in `filesystem-paths.ts`. */
import { constants, open, rename, stat, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { assert } from "#std/assert.ts";
import type { Random } from "#std/random.ts";
import type { CommitTarget, SegmentKey, SegmentWriter, StorageDriver } from "./driver.ts";
import { StorageError } from "./driver.ts";
import { isAbsent, storageFault, storing } from "./filesystem-fault.ts";
import { makeDurableFolder, openNewFile, removeEmptyFolder, syncFolder } from "./filesystem-folder.ts";
import { listSegmentFiles, listStoredFiles } from "./filesystem-list.ts";
import type { StoragePaths } from "./filesystem-paths.ts";
import { segmentOwner, storageKeyOf, storagePathsAt } from "./filesystem-paths.ts";
import type { BufferPool } from "./filesystem-read.ts";
import { createBufferPool, openFileStream, openStoredFile } from "./filesystem-read.ts";
import type { SyncSlots } from "./filesystem-write.ts";
import { createFileWriter } from "./filesystem-write.ts";

/** Idle download buffers kept for the next downloads: 4 MiB. */
const maxIdleBuffers = 8;
const checkText = "supercargo\n";

/** What a filesystem driver is made of. */
export interface FilesystemOptions {
  /** Made when it is missing. It must be on one filesystem, and nobody else may write into it. */
  readonly folder: string;
  readonly random: Random;
}

/** What the functions of this file share. */
interface Store {
  readonly paths: StoragePaths;
  readonly random: Random;
  readonly slots: SyncSlots;
  readonly pool: BufferPool;
  /** Folders of stored copies whose own names are durable. They are never removed, and there are no more than 512. */
  readonly durableFolders: Set<string>;
}

/** Opens or makes a storage folder. Throws StorageError. */
export async function createFilesystemDriver({ folder, random }: FilesystemOptions): Promise<StorageDriver> {
  const paths = storagePathsAt(resolve(folder));
  await storing("opening the storage folder", async () => {
    await makeDurableFolder(paths.folder);
    await makeDurableFolder(paths.blobsFolder);
    await makeDurableFolder(paths.segmentsFolder);
  });
  await check(paths, constants.O_CREAT);
  const store: Store = { paths, random, slots: { inUse: 0 }, pool: createBufferPool(maxIdleBuffers), durableFolders: new Set() };
  return {
    name: "filesystem",
    check: () => check(paths),
    openSegment: (key) => openSegment(store, key),
    readSegment: (key) => openFileStream(paths.segmentFile(key), `segment ${key}`),
    deleteSegment: (key) => storing("deleting a segment", () => removeSegments(paths, [key])),
    commit: (segments, target) => storing("storing a blob", () => commit(store, segments, target)),
    read: (key, sizeBytes, span) => openStoredFile(paths.storedFile(key), `stored copy ${key}`, sizeBytes, span, store.pool),
    async stat(key) {
      const sizeBytes = await storing("looking for a blob", () => findSize(paths.storedFile(key)));
      return sizeBytes === undefined ? undefined : { sizeBytes };
    },
    delete: (key) => storing("deleting a blob", () => removeStored(paths.storedFile(key))),
    listStored: () => listStoredFiles(paths),
    listSegments: () => listSegmentFiles(paths),
  };
}

/**
 * Writes in place and reads back: notices a folder that went away, became read-only or fails. A full disk passes, because it can
 * still serve and delete. Only the start makes the file: below a mount that went away there is an empty folder, too.
 */
async function check(paths: StoragePaths, creation = 0): Promise<void> {
  try {
    // Not shortened first: another process of this registry may be reading it back.
    const handle = await open(paths.checkFile, constants.O_RDWR | creation, 0o600);
    try {
      await handle.write(checkText, 0);
      const { buffer } = await handle.read(Buffer.alloc(checkText.length), 0, checkText.length, 0);
      if (buffer.toString() !== checkText) throw new StorageError("corrupt", "the storage folder does not keep what is written");
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isAbsent(error))
      throw new StorageError("unavailable", `the storage folder ${paths.folder} is not there any more`, { cause: error });
    throw storageFault(error, "checking the storage folder");
  }
}

async function openSegment(store: Store, key: SegmentKey): Promise<SegmentWriter> {
  const { paths } = store;
  const file = paths.segmentFile(key);
  const handle = await storing(`opening segment ${key}`, () => openNewFile(file));
  const writer = createFileWriter(handle, store.slots);
  return {
    write: (chunk) => writer.write(chunk),
    finish: () =>
      storing(`finishing segment ${key}`, async () => {
        const sizeBytes = await writer.finish();
        // Both at once: the disk flushes for both together. The upload's folder may be new, and only another process may know.
        await Promise.all([syncFolder(dirname(file)), syncFolder(paths.segmentsFolder)]);
        return { sizeBytes };
      }),
    abort: () =>
      storing(`dropping segment ${key}`, async () => {
        await writer.abandon();
        await removeSegments(paths, [key]);
      }),
  };
}

/**
 * Invariant: a file under `blobs/` is complete and its data is durable before it gets its name. So a copy that is there already can
 * only be an earlier call's, and the only thing it may lack is a durable name.
 */
async function commit(store: Store, segments: readonly SegmentKey[], target: CommitTarget): Promise<string> {
  const { paths, durableFolders } = store;
  const key = storageKeyOf(target);
  const file = paths.storedFile(key);
  const folder = dirname(file);
  if (!durableFolders.has(folder)) {
    await makeDurableFolder(folder);
    durableFolders.add(folder);
  }
  if (!(await isStored(file, target)) && !(await makeStored(store, segments, target, file)) && !(await isStored(file, target)))
    throw new StorageError("not-found", `neither stored copy ${key} nor all of its segments are there`);
  await syncFolder(folder);
  await removeSegments(paths, segments);
  return key;
}

/** Is the copy there? One of another size can only be the work of a failing disk or of somebody else. */
async function isStored(file: string, { digest, sizeBytes }: CommitTarget): Promise<boolean> {
  const storedBytes = await findSize(file);
  if (storedBytes !== undefined && storedBytes !== sizeBytes)
    throw new StorageError("corrupt", `the stored copy of ${digest} has ${storedBytes} bytes instead of ${sizeBytes}`);
  return storedBytes !== undefined;
}

/** Gives the bytes of the segments their name under `blobs/`. False when a segment is missing: another call may have taken it. */
async function makeStored(store: Store, segments: readonly SegmentKey[], target: CommitTarget, file: string): Promise<boolean> {
  const sizes = await Promise.all(segments.map((key) => findSize(store.paths.segmentFile(key))));
  let totalBytes = 0;
  for (const sizeBytes of sizes) {
    if (sizeBytes === undefined) return false;
    totalBytes += sizeBytes;
  }
  if (totalBytes !== target.sizeBytes)
    throw new StorageError("corrupt", `the segments of ${target.digest} have ${totalBytes} bytes instead of ${target.sizeBytes}`);
  const [only] = segments;
  try {
    const whole = only !== undefined && segments.length === 1 ? store.paths.segmentFile(only) : await join(store, segments, target);
    await rename(whole, file);
    return true;
  } catch (error) {
    if (isAbsent(error) || (error instanceof StorageError && error.kind === "not-found")) return false;
    throw error;
  }
}

/** Copies segments behind each other into a new file and syncs its data; leaves nothing when it fails. A crash leaves what looks like a segment of the upload. */
async function join(store: Store, segments: readonly SegmentKey[], { incarnation, sizeBytes }: CommitTarget): Promise<string> {
  const key = `${incarnation}/joined-${store.random.uuid()}`;
  const file = store.paths.segmentFile(key);
  const writer = createFileWriter(await openNewFile(file), store.slots);
  try {
    for (const segment of segments) {
      const stream = await openFileStream(store.paths.segmentFile(segment), `segment ${segment}`);
      for await (const chunk of stream) await writer.write(chunk as Uint8Array);
    }
    const writtenBytes = await writer.finish();
    if (writtenBytes !== sizeBytes) throw new StorageError("corrupt", `joined ${writtenBytes} bytes instead of ${sizeBytes}`);
    return file;
  } catch (error) {
    await writer.abandon();
    await removeSegments(store.paths, [key]);
    throw error;
  }
}

/** Removes segments that are still there, and the folders of their uploads when nothing else is in them. */
async function removeSegments(paths: StoragePaths, keys: readonly SegmentKey[]): Promise<void> {
  for (const key of keys) await removeFile(paths.segmentFile(key));
  for (const uploadId of new Set(keys.map(segmentOwner))) await removeEmptyFolder(paths.segmentFolder(uploadId));
}

/** The name must not come back after a power cut. It is synced also when the file was gone: whoever removed it may have died before the sync. */
async function removeStored(file: string): Promise<void> {
  await removeFile(file);
  try {
    await syncFolder(dirname(file));
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

async function removeFile(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

async function findSize(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file);
    assert(found.isFile(), "what has the name of a blob or segment is a file");
    return found.size;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
