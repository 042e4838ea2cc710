import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { digestAlgorithm, digestFromHex, digestHex, digestOf, parseDigest } from "./digest.ts";
import type { DigestAlgorithm } from "./digest.ts";

const hex64 = "0123456789abcdef".repeat(4);

test("reads and prints digests", () => {
  const hexOf = (length: number): fc.Arbitrary<string> =>
    fc.array(fc.constantFrom(...Array.from("0123456789abcdef")), { minLength: length, maxLength: length }).map((digits) => digits.join(""));
  const any = fc.oneof(
    fc.tuple(fc.constant<DigestAlgorithm>("sha256"), hexOf(64)),
    fc.tuple(fc.constant<DigestAlgorithm>("sha512"), hexOf(128)),
  );
  fc.assert(
    fc.property(any, ([algorithm, hex]) => {
      const outcome = parseDigest(`${algorithm}:${hex}`);
      assert.ok(outcome.ok);
      assert.equal(digestAlgorithm(outcome.value), algorithm);
      assert.equal(digestHex(outcome.value), hex);
      assert.equal(digestFromHex(algorithm, hex), outcome.value);
    }),
  );
});

test("computes the digests that the specifications print", () => {
  const empty = Buffer.from("{}");
  assert.equal(digestOf("sha256", empty), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  assert.equal(digestOf("sha256", Buffer.alloc(0)), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const long = digestOf("sha512", Buffer.from("abc"));
  assert.equal(long.slice(0, 27), "sha512:ddaf35a193617abacc41");
  assert.ok(parseDigest(long).ok);
});

test("refuses everything else", () => {
  const texts = [
    "",
    ":",
    "sha256",
    "sha256:",
    hex64,
    `sha256:${hex64.slice(1)}`,
    `sha256:${hex64}0`,
    `sha256:${hex64.toUpperCase()}`,
    `SHA256:${hex64}`,
    `sha256:${hex64.slice(1)}g`,
    `sha256:${hex64.slice(1)}\n`,
    `sha256:${hex64.slice(2)}é`,
    ` sha256:${hex64}`,
    `sha256::${hex64.slice(1)}`,
    `sha512:${hex64}`,
    `sha256:${hex64}${hex64}`,
    `sha384:${hex64}${hex64.slice(32)}`,
    `blake3:${hex64}`,
    `md5:${hex64.slice(32)}`,
    `sha256+b64:${hex64}`,
    "sha256:baddigeststring",
    `sha256:../../${hex64.slice(6)}`,
    `sha256-${hex64}`,
    "a".repeat(1_000_000),
  ];
  for (const text of texts) {
    const outcome = parseDigest(text);
    assert.ok(!outcome.ok, text.slice(0, 100));
    assert.ok(outcome.problem.length < 200);
  }
});

test("notices every changed character", () => {
  const digest = `sha256:${hex64}`;
  for (let at = 0; at < digest.length; at++)
    for (const other of ["G", "-", "\0"]) assert.equal(parseDigest(digest.slice(0, at) + other + digest.slice(at + 1)).ok, false);
});
