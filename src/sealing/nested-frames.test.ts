import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "#std/random.ts";
import fc from "fast-check";
import type { FrameKey } from "./frames.ts";
import { FrameError } from "./frames.ts";
import { createNestedFramer, nestedSize, openNestedFrames, openWhole, sealWhole } from "./nested-frames.ts";

const keys: readonly FrameKey[] = ["outer", "inner"].map((purpose) => ({ dataKey: systemRandom.bytes(32), purpose }));
const [outer, inner] = keys;

test("a content comes back whole and in part through all layers, and through nothing less", async () => {
  assert.ok(outer !== undefined && inner !== undefined);
  const content = systemRandom.bytes(200_000);
  for (const layers of [[outer], [outer, inner]]) {
    const framer = createNestedFramer(layers, systemRandom);
    const stored = Buffer.concat([...framer.push(content.subarray(0, 70_000)), ...framer.push(content.subarray(70_000)), ...framer.end()]);
    assert.equal(stored.length, nestedSize(content.length, layers.length));
    const spans = fc.tuple(fc.nat({ max: 199_999 }), fc.nat({ max: 199_999 }));
    await fc.assert(
      fc.asyncProperty(spans, async ([a, b]) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        const reader = openNestedFrames(layers, content.length, async function* (span) {
          yield stored.subarray(span.first, span.last + 1);
        });
        const got: Uint8Array[] = [];
        for await (const chunk of reader({ first, last })) got.push(chunk);
        assert.ok(Buffer.concat(got).equals(content.subarray(first, last + 1)));
      }),
      { numRuns: 20 },
    );
  }
});

test("a short content is sealed in one piece", async () => {
  assert.ok(outer !== undefined && inner !== undefined);
  for (const length of [0, 1, 65_536, 65_537]) {
    const plain = systemRandom.bytes(length);
    const sealed = sealWhole(keys, plain, systemRandom);
    assert.ok((await openWhole(keys, length, sealed)).equals(plain));
    await assert.rejects(openWhole([inner, outer], length, sealed), FrameError);
    await assert.rejects(openWhole([outer, { ...inner, dataKey: systemRandom.bytes(32) }], length, sealed), FrameError);
    await assert.rejects(openWhole(keys, length + 1, sealed), FrameError);
    await assert.rejects(openWhole(keys, length, Buffer.concat([sealed, Buffer.alloc(1)])), FrameError);
  }
});
