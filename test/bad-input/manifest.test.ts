/** Documents that are no manifests, or lie: refused in the same words by `PUT /v2/…/manifests/` and by PutImage, and nothing is stored. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { descriptorOf, makeBlob, makeImage } from "../fixtures/oci-content.ts";
import type { Content } from "../fixtures/oci-content.ts";
import { callEcr } from "../signed-call.ts";
import { expectAlive, expectRefusal, startGround } from "./ground.ts";
import type { Ground } from "./ground.ts";

let ground: Ground;
before(async () => {
  ground = await startGround();
  for (const blob of [config, layer, other]) {
    const pushed = await ground.server.request("POST", `/v2/team/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
    assert.equal(pushed.status, 201);
  }
});
after(() => ground.close());

const config = makeBlob(20, "config", { mediaType: mediaTypes.ociConfig });
const layer = makeBlob(30, "layer", { mediaType: mediaTypes.ociLayer });
const other = makeBlob(40, "other", { mediaType: mediaTypes.ociLayer });
const absent = `sha256:${"a".repeat(64)}`;
const good = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config), layers: [descriptorOf(layer)] };
const goodText = JSON.stringify(good);

/** What is sent: text, or a document with some members changed. */
type Document = string | Buffer | object;

function bytesOf(document: Document): Buffer {
  if (Buffer.isBuffer(document)) return document;
  return Buffer.from(typeof document === "string" ? document : JSON.stringify(document));
}

/** Pushes by tag, and by the document's own digest with more tags, and by the API. */
async function refusedEverywhere(
  document: Document,
  problem: string | RegExp,
  mediaType: string | null = mediaTypes.ociManifest,
): Promise<void> {
  const bytes = bytesOf(document);
  const text = typeof problem === "string" ? problem.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`) : problem.source;
  const put = { body: bytes, headers: mediaType === null ? {} : { "Content-Type": mediaType } };
  const message = new RegExp(`^The manifest is not valid: ${text}$`, "u");
  await expectRefusal(ground, {
    send: () => ground.server.request("PUT", "/v2/team/app/manifests/v1", put),
    verdict: { status: 400, code: "MANIFEST_INVALID", message },
  });
  // What is not UTF-8 cannot be said in a JSON text at all.
  if (!bytes.equals(Buffer.from(bytes.toString("utf8")))) return;
  const input = {
    repositoryName: "team/app",
    imageManifest: bytes.toString("utf8"),
    imageTag: "v1",
    ...(mediaType !== null && { imageManifestMediaType: mediaType }),
  };
  const syntax = String.raw`Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'`;
  await expectRefusal(ground, {
    send: () => callEcr(ground.server, "PutImage", input),
    verdict: { status: 400, code: "InvalidParameterException", message: new RegExp(`^${syntax}: ${text}$`, "u") },
  });
}

const nested = (depth: number): string => goodText.replace("{", `{"x":${"[".repeat(depth)}${"]".repeat(depth)},`);

