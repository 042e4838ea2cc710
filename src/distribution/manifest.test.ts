import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content, ManifestContent } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
  for (const name of ["team/app", "team/other"]) await server.createRepository(name);
  await server.createRepository("team/fixed", { tagMutability: "IMMUTABLE" });
  await server.createRepository("team/mixed", {
    tagMutability: "IMMUTABLE_WITH_EXCLUSION",
    mutabilityFilters: ["dev-*"],
  });
});
after(() => server.close());

async function pushBlobs(manifest: ManifestContent, name = "team/app"): Promise<void> {
  for (const blob of [manifest.config, ...manifest.layers]) {
    const answer = await server.request("POST", `/v2/${name}/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
    assert.equal(answer.status, 201);
  }
}

function put(manifest: Content, reference: string, name = "team/app", contentType = manifest.mediaType): Promise<Answer> {
  return server.request("PUT", `/v2/${name}/manifests/${reference}`, { body: manifest.bytes, headers: { "Content-Type": contentType } });
}

async function push(manifest: ManifestContent, reference: string, name = "team/app"): Promise<Answer> {
  await pushBlobs(manifest, name);
  const answer = await put(manifest, reference, name);
  assert.equal(answer.status, 201, answer.message);
  return answer;
}

const get = (reference: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> =>
  server.request(method, `/v2/team/app/manifests/${reference}`, { headers });

test("PUT by tag, then HEAD and GET by tag and digest", async () => {
  const image = makeImage({ seed: "round" });
  const pushed = await push(image, "v1");
  assert.equal(pushed.headers.location, `/v2/team/app/manifests/${image.digest}`);
  assert.equal(pushed.headers["docker-content-digest"], image.digest);
  assert.equal(pushed.headers["oci-subject"], undefined);
  for (const reference of ["v1", image.digest]) {
    const read = await get(reference);
    assert.equal(read.status, 200);
    assert.deepEqual(read.body, image.bytes);
    const head = await get(reference, {}, "HEAD");
    for (const answer of [read, head]) {
      assert.equal(answer.headers["content-type"], image.mediaType);
      assert.equal(answer.headers["content-length"], String(image.bytes.byteLength));
      assert.equal(answer.headers["docker-content-digest"], image.digest);
      assert.equal(answer.headers.etag, `"${image.digest}"`);
    }
    assert.deepEqual([head.status, head.body.byteLength], [200, 0]);
    for (const method of ["GET", "HEAD"]) {
      const known = await get(reference, { "If-None-Match": `"${image.digest}"` }, method);
      assert.deepEqual([known.status, known.headers["docker-content-digest"]], [304, image.digest]);
    }
  }
});

test("what a client may send beside the type", async () => {
  const image = makeImage({ seed: "types", omitMediaType: true });
  await pushBlobs(image);
  assert.equal((await put(image, "params", "team/app", `${image.mediaType}; charset=utf-8`)).status, 201);
  assert.equal((await get("params")).headers["content-type"], image.mediaType);
  const wrong = await put(makeImage({ seed: "types" }), "wrong", "team/app", mediaTypes.ociIndex);
  assert.deepEqual([wrong.status, wrong.code], [400, "MANIFEST_INVALID"]);
  const none = await server.request("PUT", "/v2/team/app/manifests/none", { body: image.bytes });
  assert.deepEqual([none.status, none.code], [400, "MANIFEST_INVALID"]);
});

describe("Accept", () => {
  const image = makeImage({ seed: "accept" });
  before(async () => {
    await push(image, "accept");
  });
  const cases: readonly (readonly [accept: string, status: number])[] = [
    ["*/*", 200],
    [`${mediaTypes.dockerManifest}, ${mediaTypes.ociManifest}`, 200],
    ["application/json", 200],
    [mediaTypes.dockerManifest, 404],
    [`${mediaTypes.ociIndex}, ${mediaTypes.dockerManifestList}`, 404],
  ];
  for (const [accept, status] of cases) {
    test(accept, async () => {
      const answer = await get("accept", { Accept: accept });
      assert.equal(answer.status, status);
      if (status === 404) assert.equal(answer.code, "MANIFEST_UNKNOWN");
      if (status === 404) assert.equal(answer.message, "OCI manifest found, but accept header does not support OCI manifests");
      assert.equal((await get("accept", { Accept: accept }, "HEAD")).status, status);
      assert.equal((await get(image.digest, { Accept: accept })).status, 200);
    });
  }
});

test("several tags on a push by digest", async () => {
  const image = makeImage({ seed: "tags" });
  await pushBlobs(image);
  const tags = Array.from({ length: 12 }, (_, index) => `t${index}`);
  const answer = await put(image, `${image.digest}?${tags.map((tag) => `tag=${tag}`).join("&")}&tag=t0`);
  assert.equal(answer.status, 201);
  assert.deepEqual(answer.lines("OCI-Tag"), tags);
  for (const tag of tags) assert.equal((await get(tag, {}, "HEAD")).headers["docker-content-digest"], image.digest);
  const bad = await put(image, `${image.digest}?tag=good&tag=-bad`);
  assert.deepEqual([bad.status, bad.code], [400, "TAG_INVALID"]);
  assert.equal((await get("good")).status, 404);
  const many = await put(image, `${image.digest}?${Array.from({ length: 101 }, (_, index) => `tag=m${index}`).join("&")}`);
  assert.equal(many.status, 414);
  const ignored = await put(image, "path-tag?tag=query-tag");
  assert.deepEqual([ignored.status, ignored.headers["oci-tag"]], [201, undefined]);
  assert.equal((await get("query-tag")).status, 404);
});

test("a subject is confirmed, present or not", async () => {
  const subject = makeImage({ seed: "never pushed" });
  const artifact = makeArtifact({ subject, seed: "signature" });
  assert.equal((await push(artifact, artifact.digest)).headers["oci-subject"], subject.digest);
});

describe("refused pushes", () => {
  const image = makeImage({ seed: "refused" });
  test("the wrong digest", async () => {
    await pushBlobs(image);
    const spaced: Content = { ...image, bytes: Buffer.concat([image.bytes, Buffer.from("  ")]) };
    const answer = await put(spaced, image.digest);
    assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
  });
  for (const [reference, code] of [
    ["sha256:baddigeststring", "DIGEST_INVALID"],
    ["-dash", "TAG_INVALID"],
    ["1.0+x", "TAG_INVALID"],
    ["x".repeat(129), "TAG_INVALID"],
  ] as const) {
    test(reference.slice(0, 30), async () => {
      for (const answer of [await put(image, reference), await get(reference)]) assert.deepEqual([answer.status, answer.code], [400, code]);
    });
  }
  test("missing blobs are named", async () => {
    const absent = makeImage({ seed: "absent" });
    const answer = await put(absent, "absent");
    assert.deepEqual([answer.status, answer.code], [404, "MANIFEST_BLOB_UNKNOWN"]);
    assert.match(answer.message, /^Layers with digests '\[sha256:/);
    for (const blob of [absent.config, ...absent.layers]) assert.ok(answer.message.includes(blob.digest));
  });
  test("missing children are named", async () => {
    const index = makeIndex([makeImage({ seed: "no child" })]);
    const answer = await put(index, "index");
    assert.deepEqual([answer.status, answer.code], [404, "MANIFEST_BLOB_UNKNOWN"]);
    assert.match(answer.message, /^Images with digests/);
  });
  test("blobs of another repository do not count", async () => {
    const elsewhere = makeImage({ seed: "elsewhere" });
    await pushBlobs(elsewhere, "team/other");
    assert.equal((await put(elsewhere, "v1")).status, 404);
  });
  const bodies = {
    "no JSON": "{",
    "two values": "{}{}",
    empty: "",
    "a list": "[]",
    "a key twice": '{"schemaVersion":2,"schemaVersion":2}',
  };
  for (const [label, body] of Object.entries(bodies)) {
    test(label, async () => {
      const answer = await server.request("PUT", "/v2/team/app/manifests/bad", {
        body,
        headers: { "Content-Type": mediaTypes.ociManifest },
      });
      assert.deepEqual([answer.status, answer.code], [400, "MANIFEST_INVALID"]);
    });
  }
  test("no such repository", async () => {
    const answer = await put(image, "v1", "team/none");
    assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"]);
  });
});

describe("immutable tags", () => {
  const first = makeImage({ seed: "immutable 1" });
  const second = makeImage({ seed: "immutable 2" });
  before(async () => {
    await push(first, "v1", "team/fixed");
    await pushBlobs(second, "team/fixed");
  });
  test("the same again is no violation", async () => assert.equal((await put(first, "v1", "team/fixed")).status, 201));
  test("another manifest is refused, by path and by parameter", async () => {
    for (const reference of ["v1", `${second.digest}?tag=v2&tag=v1`]) {
      const answer = await put(second, reference, "team/fixed");
      assert.deepEqual([answer.status, answer.code], [400, "TAG_INVALID"]);
      assert.equal(
        answer.message,
        "The image tag 'v1' already exists in the 'team/fixed' repository and cannot be overwritten because the tag is immutable.",
      );
    }
    assert.equal((await server.request("HEAD", "/v2/team/fixed/manifests/v2")).status, 404);
    assert.equal((await server.request("HEAD", "/v2/team/fixed/manifests/v1")).headers["docker-content-digest"], first.digest);
  });
  test("a deleted tag can be made again", async () => {
    assert.equal((await server.request("DELETE", "/v2/team/fixed/manifests/v1")).status, 202);
    assert.equal((await put(second, "v1", "team/fixed")).status, 201);
  });
  test("filters make exceptions", async () => {
    await push(first, "dev-1", "team/mixed");
    await push(second, "dev-1", "team/mixed");
    await push(first, "rel-1", "team/mixed");
    assert.equal((await put(second, "rel-1", "team/mixed")).status, 400);
  });
});

describe("deleting", () => {
  test("a tag goes alone", async () => {
    const image = makeImage({ seed: "tag delete" });
    await push(image, "gone");
    await push(image, "stays");
    assert.equal((await get("gone", {}, "DELETE")).status, 202);
    assert.equal((await get("gone")).status, 404);
    assert.equal((await get("stays")).status, 200);
    assert.equal((await get("stays", {}, "DELETE")).status, 202);
    assert.equal((await get(image.digest)).status, 200);
    const again = await get("gone", {}, "DELETE");
    assert.deepEqual([again.status, again.code, again.message], [404, "MANIFEST_UNKNOWN", "Requested image not found"]);
  });
  test("a manifest goes with its tags, and its blobs can go then", async () => {
    const image = makeImage({ seed: "manifest delete" });
    await push(image, "whole");
    const blob = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
    const held = await server.request("DELETE", blob);
    assert.deepEqual([held.status, held.code], [405, "UNSUPPORTED"]);
    assert.equal((await get(image.digest, {}, "DELETE")).status, 202);
    assert.equal((await get("whole")).status, 404);
    assert.equal((await get(image.digest)).status, 404);
    assert.ok([202, 404].includes((await server.request("DELETE", blob)).status));
    assert.equal((await server.request("HEAD", blob)).status, 404);
  });
  test("a child of a live index is held by it", async () => {
    const child = makeImage({ seed: "child" });
    await push(child, "child");
    const index = makeIndex([child]);
    assert.equal((await put(index, "index")).status, 201);
    const held = await get(child.digest, {}, "DELETE");
    assert.deepEqual([held.status, held.code], [405, "UNSUPPORTED"]);
    assert.equal(held.message, `Requested image referenced by manifest list: [${index.digest}]`);
    assert.equal((await get(index.digest, {}, "DELETE")).status, 202);
    assert.equal((await get(child.digest, {}, "DELETE")).status, 202);
  });
  test("no such repository", async () => {
    const answer = await server.request("DELETE", `/v2/team/none/manifests/v1`);
    assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"]);
  });
});

test("JSON is not touched on its way through", async () => {
  const image = makeImage({ seed: "spaces" });
  await pushBlobs(image);
  const text = `\n  ${JSON.stringify(JSON.parse(image.bytes.toString()), null, 3)}\n`;
  const answer = await server.request("PUT", "/v2/team/app/manifests/spaces", { body: text, headers: { "Content-Type": image.mediaType } });
  assert.equal(answer.status, 201);
  assert.equal((await get("spaces")).body.toString(), text);
  assert.deepEqual(server.errors, []);
});
