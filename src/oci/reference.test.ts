import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseReference } from "./reference.ts";
import { parseTag } from "./tag.ts";

const digest = `sha256:${"ab".repeat(32)}`;

test("reads tags", () => {
  const tags = ["latest", "v1.2.3", "_", "0", "A-b_c.d", "a".repeat(128), "sha256-" + "ab".repeat(32), "sha256", "_.-"];
  for (const tag of tags) {
    assert.deepStrictEqual(parseTag(tag), { ok: true, value: tag });
    assert.deepStrictEqual(parseReference(tag), { ok: true, value: { kind: "tag", tag } });
  }
});

test("refuses what is neither tag nor digest", () => {
  const texts = [
    "",
    ".",
    "..",
    "-",
    ".a",
    "-a",
    "a".repeat(129),
    "a".repeat(100_000),
    "a b",
    "a/b",
    "a@b",
    "a\n",
    "\na",
    "a\0",
    "é",
    "ａ",
    "a+b",
    "a%2e",
    "a*",
    "a,b",
  ];
  for (const text of texts) {
    assert.equal(parseTag(text).ok, false, JSON.stringify(text.slice(0, 80)));
    assert.equal(parseReference(text).ok, false, JSON.stringify(text.slice(0, 80)));
  }
});

test("agrees with the specification's pattern on every text", () => {
  const pieces = fc.constantFrom("a", "Z", "0", "_", ".", "-", "+", "/", "@", "é", "ſ", "\u212a", "\n", " ", "a".repeat(126));
  const text = fc.array(pieces, { maxLength: 6 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (tag) => {
      assert.equal(parseTag(tag).ok, /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(tag), tag);
    }),
    { numRuns: 5_000 },
  );
});

test("a colon means a digest, right or wrong", () => {
  assert.deepStrictEqual(parseReference(digest), { ok: true, value: { kind: "digest", digest } });
  for (const text of ["sha256:baddigeststring", "a:b", ":", `${digest}0`, digest.toUpperCase(), `@${digest}`, "localhost:5000"]) {
    const outcome = parseReference(text);
    assert.ok(!outcome.ok && outcome.problem.includes("digest"), text);
  }
});