describe("JSON that readers disagree about", () => {
  const cases: readonly (readonly [string, Document, string | RegExp])[] = [
    ["half a document", goodText.slice(0, -1), /JSON: .+ at character \d+/],
    ["only space", " \n", /JSON: .+ at character 2/],
    ["text behind it", `${goodText}x`, `JSON: text after the end of the value at character ${goodText.length}`],
    ["two documents", `${goodText}${goodText}`, `JSON: text after the end of the value at character ${goodText.length}`],
    ["NUL behind it", `${goodText}\0`, `JSON: text after the end of the value at character ${goodText.length}`],
    ["a duplicate key", goodText.replace("{", '{"schemaVersion":2,'), /JSON: .*schemaVersion.* at character \d+/],
    ["a duplicate key by escape", goodText.replace("{", '{"l\\u0061yers":[],'), /JSON: .*layers.* at character \d+/],
    ["a duplicate digest", goodText.replace('"size":20', `"size":20,"digest":"${absent}"`), /JSON: .*digest.* at character \d+/],
    ["a duplicate annotation", goodText.replace("{", '{"annotations":{"a":"1","a":"2"},'), /JSON: .*"?a"?.* at character \d+/],
    ["a duplicate __proto__", goodText.replace("{", '{"__proto__":1,"__proto__":2,'), /JSON: .*__proto__.* at character \d+/],
    ["a byte order mark", `\ufeff${goodText}`, "JSON: the text begins with a byte order mark"],
    ["UTF-16", Buffer.from(`\ufeff${goodText}`, "utf16le"), "JSON: the text is not valid UTF-8"],
    ["invalid UTF-8", Buffer.from(goodText.replace("{", '{"x":"\u00ff",'), "latin1"), "JSON: the text is not valid UTF-8"],
    ["an overlong slash", Buffer.from(goodText.replace("{", '{"x":"\u00c0\u00af",'), "latin1"), "JSON: the text is not valid UTF-8"],
    [
      "a surrogate as UTF-8",
      Buffer.from(goodText.replace("{", '{"x":"\u00ed\u00a0\u0080",'), "latin1"),
      "JSON: the text is not valid UTF-8",
    ],
    ["half a surrogate pair", goodText.replace("{", '{"annotations":{"a":"\\ud800"},'), /JSON: .*surrogate.* at character \d+/],
    ["the other half", goodText.replace("{", '{"annotations":{"\\udc00":"a"},'), /JSON: .*surrogate.* at character \d+/],
    [
      "both halves in the wrong order",
      goodText.replace("{", '{"annotations":{"a":"\\udc00\\ud800"},'),
      /JSON: .*surrogate.* at character \d+/,
    ],
    ["a raw line break in a text", goodText.replace("{", '{"x":"\n",'), /JSON: .+ at character \d+/],
    ["depth 65", nested(64), /JSON: .*64.* at character \d+/],
    ["depth 10,000", nested(10_000), /JSON: .*64.* at character \d+/],
    ["depth 1,000,000", nested(1_000_000), /JSON: .*64.* at character \d+/],
    ["NaN", goodText.replace('"size":20', '"size":NaN'), /JSON: .+ at character \d+/],
    ["a number beyond all", goodText.replace('"size":20', '"size":1e999'), /JSON: .+ at character \d+/],
    ["a number with a leading zero", goodText.replace('"size":20', '"size":020'), /JSON: .+ at character \d+/],
    ["a comment", goodText.replace("{", "{/* */"), /JSON: .+ at character \d+/],
    ["a trailing comma", goodText.replace(/\}$/, ",}"), /JSON: .+ at character \d+/],
    ["single quotes", goodText.replaceAll('"', "'"), /JSON: .+ at character \d+/],
  ];
  for (const [what, document, problem] of cases) test(what, () => refusedEverywhere(document, problem));
});

