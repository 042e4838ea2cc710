import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { followPages, startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
  for (const name of ["app", "empty"]) await server.createRepository(name);
});
after(() => server.close());

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
    for (const manifest of [one, two, plain]) await server.push("app", manifest);
    await server.push("app", index);
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
      const digests = digestsOf(answer);
      assert.deepEqual(digests, expected.map((content) => content.digest).sort());
    });
  }
  test("in pages", async () => {
    for (const n of [1, 2, 3, 4, 10]) {
      const pages = await followPages(server, `/v2/app/referrers/${subject.digest}?n=${n}`, digestsOf);
      assert.deepEqual(pages.flat(), all.map((content) => content.digest).sort());
    }
    const types = "artifactType=application%2Fvnd.example.one&artifactType=application%2Fvnd.example.two%2Bjson";
    const filtered = await list(`?n=1&${types}`);
    assert.ok(String(filtered.headers["link"]).includes(types), String(filtered.headers["link"]));
    assert.deepEqual(digestsOf(await list("?n=0")), []);
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
    await server.push("app", subject);
    assert.equal((await server.request("DELETE", `/v2/app/manifests/${subject.digest}`)).status, 202);
    assert.equal(digestsOf(await list()).length, 4);
    assert.equal((await server.request("DELETE", `/v2/app/manifests/${two.digest}`)).status, 202);
    const left = digestsOf(await list());
    assert.deepEqual(left, [one, plain, index].map((content) => content.digest).sort());
  });
});

function described(content: Content): { mediaType: string; digest: string; size: number } {
  return { mediaType: content.mediaType, digest: content.digest, size: content.bytes.byteLength };
}

function digestsOf(answer: Answer): string[] {
  return answer.json<{ manifests: { digest: string }[] }>().manifests.map((manifest) => manifest.digest);
}
