import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import * as fc from "fast-check";
import { AssertionFailure } from "./assert.ts";
import { createByteBudget } from "./byte-budget.ts";

/** Lets everything that is ready run. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("hands out the budget and takes it back", async () => {
  const budget = createByteBudget(10);
  const first = await budget.acquire(4);
  const second = await budget.acquire(6);
  assert.equal(budget.inUseBytes, 10);
  first();
  assert.equal(budget.inUseBytes, 6);
  second();
  assert.equal(budget.inUseBytes, 0);
});

test("admits in the order of arrival, small ones too", async () => {
  const budget = createByteBudget(10);
  const release = await budget.acquire(8);
  const admitted: string[] = [];
  const large = budget.acquire(10).then((done) => (admitted.push("large"), done));
  const small = budget.acquire(1).then((done) => (admitted.push("small"), done));
  await settle();
  assert.deepStrictEqual(admitted, []);
  release();
  await settle();
  assert.deepStrictEqual(admitted, ["large"]);
  (await large)();
  (await small)();
  assert.deepStrictEqual(admitted, ["large", "small"]);
  assert.equal(budget.inUseBytes, 0);
});

test("an aborted request leaves the queue and lets those behind it in", async () => {
  const budget = createByteBudget(10);
  const release = await budget.acquire(8);
  const leaving = new AbortController();
  const large = budget.acquire(10, leaving.signal);
  const small = budget.acquire(2);
  leaving.abort(new Error("gone"));
  await assert.rejects(large, /gone/);
  (await small)();
  release();
  assert.equal(budget.inUseBytes, 0);
  await assert.rejects(budget.acquire(1, AbortSignal.abort(new Error("late"))), /late/);
});

test("an abort after admission takes nothing back", async () => {
  const budget = createByteBudget(10);
  const first = await budget.acquire(10);
  const controller = new AbortController();
  const waiting = budget.acquire(5, controller.signal);
  first();
  assert.deepStrictEqual(getEventListeners(controller.signal, "abort"), []);
  controller.abort();
  const second = await waiting;
  assert.equal(budget.inUseBytes, 5);
  second();
  assert.equal(budget.inUseBytes, 0);
});

test("refuses what no caller may ask", async () => {
  const budget = createByteBudget(10);
  for (const bytes of [11, -1, 1.5, Number.NaN]) await assert.rejects(budget.acquire(bytes), AssertionFailure);
  const release = await budget.acquire(1);
  release();
  assert.throws(release, AssertionFailure);
  assert.equal(budget.inUseBytes, 0);
  for (const limitBytes of [0, -1, Number.NaN]) assert.throws(() => createByteBudget(limitBytes), AssertionFailure);
});

test("never exceeds the limit and forgets nobody, whatever the order of events", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("acquire" as const), bytes: fc.integer({ min: 0, max: 10 }) }),
    fc.record({ kind: fc.constantFrom("release" as const, "abort" as const), which: fc.nat({ max: 9 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const budget = createByteBudget(10);
      const held: (() => void)[] = [];
      const controllers: AbortController[] = [];
      let open = 0;
      for (const action of steps) {
        if (action.kind === "acquire") {
          const controller = new AbortController();
          controllers.push(controller);
          open++;
          void budget.acquire(action.bytes, controller.signal).then(
            (release) => void held.push(release),
            () => void open--,
          );
        } else if (action.kind === "release") {
          const release = held.splice(action.which, 1)[0];
          if (release !== undefined) {
            open--;
            release();
          }
        } else controllers[action.which]?.abort();
        assert.ok(budget.inUseBytes <= 10);
        await settle();
      }
      while (held.length > 0) {
        held.shift()?.();
        open--;
        await settle();
      }
      assert.equal(open, 0);
      assert.equal(budget.inUseBytes, 0);
    }),
    { numRuns: 50 },
  );
});
