/** Conformance: blobs, in every form of pushing, for both algorithms. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { DigestAlgorithm } from "#oci/digest.ts";
import { makeBlob } from "../fixtures/oci-content.ts";
import type { Content } from "../fixtures/oci-content.ts";
import type { RegistryServer } from "../registry-server.ts";
import {
  blobOf,
  checkBlob,
  checkPushedBlob,
  locationOf,
  openUpload,
  pushBlob,
  repo1,
  repo2,
  sendChunk,
  startSuite,
  withDigest,
} from "./suite.ts";

let server: RegistryServer;
before(async () => {
  server = await startSuite();
});
after(() => server.close());

/** The suite's chunk, when a registry states no minimum. */
const chunkBytes = 1024;
const uploads = `/v2/${repo1}/blobs/uploads/`;

test("ping", async () => assert.equal((await server.request("GET", "/v2/")).status, 200));

/** Pushes in one form; what comes back is the answer to the finishing request. */
const forms = {
  "post only": (content: Content) =>
    server.request("POST", `${uploads}?digest=${encodeURIComponent(content.digest)}`, { body: content.bytes }),
  "post+put": async (content: Content) =>
    server.request("PUT", withDigest(await openUpload(server), content.digest), { body: content.bytes }),
  "chunked single": async (content: Content) => {
    const patched = await sendChunk(server, "PATCH", await openUpload(server), content, 0, content.bytes.byteLength);
    assert.equal(patched.status, 202);
    return server.request("PUT", withDigest(locationOf(patched), content.digest));
  },
  "chunked and put chunk": async (content: Content) => {
    const half = Math.ceil(content.bytes.byteLength / 2);
    const patched = await sendChunk(server, "PATCH", await openUpload(server), content, 0, half);
    return sendChunk(server, "PUT", withDigest(locationOf(patched), content.digest), content, half, content.bytes.byteLength);
  },
  stream: async (content: Content) => {
    const patched = await server.request("PATCH", await openUpload(server), { body: [content.bytes] });
    assert.equal(patched.status, 202);
    return server.request("PUT", withDigest(locationOf(patched), content.digest));
  },
};

for (const algorithm of ["sha256", "sha512"] as const) {
  describe(`${algorithm} blobs`, () => {
    const blob = (name: string, sizeBytes = 2048): Content => makeBlob(sizeBytes, `${algorithm} ${name}`, { algorithm });

    test("get-missing", async () => {
      assert.equal((await server.request("GET", `/v2/${repo1}/blobs/${blob("missing").digest}`)).status, 404);
    });
    for (const [name, push] of Object.entries(forms)) {
      test(name, async () => {
        const content = blob(name);
        await checkPushedBlob(server, await push(content), content);
      });
      test(`bad digest ${name}`, async () => {
        const content = { ...blob(`bad ${name}`), digest: blob("another").digest };
        const answer = await push(content);
        assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
        assert.equal((await server.request("HEAD", `/v2/${repo1}/blobs/${content.digest}`)).status, 404);
      });
    }
    mountCases(algorithm, blob);
    chunkCases(blob);
    rangeCases(blob);
    test("empty", async () => {
      const empty = blobOf(Buffer.alloc(0), algorithm);
      await checkPushedBlob(server, await forms["post only"](empty), empty);
      await checkPushedBlob(server, await forms["post+put"](empty), empty);
      await checkPushedBlob(server, await forms.stream(empty), empty);
    });
    test("emptyJSON", async () => {
      const json = blobOf(Buffer.from("{}"), algorithm);
      for (const push of Object.values(forms)) await checkPushedBlob(server, await push(json), json);
    });
  });
}

function mountCases(algorithm: DigestAlgorithm, blob: (name: string) => Content): void {
  test("mount", async () => {
    const content = blob("mount");
    await pushBlob(server, content, repo2);
    const answer = await server.request("POST", `${uploads}?mount=${content.digest}&from=${encodeURIComponent(repo2)}`);
    assert.equal(answer.headers["location"], `/v2/${repo1}/blobs/${content.digest}`);
    await checkPushedBlob(server, answer, content);
  });
  test("mount anonymous", async () => {
    const content = blob("mount anonymous");
    await pushBlob(server, content, repo2);
    await checkPushedBlob(server, await server.request("POST", `${uploads}?mount=${content.digest}`), content);
  });
  test("mount missing", async () => {
    const content = blob("mount missing");
    const answer = await server.request("POST", `${uploads}?mount=${content.digest}&from=${repo2}`);
    assert.equal(answer.status, 202);
    assert.ok(locationOf(answer).startsWith(uploads));
    await checkPushedBlob(
      server,
      await server.request("PUT", withDigest(locationOf(answer), content.digest), { body: content.bytes }),
      content,
    );
  });
  test("post cancel", async () => {
    const location = await openUpload(server, repo1, `?digest-algorithm=${algorithm}`);
    assert.equal((await server.request("DELETE", location)).status, 204);
    assert.equal((await server.request("GET", location)).status, 404);
  });
}

