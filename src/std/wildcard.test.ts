import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { matchesWildcard } from "./wildcard.ts";

test("matches whole texts", () => {
  const cases: [pattern: string, text: string, expected: boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["a", "a", true],
    ["a", "A", false],
    ["a", "ab", false],
    ["*", "", true],
    ["*", "anything/at all\n", true],
    ["**", "", true],
    ["a*", "a", true],
    ["a*", "ba", false],
    ["*a", "ba", true],
    ["*a", "ab", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["ab*ba", "aba", false],
    ["a*b*c", "a-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["*ab*ab*", "abab", true],
    ["*ab*ab*", "abxa", false],
    ["a**b", "ab", true],
    ["v1.*", "v1.2", true],
    ["v1.*", "v1x2", false],
    ["*aab*", "aaab", true],
    ["*abcabd*", "abcabcabd", true],
    ["dev-*-rc*", "dev-12-rc", true],
    ["[a-z]?", "bc", false],
    ["%_", "ab", false],
  ];
  for (const [pattern, text, expected] of cases) assert.equal(matchesWildcard(pattern, text), expected, `${pattern} against ${text}`);
});

test("means the same as a regular expression", () => {
  const pattern = fc.array(fc.constantFrom("a", "b", "*", "."), { maxLength: 10 }).map((parts) => parts.join(""));
  const text = fc.array(fc.constantFrom("a", "b", "."), { maxLength: 16 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, text, (glob, whole) => {
      const meaning = new RegExp(`^${glob.replaceAll(".", "\\.").replaceAll(/\*+/g, ".*")}$`, "s");
      assert.equal(matchesWildcard(glob, whole), meaning.test(whole));
    }),
    { numRuns: 5_000 },
  );
});

test("takes linear time where backtracking explodes", () => {
  const text = "a".repeat(1_000_000);
  const cpuMs = startCpuTime();
  assert.equal(matchesWildcard("*a".repeat(50_000) + "*b", text), false);
  assert.equal(matchesWildcard("*a".repeat(50_000), text), true);
  assert.equal(matchesWildcard(`*${"a".repeat(400_000)}b*`, text), false);
  assert.equal(matchesWildcard(`*${"a".repeat(400_000)}b*`, `${text}b`), true);
  assert.ok(cpuMs() < 20_000, `took ${cpuMs()} ms`);
});
