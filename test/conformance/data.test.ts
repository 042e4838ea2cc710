/** Conformance: the data sets. Each is pushed, listed, read by tag and digest, asked for referrers, and deleted in the opposite order. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { descriptorOf, emptyBlob, makeArtifact, makeBlob, makeImage, makeIndex } from "../fixtures/oci-content.ts";
import type { Content, ManifestContent } from "../fixtures/oci-content.ts";
import type { RegistryServer } from "../registry-server.ts";
import { checkBlob, pushBlob, repo1, startSuite } from "./suite.ts";

interface DataSet {
  readonly blobs: readonly Content[];
  /** In pushing order: what is referenced before what references. */
  readonly manifests: readonly Content[];
  readonly tags: Readonly<Record<string, Content>>;
  /** The referrers of each subject, with their effective artifact types. */
  readonly referrers?: readonly {
    readonly subject: Content;
    readonly expected: readonly { readonly content: Content; readonly artifactType?: string }[];
  }[];
  readonly subjects?: ReadonlyMap<Content, Content>;
}

let server: RegistryServer;
before(async () => {
  server = await startSuite();
});
after(() => server.close());

const artifactType = "application/vnd.example.oci.conformance.v1";
const blobsOf = (...manifests: readonly ManifestContent[]): Content[] =>
  manifests.flatMap((manifest) => [manifest.config, ...manifest.layers]);
const single = (tag: string, manifest: ManifestContent): DataSet => ({
  blobs: blobsOf(manifest),
  manifests: [manifest],
  tags: { [tag]: manifest },
});

function large(): ManifestContent {
  const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, at) => [`org.example.conformance.${at}`, "x".repeat(10_000)]));
  return makeImage({ seed: "large", annotations });
}

function nested(): DataSet {
  const images = ["a", "b", "c", "d"].map((seed) => makeImage({ seed }));
  const [left, right] = [makeIndex(images.slice(0, 2)), makeIndex(images.slice(2))];
  const root = makeIndex([left, right]);
  return { blobs: blobsOf(...images), manifests: [...images, left, right, root], tags: { "nested-index": root } };
}

function withSubject(): DataSet {
  const image = makeImage({ seed: "subject" });
  const plain = makeImage({ seed: "plain referrer", subject: image });
  const first = makeArtifact({ seed: 1, subject: image, artifactType, annotations: { "org.example": "first" } });
  const second = makeArtifact({
    seed: 2,
    subject: image,
    artifactType: "application/vnd.example.other",
    annotations: { "org.example": "second" },
  });
  const expected = [
    { content: plain, artifactType: plain.config.mediaType },
    { content: first, artifactType },
    { content: second, artifactType: "application/vnd.example.other" },
  ];
  return {
    blobs: blobsOf(image, plain, first, second),
    manifests: [image, plain, first, second],
    tags: { image, "tagged-artifact": first },
    referrers: [{ subject: image, expected }],
    subjects: new Map([
      [plain, image],
      [first, image],
      [second, image],
    ] as const),
  };
}

function indexWithSubject(): DataSet {
  const images = [makeImage({ seed: "s1" }), makeImage({ seed: "s2" })];
  const subject = makeIndex(images);
  const artifacts = [makeArtifact({ seed: "s3" }), makeArtifact({ seed: "s4" })];
  const referrer = makeIndex(artifacts, { subject, artifactType });
  return {
    blobs: blobsOf(...images, ...artifacts),
    manifests: [...images, subject, ...artifacts, referrer],
    tags: { index: subject },
    referrers: [{ subject, expected: [{ content: referrer, artifactType }] }],
    subjects: new Map([[referrer, subject]]),
  };
}

function missingSubject(): DataSet {
  const subject = makeImage({ seed: "never pushed" });
  const artifact = makeArtifact({ seed: "orphan", subject, artifactType });
  const referrers = [{ subject, expected: [{ content: artifact, artifactType }] }];
  return { ...single("missing-subject", artifact), referrers, subjects: new Map([[artifact, subject]]) };
}

/** Layers that a registry need not hold. */
function nonDistributable(): DataSet {
  const there = makeBlob(300, "distributable", { mediaType: mediaTypes.ociLayer });
  const away = ["gz", "tar"].map((seed) =>
    makeBlob(100, seed, { mediaType: `application/vnd.oci.image.layer.nondistributable.v1.tar${seed === "gz" ? "+gzip" : ""}` }),
  );
  const image = makeImage({ seed: "away", layers: [...away, there] });
  return { blobs: [image.config, there], manifests: [image], tags: { "non-distributable": image } };
}

function sha512(): DataSet {
  const images = [makeImage({ seed: "512a", algorithm: "sha512" }), makeImage({ seed: "512b", algorithm: "sha512" })];
  const index = makeIndex(images, { algorithm: "sha512" });
  return { blobs: blobsOf(...images), manifests: [...images, index], tags: {} };
}

