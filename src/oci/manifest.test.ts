import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { descriptorOf, emptyBlob, makeArtifact, makeBlob, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { manifestLimitBytes, parseManifest } from "./manifest.ts";
import type { ParsedManifest } from "./manifest.ts";
import { mediaTypes } from "./media-type.ts";

const blob = makeBlob(3, "manifest test");
const layer = { ...descriptorOf(blob), mediaType: mediaTypes.ociLayerGzip };
const config = { ...descriptorOf(emptyBlob()), mediaType: mediaTypes.ociConfig };
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ ...layer, mediaType: mediaTypes.ociManifest }] };

function accepted(body: unknown, declared?: string): ParsedManifest {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const outcome = parseManifest(bytes, declared);
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.problem);
  return outcome.value;
}

function refusal(body: unknown, declared?: string): string {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const outcome = parseManifest(bytes, declared);
  assert.ok(!outcome.ok, `was accepted: ${bytes.toString().slice(0, 200)}`);
  assert.ok(outcome.problem.length < 700, "a problem is short");
  return outcome.problem;
}

test("accepts the data sets of the OCI conformance suite", () => {
  const amd64 = makeImage();
  const arm64 = makeImage({ seed: 1, platform: { os: "linux", architecture: "arm64" } });
  const platforms = [
    { os: "linux", architecture: "amd64" },
    { os: "linux", architecture: "arm64" },
  ];
  const pair = makeIndex([amd64, arm64], { platforms });
  const artifact = makeArtifact();
  const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, at) => [`org.example.${at}`, "x".repeat(10_000)]));
  const foreign = [makeBlob(9, 1, { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" })];
  const extra = { "org.EXAMPLE": "kept", nested: { layers: [], Manifests: 1 } };
  const sets: Record<string, Content> = {
    image: amd64,
    "image-uncompressed": makeImage({ compression: "none" }),
    "large-manifest": makeImage({ annotations }),
    index: pair,
    "nested-index": makeIndex([pair, makeIndex([arm64], { platforms })]),
    "empty-index": makeIndex([]),
    artifact,
    "artifact-index": makeIndex([artifact, makeArtifact({ seed: 1 })], { artifactType: "application/vnd.example" }),
    "artifact-without-layers": makeArtifact({ layers: [] }),
    "artifact-with-subject": makeArtifact({ subject: amd64, annotations: { a: "b" } }),
    "image-with-subject": makeImage({ subject: amd64 }),
    "index-with-subject": makeIndex([amd64], { subject: pair, artifactType: "application/vnd.example" }),
    "data-field": makeImage({ inlineData: true }),
    "non-distributable-layers": makeImage({ layers: foreign }),
    "custom-fields": makeImage({ extra }),
    "custom-fields-index": makeIndex([amd64], { extra }),
    "no-layers": makeImage({ layers: [] }),
    sha512: makeImage({ algorithm: "sha512", inlineData: true }),
    "sha512-index": makeIndex([makeImage({ algorithm: "sha512" })], { algorithm: "sha512" }),
    docker: makeImage({ isDocker: true }),
    "docker-list": makeIndex([makeImage({ isDocker: true })], { isDocker: true, platforms }),
  };
  for (const [name, content] of Object.entries(sets)) {
    for (const declared of [undefined, content.mediaType, `${content.mediaType}; charset=utf-8`, content.mediaType.toUpperCase()])
      assert.equal(accepted(content.bytes, declared).mediaType, content.mediaType, name);
  }
});

test("tells what is in an image", () => {
  const subject = { mediaType: mediaTypes.ociIndex, digest: blob.digest, size: 7 };
  const body = {
    ...image,
    subject,
    annotations: { a: "1" },
    layers: [{ ...layer, annotations: { b: "2" }, urls: ["https://example.com"] }, layer],
  };
  assert.deepStrictEqual(accepted(body), {
    mediaType: mediaTypes.ociManifest,
    kind: "image",
    config: { mediaType: mediaTypes.ociConfig, digest: config.digest, sizeBytes: 2 },
    layers: [
      { mediaType: layer.mediaType, digest: blob.digest, sizeBytes: 3, annotations: { b: "2" } },
      { mediaType: layer.mediaType, digest: blob.digest, sizeBytes: 3 },
    ],
    children: [],
    subject: { mediaType: mediaTypes.ociIndex, digest: blob.digest, sizeBytes: 7 },
    artifactType: mediaTypes.ociConfig,
    annotations: { a: "1" },
    contentSizeBytes: 8,
  });
});

test("tells what is in an index", () => {
  const platform = { os: "windows", architecture: "amd64", "os.features": ["win32k"] };
  const child = { ...descriptorOf(blob), mediaType: "application/vnd.unknown", artifactType: "text/plain", platform };
  assert.deepStrictEqual(accepted({ ...index, manifests: [child] }), {
    mediaType: mediaTypes.ociIndex,
    kind: "index",
    layers: [],
    children: [{ mediaType: "application/vnd.unknown", digest: blob.digest, sizeBytes: 3, artifactType: "text/plain", platform }],
    contentSizeBytes: 0,
  });
});

test("the effective artifact type", () => {
  const empty = { ...config, mediaType: mediaTypes.ociEmpty };
  assert.equal(accepted({ ...image, artifactType: "a/b" }).artifactType, "a/b");
  assert.equal(accepted({ ...image, artifactType: "" }).artifactType, mediaTypes.ociConfig);
  assert.equal(accepted({ ...image, artifactType: null, config: empty }).artifactType, mediaTypes.ociEmpty);
  assert.equal(accepted(makeImage({ isDocker: true }).bytes).artifactType, mediaTypes.dockerConfig);
  assert.equal(accepted({ ...index, artifactType: "a/b" }).artifactType, "a/b");
  assert.equal("artifactType" in accepted(index), false);
});

test("annotations may be empty", () => {
  assert.deepStrictEqual(accepted({ ...image, annotations: {} }).annotations, {});
});

test("a Docker manifest has no subject", () => {
  const body = { ...image, mediaType: mediaTypes.dockerManifest, subject: descriptorOf(blob) };
  assert.equal("subject" in accepted(body), false);
  assert.equal("subject" in accepted({ ...body, subject: 5 }), false);
});

test("null counts as absent, and Go writes empty lists as null", () => {
  const nulls = { annotations: null, subject: null, artifactType: null };
  assert.deepStrictEqual(accepted({ ...image, ...nulls, layers: null, manifests: null }).layers, []);
  assert.deepStrictEqual(accepted({ ...index, ...nulls, manifests: null, layers: null, config: null }).children, []);
  const child = accepted({
    ...image,
    layers: [{ ...layer, annotations: null, data: null, platform: null, artifactType: null, urls: null }],
  }).layers[0];
  assert.deepStrictEqual(Object.keys(child ?? {}), ["mediaType", "digest", "sizeBytes"]);
  assert.equal(accepted({ ...image, mediaType: null }, mediaTypes.ociManifest).kind, "image");
});

test("declared and stated media type must agree", () => {
  const bare = { ...image, mediaType: undefined };
  assert.equal(accepted(bare, mediaTypes.ociManifest).kind, "image");
  assert.equal(accepted(makeIndex([], { omitMediaType: true }).bytes, `${mediaTypes.ociIndex};a=b`).kind, "index");
  assert.match(refusal(bare), /neither declared nor stated/);
  assert.match(refusal(bare, ""), /neither declared nor stated/);
  assert.match(refusal(image, mediaTypes.ociIndex), /but .* was declared/);
  assert.match(refusal(image, mediaTypes.dockerManifest), /but .* was declared/);
  assert.match(refusal(image, "application/json"), /but .* was declared/);
  assert.match(refusal(bare, "application/json"), /not a media type of manifests/);
  assert.match(refusal({ ...image, mediaType: mediaTypes.ociConfig }), /not a media type of manifests/);
  for (const mediaType of ["", `${mediaTypes.ociManifest};a=b`, mediaTypes.ociManifest.toUpperCase(), "x".repeat(100_000)])
    refusal({ ...image, mediaType });
  for (const mediaType of [1, true, [], {}]) assert.match(refusal({ ...image, mediaType }), /mediaType must be/);
  assert.match(refusal(bare, mediaTypes.dockerManifest), /must state its mediaType/);
  assert.match(refusal({ ...index, mediaType: undefined }, mediaTypes.dockerManifestList), /must state its mediaType/);
});

test("refuses a document that passes for two kinds", () => {
  assert.match(refusal({ ...image, manifests: [] }), /manifests has no place/);
  assert.match(refusal({ ...image, manifests: index.manifests }), /manifests has no place/);
  assert.match(refusal({ ...index, layers: [] }), /layers has no place/);
  assert.match(refusal({ ...index, config }), /config has no place/);
  assert.match(refusal({ ...image, fsLayers: [{ blobSum: blob.digest }] }), /fsLayers has no place/);
  for (const manifests of [false, 0, "", {}]) refusal({ ...image, manifests });
  assert.match(refusal({ ...index, mediaType: undefined }, mediaTypes.ociManifest), /manifests has no place/);
});

test("refuses names that other readers take for the ones used here", () => {
  for (const key of ["Layers", "LAYERS", "layer\u017f", "Manifests", "mediatype", "Config", "SUBJECT", "fslayers", "Schemaversion"])
    assert.match(refusal({ ...image, [key]: [] }), /is spelled/, key);
  for (const key of ["Size", "Digest", "URLS", "DATA", "mediaTYPE", "artifacttype"])
    assert.match(refusal({ ...image, layers: [{ ...layer, [key]: 1 }] }), /layers\[0\]\.\w+ is spelled/, key);
  accepted({ ...image, "lay\u0435rs": [], layersX: [], Digest: 1, annotations: { Layers: "x", layers: "y" } });
});

test("refuses schema 1 and other versions", () => {
  const signed = { schemaVersion: 1, name: "a", tag: "b", fsLayers: [], history: [], signatures: [] };
  for (const declared of [undefined, mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed, "application/json"])
    assert.match(refusal(signed, declared), /schema 1 are not supported/);
  assert.match(refusal({ ...image, mediaType: mediaTypes.dockerSchema1 }), /schema 1 are not supported/);
  for (const schemaVersion of [undefined, null, 0, 3, "2", 2.5, [2]])
    assert.match(refusal({ ...image, schemaVersion }), /schemaVersion must be 2/);
});

test("refuses what is no manifest at all", () => {
  for (const body of ["", " ", "{", "null", "[]", "1", '"x"', "{}", "[{}]", `\ufeff${JSON.stringify(image)}`, `${JSON.stringify(image)}x`])
    refusal(body, mediaTypes.ociManifest);
  assert.match(refusal(`{"a":1,${JSON.stringify(image).slice(1, -1)},"layers":[]}`), /duplicate key "layers"/);
  assert.match(refusal(`${JSON.stringify(image).slice(0, -1)},"l\\u0061yers":[]}`), /duplicate key "layers"/);
  assert.match(refusal(`{"a":${"[".repeat(10_000)}${"]".repeat(10_000)},${JSON.stringify(image).slice(1)}`), /nested deeper/);
  refusal({ ...image, config: undefined });
  refusal({ ...image, config: null });
  refusal({ ...image, layers: undefined });
  refusal({ ...index, manifests: undefined });
  for (const wrong of [5, "x", true, {}]) refusal({ ...image, layers: wrong });
  for (const wrong of [5, "x", true, {}, []]) refusal({ ...image, subject: wrong });
  for (const wrong of [5, "x", null, [], {}]) refusal({ ...image, layers: [wrong] });
});

test("refuses descriptors that are not usable", () => {
  const wrong: Record<string, readonly unknown[]> = {
    digest: [
      undefined,
      null,
      5,
      "",
      "sha256:",
      blob.digest.toUpperCase(),
      `${blob.digest}0`,
      "sha256:../../etc/passwd",
      `blake3:${"a".repeat(64)}`,
    ],
    size: [undefined, null, "3", -1, 1.5, 2 ** 53, 1e300, [3], true],
    mediaType: [undefined, null, 5, "", " a/b", "a/b\r\nX: y", "é/b", "a/b\0", "a".repeat(256)],
    artifactType: [5, [], "a\nb", "a".repeat(256)],
    annotations: [5, "x", [], { a: 1 }, { a: "x", b: 1 }, { a: null }, { a: {} }],
    platform: [5, "x", []],
  };
  for (const [member, values] of Object.entries(wrong)) {
    for (const value of values) {
      const broken = { ...layer, [member]: value };
      assert.ok(refusal({ ...image, layers: [layer, broken] }).includes(`layers[1].${member}`), `${member}: ${String(value)}`);
      refusal({ ...image, config: broken });
      refusal({ ...image, subject: broken });
      refusal({ ...index, manifests: [broken] });
    }
  }
  for (const annotations of wrong["annotations"] ?? []) refusal({ ...image, annotations });
  for (const artifactType of wrong["artifactType"] ?? []) refusal({ ...image, artifactType });
});

test("sizes are exact", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const sized = (...sizes: number[]): object => ({ ...image, layers: sizes.map((size) => ({ ...layer, size })) });
  assert.equal(accepted(sized(most - 2)).contentSizeBytes, most);
  assert.match(refusal(sized(most - 1)), /add up/);
  assert.match(refusal(sized(most, most, most)), /add up/);
  assert.match(refusal(JSON.stringify(sized(3)).replace('"size":3', '"size":9007199254740993')), /size must be/);
  assert.match(refusal(JSON.stringify(sized(3)).replace('"size":3', '"size":1e999')), /too large/);
  assert.ok(Object.is(accepted(JSON.stringify(sized(3)).replace('"size":3', '"size":-0')).layers[0]?.sizeBytes, 0));
});

