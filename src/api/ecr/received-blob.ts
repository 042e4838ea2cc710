/**
 * The bytes of a blob member, decoded while the request arrives and kept in budgeted memory until the signature, which covers
 * the whole body, is known to be right. Nothing of an unsigned request reaches the disk, and the base64 text is never held.
 */
/** How much memory is taken at a time. */
export const blockBytes = 1_048_576;

/** Collects decoded bytes; see the file's comment. */
export interface ReceivedBlob {
  readonly sizeBytes: number;
  /** Hands the bytes out in order, once; each block is given up when it is handed out, and belongs to the taker. */
  take(): AsyncIterable<Uint8Array>;
}

/** A blob that is being received. `append` copies what it is given. */
export interface BlobCollector extends ReceivedBlob {
  append(chunk: Uint8Array): void;
}

/** Makes an empty collector. Its blocks are memory of their own: storage drivers may detach what they have written. */
export function collectBlob(): BlobCollector {
  const full: Uint8Array[] = [];
  let block = new Uint8Array(0);
  let used = 0;
  let sizeBytes = 0;

  function append(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (used === block.length) {
        if (used > 0) full.push(block);
        block = new Uint8Array(blockBytes);
        used = 0;
      }
      const fits = rest.subarray(0, block.length - used);
      block.set(fits, used);
      used += fits.length;
      sizeBytes += fits.length;
      rest = rest.subarray(fits.length);
    }
  }

  async function* take(): AsyncGenerator<Uint8Array> {
    if (used > 0) full.push(used === block.length ? block : block.slice(0, used));
    block = new Uint8Array(0);
    used = 0;
    for (let next = full.shift(); next !== undefined; next = full.shift()) yield next;
  }

  return {
    get sizeBytes() {
      return sizeBytes;
    },
    append,
    take,
  };
}
