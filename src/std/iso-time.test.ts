import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isoTime } from "./iso-time.ts";

test("writes times as Date does, in whatever order they come", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: Date.UTC(9999, 0) })), (times) => {
      assert.deepEqual(
        times.map((at) => isoTime(at)),
        times.map((at) => new Date(at).toISOString()),
      );
    }),
  );
});
