import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { until } from "#std/testing/until.ts";
import { openListener } from "./listener.ts";
import type { Listener, RequestListener } from "./listener.ts";
import { askAt, settingsFor } from "./testing/in-process.ts";

let opened: Listener[] = [];
afterEach(async () => {
  await Promise.all(opened.map((listener) => listener.close(0)));
  opened = [];
});

async function open(front?: RequestListener, quietMs?: number): Promise<Listener> {
  const deps = { log: silentLog, random: systemRandom, ...(quietMs !== undefined && { quietMs }) };
  const listener = await openListener(settingsFor("/nowhere"), deps);
  opened.push(listener);
  if (front !== undefined) listener.answerWith(front);
  return listener;
}

/** A connection, what it received, and when it was closed. */
function dial(port: number, text = ""): { socket: Socket; received: () => string; closed: Promise<number> } {
  let received = "";
  const startedAt = performance.now();
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  socket.on("data", (chunk: Buffer) => (received += chunk.toString())).on("error", () => undefined);
  const closed = new Promise<number>((resolve) => socket.once("close", () => resolve(performance.now() - startedAt)));
  return { socket, received: () => received, closed };
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

test("before it is told who answers it is alive and not ready", async () => {
  const { port } = await open();
  assert.equal((await askAt(port, "GET", "/healthz")).status, 200);
  const answer = await askAt(port, "GET", "/v2/");
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "1"]);
  assert.match(String(answer.headers["x-amzn-requestid"]), /^[0-9a-f-]{36}$/);
});

test("a silent connection is given up", async () => {
  const { port } = await open((_request, response) => response.end("ok"), 100);
  const [silent, idle] = [dial(port), dial(port, get)];
  assert.ok((await silent.closed) < 20_000);
  assert.ok((await Promise.race([idle.closed, sleep(200, Infinity)])) === Infinity, "between requests the time to keep alive counts");
  idle.socket.destroy();
});

test("a client that stops in the middle of its body is given up", async () => {
  const { port } = await open((request) => void request.resume(), 100);
  const half = dial(port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  assert.ok((await half.closed) < 20_000);
});

test("a client that does not read its answer is given up", async () => {
  let isGivenUp = false;
  const answer: RequestListener = (_request, response) => {
    response.once("close", () => (isGivenUp = true)).end(Buffer.alloc(50_000_000));
  };
  const { port } = await open(answer, 100);
  const deaf = dial(port, get);
  deaf.socket.pause();
  await until(() => isGivenUp);
  deaf.socket.resume();
  await deaf.closed;
  assert.ok(deaf.received().length < 50_000_000);
});

test("a client that waits for a slow answer is not given up", async () => {
  const { port } = await open((_request, response) => void setTimeout(() => response.end("late"), 450), 100);
  assert.equal((await askAt(port, "GET", "/")).text, "late");
});

test("closing waits for running answers, tells their clients to leave, and refuses new connections", async () => {
  const asked = Promise.withResolvers<() => void>();
  const listener = await open((_request, response) => asked.resolve(() => void response.end("finished")));
  const running = askAt(listener.port, "GET", "/");
  const finish = await asked.promise;
  const closing = listener.close(10_000);
  await sleep(20);
  await assert.rejects(askAt(listener.port, "GET", "/"), /ECONNREFUSED/);
  finish();
  assert.equal((await running).text, "finished");
  await closing;
});

test("requests on a connection that is busy while closing are answered with the word to leave", async () => {
  const listener = await open((request, response) => void setTimeout(() => response.end(request.url), 50));
  const client = dial(listener.port, get);
  await sleep(20);
  const closing = listener.close(10_000);
  client.socket.write("GET /second HTTP/1.1\r\nHost: x\r\n\r\n");
  await client.closed;
  await closing;
  assert.match(client.received(), /\/HTTP.*connection: close.*\/second$/is);
});

test("closing does not wait for connections that ask nothing", async () => {
  const listener = await open((_request, response) => response.end("ok"));
  const fresh = dial(listener.port);
  const idle = dial(listener.port, get);
  const slow = dial(listener.port, "GET / HTTP/1.1\r\nHo");
  await until(() => idle.received().endsWith("ok"));
  const startedAt = performance.now();
  await listener.close(10_000);
  assert.ok(performance.now() - startedAt < 8_000);
  await Promise.all([fresh.closed, idle.closed, slow.closed]);
});

test("closing ends what does not end in time", async () => {
  const listener = await open(() => undefined);
  const stuck = dial(listener.port, get);
  await sleep(20);
  const startedAt = performance.now();
  await listener.close(100);
  assert.ok(performance.now() - startedAt < 8_000);
  await stuck.closed;
});

test("an address that is taken or not ours is refused in clear words", async () => {
  const { port } = await open();
  const deps = { log: silentLog, random: systemRandom };
  await assert.rejects(
    openListener(settingsFor("/nowhere", { SUPERCARGO_LISTEN: `127.0.0.1:${port}` }), deps),
    /^SettingsError: cannot listen on 127\.0\.0\.1:\d+: something else listens there already\. SUPERCARGO_LISTEN/,
  );
  await assert.rejects(
    openListener(settingsFor("/nowhere", { SUPERCARGO_LISTEN: "192.0.2.1:80", SUPERCARGO_ALLOW_PLAINTEXT: "1" }), deps),
    /^SettingsError: cannot listen on 192\.0\.2\.1:80: .*EADDRNOTAVAIL.*SUPERCARGO_LISTEN/,
  );
});
