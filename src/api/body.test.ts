import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { createByteBudget } from "#std/byte-budget.ts";
import { abortSignal, announcedBytes, bufferBody, discardBody, isTooSlow } from "./body.ts";
import { ApiFault } from "./fault.ts";

const limitBytes = 100_000;
const budget = createByteBudget(150_000);
let listener: Server;
let port: number;
/** What the server's side does with the next request; its outcome is awaited by the test. */
let work: (request: IncomingMessage) => Promise<unknown>;
let outcome: PromiseWithResolvers<unknown>;

before(async () => {
  listener = createServer((request, response) => {
    work(request)
      .then((value) => outcome.resolve(value), outcome.reject)
      .finally(() => response.end());
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  ({ port } = listener.address() as AddressInfo);
});

after(async () => {
  listener.closeAllConnections();
  await new Promise((resolve) => listener.close(resolve));
});

/** Lets `next` handle one request that sends these chunks, announced or not. */
async function serve<Value>(
  next: (request: IncomingMessage) => Promise<Value>,
  chunks: readonly Buffer[],
  isAnnounced: boolean,
): Promise<Value> {
  work = next;
  outcome = Promise.withResolvers();
  outcome.promise.catch(() => undefined);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const request = httpRequest({ port, method: "POST", agent: false, headers: isAnnounced ? { "Content-Length": length } : {} });
  request.on("error", () => undefined);
  for (const chunk of chunks) request.write(chunk);
  request.end();
  return (await outcome.promise) as Value;
}

test("a body is read whole, hashed, and its bytes are given back", async () => {
  for (const isAnnounced of [true, false]) {
    for (const chunks of [[], [Buffer.from("a")], [randomBytes(70_000), randomBytes(30_000)]]) {
      const body = await serve((request) => bufferBody(request, limitBytes, budget), chunks, isAnnounced);
      const whole = Buffer.concat(chunks);
      assert.ok(Buffer.from(body.bytes).equals(whole));
      assert.equal(body.sha256, createHash("sha256").update(whole).digest("hex"));
      // Small bodies are not counted; one that does not say how large it is counts as the largest.
      const counted = whole.length === 0 ? 0 : !isAnnounced ? limitBytes : whole.length > 16_384 ? whole.length : 0;
      assert.equal(budget.inUseBytes, counted);
      body.release();
      assert.equal(budget.inUseBytes, 0);
    }
  }
});

test("a body beyond the limit is refused, before it is read when it says so", async () => {
  const large = randomBytes(limitBytes + 1);
  for (const isAnnounced of [true, false]) {
    const reading = serve(
      async (request) => {
        try {
          return await bufferBody(request, limitBytes, budget);
        } finally {
          assert.equal(await discardBody(request), true);
        }
      },
      [large.subarray(0, 60_000), large.subarray(60_000)],
      isAnnounced,
    );
    await assert.rejects(reading, (error) => error instanceof ApiFault && error.status === 413);
    assert.equal(budget.inUseBytes, 0);
  }
});

test("bodies wait for the budget, and who goes away while waiting leaves the queue", async () => {
  const held = await budget.acquire(100_000);
  const waiting = serve((request) => bufferBody(request, limitBytes, budget), [randomBytes(90_000)], true);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(budget.inUseBytes, 100_000);
  held();
  (await waiting).release();
  const again = await budget.acquire(100_000);
  work = (request) => bufferBody(request, limitBytes, budget);
  outcome = Promise.withResolvers();
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nsome");
  await new Promise((resolve) => setTimeout(resolve, 30));
  socket.destroy();
  await assert.rejects(outcome.promise);
  again();
  assert.equal(budget.inUseBytes, 0);
});

test("a body that breaks off is refused and gives its bytes back", async () => {
  work = (request) => bufferBody(request, limitBytes, budget);
  outcome = Promise.withResolvers();
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nsome");
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(budget.inUseBytes, 90_000);
  socket.destroy();
  await assert.rejects(outcome.promise, { code: "RequestAbortedException" });
  assert.equal(budget.inUseBytes, 0);
});

test("what is announced is a number within the limit", async () => {
  const announce = (chunks: readonly Buffer[], isAnnounced: boolean) =>
    serve(async (request) => ({ bytes: announcedBytes(request, limitBytes), aborted: abortSignal(request).aborted }), chunks, isAnnounced);
  assert.deepEqual(await announce([Buffer.from("abc")], true), { bytes: 3, aborted: false });
  assert.deepEqual(await announce([Buffer.from("abc")], false), { bytes: limitBytes, aborted: false });
});

test("a body may be slow to begin, and then has a pace to keep", () => {
  const cases: readonly (readonly [elapsedMs: number, receivedBytes: number, isSlow: boolean])[] = [
    [29_000, 1, false],
    [31_000, 1, true],
    [31_000, 100_000, false],
    [600_000, 20_000_000, false],
    [600_000, 10_000_000, true],
  ];
  for (const [elapsedMs, receivedBytes, isSlow] of cases) assert.equal(isTooSlow(elapsedMs, receivedBytes), isSlow);
});

test("small bodies do not wait for the budget", async () => {
  const held = await budget.acquire(150_000);
  const body = await serve((request) => bufferBody(request, limitBytes, budget), [Buffer.from("{}")], true);
  assert.equal(Buffer.from(body.bytes).toString(), "{}");
  body.release();
  held();
});
