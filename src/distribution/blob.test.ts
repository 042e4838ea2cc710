import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { StorageError } from "#storage/driver.ts";
import { makeBlob } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const content = makeBlob(2048, "ranges");
const path = `/v2/team/app/blobs/${content.digest}`;
/** How the driver fails in the tests that want it to. */
let failure: "none" | "open" | "middle" | "elsewhere" = "none";
let opened = 0;

before(async () => {
  server = await startRegistryServer({
    storage: (driver) => ({
      ...driver,
      async read(key, sizeBytes, span) {
        opened += 1;
        if (failure === "open") throw new StorageError("unavailable", "the disk is away");
        if (failure === "elsewhere") return { kind: "elsewhere", url: "https://bytes.example/x?signature=1" };
        if (failure === "none") return driver.read(key, sizeBytes, span);
        const broken = Readable.from(
          (async function* () {
            yield content.bytes.subarray(0, 100);
            throw new StorageError("corrupt", "bad sector");
          })(),
          { objectMode: false },
        );
        return { kind: "bytes", stream: broken, sizeBytes };
      },
    }),
  });
  await server.createRepository("team/app");
  await push(content);
});
after(() => server.close());

async function push(blob: Content): Promise<void> {
  const answer = await server.request("POST", `/v2/team/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
  assert.equal(answer.status, 201);
}

const get = (headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> => server.request(method, path, { headers });

test("GET sends exactly the bytes, never encoded, never as what somebody says they are", async () => {
  const answer = await get({ "Accept-Encoding": "gzip, zstd", Accept: "text/html" });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, content.bytes);
  assert.equal(answer.headers["content-length"], "2048");
  assert.equal(answer.headers["content-encoding"], undefined);
  assert.equal(answer.headers["content-type"], "application/octet-stream");
  assert.equal(answer.headers["x-content-type-options"], "nosniff");
  assert.equal(answer.headers["docker-content-digest"], content.digest);
  assert.equal(answer.headers["etag"], `"${content.digest}"`);
  assert.equal(answer.headers["accept-ranges"], "bytes");
});

test("HEAD says the same without opening anything", async () => {
  const before = opened;
  const answer = await get({ Range: "bytes=0-1" }, "HEAD");
  assert.deepEqual([answer.status, answer.headers["content-length"], answer.body.byteLength], [200, "2048", 0]);
  assert.equal(answer.headers["docker-content-digest"], content.digest);
  assert.equal(opened, before);
});

describe("one range", () => {
  const cases: readonly (readonly [range: string, first: number, last: number])[] = [
    ["bytes=500-1499", 500, 1499],
    ["bytes=500-", 500, 2047],
    ["bytes=-500", 1548, 2047],
    ["bytes=2000-5000", 2000, 2047],
    ["bytes=0-0", 0, 0],
    ["bytes=-5000", 0, 2047],
  ];
  for (const [range, first, last] of cases) {
    test(range, async () => {
      const answer = await get({ Range: range });
      assert.equal(answer.status, 206);
      assert.equal(answer.headers["content-range"], `bytes ${first}-${last}/2048`);
      assert.equal(answer.headers["content-length"], String(last - first + 1));
      assert.deepEqual(answer.body, content.bytes.subarray(first, last + 1));
    });
  }
  for (const range of ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"]) {
    test(`${range} is not there`, async () => {
      const answer = await get({ Range: range });
      assert.deepEqual([answer.status, answer.code, answer.headers["content-range"]], [416, "RANGE_INVALID", "bytes */2048"]);
    });
  }
  for (const range of ["lines=1-2", "bytes", "bytes=a-b", "bytes=0-2047,0-2047"]) {
    test(`${range} is ignored`, async () => assert.equal((await get({ Range: range })).status, 200));
  }
});

test("several ranges come as multipart", async () => {
  const answer = await get({ Range: "bytes=0-9, 100-199,-5" });
  assert.equal(answer.status, 206);
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]+)$/.exec(answer.headers["content-type"] ?? "")?.[1];
  assert.ok(boundary !== undefined);
  assert.equal(answer.headers["content-length"], String(answer.body.byteLength));
  const spans = [
    [0, 9],
    [100, 199],
    [2043, 2047],
  ] as const;
  const parts = spans.map(([first, last]) =>
    Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${first}-${last}/2048\r\n\r\n`),
      content.bytes.subarray(first, last + 1),
      Buffer.from("\r\n"),
    ]),
  );
  assert.deepEqual(answer.body, Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]));
});