describe("JSON that is no manifest", () => {
  const without = (member: string): object => Object.fromEntries(Object.entries(good).filter(([name]) => name !== member));
  const withConfig = (members: object): object => ({ ...good, config: { ...good.config, ...members } });
  const withLayer = (members: object): object => ({ ...good, layers: [...good.layers, { ...descriptorOf(other), ...members }] });
  const size = "must be a whole number of bytes, at most 9007199254740991";
  const cases: readonly (readonly [string, Document, string | RegExp])[] = [
    ...["null", "[]", '"text"', "2", "true"].map((text) => [text, text, "a manifest is a JSON object"] as const),
    ["no members", {}, "schemaVersion must be 2"],
    ["no version", without("schemaVersion"), "schemaVersion must be 2"],
    ["a version as text", { ...good, schemaVersion: "2" }, "schemaVersion must be 2"],
    ["another version", { ...good, schemaVersion: 3 }, "schemaVersion must be 2"],
    ["schema 1", { ...good, schemaVersion: 1 }, "manifests of Docker schema 1 are not supported: push again with a current client"],
    [
      "another type than declared",
      { ...good, mediaType: mediaTypes.ociIndex },
      /the manifest states the media type ".*index.*", but ".*manifest.*" was declared/,
    ],
    ["a type that is no text", { ...good, mediaType: 7 }, "mediaType must be a text"],
    ["no config", without("config"), "config must be a descriptor"],
    ["config null", { ...good, config: null }, "config must be a descriptor"],
    ["config a list", { ...good, config: [good.config] }, "config must be a descriptor"],
    ["no layers", without("layers"), "layers must be a list of descriptors"],
    ["layers an object", { ...good, layers: { 0: good.config, length: 1 } }, "layers must be a list of descriptors"],
    ["a layer that is null", { ...good, layers: [null] }, "layers[0] must be a descriptor"],
    ["a layer that is a list", { ...good, layers: [[]] }, "layers[0] must be a descriptor"],
    ["layers only inherited", goodText.replace('"layers":', '"__proto__":'), "layers must be a list of descriptors"],
    ["a config only inherited", goodText.replace('"digest":', '"__proto__":'), /config\.digest is not usable: .+/],
    ["both kinds at once", { ...good, manifests: [] }, `manifests has no place in a manifest of type ${mediaTypes.ociManifest}`],
    ["schema 1's layers", { ...good, fsLayers: [] }, `fsLayers has no place in a manifest of type ${mediaTypes.ociManifest}`],
    ["layers for Go's eyes only", { ...good, Layers: [] }, "Layers is spelled 'layers'"],
    ["a long s", { ...good, "layer\u017f": [] }, "layer\u017f is spelled 'layers'"],
    ["a digest for Go's eyes only", withConfig({ Digest: absent }), "config.Digest is spelled 'digest'"],
    ["no digest", withConfig({ digest: undefined }), /config\.digest is not usable: .+/],
    ["a digest that is none", withConfig({ digest: "sha256:a" }), "config.digest is not usable: a sha256 digest has 64 hexadecimal digits"],
    [
      "a digest that is a path",
      withLayer({ digest: "sha256:../../x" }),
      "layers[1].digest is not usable: a sha256 digest has 64 hexadecimal digits",
    ],
    [
      "an upper-case digest",
      withLayer({ digest: other.digest.toUpperCase() }),
      "layers[1].digest is not usable: a digest begins with 'sha256:' or 'sha512:'",
    ],
    ["a digest that is a list", withLayer({ digest: [other.digest] }), /layers\[1\]\.digest is not usable: .+/],
    ...[undefined, null, "40", -1, 40.5, 2 ** 53, 1e300, [40], true].map(
      (value) => [`a size of ${JSON.stringify(value)}`, withLayer({ size: value }), `layers[1].size ${size}`] as const,
    ),
    [
      "sizes that cannot be added",
      { ...good, layers: [1, 2].map(() => ({ ...descriptorOf(other), size: 2 ** 53 - 1 })) },
      "layers have sizes that add up to more than can be counted",
    ],
    ...[undefined, "", 7, "a\r\nSet-Cookie: a", "\u00e9/x", `x/${"y".repeat(254)}`].map(
      (mediaType) =>
        [
          `a media type of ${JSON.stringify(mediaType)?.slice(0, 20)}`,
          withLayer({ mediaType }),
          "layers[1].mediaType must be a media type of at most 255 printable ASCII characters",
        ] as const,
    ),
    ["annotations that are a list", { ...good, annotations: ["a"] }, "annotations must be an object whose values are texts"],
    [
      "an annotation that is a number",
      withConfig({ annotations: { a: 1 } }),
      "config.annotations must be an object whose values are texts",
    ],
    [
      "an artifact type that is a number",
      { ...good, artifactType: 1 },
      "artifactType must be a media type of at most 255 printable ASCII characters",
    ],
    ["a platform that is a text", withLayer({ platform: "linux" }), "layers[1].platform must be an object"],
    ["a subject without a size", { ...good, subject: { mediaType: mediaTypes.ociManifest, digest: absent } }, `subject.size ${size}`],
    ["inline data of another length", withLayer({ data: "AAAA" }), "layers[1].data must be the base64 form of 40 bytes"],
    ["inline data that is no base64", withLayer({ data: "*".repeat(56) }), "layers[1].data must be the base64 form of 40 bytes"],
    [
      "inline data of another digest",
      withLayer({ data: Buffer.alloc(40).toString("base64") }),
      "layers[1].data does not have the descriptor's digest",
    ],
    [
      "10,001 layers",
      { ...good, layers: Array.from({ length: 10_001 }, () => descriptorOf(other)) },
      "layers must not have more than 10000 entries",
    ],
  ];
  for (const [what, document, problem] of cases) test(what, () => refusedEverywhere(document, problem));

  test("a type that nobody states", () =>
    refusedEverywhere(without("mediaType"), "the media type is neither declared nor stated in the manifest", null));
  test("a Docker type that only the header states", () =>
    refusedEverywhere(without("mediaType"), "a Docker manifest must state its mediaType", mediaTypes.dockerManifest));
  test("a type that is none of manifests", () =>
    refusedEverywhere({ ...good, mediaType: "text/html" }, '"text/html" is not a media type of manifests', "text/html"));
});

