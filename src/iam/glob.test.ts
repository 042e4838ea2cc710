import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { anyOne, anyRun, globOf, globParts, matchesGlob } from "./glob.ts";

function matches(pattern: string, text: string): boolean {
  return matchesGlob(globOf(globParts(pattern)), text);
}

test("matches whole texts", () => {
  const cases: [pattern: string, text: string, expected: boolean][] = [
    ["", "", true],
    ["", "a", false],
    ["a", "ab", false],
    ["ab", "a", false],
    ["*", "", true],
    ["**", "anything\n", true],
    ["?", "", false],
    ["?", "\n", true],
    ["??", "a", false],
    ["?*", "a", true],
    ["*?", "", false],
    ["*?*?", "a", false],
    ["a?c*e", "abcde", true],
    ["a?c*e", "abcdef", false],
    ["ab*ba", "aba", false],
    ["*aab*", "aaab", true],
    ["A", "a", false],
    ["[a-z]", "b", false],
  ];
  for (const [pattern, text, expected] of cases) assert.equal(matches(pattern, text), expected, `${pattern} against ${text}`);
});

test("text parts stand for themselves", () => {
  assert.equal(matchesGlob(globOf(["a*"]), "ab"), false);
  assert.equal(matchesGlob(globOf(["a*"]), "a*"), true);
  assert.equal(matchesGlob(globOf([anyRun, "*?", anyOne]), "x*?y"), true);
  assert.equal(matchesGlob(globOf([anyRun, "*?", anyOne]), "x*zy"), false);
});

test("looks at the given part of the text alone", () => {
  assert.equal(matchesGlob(globOf(globParts("b*d")), "abcde", 1, 4), true);
  assert.equal(matchesGlob(globOf(globParts("b*e")), "abcde", 1, 4), false);
  assert.equal(matchesGlob(globOf(["bcd"]), "abcde", 1, 4), true);
  assert.equal(matchesGlob(globOf(["bcde"]), "abcde", 1, 4), false);
  assert.equal(matchesGlob(globOf(["bcde", anyRun]), "abcde", 1, 4), false);
});

test("means the same as a regular expression", () => {
  const pattern = fc.array(fc.constantFrom("a", "b", "*", "?", "."), { maxLength: 9 }).map((parts) => parts.join(""));
  const text = fc.array(fc.constantFrom("a", "b", "."), { maxLength: 14 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, text, (glob, whole) => {
      const meaning = new RegExp(`^${glob.replaceAll(".", "\\.").replaceAll(/\*+/g, ".*").replaceAll("?", ".")}$`, "s");
      assert.equal(matches(glob, whole), meaning.test(whole));
    }),
    { numRuns: 3_000 },
  );
});

test("answers at once where backtracking explodes", () => {
  const cpuMs = startCpuTime();
  for (const [pattern, length] of [
    [`${"*a".repeat(25)}x`, 60],
    [`${"*a".repeat(25)}*x`, 16_000],
    [`${"*?a".repeat(680)}x`, 16_000],
    [`*${"a".repeat(1_000)}x`, 16_000],
  ] as const) {
    const text = "a".repeat(length);
    assert.equal(matches(pattern, text), false);
    assert.equal(matches(pattern, `${text}x`), true);
  }
  // Backtracking would take minutes; how fast this is is measured elsewhere.
  assert.ok(cpuMs() < 30_000, `took ${cpuMs()} ms`);
});
