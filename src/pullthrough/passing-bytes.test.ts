import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { createPassingBytes } from "./passing-bytes.ts";

async function read(chunks: AsyncIterable<Uint8Array>, into: Uint8Array[], pauses = 0): Promise<void> {
  for await (const chunk of chunks) {
    into.push(Uint8Array.from(chunk));
    for (let pause = 0; pause < pauses; pause += 1) await turn();
  }
}

const unread = async (): Promise<AsyncIterable<Uint8Array>> => assert.fail("the store was asked");

test("every reader gets all bytes, however slow it is and whenever it comes", async () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(chunk, { maxLength: 30 }),
      fc.array(fc.record({ after: fc.nat(30), pauses: fc.nat(4) }), { minLength: 1, maxLength: 5 }),
      async (chunks, readers) => {
        const whole = Buffer.concat(chunks);
        const passing = createPassingBytes(64);
        const results = readers.map((): Uint8Array[] => []);
        const running: Promise<void>[] = [];
        const begin = (at: number): void =>
          readers.forEach(({ after, pauses }, reader) => {
            if (after !== at) return;
            const follow = passing.follow(async (offset) =>
              (async function* () {
                yield whole.subarray(offset);
              })(),
            );
            running.push(read(follow, results[reader] ?? [], pauses));
          });
        for (let at = 0; at <= 30; at += 1) {
          begin(at);
          const next = chunks[at];
          if (next !== undefined) passing.append(next);
          await turn();
        }
        passing.finish();
        await Promise.all(running);
        for (const result of results) assert.deepEqual(Buffer.concat(result), whole);
      },
    ),
    { numRuns: 40 },
  );
});

test("the last bytes are held back until the content has proved to be right", async () => {
  const passing = createPassingBytes(1_000);
  const got: Uint8Array[] = [];
  const reading = read(passing.follow(unread), got);
  passing.append(Buffer.from("first"));
  passing.append(Buffer.from("last"));
  await turn();
  assert.equal(Buffer.concat(got).toString(), "first");
  passing.fail(new Error("another digest"));
  await assert.rejects(reading, /another digest/);
  assert.equal(Buffer.concat(got).toString(), "first");
  await assert.rejects(read(passing.follow(unread), got), /another digest/, "who comes later fares no better");
});

test("a buffer that the store takes for itself does not change what readers get", async () => {
  const passing = createPassingBytes(1_000);
  const buffer = Buffer.from("bytes");
  passing.append(buffer);
  buffer.fill(0);
  passing.finish();
  const got: Uint8Array[] = [];
  await read(passing.follow(unread), got);
  assert.equal(Buffer.concat(got).toString(), "bytes");
});