test("what the client has already is not sent again", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await get({ "If-None-Match": `"${content.digest}"` }, method);
    assert.deepEqual([answer.status, answer.body.byteLength, answer.headers.etag], [304, 0, `"${content.digest}"`]);
  }
  assert.equal((await get({ "If-None-Match": '"sha256:other"' })).status, 200);
  assert.equal((await get({ Range: "bytes=0-1", "If-Range": '"other"' })).status, 200);
});

test("the empty blob", async () => {
  const empty = makeBlob(0);
  await push(empty);
  const answer = await server.request("GET", `/v2/team/app/blobs/${empty.digest}`);
  assert.deepEqual([answer.status, answer.headers["content-length"], answer.body.byteLength], [200, "0", 0]);
  assert.equal((await server.request("HEAD", `/v2/team/app/blobs/${empty.digest}`)).headers["content-length"], "0");
  assert.equal((await server.request("GET", `/v2/team/app/blobs/${empty.digest}`, { headers: { Range: "bytes=0-" } })).status, 416);
});

test("what is not there, and what cannot be", async () => {
  const missing = `sha256:${"1".repeat(64)}`;
  for (const method of ["GET", "DELETE"]) {
    const answer = await server.request(method, `/v2/team/app/blobs/${missing}`);
    assert.deepEqual([answer.status, answer.code], [404, "BLOB_UNKNOWN"]);
  }
  assert.equal((await server.request("HEAD", `/v2/team/app/blobs/${missing}`)).status, 404);
  for (const bad of ["sha256:abc", `sha256:${"A".repeat(64)}`, `md5:${"a".repeat(32)}`, "latest", `sha256:${"a".repeat(65)}`]) {
    const answer = await server.request("GET", `/v2/team/app/blobs/${bad}`);
    assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"], bad);
  }
  const elsewhere = await server.request("GET", `/v2/team/none/blobs/${content.digest}`);
  assert.deepEqual([elsewhere.status, elsewhere.code], [404, "NAME_UNKNOWN"]);
});

test("a blob of another repository is not there", async () => {
  await server.createRepository("team/other");
  for (const method of ["GET", "HEAD", "DELETE"]) {
    assert.equal((await server.request(method, `/v2/team/other/blobs/${content.digest}`)).status, 404);
  }
});

test("DELETE removes it", async () => {
  const blob = makeBlob(10, "to delete");
  await push(blob);
  assert.equal((await server.request("DELETE", `/v2/team/app/blobs/${blob.digest}`)).status, 202);
  assert.equal((await server.request("HEAD", `/v2/team/app/blobs/${blob.digest}`)).status, 404);
});

test("bytes that are elsewhere are pointed at", async () => {
  failure = "elsewhere";
  try {
    const answer = await get();
    assert.deepEqual([answer.status, answer.headers.location], [307, "https://bytes.example/x?signature=1"]);
  } finally {
    failure = "none";
  }
});

test("a driver that fails: an error before the head, a cut connection after it", async () => {
  failure = "open";
  const answer = await get();
  assert.deepEqual([answer.status, answer.code], [503, "UNAVAILABLE"]);
  assert.doesNotMatch(answer.body.toString(), /disk/);
  failure = "middle";
  await assert.rejects(get());
  failure = "none";
  assert.equal(server.errors.length, 2);
  assert.equal((await get()).status, 200);
});

test("a client that leaves in the middle of a download is no failure", async () => {
  const large = makeBlob(8_000_000, "large");
  await push(large);
  const failures = server.errors.length;
  const gone = new AbortController();
  const url = `${server.url}/v2/team/app/blobs/${large.digest}`;
  const response = await fetch(url, { headers: { Authorization: server.authorization() }, signal: gone.signal });
  assert.equal(response.status, 200);
  gone.abort();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(server.errors.length, failures);
});

test("ns is echoed", async () => {
  const answer = await server.request("GET", `${path}?ns=docker.io`);
  assert.equal(answer.headers["oci-namespace"], "docker.io");
});
