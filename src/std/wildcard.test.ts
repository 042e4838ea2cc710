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

test("means the same where pieces and texts are long", () => {
  const run = fc.tuple(fc.constantFrom("a", "ab", "aab", "b"), fc.integer({ min: 1, max: 120 })).map(([unit, times]) => unit.repeat(times));
  const piece = fc.array(run, { minLength: 1, maxLength: 3 }).map((runs) => runs.join(""));
  const sample = fc.record({
    pieces: fc.array(piece, { minLength: 1, maxLength: 4 }),
    fillings: fc.array(piece, { minLength: 4, maxLength: 4 }),
    isWhole: fc.boolean(),
  });
  fc.assert(
    fc.property(sample, ({ pieces, fillings, isWhole }) => {
      const glob = `*${pieces.join("*")}*`;
      const text = pieces.map((one, at) => (isWhole ? one : one.slice(1)) + (fillings[at] ?? "")).join("");
      assert.equal(matchesWildcard(glob, text), new RegExp(`^${glob.replaceAll("*", ".*")}$`, "s").test(text));
      if (isWhole) assert.ok(matchesWildcard(glob, text));
    }),
    { numRuns: 300 },
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
