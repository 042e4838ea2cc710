import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { parseRepositoryName } from "./repository-name.ts";

/** ECR's own pattern, from its service model. */
const model = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;

test("accepts the names that ECR accepts", () => {
  // oxfmt-ignore
  const names = [
    "", "a", "a".repeat(257), "A", "Ab", "aB", "a b", "a//b", "/ab", "ab/", "-ab", "ab-", ".ab", "ab.", "_ab", "ab_", "__ab", "ab__", "a..b", "a___b",
    "a._b", "a-.b", "a_-b", "a-_b", "a/-b", "a-/b", "a/.b", "a./b", "a/_b", "../ab", "ab/..", "ab/../cd", "ab/./cd", "ab\\cd", "ab%2fcd", "ab:cd",
    "ab@cd", "ab\0", "ab\n", "\nab", "ab?x", "ab#x", "\u0430b", "é1", "\uff41\uff42", "a\u200bb", "a%b", "--", "__", "//", "..",
  ];
  for (const name of names) assert.equal(parseRepositoryName(name).ok, false, JSON.stringify(name));
});

test("agrees with the model's pattern on every text", () => {
  const text = fc.array(fc.constantFrom("a", "0", ".", "_", "__", "-", "/", "b7", "A"), { maxLength: 9 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (name) => {
      assert.equal(parseRepositoryName(name).ok, name.length >= 2 && model.test(name), name);
    }),
    { numRuns: 10_000 },
  );
});

test("answers at once, however long the text", () => {
  const cpuMs = startCpuTime();
  for (const piece of ["a", "a-", "-", "a/", "a__", "0."]) {
    assert.equal(parseRepositoryName(piece.repeat(100_000)).ok, false);
    assert.equal(parseRepositoryName(`${piece.repeat(100_000)}!`).ok, false);
    parseRepositoryName(`${piece.repeat(256)}!`.slice(-256));
  }
  assert.ok(cpuMs() < 100);
});
