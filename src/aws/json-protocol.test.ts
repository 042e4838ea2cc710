import { strict as assert } from "node:assert";
import { test } from "node:test";
import * as fc from "fast-check";
import ecr from "../../models/ecr-2015-09-21.json" with { type: "json" };
import { decodeJsonBody, encodeJsonBody, encodeJsonError } from "./json-protocol.ts";
import { loadServiceModel } from "./model.ts";

const model = loadServiceModel(ecr);
const decode = (text: string) => decodeJsonBody(model, "DescribeRepositoriesRequest", Buffer.from(text));

test("reads an input", () => {
  assert.deepEqual(decode('{"repositoryNames":["shop/web"],"maxResults":5,"other":{}}'), {
    ok: true,
    value: { repositoryNames: ["shop/web"], maxResults: 5 },
  });
  assert.deepEqual(decode("{}"), { ok: true, value: {} });
  assert.deepEqual(decode(""), { ok: true, value: {} });
});

for (const text of ["[]", "null", '"{}"', "{", "{}x", '{"maxResults":1,"maxResults":2}', "\xff", '{"maxResults":"1"}', "{'a':1}"]) {
  test(`not of the form: ${text}`, () => {
    const decoded = decodeJsonBody(model, "DescribeRepositoriesRequest", Buffer.from(text, "latin1"));
    assert.equal(decoded.ok ? "ok" : decoded.kind, "serialization");
  });
}

test("tells broken constraints from broken form", () => {
  const decoded = decode('{"maxResults":0}');
  assert.ok(!decoded.ok && decoded.kind === "invalid");
  assert.equal(decoded.problems[0].path, "maxResults");
});

test("writes an output: absent members left out, empty lists kept, timestamps as epoch seconds, nothing the model lacks", () => {
  const repository = { repositoryName: "shop/web", createdAt: 1_762_070_400_123, registryId: undefined, internalId: 7 };
  assert.equal(
    encodeJsonBody(model, "DescribeRepositoriesResponse", { repositories: [repository], nextToken: null }),
    '{"repositories":[{"repositoryName":"shop/web","createdAt":1762070400.123}]}',
  );
  assert.equal(encodeJsonBody(model, "BatchGetImageResponse", { images: [], failures: [] }), '{"images":[],"failures":[]}');
  assert.equal(encodeJsonBody(model, "TagResourceResponse", {}), "{}");
  assert.equal(encodeJsonBody(model, "Tag", { Key: "a", Value: "" }), '{"Key":"a","Value":""}');
  assert.equal(encodeJsonBody(model, "UploadLayerPartRequest", { layerPartBlob: Uint8Array.of(1, 2) }), '{"layerPartBlob":"AQI="}');
  const counts = { findingSeverityCounts: { HIGH: 1, LOW: undefined } };
  assert.equal(encodeJsonBody(model, "ImageScanFindingsSummary", counts), '{"findingSeverityCounts":{"HIGH":1}}');
});

test("an output of the wrong type is a programmer's error, not an answer", () => {
  assert.throws(() => encodeJsonBody(model, "Repository", { createdAt: Number.NaN }), /no finite number/);
  assert.throws(() => encodeJsonBody(model, "Repository", { createdAt: "2026" }), /no finite number/);
  assert.throws(() => encodeJsonBody(model, "Repository", { repositoryName: 1 }), /no string/);
  assert.throws(() => encodeJsonBody(model, "NoSuchShape", {}), /no shape NoSuchShape/);
});

test("errors", () => {
  assert.equal(encodeJsonError("ServerException", "x"), '{"__type":"ServerException","message":"x"}');
  assert.equal(
    encodeJsonError("InvalidLayerPartException", "x", { lastValidByteReceived: -1 }),
    '{"__type":"InvalidLayerPartException","message":"x","lastValidByteReceived":-1}',
  );
});

test("moments survive the wire to the millisecond", () => {
  const moment = fc.integer({ min: -8_640_000_000_000, max: 8_640_000_000_000 });
  const property = fc.property(moment, (createdAt) => {
    const decoded = decodeJsonBody(model, "Repository", Buffer.from(encodeJsonBody(model, "Repository", { createdAt })));
    assert.deepEqual(decoded, { ok: true, value: { createdAt } });
  });
  fc.assert(property, { numRuns: 500 });
});