const platforms = [
  { os: "linux", architecture: "amd64" },
  { os: "linux", architecture: "arm64" },
];
const twoImages = platforms.map((platform) => makeImage({ seed: platform.architecture, platform }));
const twoPlatforms = makeIndex(twoImages, { platforms });
const emptyIndex = makeIndex([]);
const artifacts = [makeArtifact({ seed: "x", artifactType }), makeArtifact({ seed: "y", artifactType })];
const artifactIndex = makeIndex(artifacts, { artifactType });
const custom = { "org.example.custom": { nested: [1, 2.5, null, true] }, other: "field" };
const customImage = makeImage({ seed: "custom", extra: custom });
const customIndex = makeIndex([customImage], { extra: custom });

const dataSets: Readonly<Record<string, DataSet>> = {
  image: single("image", makeImage({ seed: "image" })),
  "image-uncompressed": single("image", makeImage({ seed: "uncompressed", compression: "none" })),
  "image without mediaType": single("image", makeImage({ seed: "untyped", omitMediaType: true })),
  "docker image": single("image", makeImage({ seed: "docker", isDocker: true })),
  "large-manifest": single("large-manifest", large()),
  index: { blobs: blobsOf(...twoImages), manifests: [...twoImages, twoPlatforms], tags: { index: twoPlatforms } },
  "nested-index": nested(),
  "empty-index": { blobs: [], manifests: [emptyIndex], tags: { "empty-index": emptyIndex } },
  artifact: single("artifact", makeArtifact({ seed: "artifact", artifactType })),
  "artifact-index": { blobs: blobsOf(...artifacts), manifests: [...artifacts, artifactIndex], tags: { "artifact-index": artifactIndex } },
  "artifact-without-layers": single("artifact-without-layers", makeArtifact({ artifactType, layers: [] })),
  "artifacts-with-subject": withSubject(),
  "index-with-subject": indexWithSubject(),
  "missing-subject": missingSubject(),
  "data-field": single("data-field", makeImage({ seed: "data", inlineData: true })),
  "non-distributable-layers": nonDistributable(),
  "custom-fields": { blobs: blobsOf(customImage), manifests: [customImage, customIndex], tags: { image: customImage, index: customIndex } },
  "no-layers": single("no-layers", makeImage({ seed: "no layers", layers: [] })),
  sha512: sha512(),
};

const manifestPath = (reference: string): string => `/v2/${repo1}/manifests/${reference}`;

async function putManifest(content: Content, reference: string, subject?: Content): Promise<void> {
  const answer = await server.request("PUT", manifestPath(reference), {
    body: content.bytes,
    headers: { "Content-Type": content.mediaType },
  });
  assert.equal(answer.status, 201, answer.message);
  assert.equal(answer.headers["docker-content-digest"], content.digest);
  assert.equal(answer.headers["oci-subject"], subject?.digest);
  const read = await server.request("GET", String(answer.headers["location"]));
  assert.deepEqual([read.status, read.body.equals(content.bytes)], [200, true]);
}

async function checkManifest(content: Content, reference: string): Promise<void> {
  // The suite sends its types on two lines.
  const headers = { Accept: `${mediaTypes.ociIndex}, ${mediaTypes.ociManifest}, ${mediaTypes.dockerManifest}` };
  for (const method of ["HEAD", "GET"]) {
    const answer = await server.request(method, manifestPath(reference), { headers });
    assert.equal(answer.status, 200, answer.message);
    assert.equal(answer.headers["content-type"], content.mediaType);
    assert.equal(answer.headers["content-length"], String(content.bytes.byteLength));
    assert.equal(answer.headers["docker-content-digest"], content.digest);
    if (method === "GET") assert.ok(answer.body.equals(content.bytes));
  }
}

async function listTags(query = ""): Promise<string[]> {
  const answer = await server.request("GET", `/v2/${repo1}/tags/list${query}`);
  assert.equal(answer.status, 200);
  return answer.json<{ tags: string[] }>().tags;
}

interface Listed {
  readonly digest: string;
  readonly artifactType?: string;
  readonly size: number;
  readonly annotations?: object;
}

async function listReferrers(subject: string, query = ""): Promise<Listed[]> {
  const answer = await server.request("GET", `/v2/${repo1}/referrers/${subject}${query}`);
  assert.deepEqual([answer.status, answer.headers["content-type"]], [200, mediaTypes.ociIndex]);
  const index = answer.json<{ schemaVersion: number; mediaType: string; manifests: Listed[] }>();
  assert.deepEqual([index.schemaVersion, index.mediaType], [2, mediaTypes.ociIndex]);
  return index.manifests;
}

test("empty/tag list, empty/referrers", async () => {
  assert.deepEqual(await listTags(), []);
  assert.deepEqual(await listReferrers(makeBlob(9, "random").digest), []);
});

