import { strict as assert } from "node:assert";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import ecr from "../../models/ecr-2015-09-21.json" with { type: "json" };
import sts from "../../models/sts-2011-06-15.json" with { type: "json" };
import { compilePattern, patternInputLimit } from "./pattern.ts";

interface PatternedShape {
  readonly pattern: string;
  readonly max?: number;
}

const shapes = [...Object.entries(ecr.shapes), ...Object.entries(sts.shapes)] as readonly (readonly [string, Partial<PatternedShape>])[];
const patterned = shapes.filter((entry): entry is readonly [string, PatternedShape] => entry[1].pattern !== undefined);

/** Runs that patterns may try in many ways, before a character that ends every match. */
const units = ["a", "0", "-", "_", ".", "/", "*", "a-", "a_", "a.", "a/", "a--", "a__", "aa/", "*a", "a-a", "a:", "-a", "1:"];
const prefixes = [
  "",
  "arn:aws:",
  "arn:aws",
  "a",
  "arn:aws:secretsmanager:a:secret:ecr-pullthroughcache/",
  "arn:aws:iam::123456789012:role/",
];

test("there are patterns to look at", () => {
  assert.ok(patterned.length >= 29);
});

for (const [name, shape] of patterned) {
  test(`${name} takes bounded time`, () => {
    const matches = compilePattern(shape.pattern);
    const length = Math.min(shape.max ?? patternInputLimit, patternInputLimit);
    for (const prefix of prefixes) {
      for (const unit of units) {
        const text = `${prefix}${unit.repeat(length)}`.slice(0, length - 1);
        const cpuMs = startCpuTime();
        matches(`${text}!`);
        matches(`${text}\n`);
        // Milliseconds for what is linear; what is exponential never ends.
        assert.ok(cpuMs() < 1_000, `${prefix}${unit}`);
      }
    }
  });
}

test("text beyond the limit never matches", () => {
  const matches = compilePattern("a*");
  assert.equal(matches("a".repeat(patternInputLimit)), true);
  assert.equal(matches("a".repeat(patternInputLimit + 1)), false);
});

test("patterns match whole texts", () => {
  for (const pattern of ["[0-9]{12}", "^[0-9]{12}$"]) {
    const matches = compilePattern(pattern);
    assert.equal(matches("123456789012"), true);
    assert.equal(matches("1234567890123"), false);
    assert.equal(matches("123456789012\n"), false);
    assert.equal(matches("x123456789012"), false);
  }
  assert.equal(compilePattern("^$|a")(""), true);
  assert.equal(compilePattern("^$|a")("ab"), false);
});

test("the replaced pattern accepts what the model's accepts", () => {
  const { pattern } = ecr.shapes.ScanningRepositoryFilterValue;
  const original = new RegExp(`^(?:${pattern})$`);
  const replaced = compilePattern(pattern);
  // So short that even the original is quick.
  const text = fc.string({ unit: fc.constantFrom(..."az0*._-/A".split("")), maxLength: 10 });
  fc.assert(
    fc.property(text, (sample) => assert.equal(replaced(sample), original.test(sample))),
    { numRuns: 5000 },
  );
});