test("inline data must be what the descriptor says", () => {
  const data = blob.bytes.toString("base64");
  accepted({ ...image, layers: [{ ...layer, data }] });
  const empty = makeBlob(0);
  accepted({ ...image, layers: [{ ...descriptorOf(empty), data: "" }] });
  const two = makeBlob(2, "x");
  const paddedData = two.bytes.toString("base64");
  accepted({ ...image, layers: [{ ...descriptorOf(two), data: paddedData }] });
  const wrong = [
    makeBlob(3, "other").bytes.toString("base64"),
    "",
    "AAA",
    "AAAAAAAA",
    "!!!!",
    "AA\n=",
    5,
    [],
    {},
    `${data} `,
    makeBlob(4).bytes.toString("base64"),
  ];
  for (const value of wrong)
    assert.match(refusal({ ...image, layers: [{ ...layer, data: value }] }), /layers\[0\]\.data/, JSON.stringify(value));
  // The spare bits of the last character, missing padding and the URL alphabet decode too, but not everywhere alike.
  const spare = `${paddedData.slice(0, 2)}${String.fromCharCode(paddedData.charCodeAt(2) + 1)}=`;
  for (const value of [spare, paddedData.slice(0, 3)])
    assert.match(refusal({ ...image, layers: [{ ...descriptorOf(two), data: value }] }), /data/);
  assert.match(refusal({ ...image, layers: [{ ...layer, size: 2 ** 50, data }] }), /data/);
});

