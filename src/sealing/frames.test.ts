import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { systemRandom } from "#std/random.ts";
import fc from "fast-check";
import type { FrameKey, StoredReader } from "./frames.ts";
import { FrameError, createFramer, frameBytes, framedSize, frameHeaderBytes, openFrames } from "./frames.ts";

const key: FrameKey = { dataKey: systemRandom.bytes(32), purpose: "test" };
const storedFrame = frameBytes + 16;

/** Content of some frames, different everywhere. */
function contentOf(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, at) => createHash("sha256").update(String(at)).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

function frame(content: Uint8Array, pieces: readonly number[] = [], under: FrameKey = key): Buffer {
  const framer = createFramer(under, systemRandom);
  const out: Buffer[] = [];
  let at = 0;
  for (const length of pieces) {
    out.push(...framer.push(content.subarray(at, at + length)));
    at += length;
  }
  out.push(...framer.push(content.subarray(at)), ...framer.end());
  return Buffer.concat(out);
}

/** Hands out stored bytes in chunks, and remembers which were asked for. */
function readerOf(stored: Uint8Array, chunkBytes: number, asked: { first: number; last: number }[] = []): StoredReader {
  return async function* ({ first, last }) {
    asked.push({ first, last });
    for (let at = first; at <= Math.min(last, stored.length - 1); at += chunkBytes)
      yield stored.subarray(at, Math.min(at + chunkBytes, last + 1));
  };
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

async function open(stored: Uint8Array, plainBytes: number, under: FrameKey = key): Promise<Buffer> {
  return collect(openFrames(under, plainBytes, readerOf(stored, 10_000))({ first: 0, last: plainBytes - 1 }));
}

const lengths = [0, 1, frameBytes - 1, frameBytes, frameBytes + 1, 2 * frameBytes, 2 * frameBytes + 777];

test("what was framed comes back, whatever its length and its pieces, and has the size that was computed", async () => {
  for (const length of lengths) {
    const content = contentOf(length);
    for (const pieces of [[], [0, 1, 1], [frameBytes], [frameBytes + 1, frameBytes - 1], [length]]) {
      const stored = frame(content, pieces);
      assert.equal(stored.length, framedSize(length));
      assert.ok((await open(stored, length)).equals(content), `${length} bytes in ${pieces.join()}`);
    }
  }
});

test("any span comes back from the header and the frames that it touches alone", async () => {
  const content = contentOf(3 * frameBytes + 99);
  const stored = frame(content);
  const offset = fc.nat({ max: content.length - 1 });
  await fc.assert(
    fc.asyncProperty(offset, offset, fc.integer({ min: 500, max: 200_000 }), async (a, b, chunkBytes) => {
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const asked: { first: number; last: number }[] = [];
      const part = await collect(openFrames(key, content.length, readerOf(stored, chunkBytes, asked))({ first, last }));
      assert.ok(part.equals(content.subarray(first, last + 1)));
      const [header, frames] = asked;
      assert.deepEqual(header, { first: 0, last: frameHeaderBytes - 1 });
      assert.equal(frames?.first, frameHeaderBytes + Math.floor(first / frameBytes) * storedFrame);
      assert.ok((frames?.last ?? 0) < frameHeaderBytes + (Math.floor(last / frameBytes) + 1) * storedFrame);
    }),
    { numRuns: 60 },
  );
});

test("a bit that is flipped anywhere is noticed, and nothing of its frame comes out", async () => {
  const content = contentOf(2 * frameBytes + 5);
  const stored = frame(content);
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: stored.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
      const altered = Buffer.from(stored);
      altered[at] = (altered[at] ?? 0) ^ (1 << bit);
      const got: Uint8Array[] = [];
      await assert.rejects(async () => {
        const chunks = openFrames(key, content.length, readerOf(altered, 7_000))({ first: 0, last: content.length - 1 });
        for await (const chunk of chunks) got.push(chunk);
      }, FrameError);
      const verified = Buffer.concat(got);
      assert.ok(content.subarray(0, verified.length).equals(verified));
      assert.ok(verified.length <= Math.max(0, Math.floor((at - frameHeaderBytes) / storedFrame)) * frameBytes);
    }),
    { numRuns: 60 },
  );
});

test("frames cannot be cut off, left out, exchanged, repeated, or added", async () => {
  const length = 3 * frameBytes;
  const stored = frame(contentOf(length));
  const part = (index: number): Buffer =>
    stored.subarray(frameHeaderBytes + index * storedFrame, frameHeaderBytes + (index + 1) * storedFrame);
  const head = stored.subarray(0, frameHeaderBytes);
  const cases: Readonly<Record<string, [Buffer, number]>> = {
    "cut off in the middle of a frame": [stored.subarray(0, -1), length],
    "the last frame cut off": [Buffer.concat([head, part(0), part(1)]), length],
    "the last frame cut off, and the size with it": [Buffer.concat([head, part(0), part(1)]), 2 * frameBytes],
    "the first frame left out": [Buffer.concat([head, part(1), part(2)]), 2 * frameBytes],
    exchanged: [Buffer.concat([head, part(1), part(0), part(2)]), length],
    repeated: [Buffer.concat([head, part(0), part(0), part(2)]), length],
    "of another content of the same key": [
      Buffer.concat([frame(contentOf(length)).subarray(0, frameHeaderBytes), part(0), part(1), part(2)]),
      length,
    ],
    "a frame added": [Buffer.concat([stored, part(2)]), 4 * frameBytes],
    "only the header": [head, length],
    nothing: [Buffer.alloc(0), length],
  };
  for (const [name, [altered, plainBytes]] of Object.entries(cases)) await assert.rejects(open(altered, plainBytes), FrameError, name);
});

test("another key, another purpose and another commitment are refused before anything is decrypted", async () => {
  const content = contentOf(100);
  const stored = frame(content);
  await assert.rejects(open(stored, 100, { ...key, dataKey: systemRandom.bytes(32) }), /not under this key/);
  await assert.rejects(open(stored, 100, { ...key, purpose: "other" }), /not under this key/);
  const [a, b] = [frame(content), frame(content)];
  const mixed = Buffer.concat([a.subarray(0, 40), b.subarray(40, frameHeaderBytes), a.subarray(frameHeaderBytes)]);
  await assert.rejects(open(mixed, 100), /not under this key/);
  assert.ok(!a.subarray(frameHeaderBytes).equals(b.subarray(frameHeaderBytes)), "every content has a key of its own");
});

test("reading that is given up closes what it reads from", async () => {
  const content = contentOf(4 * frameBytes);
  const stored = frame(content);
  let closed = 0;
  const read: StoredReader = async function* (span) {
    try {
      yield* readerOf(stored, 1_000)(span);
    } finally {
      closed += 1;
    }
  };
  for await (const chunk of openFrames(key, content.length, read)({ first: 0, last: content.length - 1 })) {
    assert.ok(chunk.length > 0);
    break;
  }
  assert.equal(closed, 2);
});
