import assert from "node:assert/strict";
import { sep } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseStorageKey, segmentKeyOf, segmentOwner, storageKeyOf, storagePathsAt } from "./filesystem-paths.ts";

const paths = storagePathsAt("/data");
const hex = "0123456789abcdef".repeat(4);

test("a stored copy's path is made from its key", () => {
  const key = storageKeyOf({ digest: `sha256:${hex}`, incarnation: "5f0c-1", sizeBytes: 1 });
  assert.equal(paths.storedFile(key), `/data/blobs/sha256/01/${hex}.5f0c-1`);
  assert.deepEqual(parseStorageKey(key), { algorithm: "sha256", hex, incarnation: "5f0c-1" });
  const long = storageKeyOf({ digest: `sha512:${hex}${hex}`, incarnation: "a", sizeBytes: 0 });
  assert.equal(paths.storedFile(long), `/data/blobs/sha512/01/${hex}${hex}.a`);
});

test("a segment's path is made from its key", () => {
  assert.equal(paths.segmentFile("5f0c-1/7"), "/data/segments/5f0c-1/7");
  assert.equal(segmentOwner("5f0c-1/7"), "5f0c-1");
  assert.equal(segmentKeyOf("5f0c-1", "7"), "5f0c-1/7");
  assert.equal(segmentKeyOf("lost+found", "7"), undefined);
});

const foreignKeys = [
  "",
  "sha256",
  `sha256/${hex}`,
  `sha256/${hex}.`,
  `sha256/${hex.slice(1)}.a`,
  `sha256/${hex.toUpperCase()}.a`,
  `sha256/${hex}.a/b`,
  `sha256/${hex}.a.b`,
  `sha256/${hex}.A`,
  `sha256/${hex}.${"a".repeat(65)}`,
  `sha256/../${hex}.a`,
  `sha256/..${hex.slice(2)}.a`,
  `sha512/${hex}.a`,
  `md5/${hex}.a`,
  `../sha256/${hex}.a`,
  `sha256/${hex}.a\0`,
  `sha256/${hex}.a\n`,
];
for (const key of foreignKeys) {
  test(`${JSON.stringify(key)} is no storage key`, () => {
    assert.equal(parseStorageKey(key), undefined);
    assert.throws(() => paths.storedFile(key), { name: "AssertionFailure" });
  });
}

test("a commit target that is not well-formed makes no key", () => {
  const target = { digest: `sha256:${hex}`, incarnation: "a", sizeBytes: 1 };
  const wrong = [{ digest: `sha256:${hex}/` }, { incarnation: "../a" }, { incarnation: "" }, { sizeBytes: -1 }, { sizeBytes: 0.5 }];
  for (const change of wrong) assert.throws(() => storageKeyOf({ ...target, ...change }), { name: "AssertionFailure" });
});

test("no text makes a path outside of its folder", () => {
  const piece = fc.constantFrom("..", ".", "/", "a", "0", "-", "\\", "\0", "sha256", hex, "é", "A", "~");
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (key) => {
      for (const [make, depth] of [
        [(storageKey: string) => paths.storedFile(storageKey), 6],
        [(segmentKey: string) => paths.segmentFile(segmentKey), 5],
      ] as const) {
        try {
          const file = make(key);
          assert.equal(file.split(sep).length, depth);
          assert.ok(!file.split(sep).includes(".."));
        } catch (error) {
          assert.equal((error as Error).name, "AssertionFailure");
        }
      }
    }),
    { numRuns: 1_000 },
  );
});
