import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { retryDelayMs } from "./backoff.ts";

const backoff = { firstMs: 1000, longestMs: 60_000 };
const drawing = (value: number): typeof systemRandom => ({
  uuid: () => "",
  bytes: () => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  },
});

test("the ceiling doubles with every attempt and stops at the longest", () => {
  const highest = drawing(0xff_ff_ff_ff);
  const ceilings = [1, 2, 3, 6, 7, 8, 1000, Number.MAX_SAFE_INTEGER].map((attempt) => retryDelayMs(backoff, attempt, highest));
  assert.deepEqual(ceilings, [1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000, 60_000]);
  assert.equal(retryDelayMs(backoff, 5, drawing(0)), 0);
});

test("every delay is a whole number within the ceiling", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), (attempt) => {
      const delay = retryDelayMs(backoff, attempt, systemRandom);
      return Number.isInteger(delay) && delay >= 0 && delay <= Math.min(60_000, 1000 * 2 ** (attempt - 1));
    }),
  );
});
