import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { Readable } from "node:stream";
import { test } from "node:test";
import type { FrameKey } from "#sealing/frames.ts";
import { sealWhole } from "#sealing/nested-frames.ts";
import { systemRandom } from "#std/random.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryCore } from "./context.ts";
import { openProtectedCopy } from "./protected-bytes.ts";

const keys: readonly FrameKey[] = ["outer", "inner"].map((purpose) => ({ dataKey: systemRandom.bytes(32), purpose }));
const content = systemRandom.bytes(8 * 1_048_576);
const sealed = sealWhole(keys, content, systemRandom);

/** A core over one sealed copy, which counts how many of its bytes were handed out and how many streams are open. */
function countingCore(): { readonly core: RegistryCore; readonly counts: { bytes: number; open: number } } {
  const counts = { bytes: 0, open: 0 };
  const driver = createMemoryDriver({ clock: { now: () => 0 } });
  const read: typeof driver.read = async (_key, _size, { first, last } = { first: 0, last: sealed.length - 1 }) => {
    counts.open += 1;
    const chunks = function* () {
      for (let at = first; at <= last; at += 16_384) {
        const chunk = sealed.subarray(at, Math.min(at + 16_384, last + 1));
        counts.bytes += chunk.length;
        yield chunk;
      }
    };
    const stream = Readable.from(chunks(), { objectMode: false, highWaterMark: 16_384 });
    stream.once("close", () => (counts.open -= 1));
    return { kind: "bytes", sizeBytes: last - first + 1, stream };
  };
  return { core: { storage: { ...driver, read } } as Pick<RegistryCore, "storage"> as RegistryCore, counts };
}

const copy = { storageKey: "key", sizeBytes: content.length, keys };

test("a reader that stops reading holds up the driver after a few frames, whatever the size of the copy", async () => {
  const { core, counts } = countingCore();
  const { stream } = await openProtectedCopy(core, copy, undefined);
  stream.once("readable", () => stream.read(1));
  await wait(50);
  assert.ok(counts.bytes > 65_536 && counts.bytes < 1_048_576, `${counts.bytes} bytes were read`);
  stream.destroy();
  await wait(10);
  assert.equal(counts.open, 0);
});

test("a stream that nobody has begun to read leaves nothing open", async () => {
  const { core, counts } = countingCore();
  const { stream } = await openProtectedCopy(core, copy, { first: 1_000_000, last: 2_000_000 });
  stream.destroy();
  await wait(10);
  assert.equal(counts.open, 0);
});

test("a short range reads some frames and no more", async () => {
  const { core, counts } = countingCore();
  const { stream, sizeBytes } = await openProtectedCopy(core, copy, { first: 5_000_000, last: 5_000_009 });
  const got = Buffer.concat(await Array.fromAsync(stream as AsyncIterable<Uint8Array>));
  assert.equal(sizeBytes, 10);
  assert.ok(got.equals(content.subarray(5_000_000, 5_000_010)));
  assert.ok(counts.bytes < 5 * 65_536, `${counts.bytes} bytes were read`);
});
