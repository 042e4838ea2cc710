/**
 * Writing one file fast: chunks are gathered and written together while the next ones arrive, and data is synced in the background, so
 * that the sync at the end has little left to do. Whoever writes waits as soon as a whole batch is ready and the one before is not on its way yet.
 */
import type { FileHandle } from "node:fs/promises";
import { assert } from "#std/assert.ts";
import { StorageError } from "./driver.ts";
import { storageFault } from "./filesystem-fault.ts";

const mebibyte = 1_048_576;
/** Bytes of one write call; at most two such batches are in memory. */
const batchBytes = mebibyte;
/** Tiny chunks pin more memory than they carry: this many make a batch too. IOV_MAX is 1024. */
const batchChunks = 512;
/** Without syncs on the way the last one has everything to do, while the client waits. */
const syncEveryBytes = 64 * mebibyte;
/** A sync occupies one of the few threads that file operations share: reads must find one free. */
const maxBackgroundSyncs = 2;
/**
 * Smaller buffers cost less to collect than to detach. Some networks deliver little at a time: buffers of a few kilobytes that wait for
 * the garbage collector add up to 80 MB under eight uploads.
 */
const releaseFromBytes = 4096;

/** Counts the background syncs of all writers of a driver. */
export interface SyncSlots {
  inUse: number;
}

/** Writes one file from its start. Calls after a failure reject with that failure. */
export interface FileWriter {
  /** Takes the chunk over, to be detached once written. Resolves when more can be taken. */
  write(chunk: Uint8Array): Promise<void>;
  /** Writes what is left, syncs the data, closes the file; resolves with its size. */
  finish(): Promise<number>;
  /** Closes the file as it is, in any state. */
  abandon(): Promise<void>;
}

/** Makes a writer for a file that is open and empty. The writer closes it. */
export function createFileWriter(handle: FileHandle, slots: SyncSlots): FileWriter {
  return new GatheringWriter(handle, slots);
}

class GatheringWriter implements FileWriter {
  readonly #handle: FileHandle;
  readonly #slots: SyncSlots;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #writtenBytes = 0;
  #syncedBytes = 0;
  /** The batch on its way, and the background sync; neither rejects: failures are kept in `#failure`. */
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #failure: unknown;
  #isOpen = true;

  constructor(handle: FileHandle, slots: SyncSlots) {
    this.#handle = handle;
    this.#slots = slots;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#expectHealthy();
    if (chunk.byteLength === 0) return;
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.byteLength;
    if (this.#gatheredBytes < batchBytes && this.#gathered.length < batchChunks) return;
    await this.#beginBatch();
  }

  async finish(): Promise<number> {
    this.#expectHealthy();
    await this.#beginBatch();
    await this.#writing;
    await this.#syncing;
    this.#expectHealthy();
    this.#isOpen = false;
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#fail(error);
    }
    await this.#close();
    if (this.#failure !== undefined) throw this.#failure;
    return this.#writtenBytes;
  }

  async abandon(): Promise<void> {
    this.#failure ??= new StorageError("unavailable", "the file was abandoned");
    this.#gathered = [];
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#writing;
    await this.#syncing;
    await this.#close();
  }

  #expectHealthy(): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#isOpen, "a finished file takes no more bytes");
  }

  #fail(error: unknown): void {
    this.#failure ??= storageFault(error, "writing");
  }

  /** Waits for the batch before, then sends off what is gathered. */
  async #beginBatch(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#expectHealthy();
    const batch = this.#gathered;
    const sizeBytes = this.#gatheredBytes;
    if (batch.length === 0) return;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#writing = this.#writeBatch(batch, sizeBytes);
  }

  async #writeBatch(batch: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    try {
      await writeAll(this.#handle, batch);
      this.#writtenBytes += sizeBytes;
      for (const chunk of batch) releaseMemory(chunk);
      this.#syncInBackground();
    } catch (error) {
      this.#fail(error);
    }
    this.#writing = undefined;
  }

  #syncInBackground(): void {
    const writtenBytes = this.#writtenBytes;
    const isDue = writtenBytes - this.#syncedBytes >= syncEveryBytes;
    if (!isDue || !this.#isOpen || this.#syncing !== undefined || this.#slots.inUse >= maxBackgroundSyncs) return;
    this.#syncing = this.#sync(writtenBytes);
  }

  /** The kernel reports a failed write-back to one sync only: a failure here must not be forgotten, the last sync would succeed. */
  async #sync(writtenBytes: number): Promise<void> {
    this.#slots.inUse++;
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#fail(error);
    }
    this.#slots.inUse--;
    this.#syncedBytes = writtenBytes;
    this.#syncing = undefined;
  }

  /** Network filesystems report a full quota as late as here. */
  async #close(): Promise<void> {
    try {
      await this.#handle.close();
    } catch (error) {
      this.#fail(error);
    }
  }
}

/** Writes all chunks at the file's position; a call that writes less than it was given is followed by another. */
async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let rest = chunks;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest);
    if (bytesWritten === 0) throw new StorageError("unavailable", "a write made no progress");
    rest = chunksAfter(rest, bytesWritten);
  }
}

/** What remains of the chunks after their first `skipBytes`. */
function chunksAfter(chunks: readonly Uint8Array[], skipBytes: number): readonly Uint8Array[] {
  let leftBytes = skipBytes;
  for (const [index, chunk] of chunks.entries()) {
    if (leftBytes < chunk.byteLength) return [chunk.subarray(leftBytes), ...chunks.slice(index + 1)];
    leftBytes -= chunk.byteLength;
  }
  return [];
}

/** Frees a buffer now instead of at the next garbage collection, which many parallel uploads would wait for with full hands. */
function releaseMemory(chunk: Uint8Array): void {
  const { buffer, byteLength } = chunk;
  if (byteLength < releaseFromBytes || byteLength !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return;
  buffer.transfer(0);
}
