import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { parseRegistryPath, splitTarget } from "./path.ts";

const digest = `sha256:${"a".repeat(64)}`;

const known: readonly (readonly [path: string, kind: string, name: string, item: string])[] = [
  ["/v2/", "base", "", ""],
  ["/v2", "base", "", ""],
  ["/v2/_catalog", "catalog", "", ""],
  ["/v2/app/tags/list", "tags", "app", ""],
  ["/v2/app/manifests/latest", "manifest", "app", "latest"],
  [`/v2/a/b/c/manifests/${digest}`, "manifest", "a/b/c", digest],
  [`/v2/app/manifests/${digest.replace(":", "%3A")}`, "manifest", "app", digest],
  [`/v2/app/blobs/${digest}`, "blob", "app", digest],
  ["/v2/app/blobs/uploads/", "uploads", "app", ""],
  ["/v2/app/blobs/uploads", "uploads", "app", ""],
  ["/v2/app/blobs/uploads/1b-2", "upload", "app", "1b-2"],
  [`/v2/app/referrers/${digest}`, "referrers", "app", digest],
  ["/download/abc_-", "download", "", "abc_-"],
  // Names made of the grammar's own words.
  ["/v2/manifests/tags/list", "tags", "manifests", ""],
  ["/v2/tags/list/tags/list", "tags", "tags/list", ""],
  ["/v2/a/manifests/list", "manifest", "a", "list"],
  ["/v2/a/tags/manifests/tags", "manifest", "a/tags", "tags"],
  ["/v2/blobs/uploads/manifests/v1", "manifest", "blobs/uploads", "v1"],
  ["/v2/blobs/uploads/blobs/uploads/", "uploads", "blobs/uploads", ""],
  ["/v2/blobs/uploads/blobs/uploads/id", "upload", "blobs/uploads", "id"],
  [`/v2/a/blobs/uploads/blobs/${digest}`, "blob", "a/blobs/uploads", digest],
  ["/v2/a/blobs/blobs/uploads/", "uploads", "a/blobs", ""],
  ["/v2/uploads/blobs/uploads/id", "upload", "uploads", "id"],
  ["/v2/referrers/referrers/x", "referrers", "referrers", "x"],
  // Unchecked here: the name's own grammar refuses these later.
  ["/v2/A//b/tags/list", "tags", "A//b", ""],
  ["/v2/%2e%2e/tags/list", "tags", "..", ""],
];

const unknown: readonly string[] = [
  "/v2/app",
  "/v2/app/",
  "/v2/app/tags",
  "/v2/app/tags/",
  "/v2/app/tags/all",
  "/v2/tags/list",
  "/v2/manifests/latest",
  "/v2/app/manifests/",
  "/v2/app/blobs/",
  "/v2/app/uploads/id",
  "/v2/blobs/uploads/id",
  "/v2/_catalog/",
  "/v2/_oci/ext/discover",
  "/v2//manifests/x",
  "/v3/app/tags/list",
  "/download/",
  "/download/a/b",
  "",
  "/",
];

describe("a path is read from its end", () => {
  for (const [path, kind, name, item] of known)
    test(path, () => assert.deepEqual(parseRegistryPath(path), { ok: true, value: { kind, name, item } }));
  for (const path of unknown)
    test(`nothing is at '${path}'`, () => assert.deepEqual(parseRegistryPath(path), { ok: true, value: undefined }));
});

describe("paths that could be read in two ways are refused", () => {
  for (const path of [
    "/v2/a%2Fb/tags/list",
    "/v2/a%2fb/manifests/x",
    "/v2/a/manifests/x%2Fy",
    "/v2/a%/tags/list",
    "/v2/a%zz/tags/list",
    "/v2/%ff/tags/list",
  ])
    test(path, () => assert.equal(parseRegistryPath(path).ok, false));
  test("a path of 5,000 characters", () => assert.equal(parseRegistryPath(`/v2/${"a".repeat(5000)}/tags/list`).ok, false));
  test("decoding happens once", () => {
    const twice = parseRegistryPath("/v2/a%252Fb/tags/list");
    assert.deepEqual(twice, { ok: true, value: { kind: "tags", name: "a%2Fb", item: "" } });
  });
});

test("any name of the grammar survives, whatever words it is made of", () => {
  const word = fc.constantFrom("blobs", "manifests", "tags", "uploads", "list", "referrers", "v2", "a", "b-c", "x__y");
  const names = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join("/"));
  fc.assert(
    fc.property(names, (name) => {
      const forms = { manifests: "manifest", blobs: "blob", referrers: "referrers", "blobs/uploads": "upload" };
      for (const [noun, kind] of Object.entries(forms)) {
        assert.deepEqual(parseRegistryPath(`/v2/${name}/${noun}/${digest}`), { ok: true, value: { kind, name, item: digest } });
      }
      assert.deepEqual(parseRegistryPath(`/v2/${name}/tags/list`), { ok: true, value: { kind: "tags", name, item: "" } });
      assert.deepEqual(parseRegistryPath(`/v2/${name}/blobs/uploads/`), { ok: true, value: { kind: "uploads", name, item: "" } });
    }),
  );
});

test("any text gives an answer", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.equal(typeof parseRegistryPath(`/v2/${text}`).ok, "boolean")));
});

test("a target is split at its first question mark", () => {
  const target = splitTarget("/v2/a/blobs/uploads/x?digest=sha256%3Aaa&tag=1&tag=2?");
  assert.equal(target.path, "/v2/a/blobs/uploads/x");
  assert.equal(target.query.get("digest"), "sha256:aa");
  assert.deepEqual(target.query.getAll("tag"), ["1", "2?"]);
  assert.equal(splitTarget("/v2/").query.size, 0);
});
