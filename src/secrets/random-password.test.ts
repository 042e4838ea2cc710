import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { SecretsError } from "./errors.ts";
import { drawPassword } from "./random-password.ts";
import type { PasswordKind, PasswordRequest } from "./random-password.ts";

const forms: Readonly<Record<PasswordKind, RegExp>> = {
  lowercase: /[a-z]/,
  uppercase: /[A-Z]/,
  numbers: /[0-9]/,
  punctuation: /[!-/:-@[-`{-~]/,
};
const kinds = Object.keys(forms) as PasswordKind[];
const usual: PasswordRequest = { length: 32, kinds, includeSpace: false, excluded: "", requireEachKind: true };

function problemOf(request: Partial<PasswordRequest>): unknown {
  try {
    drawPassword(systemRandom, { ...usual, ...request });
  } catch (error) {
    return error instanceof SecretsError ? error.refusal : error;
  }
  return undefined;
}

test("a password has its length, its kinds and none of the excluded characters", () => {
  const requests = fc.record({
    length: fc.integer({ min: 4, max: 60 }),
    kinds: fc.subarray(kinds, { minLength: 1 }),
    includeSpace: fc.boolean(),
    excluded: fc.string({ maxLength: 5 }),
    requireEachKind: fc.boolean(),
  });
  fc.assert(
    fc.property(requests, (request) => {
      const password = drawPassword(systemRandom, request);
      assert.equal(password.length, request.length);
      for (const kind of kinds) {
        if (!request.kinds.includes(kind)) assert.doesNotMatch(password, forms[kind]);
        else if (request.requireEachKind) assert.match(password, forms[kind]);
      }
      for (const character of request.excluded) assert.ok(!password.includes(character));
      if (!request.includeSpace) assert.ok(!password.includes(" "));
    }),
  );
});

test("every character comes up, everywhere, about equally often", () => {
  const at = new Map<string, number>();
  const places = new Set<number>();
  const request: PasswordRequest = { ...usual, length: 4, kinds: ["numbers", "lowercase"], excluded: "efghijklmnopqrstuvwxyz56789" };
  for (let round = 0; round < 4_000; round += 1) {
    const password = drawPassword(systemRandom, request);
    for (const character of password) at.set(character, (at.get(character) ?? 0) + 1);
    places.add(password.search(/[0-9]/));
  }
  assert.deepEqual([...at.keys()].toSorted().join(""), "01234abcd");
  assert.deepEqual(places, new Set([0, 1, 2, 3]), "the first number stands anywhere");
  // A number comes up 4000 · (1 + 2 · 5/9) / 5 ≈ 1689 times; five hundred more or less are fourteen standard deviations.
  for (const digit of "01234") assert.ok(Math.abs((at.get(digit) ?? 0) - 1689) < 500, `${digit}: ${at.get(digit)}`);
});

test("the longest one", () => assert.equal(drawPassword(systemRandom, { ...usual, length: 4_096, includeSpace: true }).length, 4_096));

test("what cannot be", () => {
  const cases: readonly (readonly [Partial<PasswordRequest>, string | undefined])[] = [
    [{ kinds: [] }, "no-characters"],
    [{ kinds: [], includeSpace: true, length: 1 }, undefined],
    [{ kinds: ["numbers"], excluded: "0123456789" }, "no-characters"],
    [{ excluded: "0123456789" }, "no-characters-of-a-kind"],
    [{ excluded: "0123456789", requireEachKind: false }, undefined],
    [{ length: 3 }, "too-short"],
    [{ length: 3, requireEachKind: false }, undefined],
    [{ length: 4 }, undefined],
  ];
  for (const [request, problem] of cases) {
    const expected = problem === undefined ? undefined : { kind: "impossible-password", detail: { problem } };
    assert.deepEqual(problemOf(request), expected, JSON.stringify(request));
  }
});
