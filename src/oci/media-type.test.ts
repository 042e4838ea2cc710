import assert from "node:assert/strict";
import { test } from "node:test";
import { bareMediaType, isIndexMediaType, isManifestMediaType, isNonDistributable, isSchema1MediaType, mediaTypes } from "./media-type.ts";

test("knows the four types of manifest and which of them list others", () => {
  const { ociManifest, ociIndex, dockerManifest, dockerManifestList } = mediaTypes;
  for (const type of Object.values(mediaTypes))
    assert.equal(
      isManifestMediaType(type),
      [ociManifest, ociIndex, dockerManifest, dockerManifestList].some((known) => known === type),
      type,
    );
  assert.deepStrictEqual([ociManifest, ociIndex, dockerManifest, dockerManifestList].map(isIndexMediaType), [false, true, false, true]);
  for (const type of ["", "application/json", `${ociManifest};x=y`, ociManifest.toUpperCase(), "__proto__", "constructor"])
    assert.equal(isManifestMediaType(type), false, type);
  assert.ok(isSchema1MediaType(mediaTypes.dockerSchema1Signed) && !isSchema1MediaType(dockerManifest));
});

test("strips parameters, space and case", () => {
  const cases: [contentType: string, expected: string][] = [
    ["application/json", "application/json"],
    [" Application/JSON ;charset=utf-8", "application/json"],
    ["application/json;", "application/json"],
    ["application/json; a=b; c=d", "application/json"],
    [";", ""],
    ["", ""],
  ];
  for (const [contentType, expected] of cases) assert.equal(bareMediaType(contentType), expected);
});

test("knows the layers that may be missing", () => {
  const foreign = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ];
  for (const type of foreign) {
    assert.equal(isNonDistributable(type), true, type);
    assert.equal(isNonDistributable(type.toUpperCase()), false);
    assert.equal(isNonDistributable(` ${type}`), false);
  }
  for (const type of Object.values(mediaTypes)) assert.equal(isNonDistributable(type), false, type);
});