for (const [name, set] of Object.entries(dataSets)) {
  // Tests of a set build on each other, as they do in the suite.
  describe(`data: ${name}`, () => {
    test("push", async () => {
      for (const blob of set.blobs) await pushBlob(server, blob);
      for (const content of set.manifests) await putManifest(content, content.digest, set.subjects?.get(content));
      for (const [tag, content] of Object.entries(set.tags)) await putManifest(content, tag, set.subjects?.get(content));
    });
    test("list", async () => {
      const tags = Object.keys(set.tags).sort();
      assert.deepEqual(await listTags(), tags);
      for (const [at, tag] of tags.entries()) assert.deepEqual(await listTags(`?last=${tag}`), tags.slice(at + 1));
      assert.deepEqual(await listTags("?n=1"), tags.slice(0, 1));
    });
    test("head and pull", async () => {
      for (const [tag, content] of Object.entries(set.tags)) await checkManifest(content, tag);
      for (const content of set.manifests) await checkManifest(content, content.digest);
      for (const blob of set.blobs) await checkBlob(server, blob);
    });
    test("referrers", async () => {
      for (const { subject, expected } of set.referrers ?? []) await checkReferrers(subject, expected);
    });
    test("delete", () => deleteAll(set));
  });
}

async function checkReferrers(
  subject: Content,
  expected: readonly { readonly content: Content; readonly artifactType?: string }[],
): Promise<void> {
  const found = await listReferrers(subject.digest);
  assert.equal(found.length, expected.length);
  for (const { content, artifactType: type } of expected) {
    const body = JSON.parse(content.bytes.toString()) as { annotations?: object };
    const descriptor = {
      ...descriptorOf(content),
      artifactType: type,
      ...(body.annotations !== undefined && { annotations: body.annotations }),
    };
    assert.deepEqual(
      found.find((entry) => entry.digest === content.digest),
      descriptor,
    );
    const filtered = await listReferrers(subject.digest, `?artifactType=${encodeURIComponent(type ?? "")}`);
    assert.deepEqual(filtered, [descriptor]);
  }
}

async function deleteAll(set: DataSet): Promise<void> {
  const gone = async (path: string): Promise<void> => {
    assert.equal((await server.request("DELETE", path)).status, 202, path);
    for (const method of ["HEAD", "GET"]) assert.equal((await server.request(method, path)).status, 404);
  };
  for (const tag of Object.keys(set.tags)) await gone(manifestPath(tag));
  assert.deepEqual(await listTags(), []);
  for (const content of set.manifests.toReversed()) await gone(manifestPath(content.digest));
  for (const { subject } of set.referrers ?? []) assert.deepEqual(await listReferrers(subject.digest), []);
  for (const digest of new Set(set.blobs.map((blob) => blob.digest))) {
    const path = `/v2/${repo1}/blobs/${digest}`;
    assert.ok([202, 404].includes((await server.request("DELETE", path)).status));
    assert.equal((await server.request("HEAD", path)).status, 404);
  }
}

for (const algorithm of ["sha256", "sha512"] as const) {
  test(`data: tag-param-${algorithm}`, async () => {
    const image = makeImage({ seed: "tag-param", algorithm });
    for (const blob of blobsOf(image)) await pushBlob(server, blob);
    const tags = Array.from({ length: 10 }, (_, at) => `${algorithm}-${at}`);
    const target = `${manifestPath(image.digest)}?${tags.map((tag) => `tag=${tag}`).join("&")}`;
    const answer = await server.request("PUT", target, { body: image.bytes, headers: { "Content-Type": image.mediaType } });
    assert.equal(answer.status, 201, answer.message);
    assert.deepEqual(answer.lines("OCI-Tag"), tags);
    for (const tag of tags) await checkManifest(image, tag);
    await deleteAll({ blobs: blobsOf(image), manifests: [image], tags: Object.fromEntries(tags.map((tag) => [tag, image])) });
  });
}

test("data: bad-digest-image", async () => {
  const image = makeImage({ seed: "bad digest" });
  for (const blob of blobsOf(image)) await pushBlob(server, blob);
  const body = Buffer.concat([image.bytes, Buffer.from("  ")]);
  const answer = await server.request("PUT", manifestPath(image.digest), { body, headers: { "Content-Type": image.mediaType } });
  assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
});

test("data: sparse, where the setting allows it", async () => {
  const sparse = await startSuite({ allowSparseIndexes: true });
  try {
    const here = makeImage({ seed: "here" });
    const index = makeIndex([here, makeImage({ seed: "not pushed" })], { platforms });
    for (const blob of blobsOf(here)) await pushBlob(sparse, blob);
    for (const content of [here, index]) {
      const answer = await sparse.request("PUT", manifestPath(content.digest), {
        body: content.bytes,
        headers: { "Content-Type": content.mediaType },
      });
      assert.equal(answer.status, 201, answer.message);
    }
  } finally {
    await sparse.close();
  }
});

test("missing-manifest, invalid-digest-format", async () => {
  for (const reference of [makeBlob(1, "none").digest, "no-such-tag"]) {
    const answer = await server.request("GET", manifestPath(reference));
    assert.deepEqual([answer.status, answer.code], [404, "MANIFEST_UNKNOWN"]);
  }
  const body = emptyBlob().bytes;
  const put = await server.request("PUT", manifestPath("sha256:baddigeststring"), {
    body,
    headers: { "Content-Type": mediaTypes.ociManifest },
  });
  assert.equal(put.status, 400);
  assert.ok([400, 404].includes((await server.request("GET", manifestPath("sha256:baddigeststring"))).status));
  assert.deepEqual(server.errors, []);
});
