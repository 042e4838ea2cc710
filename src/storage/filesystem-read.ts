/** Reading files: small ones with one read, large ones in chunks, and to sockets with a few buffers that are used again and again. */
import type { FileHandle } from "node:fs/promises";
import { open, readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Writable } from "node:stream";
import { assert } from "#std/assert.ts";
import type { ByteSpan, LocalBytes } from "./driver.ts";
import { StorageError } from "./driver.ts";
import { storing } from "./filesystem-fault.ts";
import type { Receiver } from "./receiver.ts";
import { watchReceiver } from "./receiver.ts";

/** Measured: half of it costs a third of the speed to a socket, twice as much gains nothing and costs memory. */
const bufferBytes = 524_288;
/** Up to here bytes are read at once, and the file is closed before anyone asks for them: Node opens, reads and closes in one go. */
const smallBytes = bufferBytes;
/** Chunks of a stream are new memory each time; its readers (hashing, scanning) gain nothing from more. */
const chunkBytes = 262_144;

/** Buffers for downloads, used again by later ones. */
export interface BufferPool {
  take(): Buffer;
  /** Only for a buffer whose last write was confirmed: a socket may still be reading any other. */
  giveBack(buffer: Buffer): void;
}

/** Makes a pool that keeps at most `maxIdle` buffers of 512 KiB for later. */
export function createBufferPool(maxIdle: number): BufferPool {
  const idle: Buffer[] = [];
  return {
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(bufferBytes),
    giveBack(buffer) {
      if (idle.length < maxIdle) idle.push(buffer);
    },
  };
}

/**
 * Opens a file that must have `sizeBytes`, or a span of it. Throws StorageError: "not-found", "corrupt" when it has another size.
 * `name` stands in messages.
 */
export async function openStoredFile(
  file: string,
  name: string,
  sizeBytes: number,
  span: ByteSpan | undefined,
  pool: BufferPool,
): Promise<LocalBytes> {
  const { first, last } = span ?? { first: 0, last: sizeBytes - 1 };
  assert(span === undefined || (first >= 0 && first <= last && last < sizeBytes), "a span lies inside of its blob");
  const lengthBytes = last - first + 1;
  return storing(`reading ${name}`, async () => {
    if (lengthBytes === sizeBytes && sizeBytes <= smallBytes) {
      const bytes = await readFile(file);
      expectSize(name, bytes.byteLength, sizeBytes);
      return bytesInMemory(bytes);
    }
    const handle = await open(file, "r");
    const source = new FileSource(handle, name, first, lengthBytes);
    try {
      expectSize(name, (await handle.stat()).size, sizeBytes);
      if (lengthBytes > smallBytes) return fileBytes(source, lengthBytes, pool);
      const bytes = Buffer.allocUnsafe(lengthBytes);
      await source.fill(bytes);
      await source.close();
      return bytesInMemory(bytes);
    } catch (error) {
      await source.close();
      throw error;
    }
  });
}

function expectSize(name: string, actualBytes: number, sizeBytes: number): void {
  if (actualBytes !== sizeBytes) throw new StorageError("corrupt", `${name} has ${actualBytes} bytes instead of ${sizeBytes}`);
}

