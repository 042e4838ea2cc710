/** What becomes of request bodies that are refused, wanted, too long, or never sent; on raw sockets, because clients hide it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { after, before, test } from "node:test";
import { digestOf } from "#oci/digest.ts";
import type { Exchange } from "#std/exchange.ts";
import { readWholeBody } from "./body.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
let port: number;

before(async () => {
  server = await startRegistryServer();
  await server.createRepository("team/app");
  port = Number(new URL(server.url).port);
});
after(() => server.close());

/** A connection that collects what comes back. */
class Line {
  readonly socket: Socket;
  text = "";
  closed = false;
  constructor(to = port) {
    this.socket = connect(to, "127.0.0.1");
    this.socket.on("data", (chunk) => void (this.text += chunk.toString("latin1")));
    this.socket.on("close", () => void (this.closed = true)).on("error", () => undefined);
  }
  async until(pattern: RegExp): Promise<void> {
    const deadline = AbortSignal.timeout(5_000);
    while (!pattern.test(this.text)) {
      if (this.closed) throw new Error(`closed before ${pattern}: ${this.text}`);
      await once(this.socket, "data", { signal: deadline });
    }
  }
  async end(): Promise<void> {
    if (!this.closed) await once(this.socket, "close", { signal: AbortSignal.timeout(5_000) });
  }
}

