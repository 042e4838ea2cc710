import assert from "node:assert/strict";
import { test } from "node:test";
import { createBreaker } from "./key-service-breaker.ts";

test("after failures in a row nobody is let through; after a rest one may try, and success lets all through again", () => {
  let now = 0;
  const breaker = createBreaker({ clock: { now: () => now }, failures: 2, restMs: 100 });
  assert.equal(breaker.enter(), undefined);
  assert.equal(breaker.fail("first"), false);
  assert.equal(breaker.enter(), undefined);
  assert.equal(breaker.succeed(), false);
  assert.equal(breaker.fail("second"), false, "a success in between begins the count anew");
  assert.equal(breaker.fail("third"), true, "said once");
  assert.equal(breaker.enter(), "third");
  now = 100;
  assert.equal(breaker.enter(), undefined, "one tries");
  assert.equal(breaker.enter(), "third", "the others wait for it");
  assert.equal(breaker.fail("fourth"), false);
  assert.equal(breaker.enter(), "fourth");
  now = 200;
  assert.equal(breaker.enter(), undefined);
  now = 300;
  assert.equal(breaker.enter(), undefined, "the one before never came back");
  assert.equal(breaker.succeed(), true);
  assert.deepEqual([breaker.enter(), breaker.enter()], [undefined, undefined]);
});