describe("manifests that lie about what is stored", () => {
  const lie = (content: Content, statedBytes: number): object => ({ ...descriptorOf(content), size: statedBytes });
  const wrong = ({ digest, bytes }: Content, statedBytes: number): string =>
    `the descriptor of '${digest}' states ${statedBytes} bytes, but the stored content has ${bytes.length} bytes`;
  for (const stated of [0, 29, 31, 2 ** 53 - 100]) {
    test(`a layer of ${stated} bytes`, () => refusedEverywhere({ ...good, layers: [lie(layer, stated)] }, wrong(layer, stated)));
    test(`a config of ${stated} bytes`, () => refusedEverywhere({ ...good, config: lie(config, stated) }, wrong(config, stated)));
  }
  test("a layer that is named twice, and wrong the second time", () =>
    refusedEverywhere({ ...good, layers: [descriptorOf(layer), lie(layer, 29)] }, wrong(layer, 29)));
  test("a layer that is the config too", () => refusedEverywhere({ ...good, layers: [lie(config, 19)] }, wrong(config, 19)));
  test("Docker's types alike", () => {
    const mediaType = mediaTypes.dockerManifest;
    return refusedEverywhere({ ...good, mediaType, layers: [lie(layer, 1)] }, wrong(layer, 1), mediaType);
  });
  for (const mediaType of [mediaTypes.ociIndex, mediaTypes.dockerManifestList]) {
    test(`a child, ${mediaType}`, () => {
      const stated = ground.image.bytes.length + 1;
      return refusedEverywhere(
        { schemaVersion: 2, mediaType, manifests: [lie(ground.image, stated)] },
        wrong(ground.image, stated),
        mediaType,
      );
    });
  }
  test("the truth is believed", async () => {
    const image = makeImage({ layers: [layer, layer, other] });
    await ground.server.push("team/other", image, "v1");
    await expectAlive(ground);
  });
});

test("__proto__ and constructor are members like any other, and come back as they were", async () => {
  const text = goodText.replace(
    "{",
    '{"__proto__":{"layers":[],"polluted":1},"constructor":{"prototype":{"polluted":1}},"annotations":{"__proto__":"x"},',
  );
  const put = await ground.server.request("PUT", "/v2/team/app/manifests/proto", {
    body: text,
    headers: { "Content-Type": mediaTypes.ociManifest },
  });
  assert.equal(put.status, 201);
  assert.equal((await ground.server.request("GET", "/v2/team/app/manifests/proto")).body.toString(), text);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

describe("manifests of what is not there", () => {
  const where = "required for pushing image into repository with name 'team/app' in the registry with id '123456789012' do not exist";
  const cases: readonly (readonly [string, object, string, string])[] = [
    ["a layer", { ...good, layers: [{ ...descriptorOf(layer), digest: absent }] }, "Layers", "LayersNotFoundException"],
    ["a config", { ...good, config: { ...descriptorOf(config), digest: absent } }, "Layers", "LayersNotFoundException"],
    [
      "a child",
      { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ mediaType: mediaTypes.ociManifest, digest: absent, size: 3 }] },
      "Images",
      "ReferencedImagesNotFoundException",
    ],
  ];
  for (const [what, document, noun, exception] of cases) {
    test(what, async () => {
      const message = `${noun} with digests '[${absent}]' ${where}`;
      const imageManifest = JSON.stringify(document);
      await expectRefusal(ground, {
        send: () => ground.server.request("PUT", "/v2/team/app/manifests/v1", { body: imageManifest }),
        verdict: { status: 404, code: "MANIFEST_BLOB_UNKNOWN", message },
      });
      await expectRefusal(ground, {
        send: () => callEcr(ground.server, "PutImage", { repositoryName: "team/app", imageManifest, imageTag: "v1" }),
        verdict: { status: 400, code: exception, message },
      });
    });
  }
});
