/**
 * Framed encryption of long content: what is stored can be read in any part, and no byte comes out that was not verified.
 *
 * Stored form: header (72 bytes), then the content in frames of 65,536 bytes, the last one with what is left (an empty content has one empty
 * frame), each followed by its tag of 16 bytes. Header: magic `SCFRAME1` (8) | salt (32) | commitment (32).
 * Key and commitment are HKDF-SHA512(data key, salt, "supercargo frames 1" | purpose), so every stored content has a key of its own, and the
 * commitment, compared before anything is decrypted, shows that it is this one: AES-GCM alone does not commit to its key.
 * Nonce of a frame: 7 zero bytes | index (4, big endian) | 1 for the last frame, else 0. So frames cannot be left out, repeated or
 * exchanged, and an end that was cut off is not taken for the end. (The construction is that of Tink's AES-GCM-HKDF streaming.)
 */
import { createCipheriv, createDecipheriv, hkdfSync, timingSafeEqual } from "node:crypto";
import { assert } from "#std/assert.ts";
import type { Random } from "#std/random.ts";

/** Bytes of content in a frame. */
export const frameBytes = 65_536;
/** What stands before the first frame. */
export const frameHeaderBytes = 72;

const tagBytes = 16;
const storedFrameBytes = frameBytes + tagBytes;
const magic = Buffer.from("SCFRAME1", "latin1");
const saltBytes = 32;
const commitmentBytes = 32;
const keyBytes = 32;
const nonceBytes = 12;
/** An index has four bytes. */
const maxFrames = 4_294_967_296;

/** What is stored is not what was written: cut off, altered, exchanged, or under another key. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** First and last byte, both inclusive. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/** The key of one content, and what it is used for: a content opens only for the purpose that it was written for. */
export interface FrameKey {
  /** 32 bytes. */
  readonly dataKey: Uint8Array;
  readonly purpose: string;
}

/** How many bytes a content of `plainBytes` has when it is framed. */
export function framedSize(plainBytes: number): number {
  return frameHeaderBytes + plainBytes + tagBytes * frameCount(plainBytes);
}

function frameCount(plainBytes: number): number {
  return Math.max(1, Math.ceil(plainBytes / frameBytes));
}

/** Frames a content that arrives in pieces; holds one frame at most. What it answers is to be stored in order; pieces are not kept. */
export interface Framer {
  push(piece: Uint8Array): readonly Buffer[];
  /** Call once, after the last piece. */
  end(): readonly Buffer[];
}

/** Makes a framer under a fresh salt. */
export function createFramer(key: FrameKey, random: Random): Framer {
  const salt = random.bytes(saltBytes);
  const { contentKey, commitment } = derive(key, salt);
  const frame = Buffer.allocUnsafe(frameBytes);
  let used = 0;
  let index = 0;
  let head: readonly Buffer[] = [Buffer.concat([magic, salt, commitment])];

  const withHead = (out: Buffer[]): readonly Buffer[] => {
    const all = [...head, ...out];
    head = [];
    return all;
  };
  const seal = (isLast: boolean): Buffer => {
    assert(index < maxFrames, "a content has at most 2^32 frames");
    const cipher = createCipheriv("aes-256-gcm", contentKey, nonceOf(index, isLast));
    index += 1;
    const sealed = Buffer.concat([cipher.update(frame.subarray(0, used)), cipher.final(), cipher.getAuthTag()]);
    used = 0;
    return sealed;
  };

  return {
    push(piece) {
      const out: Buffer[] = [];
      for (let at = 0; at < piece.length;) {
        // A full frame waits until it is known whether it is the last one.
        if (used === frameBytes) out.push(seal(false));
        const part = piece.subarray(at, at + frameBytes - used);
        frame.set(part, used);
        used += part.length;
        at += part.length;
      }
      return out.length === 0 ? out : withHead(out);
    },
    end: () => withHead([seal(true)]),
  };
}

/** Hands out stored bytes in chunks of any size: those of the span, and never more. */
export type StoredReader = (span: Span) => AsyncIterable<Uint8Array>;