/** Opens a whole file of any size. Throws StorageError("not-found"). */
export async function openFileStream(file: string, name: string): Promise<Readable> {
  return storing(`reading ${name}`, async () => {
    const handle = await open(file, "r");
    try {
      return streamOf(new FileSource(handle, name, 0, (await handle.stat()).size));
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** A span of an open file that is read from its start to its end. */
class FileSource {
  readonly #handle: FileHandle;
  readonly #name: string;
  #position: number;
  #restBytes: number;
  #closing: Promise<void> | undefined;

  constructor(handle: FileHandle, name: string, position: number, restBytes: number) {
    this.#handle = handle;
    this.#name = name;
    this.#position = position;
    this.#restBytes = restBytes;
  }

  get restBytes(): number {
    return this.#restBytes;
  }

  /** Reads the next bytes, at least one, into the start of the buffer. A file that ends early is corrupt. */
  async next(buffer: Buffer): Promise<Buffer> {
    const wantedBytes = Math.min(buffer.byteLength, this.#restBytes);
    const { bytesRead } = await storing(`reading ${this.#name}`, () => this.#handle.read(buffer, 0, wantedBytes, this.#position));
    if (bytesRead === 0) throw new StorageError("corrupt", `${this.#name} ends ${this.#restBytes} bytes too early`);
    this.#position += bytesRead;
    this.#restBytes -= bytesRead;
    return buffer.subarray(0, bytesRead);
  }

  /** Reads the next bytes until the buffer is full. */
  async fill(buffer: Buffer): Promise<void> {
    for (let filled = 0; filled < buffer.byteLength;) filled += (await this.next(buffer.subarray(filled))).byteLength;
  }

  /** Waits for a read that is under way. Any number of times. */
  close(): Promise<void> {
    this.#closing ??= this.#handle.close();
    return this.#closing;
  }
}

function bytesInMemory(bytes: Buffer): LocalBytes {
  let stream: Readable | undefined;
  return {
    kind: "bytes",
    sizeBytes: bytes.byteLength,
    get stream() {
      stream ??= new Readable({
        read() {
          this.push(bytes);
          this.push(null);
        },
      });
      return stream;
    },
    pipeTo: (sink, signal) => deliver(sink, signal, (receiver) => receiver.end(bytes)),
  };
}

function fileBytes(source: FileSource, sizeBytes: number, pool: BufferPool): LocalBytes {
  let stream: Readable | undefined;
  return {
    kind: "bytes",
    sizeBytes,
    get stream() {
      stream ??= streamOf(source);
      return stream;
    },
    async pipeTo(sink, signal) {
      assert(stream?.readableDidRead !== true && source.restBytes === sizeBytes, "bytes are read once");
      try {
        await deliver(sink, signal, (receiver) => pump(source, receiver, pool));
      } finally {
        await source.close();
        stream?.destroy();
      }
    },
  };
}

function streamOf(source: FileSource): Readable {
  return new Readable({
    highWaterMark: chunkBytes,
    read() {
      if (source.restBytes === 0) {
        this.push(null);
        return;
      }
      const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, source.restBytes));
      source.next(buffer).then(
        (chunk) => this.push(chunk),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, callback) {
      void closeSource(source, error, callback);
    },
  });
}

async function closeSource(source: FileSource, error: Error | null, callback: (error: Error | null) => void): Promise<void> {
  let failure = error;
  try {
    await source.close();
  } catch (closeError) {
    failure ??= closeError as Error;
  }
  callback(failure);
}

/** Gives the bytes to a watched sink; whatever fails, the sink is destroyed and nothing keeps listening to it. */
async function deliver(sink: Writable, signal: AbortSignal | undefined, send: (receiver: Receiver) => Promise<void>): Promise<void> {
  const receiver = watchReceiver(sink, signal);
  try {
    await send(receiver);
  } catch (error) {
    // The sink's owner learns it from us. An error that the sink still has to tell would end the process if nobody listened.
    sink.on("error", () => {});
    sink.destroy();
    throw error;
  } finally {
    receiver.release();
  }
}

/** Reads into one buffer while the other is on its way to the receiver. */
async function pump(source: FileSource, receiver: Receiver, pool: BufferPool): Promise<void> {
  const buffers = [pool.take(), pool.take()] as const;
  let [filling, flushing] = buffers;
  let flushed: Promise<void> = Promise.resolve();
  for (;;) {
    const chunk = await source.next(filling);
    await flushed;
    if (source.restBytes === 0) {
      await receiver.end(chunk);
      break;
    }
    flushed = receiver.write(chunk);
    // It is awaited after the next read; failing before that is not an unhandled rejection.
    flushed.catch(() => {});
    [filling, flushing] = [flushing, filling];
  }
  for (const buffer of buffers) pool.giveBack(buffer);
}