function head(method: string, path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ Host: server.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

const again = (line: Line): void => void line.socket.write(head("GET", "/v2/", { Authorization: server.authorization() }));

test("a small body that is refused does not spoil the connection", async () => {
  const line = new Line();
  const body = "x".repeat(1000);
  line.socket.write(head("PUT", "/v2/team/app/manifests/v1", { "Content-Length": "1000" }) + body);
  await line.until(/HTTP\/1\.1 401 /);
  again(line);
  await line.until(/HTTP\/1\.1 200 /);
  assert.doesNotMatch(line.text, /Connection: close/i);
  line.socket.destroy();
});

test("a small body may also come after the refusal", async () => {
  const line = new Line();
  line.socket.write(head("PUT", "/v2/team/app/manifests/v1", { "Content-Length": "10" }));
  await line.until(/HTTP\/1\.1 401 /);
  line.socket.write("0123456789");
  again(line);
  await line.until(/HTTP\/1\.1 200 /);
  line.socket.destroy();
});

test("a large body that is refused gets its whole answer, then the connection ends", async () => {
  const line = new Line();
  line.socket.write(head("PATCH", "/v2/team/app/blobs/uploads/none", { "Content-Length": "50000000" }));
  line.socket.write(Buffer.alloc(2_000_000));
  await line.until(/HTTP\/1\.1 401 [\s\S]*Not Authorized/);
  assert.match(line.text, /Connection: close/i);
  line.socket.end();
  await line.end();
});

test("so does an endless one", async () => {
  const line = new Line();
  line.socket.write(
    head("PATCH", "/v2/team/app/blobs/uploads/none", { "Transfer-Encoding": "chunked", Authorization: server.authorization() }),
  );
  line.socket.write("5\r\nhello\r\n");
  await line.until(/HTTP\/1\.1 404 [\s\S]*BLOB_UPLOAD_UNKNOWN/);
  await line.end();
});

test("100 Continue is answered only after authorization", async () => {
  const refused = new Line();
  refused.socket.write(head("PUT", "/v2/team/app/manifests/v1", { "Content-Length": "10", Expect: "100-continue" }));
  await refused.until(/HTTP\/1\.1 401 /);
  await refused.end();
  assert.doesNotMatch(refused.text, /100 Continue/);
  assert.match(refused.text, /Connection: close/i);

  const bytes = Buffer.from("expected");
  const allowed = new Line();
  const path = `/v2/team/app/blobs/uploads/?digest=${digestOf("sha256", bytes)}`;
  const headers = { "Content-Length": String(bytes.byteLength), Expect: "100-continue", Authorization: server.authorization() };
  allowed.socket.write(head("POST", path, headers));
  await allowed.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  allowed.socket.write(bytes);
  await allowed.until(/HTTP\/1\.1 201 /);
  again(allowed);
  await allowed.until(/HTTP\/1\.1 200 /);
  allowed.socket.destroy();
});

test("a refusal while a body is on its way reaches the client", async () => {
  const start = await server.request("POST", "/v2/team/app/blobs/uploads/");
  const line = new Line();
  const path = String(start.headers.location);
  // The range is read before any byte, and wrong.
  const headers = { "Content-Length": "3000000", "Content-Range": "5-3000004", Authorization: server.authorization() };
  line.socket.write(head("PATCH", path, headers));
  line.socket.write(Buffer.alloc(1_000_000));
  await line.until(/HTTP\/1\.1 416 [\s\S]*First byte/);
  assert.match(line.text, new RegExp(`Location: ${path}\r\n`));
  assert.match(line.text, /\r\nRange: 0-0\r\n/);
  line.socket.destroy();
  await line.end();
});

test("a body that turns out too long is refused in its middle", async () => {
  const start = await server.request("POST", "/v2/team/app/blobs/uploads/");
  const line = new Line();
  const headers = { "Transfer-Encoding": "chunked", "Content-Range": "0-9", Authorization: server.authorization() };
  line.socket.write(head("PATCH", String(start.headers.location), headers));
  for (let sent = 0; sent < 40; sent++) line.socket.write(`10000\r\n${"x".repeat(65_536)}\r\n`);
  await line.until(/HTTP\/1\.1 400 [\s\S]*SIZE_INVALID/);
  assert.match(line.text, /Connection: close/i);
  await line.end();
  const status = await server.request("GET", String(start.headers.location));
  assert.deepEqual([status.status, status.headers.range], [204, "0-0"]);
});

test("a client that leaves in the middle of its body loses nothing that counted", async () => {
  const start = await server.request("POST", "/v2/team/app/blobs/uploads/");
  const path = String(start.headers.location);
  await server.request("PATCH", path, { body: "0123456789" });
  const line = new Line();
  line.socket.write(head("PATCH", path, { "Content-Length": "100", Authorization: server.authorization() }));
  line.socket.write("abc");
  await new Promise((resolve) => setTimeout(resolve, 50));
  line.socket.destroy();
  await line.end();
  for (let attempt = 0; ; attempt++) {
    const answer = await server.request("PATCH", path, { body: "abcde", headers: { "Content-Range": "10-14" } });
    // The server may still be about to notice; then it says so and the client comes again.
    if (answer.status === 429 && attempt < 50) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    assert.deepEqual([answer.status, answer.headers.range], [202, "0-14"]);
    break;
  }
  const digest = digestOf("sha256", Buffer.from("0123456789abcde"));
  assert.equal((await server.request("PUT", `${path}?digest=${digest}`)).status, 201);
  assert.deepEqual(server.errors, []);
});

test("a manifest that is too long is refused by its announcement or by its bytes", async () => {
  const limit = server.core.limits.manifestBytes;
  const announced = new Line();
  announced.socket.write(
    head("PUT", "/v2/team/app/manifests/v1", { "Content-Length": String(limit + 1), Authorization: server.authorization() }),
  );
  await announced.until(/HTTP\/1\.1 413 [\s\S]*SIZE_INVALID/);
  announced.socket.destroy();
  const chunks = [Buffer.alloc(limit, 0x20), Buffer.alloc(1, 0x20)];
  const answer = await server.request("PUT", "/v2/team/app/manifests/v1", { body: chunks });
  assert.deepEqual([answer.status, answer.code, answer.headers.connection], [413, "SIZE_INVALID", "close"]);
  assert.equal((await server.request("GET", "/v2/")).status, 200);
});

test("a body that trickles ends the connection", async () => {
  const outcome = Promise.withResolvers<unknown>();
  const listener = createServer((request, response) => {
    const exchange = { request, response } as unknown as Exchange;
    readWholeBody(exchange, { limitBytes: 100, timeoutMs: 50 }).then(outcome.resolve, outcome.resolve);
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  const line = new Line((listener.address() as AddressInfo).port);
  line.socket.write(head("PUT", "/", { "Content-Length": "100" }) + "slow");
  assert.equal(((await outcome.promise) as NodeJS.ErrnoException).code, "ETIMEDOUT");
  await line.end();
  listener.close();
});