/**
 * Reads a framed content of `plainBytes`: the answer hands out verified content of any span, in pieces that the reader may keep, and reads
 * no more than the header and the frames that the span touches. It holds one frame at most. Throws {@link FrameError} while it is read.
 */
export function openFrames(key: FrameKey, plainBytes: number, read: StoredReader): StoredReader {
  const lastIndex = frameCount(plainBytes) - 1;
  let contentKey: Promise<Buffer> | undefined;
  const openHeader = async (): Promise<Buffer> => {
    const header = await readExactly(read({ first: 0, last: frameHeaderBytes - 1 }), frameHeaderBytes);
    const derived = derive(key, header.subarray(magic.length, magic.length + saltBytes));
    const isOurs = header.subarray(0, magic.length).equals(magic);
    if (!isOurs || !timingSafeEqual(header.subarray(magic.length + saltBytes), derived.commitment))
      throw new FrameError("the content is not under this key");
    return derived.contentKey;
  };

  return async function* readSpan({ first, last }) {
    assert(first >= 0 && last < plainBytes && first <= last + 1, "a span lies inside of its content");
    const opened = await (contentKey ??= openHeader());
    const from = Math.floor(first / frameBytes);
    const to = Math.max(from, Math.floor(last / frameBytes));
    const storedFirst = frameHeaderBytes + from * storedFrameBytes;
    const storedLast = Math.min(frameHeaderBytes + (to + 1) * storedFrameBytes, framedSize(plainBytes)) - 1;
    let index = from;
    for await (const frame of inFrames(read({ first: storedFirst, last: storedLast }), storedLast - storedFirst + 1)) {
      const plain = unseal(opened, frame, index, index === lastIndex);
      const start = Math.max(0, first - index * frameBytes);
      const part = plain.subarray(start, Math.min(plain.length, last - index * frameBytes + 1));
      if (part.length > 0) yield part;
      index += 1;
    }
  };
}

/** Cuts stored bytes into frames. Throws {@link FrameError} when they are not as many as they should be. */
async function* inFrames(chunks: AsyncIterable<Uint8Array>, totalBytes: number): AsyncGenerator<Buffer> {
  let missing = totalBytes;
  let frame = Buffer.allocUnsafe(Math.min(missing, storedFrameBytes));
  let used = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      if (missing === 0) throw new FrameError("the content is longer than it should be");
      const part = chunk.subarray(at, at + frame.length - used);
      frame.set(part, used);
      used += part.length;
      at += part.length;
      if (used < frame.length) continue;
      missing -= used;
      yield frame;
      // A new one: what is read from the old one may still be on its way out.
      frame = Buffer.allocUnsafe(Math.min(missing, storedFrameBytes));
      used = 0;
    }
  }
  if (missing > 0) throw new FrameError("the content ends too early");
}

async function readExactly(chunks: AsyncIterable<Uint8Array>, length: number): Promise<Buffer> {
  for await (const frame of inFrames(chunks, length)) return frame;
  throw new FrameError("the content ends too early");
}

function unseal(contentKey: Buffer, frame: Buffer, index: number, isLast: boolean): Buffer {
  const tagAt = frame.length - tagBytes;
  const decipher = createDecipheriv("aes-256-gcm", contentKey, nonceOf(index, isLast), { authTagLength: tagBytes });
  decipher.setAuthTag(frame.subarray(tagAt));
  const plain = decipher.update(frame.subarray(0, tagAt));
  try {
    decipher.final();
  } catch (error) {
    throw new FrameError(`frame ${index} was altered`, { cause: error });
  }
  return plain;
}

function nonceOf(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.writeUInt32BE(index, 7);
  nonce.writeUInt8(isLast ? 1 : 0, 11);
  return nonce;
}

function derive({ dataKey, purpose }: FrameKey, salt: Uint8Array): { readonly contentKey: Buffer; readonly commitment: Buffer } {
  assert(dataKey.length === keyBytes, "a data key has 32 bytes");
  const bytes = Buffer.from(hkdfSync("sha512", dataKey, salt, `supercargo frames 1\0${purpose}`, keyBytes + commitmentBytes));
  return { contentKey: bytes.subarray(0, keyBytes), commitment: bytes.subarray(keyBytes) };
}