function chunkCases(blob: (name: string, sizeBytes?: number) => Content): void {
  const sizeBytes = 3 * chunkBytes - 5;
  for (const lastByPut of [false, true]) {
    const suffix = lastByPut ? " and put chunk" : "";
    test(`chunked multi${suffix}`, async () => {
      const content = blob(`multi${suffix}`, sizeBytes);
      const location = await pushChunks(content, lastByPut, false);
      await checkPushedBlob(server, location, content);
    });
    test(`chunked out-of-order${suffix}`, async () => {
      const content = blob(`out-of-order${suffix}`, sizeBytes);
      await checkPushedBlob(server, await pushChunks(content, lastByPut, true), content);
    });
  }
  test("the first Location stays good", async () => {
    const content = blob("first location", sizeBytes);
    const location = await openUpload(server);
    assert.equal((await sendChunk(server, "PATCH", location, content, 0, chunkBytes)).headers["range"], `0-${chunkBytes - 1}`);
    assert.equal((await sendChunk(server, "PATCH", location, content, 0, chunkBytes)).status, 416);
    const status = await server.request("GET", location);
    assert.deepEqual([status.status, status.headers["range"]], [204, `0-${chunkBytes - 1}`]);
    assert.equal((await server.request("DELETE", locationOf(status))).status, 204);
  });
}

/** Three chunks in order; with `probe` each is preceded by one that skips ahead or goes back, which must be 416 and change nothing. */
async function pushChunks(content: Content, lastByPut: boolean, probe: boolean): ReturnType<RegistryServer["request"]> {
  let location = await openUpload(server);
  const size = content.bytes.byteLength;
  const spans = [0, 1, 2].map((index) => [index * chunkBytes, Math.min((index + 1) * chunkBytes, size)] as const);
  for (const [index, [first, end]] of spans.entries()) {
    const isLast = index === spans.length - 1;
    const method = isLast && lastByPut ? "PUT" : "PATCH";
    const target = (): string => (method === "PUT" ? withDigest(location, content.digest) : location);
    if (probe) {
      const [wrongFirst, wrongEnd] = first === 0 ? [chunkBytes, 2 * chunkBytes] : [0, chunkBytes];
      const wrong = await sendChunk(server, method, target(), content, wrongFirst, wrongEnd);
      assert.equal(wrong.status, 416);
      location = locationOf(wrong);
      const status = await server.request("GET", location);
      assert.equal(status.status, 204);
      assert.equal(status.headers["range"], first === 0 ? "0-0" : `0-${first - 1}`);
    }
    const answer = await sendChunk(server, method, target(), content, first, end);
    if (method === "PUT") return answer;
    assert.deepEqual([answer.status, answer.headers["range"]], [202, `0-${end - 1}`]);
    location = locationOf(answer);
  }
  return server.request("PUT", withDigest(location, content.digest));
}

function rangeCases(blob: (name: string) => Content): void {
  describe("range requests", () => {
    const good = [
      ["500-1499", 500, 1499],
      ["500-", 500, 2047],
      ["-500", 1548, 2047],
      ["2000-5000", 2000, 2047],
    ] as const;
    const content = blob("ranges");
    const get = (range: string): ReturnType<RegistryServer["request"]> =>
      server.request("GET", `/v2/${repo1}/blobs/${content.digest}`, { headers: { Range: `bytes=${range}` } });
    before(() => pushBlob(server, content));
    for (const [range, first, last] of good) {
      test(`range ${range}`, async () => {
        const answer = await get(range);
        assert.deepEqual([answer.status, answer.headers["content-range"]], [206, `bytes ${first}-${last}/2048`]);
        assert.equal(answer.headers["content-length"], String(last - first + 1));
        assert.ok(answer.body.equals(content.bytes.subarray(first, last + 1)));
      });
    }
    for (const range of ["500-0", "5000-10000"]) test(`range ${range}`, async () => assert.equal((await get(range)).status, 416));
    test("the blob is whole after all that", () => checkBlob(server, content));
  });
}
