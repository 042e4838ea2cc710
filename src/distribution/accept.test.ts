import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { excludedText, isAcceptable } from "./accept.ts";

const index = mediaTypes.ociIndex;

describe("an index is acceptable to", () => {
  const cases: readonly (readonly [accept: string | undefined, expected: boolean])[] = [
    [undefined, true],
    ["", true],
    ["*/*", true],
    ["application/json", true],
    ["application/*", true],
    [index, true],
    [index.toUpperCase(), true],
    [`${mediaTypes.dockerManifest}, ${index};q=0.5`, true],
    [`${mediaTypes.dockerManifest}, */*`, true],
    [`${mediaTypes.ociManifest},${mediaTypes.dockerManifest},${mediaTypes.dockerManifestList}`, false],
    [mediaTypes.ociManifest, false],
    [`${index};q=0`, false],
    [`${index} ; q=0.000`, false],
    ["text/html", false],
    [`x${index}`, false],
  ];
  for (const [accept, expected] of cases) test(`${accept}: ${expected}`, () => assert.equal(isAcceptable(accept, index), expected));
});

test("every type that is stored has a text of its own", () => {
  const types = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, mediaTypes.dockerManifestList];
  assert.equal(new Set(types.map(excludedText)).size, 4);
  assert.equal(excludedText(index), "OCI index found, but accept header does not support OCI indexes");
});
