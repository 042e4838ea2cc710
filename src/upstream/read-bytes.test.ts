import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readBytes } from "./read-bytes.ts";
import { UpstreamError } from "./upstream-error.ts";

async function* drops(count: number, everyMs: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < count; at += 1) {
    await sleep(everyMs);
    yield Buffer.from("x");
  }
}

const outcomeOf = (promise: Promise<Buffer>): Promise<string> =>
  promise.then(
    (bytes) => `${bytes.length} bytes`,
    (error: unknown) => (error instanceof UpstreamError ? error.failure.outcome : String(error)),
  );

test("a small body is read whole, up to its limit", async () => {
  assert.equal(await outcomeOf(readBytes(Readable.from(drops(5, 0)), 5)), "5 bytes");
  const long = Readable.from(drops(6, 0));
  assert.equal(await outcomeOf(readBytes(long, 5)), "invalid");
  assert.ok(long.destroyed);
});

test("a body that comes drop by drop is given up, although it never stands still", async () => {
  const body = Readable.from(drops(100_000, 5));
  assert.equal(await outcomeOf(readBytes(body, 200_000, 60)), "unavailable");
  assert.ok(body.destroyed);
});