test("limits bytes and counts", () => {
  const padded = (length: number): string => {
    const text = JSON.stringify(image);
    return text + " ".repeat(length - text.length);
  };
  accepted(padded(manifestLimitBytes));
  assert.match(refusal(padded(manifestLimitBytes + 1)), /at most 4194304 bytes/);
  assert.equal(accepted({ ...image, layers: Array.from({ length: 10_000 }, () => layer) }).layers.length, 10_000);
  assert.match(refusal({ ...image, layers: Array.from({ length: 10_001 }, () => layer) }), /more than 10000/);
  assert.match(refusal({ ...index, manifests: Array.from({ length: 10_001 }, () => layer) }), /more than 10000/);
});

test("a member named __proto__ changes nothing", () => {
  const text = JSON.stringify(image).slice(1);
  assert.equal("subject" in accepted(`{"__proto__":{"subject":${JSON.stringify(layer)}},${text}`), false);
  assert.match(refusal(`{"__proto__":{"layers":[]},${JSON.stringify({ ...image, layers: undefined }).slice(1)}`), /layers must be/);
  const { annotations } = accepted(`{"annotations":{"__proto__":"x"},${text}`);
  assert.deepStrictEqual(Object.entries(annotations ?? {}), [["__proto__", "x"]]);
});

