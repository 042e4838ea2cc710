/** Tags, catalog and referrers: everything that comes in pages. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content, ManifestContent } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const tags = ["0", "A", "B", "Z", "_x", "a", "a-b", "a.b", "a0", "b", "v1.10", "v1.9"];
const repositories = ["a/b", "a-b", "app", "empty", "zz"];

before(async () => {
  server = await startRegistryServer();
  for (const name of repositories) await server.createRepository(name);
  const image = await push(makeImage());
  for (const tag of [...tags].reverse()) await put(image, tag);
});
after(() => server.close());

async function push(manifest: ManifestContent): Promise<ManifestContent> {
  for (const blob of [manifest.config, ...manifest.layers]) {
    await server.request("POST", `/v2/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
  }
  return manifest;
}

async function put(manifest: Content, reference: string): Promise<void> {
  const headers = { "Content-Type": manifest.mediaType };
  const answer = await server.request("PUT", `/v2/app/manifests/${reference}`, { body: manifest.bytes, headers });
  assert.equal(answer.status, 201, answer.message);
}

/** Follows Link headers to the end, as clients do. */
async function follow(first: string, items: (answer: Answer) => string[]): Promise<string[][]> {
  const pages: string[][] = [];
  for (let target: string | undefined = first; target !== undefined;) {
    const answer = await server.request("GET", target);
    assert.equal(answer.status, 200, answer.message);
    pages.push(items(answer));
    target = /^<(\/[^>]+)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
    assert.ok(pages.length < 50);
  }
  return pages;
}

describe("tags", () => {
  const list = (query: string): Promise<Answer> => server.request("GET", `/v2/app/tags/list${query}`);
  const cases: readonly (readonly [query: string, expected: readonly string[], hasNext: boolean])[] = [
    ["", tags, false],
    ["?n=5", tags.slice(0, 5), true],
    ["?n=12", tags, false],
    ["?n=5000", tags, false],
    ["?n=0", [], false],
    ["?last=a", tags.slice(6), false],
    ["?n=2&last=a", tags.slice(6, 8), true],
    ["?last=a-", tags.slice(6), false],
    ["?last=zzz", [], false],
    ["?last=%F0%9F%9A%A2", [], false],
    ["?n=3&last=not%20a%20tag", tags.slice(10), false],
  ];
  for (const [query, expected, hasNext] of cases) {
    test(query === "" ? "all" : query, async () => {
      const answer = await list(query);
      assert.deepEqual([answer.status, answer.json()], [200, { name: "app", tags: expected }]);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["link"] !== undefined, hasNext);
    });
  }
  for (let n = 1; n <= 13; n++) {
    test(`every tag once in pages of ${n}`, async () => {
      const pages = await follow(`/v2/app/tags/list?n=${n}`, (answer) => answer.json().tags);
      assert.deepEqual(pages.flat(), tags);
      assert.ok(pages.every((page) => page.length <= n));
    });
  }
  test("of nothing, and of nowhere", async () => {
    assert.deepEqual((await server.request("GET", "/v2/empty/tags/list")).json(), { name: "empty", tags: [] });
    for (const query of ["", "?n=0", "?n=5"]) {
      const answer = await server.request("GET", `/v2/none/tags/list${query}`);
      assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"]);
    }
  });
  for (const query of ["?n=-1", "?n=x", "?n=", "?last=%00", `?last=${"x".repeat(600)}`]) {
    test(`${query.slice(0, 20)} is refused`, async () => {
      const answer = await list(query);
      assert.deepEqual([answer.status, answer.code], [400, "PAGINATION_NUMBER_INVALID"]);
    });
  }
  test("HEAD has the headers alone", async () => {
    const answer = await server.request("HEAD", "/v2/app/tags/list?n=1");
    assert.deepEqual([answer.status, answer.body.byteLength], [200, 0]);
    assert.ok(answer.headers["link"] !== undefined);
  });
});

describe("the catalog", () => {
  const sorted = ["a-b", "a/b", "app", "empty", "zz"];
  test("names in byte order, in pages of any size", async () => {
    for (const n of [1, 2, 3, 5, 9]) {
      const pages = await follow(`/v2/_catalog?n=${n}`, (answer) => answer.json().repositories);
      assert.deepEqual(pages.flat(), sorted);
    }
    assert.deepEqual((await server.request("GET", "/v2/_catalog")).json(), { repositories: sorted });
    assert.deepEqual((await server.request("GET", "/v2/_catalog?n=0")).json(), { repositories: [] });
    assert.deepEqual((await server.request("GET", "/v2/_catalog?last=a%2Fb")).json(), { repositories: sorted.slice(2) });
    assert.equal((await server.request("GET", "/v2/_catalog?n=-5")).status, 400);
  });
  test("of the host's registry only", async () => {
    const options = {
      headers: { Host: "123456789012.dkr.ecr.us-east-1.localhost" },
      authorization: server.authorization({ region: "us-east-1" }),
    };
    assert.deepEqual((await server.request("GET", "/v2/_catalog", options)).json(), { repositories: [] });
    const other = { headers: { Host: "999999999999.dkr.ecr.eu-central-1.localhost" } };
    assert.equal((await server.request("GET", "/v2/_catalog", other)).status, 403);
  });
});

