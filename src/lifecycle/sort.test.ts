import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { sortInSteps } from "./sort.ts";

interface Item {
  readonly key: number;
  readonly index: number;
}

function itemsOf(length: number, keys: number): Item[] {
  return Array.from({ length }, (_, index) => ({ key: Math.imul(index + length, 0x9e3779b1) % keys, index }));
}

/** The sorted items and how many steps they took. */
function sortWhole(items: readonly Item[]): { readonly sorted: Item[]; readonly steps: number } {
  const sorting = sortInSteps(items, (a, b) => a.key - b.key);
  for (let steps = 0; ; steps++) {
    const step = sorting.next();
    if (step.done === true) return { sorted: step.value, steps };
  }
}

test("sorts like the built-in sort, stably, at lengths around those of the runs", () => {
  const run = 4_096;
  const length = fc.oneof(
    fc.nat(3),
    fc.integer({ min: 1, max: 9 }).chain((runs) => fc.integer({ min: runs * run - 2, max: runs * run + 2 })),
  );
  fc.assert(
    fc.property(length, fc.constantFrom(1, 3, 1_000, 1_000_000), (length, keys) => {
      const items = itemsOf(length, keys);
      const expected = items.toSorted((a, b) => a.key - b.key || a.index - b.index);
      const { sorted } = sortWhole(items);
      // Whole lists of this length would take minutes to be shown side by side.
      assert.equal(sorted.length, expected.length);
      assert.equal(
        sorted.findIndex(({ index }, at) => index !== expected[at]?.index),
        -1,
      );
    }),
    { numRuns: 40 },
  );
});

test("leaves what it is given alone and gives others a turn", () => {
  const items = itemsOf(50_000, 1_000);
  const { steps } = sortWhole(items);
  assert.ok(steps >= 40, `${steps} steps`);
  assert.ok(items.every(({ index }, at) => index === at));
});