test("never throws, and never accepts what it cannot describe", () => {
  const value = fc.oneof(
    fc.constantFrom<unknown>(blob.digest, 3, 2, "a/b", layer, [layer], [], {}, null, -1, mediaTypes.ociIndex),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const member = fc.constantFrom(
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "artifactType",
    "x",
  );
  fc.assert(
    fc.property(fc.constantFrom(image, index), fc.dictionary(member, value, { maxKeys: 3 }), (base, changes) => {
      const outcome = parseManifest(Buffer.from(JSON.stringify({ ...base, ...changes })), undefined);
      if (!outcome.ok) return;
      const { kind, config: foundConfig, layers, children } = outcome.value;
      assert.equal(kind === "image", foundConfig !== undefined);
      assert.ok(kind === "image" ? children.length === 0 : layers.length === 0);
      for (const { digest, sizeBytes, mediaType } of [...layers, ...children])
        assert.ok(digest !== "" && sizeBytes >= 0 && mediaType !== "");
    }),
    { numRuns: 2_000 },
  );
});

test("reads the largest manifests quickly", () => {
  const annotations = Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`org.example.${at}`, "x".repeat(10_000)]));
  const members = Object.fromEntries(Array.from({ length: 190_000 }, (_, at) => [`Layers${at}`, 0]));
  const many = Array.from({ length: 10_000 }, (_, at) => ({ ...layer, annotations: { at: String(at) } }));
  for (const body of [
    { ...image, annotations },
    { ...image, ...members },
    { ...image, layers: many },
  ]) {
    const bytes = Buffer.from(JSON.stringify(body));
    accepted(bytes);
    const cpuMs = startCpuTime();
    accepted(bytes);
    // Measured at 10 to 100 ms; a reader that is not linear needs minutes.
    assert.ok(cpuMs() < 1_000, `took ${cpuMs()} ms`);
  }
});
