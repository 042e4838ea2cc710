/** What is no HTTP, or could be read as two different requests, thrown at the real server's port: refused, nothing done, the server alive. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { createOciClient, sha256 } from "../oci-client.ts";
import type { OciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { readFacts, settlesAt } from "./ground.ts";
import type { Facts } from "./ground.ts";
import { Line } from "./line.ts";

let server: ServerProcess;
let database: DatabaseSync;
let oci: OciClient;
let authorization: string;
let digest: string;

before(async () => {
  server = await startServerProcess();
  const client = createEcrClient(server.url);
  await client.send(new CreateRepositoryCommand({ repositoryName: "wire/app" }));
  const password = await registryPassword(client);
  authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
  oci = createOciClient(server.url, password);
  ({ digest } = await oci.pushImage("wire/app", "v1", [randomBytes(1_000)]));
  database = new DatabaseSync(join(server.folder, "registry.sqlite"), { readOnly: true });
});
after(async () => {
  database?.close();
  await server.close();
});

/** All facts but the jobs, which come and go by themselves. */
async function facts(): Promise<Facts> {
  const { job: _, ...rest } = await readFacts(async (query) => database.prepare(query).all(), join(server.folder, "storage"));
  return rest;
}

/** Sends bytes as they are; answers the statuses, once the server has closed or said as much as expected. */
async function say(
  text: string | Buffer,
  answers: number,
): Promise<{ readonly statuses: readonly number[]; readonly text: string; readonly closed: boolean }> {
  const line = new Line(server.port);
  await line.say(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  if (answers === 0) await line.end();
  else await line.answers(answers);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const { statuses, closed } = line;
  line.socket.destroy();
  return { statuses, text: line.text, closed };
}

async function expectAlive(before: Facts): Promise<void> {
  await settlesAt({ facts }, before);
  assert.equal((await oci.verifyImage("wire/app", "v1")).digest, digest);
}

const head = (lines: readonly string[]): string => [...lines, "", ""].join("\r\n");
const credentials = (): string => `Authorization: ${authorization}`;
/** What must never be carried out. */
const smuggled = (): string => head(["DELETE /v2/wire/app/manifests/v1 HTTP/1.1", "Host: localhost", credentials()]);
const patch = (...headers: readonly string[]): string =>
  head([`POST /v2/wire/app/blobs/uploads/?digest=${sha256(Buffer.from("hello"))} HTTP/1.1`, "Host: localhost", credentials(), ...headers]);

describe("bodies of two lengths", () => {
  const cases: Readonly<Record<string, () => string>> = {
    "a length and chunks": () => patch("Content-Length: 5", "Transfer-Encoding: chunked") + `0\r\n\r\n${smuggled()}`,
    "chunks and a length": () => patch("Transfer-Encoding: chunked", "Content-Length: 5") + `0\r\n\r\n${smuggled()}`,
    "two lengths": () => patch("Content-Length: 5", "Content-Length: 6") + `hello${smuggled()}`,
    "two equal lengths": () => patch("Content-Length: 5", "Content-Length: 5") + `hello${smuggled()}`,
    "a list of lengths": () => patch("Content-Length: 5, 5") + `hello${smuggled()}`,
    "a signed length": () => patch("Content-Length: +5") + `hello${smuggled()}`,
    "a negative length": () => patch("Content-Length: -1") + smuggled(),
    "a hexadecimal length": () => patch("Content-Length: 0x5") + `hello${smuggled()}`,
    "a length with a space": () => patch("Content-Length: 5 5") + `hello${smuggled()}`,
    "a length beyond all numbers": () => patch("Content-Length: 99999999999999999999999") + smuggled(),
    "an empty length": () => patch("Content-Length:") + smuggled(),
    "a space before the colon": () => patch("Transfer-Encoding : chunked") + `0\r\n\r\n${smuggled()}`,
    "a space before the header": () => patch(" Transfer-Encoding: chunked", "Content-Length: 5") + `0\r\n\r\n${smuggled()}`,
    "an unknown encoding": () => patch("Transfer-Encoding: xchunked") + `0\r\n\r\n${smuggled()}`,
    "chunked, but not last": () => patch("Transfer-Encoding: chunked, identity") + `0\r\n\r\n${smuggled()}`,
    "chunked twice": () => patch("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + `0\r\n\r\n${smuggled()}`,
    "a form feed before chunked": () => patch("Transfer-Encoding: \fchunked") + `0\r\n\r\n${smuggled()}`,
    "a line break inside a header": () => patch("Transfer-Encoding:\n chunked") + `0\r\n\r\n${smuggled()}`,
    "a bare carriage return": () => patch("X: a\rTransfer-Encoding: chunked") + `0\r\n\r\n${smuggled()}`,
    "a chunk size with a sign": () => patch("Transfer-Encoding: chunked") + `+5\r\nhello\r\n0\r\n\r\n${smuggled()}`,
    "a chunk size with a prefix": () => patch("Transfer-Encoding: chunked") + `0x5\r\nhello\r\n0\r\n\r\n${smuggled()}`,
    "a chunk that ends without a line break": () => patch("Transfer-Encoding: chunked") + `5\r\nhelloX\n0\r\n\r\n${smuggled()}`,
    "an oversized chunk extension": () =>
      patch("Transfer-Encoding: chunked") + `5;${"x".repeat(20_000)}\r\nhello\r\n0\r\n\r\n${smuggled()}`,
  };
  for (const [what, text] of Object.entries(cases)) {
    test(what, async () => {
      const before = await facts();
      const answer = await say(text(), 0);
      // The refusal may be lost in the reset of the connection; what must not happen is an answer to what came behind it.
      assert.ok(answer.statuses.length <= 1 && answer.statuses.every((status) => [400, 413].includes(status)), answer.text);
      assert.ok(answer.closed);
      await expectAlive(before);
    });
  }
});

describe("what is no request", () => {
  const get = (target: string | Buffer, ...headers: readonly string[]): Buffer =>
    Buffer.concat([
      Buffer.from("GET "),
      Buffer.from(target),
      Buffer.from(` HTTP/1.1\r\n${head(["Host: localhost", credentials(), ...headers])}`, "latin1"),
    ]);
  const cases: Readonly<Record<string, readonly [number, () => string | Buffer]>> = {
    noise: [400, () => Buffer.concat([Buffer.from([0x00, 0xff, 0x80]), randomBytes(200)])],
    "a TLS greeting": [400, () => Buffer.from("16030100c8010000c40303", "hex")],
    "HTTP/2": [400, () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    // Older than headers, and so without credentials.
    "HTTP/0.9": [401, () => "GET /v2/\r\n\r\n"],
    "HTTP/9.9": [400, () => head(["GET /v2/ HTTP/9.9", "Host: localhost"])],
    "another protocol": [400, () => "SSH-2.0-OpenSSH_9.9\r\n"],
    "an unknown method": [400, () => head(["STEAL /v2/ HTTP/1.1", "Host: localhost"])],
    "a lower-case method": [400, () => head(["get /v2/ HTTP/1.1", "Host: localhost"])],
    "no host": [400, () => head(["GET /v2/ HTTP/1.1", credentials()])],
    "NUL in the path": [400, () => get(Buffer.from("/v2/wire/\0/tags/list"))],
    "bytes that are no UTF-8 in the path": [400, () => get(Buffer.from("/v2/wire/\xe9pp/tags/list", "latin1"))],
    "a space in the path": [400, () => get("/v2/wire/a b/tags/list")],
    "NUL in a header": [400, () => get("/v2/", "X: a\0b")],
    "a header without a name": [400, () => get("/v2/", ": x")],
    "a header without a colon": [400, () => get("/v2/", "nonsense")],
    "a space in a header's name": [400, () => get("/v2/", "X Y: z")],
    "a head of 40,000 bytes": [431, () => get("/v2/", `X: ${"x".repeat(40_000)}`)],
    "a thousand headers of forty bytes": [
      431,
      () => get("/v2/", ...Array.from({ length: 1_000 }, (_, index) => `X-${index}: ${"x".repeat(36)}`)),
    ],
    "a path of 40,000 bytes": [431, () => get(`/v2/${"x".repeat(40_000)}`)],
    "a header of 1,000,000 bytes": [431, () => get("/v2/", `X: ${"x".repeat(1_000_000)}`)],
  };
  for (const [what, [status, text]] of Object.entries(cases)) {
    test(what, async () => {
      const before = await facts();
      const answer = await say(text(), 0);
      // A flood may be cut by a reset before its sender reads why.
      if (answer.text !== "" || text().length < 60_000) assert.deepEqual(answer.statuses, [status], answer.text);
      assert.ok(answer.closed);
      await expectAlive(before);
    });
  }
  test("methods that HTTP knows and the registry does not", async () => {
    const before = await facts();
    for (const method of ["TRACE", "OPTIONS", "PROPFIND", "PURGE", "LINK"]) {
      const answer = await say(head([`${method} /v2/wire/app/manifests/v1 HTTP/1.1`, "Host: localhost", credentials()]), 1);
      assert.deepEqual(answer.statuses, [405], `${method}: ${answer.text}`);
      assert.match(answer.text, /\r\nAllow: /i);
    }
    const tunnel = await say(head(["CONNECT example.com:80 HTTP/1.1", "Host: localhost"]), 0);
    assert.ok(tunnel.statuses.every((status) => status >= 400));
    await expectAlive(before);
  });
  test("an absolute target is no door to elsewhere", async () => {
    const before = await facts();
    const answer = await say(head(["GET http://example.com/v2/_catalog HTTP/1.1", "Host: example.com", credentials()]), 1);
    assert.ok(
      answer.statuses.every((status) => status >= 400),
      answer.text,
    );
    await expectAlive(before);
  });
  test("an upgrade is not taken", async () => {
    const answer = await say(head(["GET /v2/ HTTP/1.1", "Host: localhost", credentials(), "Connection: Upgrade", "Upgrade: websocket"]), 1);
    assert.deepEqual(answer.statuses, [200]);
  });
});

describe("pipelines", () => {
  const ask = (path: string): string => head([`GET ${path} HTTP/1.1`, "Host: localhost", credentials()]);
  test("good requests in a row are answered in a row", async () => {
    const { statuses } = await say(ask("/v2/") + ask("/v2/wire/app/tags/list") + ask("/v2/wire/nothing/tags/list") + ask("/v2/"), 4);
    assert.deepEqual(statuses, [200, 200, 404, 200]);
  });
  test("garbage behind a good request ends the connection", async () => {
    const before = await facts();
    const { statuses, closed } = await say(`${ask("/v2/")}\0garbage\r\n\r\n${smuggled()}`, 0);
    assert.ok(statuses.every((status) => status === 200 || status === 400) && statuses.length <= 2);
    assert.ok(closed);
    await expectAlive(before);
  });
  test("a refused body is not the next request", async () => {
    const before = await facts();
    const body = smuggled();
    for (const path of ["/v2/wire/nothing/manifests/v1", "/v2/Wire/manifests/v1", "/v2/wire/app/tags/list"]) {
      const put = head([`PUT ${path} HTTP/1.1`, "Host: localhost", credentials(), `Content-Length: ${body.length}`]);
      const { statuses, text } = await say(put + body + ask("/v2/"), 2);
      assert.ok([400, 404, 405].includes(statuses[0] ?? 0) && statuses[1] === 200 && statuses.length === 2, text);
    }
    await expectAlive(before);
  });
  test("a thousand at once", async () => {
    const { statuses } = await say(ask("/v2/").repeat(1_000), 1_000);
    assert.equal(statuses.filter((status) => status === 200).length, 1_000);
  });
});

test("the server has logged no failure of its own", () => {
  assert.doesNotMatch(server.output(), /"level":(?:50|60)|"level":"(?:error|fatal)"|Error:/);
});
