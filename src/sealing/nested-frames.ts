/** Several framings around one content, each under a key of its own: whoever opens it needs all of them. */
import type { Random } from "#std/random.ts";
import type { FrameKey, Framer, StoredReader } from "./frames.ts";
import { FrameError, createFramer, framedSize, openFrames } from "./frames.ts";

/** How many bytes a content has under that many layers. */
export function nestedSize(plainBytes: number, layers: number): number {
  let sizeBytes = plainBytes;
  for (let layer = 0; layer < layers; layer += 1) sizeBytes = framedSize(sizeBytes);
  return sizeBytes;
}

/** Frames a content once for each key; the first key is the outermost. Holds one frame a layer. */
export function createNestedFramer(keys: readonly FrameKey[], random: Random): Framer {
  const framers = keys.map((key) => createFramer(key, random)).toReversed();
  return {
    push: (piece) =>
      framers.reduce<readonly Uint8Array[]>((pieces, framer) => pieces.flatMap((part) => framer.push(part)), [piece]) as readonly Buffer[],
    end: () => framers.reduce<readonly Buffer[]>((out, framer) => [...out.flatMap((piece) => framer.push(piece)), ...framer.end()], []),
  };
}

/** Reads what {@link createNestedFramer} made of a content of `plainBytes`. Throws FrameError while it is read. */
export function openNestedFrames(keys: readonly FrameKey[], plainBytes: number, read: StoredReader): StoredReader {
  return keys.reduce((reader, key, layer) => openFrames(key, nestedSize(plainBytes, keys.length - 1 - layer), reader), read);
}

/** A short content, framed in one piece. */
export function sealWhole(keys: readonly FrameKey[], plain: Uint8Array, random: Random): Buffer {
  const layers = createNestedFramer(keys, random);
  return Buffer.concat([...layers.push(plain), ...layers.end()]);
}

/** Opens what {@link sealWhole} made. Rejects with FrameError. */
export async function openWhole(keys: readonly FrameKey[], plainBytes: number, sealed: Uint8Array): Promise<Buffer> {
  const read: StoredReader = async function* ({ first, last }) {
    yield sealed.subarray(first, last + 1);
  };
  if (sealed.length !== nestedSize(plainBytes, keys.length)) throw new FrameError("the content has the wrong length");
  const out: Uint8Array[] = [];
  for await (const piece of openNestedFrames(keys, plainBytes, read)({ first: 0, last: plainBytes - 1 })) out.push(piece);
  return Buffer.concat(out);
}
