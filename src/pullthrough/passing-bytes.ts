/**
 * Bytes that several readers follow while they are being stored. Memory is bounded by a window: a reader that keeps up gets each chunk as it
 * comes, and one that falls behind waits until everything is stored and reads the rest from there. So no reader holds up the storing or
 * another reader, and one that leaves is not missed.
 */

/** The writing end; used by one writer. */
export interface PassingBytes {
  /** Keeps a copy of the chunk. The last chunk is held back until {@link finish}. */
  append(chunk: Uint8Array): void;
  /** Everything has been checked and is stored: readers get their last bytes. */
  finish(): void;
  /** Readers fail with this error. What they got so far was never all. */
  fail(error: unknown): void;
  /**
   * Reads from the first byte. A chunk must not be looked at any more when the next one is asked for: its memory goes then. `readStored`
   * answers the bytes from an offset on, once everything is stored.
   */
  follow(readStored: (offset: number) => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>): AsyncGenerator<Uint8Array>;
}

interface Kept {
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Those who are looking at it. Who leaves in the middle is not taken off: the chunk may still be on its way to a socket. */
  readers: number;
  isPast: boolean;
}

/** Makes the passage with a window of so many bytes; it holds one chunk at least, however large. */
export function createPassingBytes(windowBytes: number): PassingBytes {
  const kept: Kept[] = [];
  let keptBytes = 0;
  /** Where the next chunk begins that is let through. */
  let endOffset = 0;
  let held: Uint8Array<ArrayBuffer> | undefined;
  let state: "passing" | "finished" | { readonly error: unknown } = "passing";
  let news = Promise.withResolvers<void>();

  function announce(): void {
    const { resolve } = news;
    news = Promise.withResolvers<void>();
    resolve();
  }

  function letThrough(bytes: Uint8Array<ArrayBuffer>): void {
    kept.push({ offset: endOffset, bytes, readers: 0, isPast: false });
    keptBytes += bytes.byteLength;
    endOffset += bytes.byteLength;
    while (keptBytes > windowBytes && kept.length > 1) {
      const [past] = kept.splice(0, 1);
      if (past === undefined) break;
      keptBytes -= past.bytes.byteLength;
      past.isPast = true;
      letGo(past);
    }
    announce();
  }

  /** Frees at once what nobody can ask for any more: the collector would let hundreds of megabytes come together first. */
  function letGo(chunk: Kept): void {
    if (chunk.isPast && chunk.readers === 0) chunk.bytes.buffer.transfer(0);
  }

  /** The chunk that begins at or goes over the offset; undefined when it is not in the window. */
  function chunkAt(offset: number): Kept | undefined {
    return kept.findLast((chunk) => chunk.offset <= offset);
  }

  return {
    append(chunk) {
      if (held !== undefined) letThrough(held);
      // A copy: what is stored may detach the writer's buffer.
      held = Uint8Array.from(chunk);
    },
    finish() {
      if (held !== undefined) letThrough(held);
      held = undefined;
      state = "finished";
      announce();
    },
    fail(error) {
      held = undefined;
      kept.length = 0;
      state = { error };
      announce();
    },
    async *follow(readStored) {
      let offset = 0;
      for (;;) {
        if (typeof state === "object") throw state.error;
        const chunk = offset < endOffset ? chunkAt(offset) : undefined;
        if (chunk !== undefined) {
          const rest = chunk.bytes.subarray(offset - chunk.offset);
          offset += rest.byteLength;
          chunk.readers += 1;
          yield rest;
          chunk.readers -= 1;
          letGo(chunk);
        } else if (state === "finished") {
          if (offset < endOffset) yield* await readStored(offset);
          return;
        } else await news.promise;
      }
    },
  };
}