describe("referrers", () => {
  const subject = makeImage({ seed: "subject" });
  const one = makeArtifact({ subject, seed: 1, artifactType: "application/vnd.example.one", annotations: { "org.example": "1" } });
  const two = makeArtifact({ subject, seed: 2, artifactType: "application/vnd.example.two+json" });
  const plain = makeImage({ subject, seed: 3 });
  const index = makeIndex([], { subject });
  const all = [one, two, plain, index];
  const byDigest = (a: { digest: string }, b: { digest: string }): number => (a.digest < b.digest ? -1 : 1);
  const list = (query = ""): Promise<Answer> => server.request("GET", `/v2/app/referrers/${subject.digest}${query}`);

  before(async () => {
    for (const manifest of [one, two, plain]) await put(await push(manifest), manifest.digest);
    await put(index, index.digest);
  });

  test("are an index of descriptors, though the subject is not there", async () => {
    const answer = await list();
    assert.deepEqual([answer.status, answer.headers["content-type"]], [200, mediaTypes.ociIndex]);
    assert.equal(answer.headers["oci-filters-applied"], undefined);
    const expected = [
      { ...described(one), artifactType: "application/vnd.example.one", annotations: { "org.example": "1" } },
      { ...described(two), artifactType: "application/vnd.example.two+json" },
      { ...described(plain), artifactType: plain.config.mediaType },
      described(index),
    ];
    assert.deepEqual(answer.json(), { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: expected.sort(byDigest) });
  });
  const cases: readonly (readonly [types: readonly string[], expected: readonly Content[]])[] = [
    [["application/vnd.example.one"], [one]],
    [
      ["application/vnd.example.two+json", "application/vnd.example.one"],
      [one, two],
    ],
    [[plain.config.mediaType], [plain]],
    [["application/vnd.example.none"], []],
    [["application/vnd.example.%"], []],
  ];
  for (const [types, expected] of cases) {
    test(`of type ${types.join(" or ")}`, async () => {
      const answer = await list(`?${types.map((type) => `artifactType=${encodeURIComponent(type)}`).join("&")}`);
      assert.equal(answer.headers["oci-filters-applied"], "artifactType");
      const digests = (answer.json().manifests as { digest: string }[]).map((manifest) => manifest.digest);
      assert.deepEqual(digests, expected.map((content) => content.digest).sort());
    });
  }
  test("in pages", async () => {
    for (const n of [1, 2, 3, 4, 10]) {
      const pages = await follow(`/v2/app/referrers/${subject.digest}?n=${n}`, (answer) =>
        answer.json().manifests.map((manifest: { digest: string }) => manifest.digest),
      );
      assert.deepEqual(pages.flat(), all.map((content) => content.digest).sort());
    }
    const types = "artifactType=application%2Fvnd.example.one&artifactType=application%2Fvnd.example.two%2Bjson";
    const filtered = await list(`?n=1&${types}`);
    assert.ok(String(filtered.headers["link"]).includes(types), String(filtered.headers["link"]));
    assert.deepEqual((await list("?n=0")).json().manifests, []);
  });
  test("of what nobody refers to, of nonsense, of nowhere", async () => {
    const none = await server.request("GET", `/v2/empty/referrers/sha256:${"0".repeat(64)}`);
    assert.deepEqual(none.json(), { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] });
    const bad = await server.request("GET", "/v2/app/referrers/sha256:totallywrong");
    assert.deepEqual([bad.status, bad.code], [400, "DIGEST_INVALID"]);
    const nowhere = await server.request("GET", `/v2/none/referrers/${subject.digest}`);
    assert.deepEqual([nowhere.status, nowhere.code], [404, "NAME_UNKNOWN"]);
    assert.equal((await list("?last=x")).status, 400);
    assert.equal((await list(`?${Array.from({ length: 51 }, (_, at) => `artifactType=t${at}`).join("&")}`)).status, 400);
  });
  test("go when they are deleted, and stay when their subject is", async () => {
    await put(await push(subject), "subject");
    assert.equal((await server.request("DELETE", `/v2/app/manifests/${subject.digest}`)).status, 202);
    assert.equal((await list()).json().manifests.length, 4);
    assert.equal((await server.request("DELETE", `/v2/app/manifests/${two.digest}`)).status, 202);
    const left = ((await list()).json().manifests as { digest: string }[]).map((manifest) => manifest.digest);
    assert.deepEqual(left, [one, plain, index].map((content) => content.digest).sort());
  });
});

function described(content: Content): { mediaType: string; digest: string; size: number } {
  return { mediaType: content.mediaType, digest: content.digest, size: content.bytes.byteLength };
}
