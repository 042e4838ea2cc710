import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { formatInstanceKey, makeInstanceKey, parseInstanceKeys } from "./instance-key.ts";

test("a made key reads back from its line", () => {
  const key = makeInstanceKey(systemRandom);
  assert.match(key.id, /^[0-9a-f]{16}$/);
  assert.equal(key.secret.length, 32);
  assert.deepEqual(parseInstanceKeys(formatInstanceKey(key)), { ok: true, value: [key] });
});

test("any secret survives print and parse", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const key = makeInstanceKey({ uuid: () => "", bytes: () => Buffer.from(bytes) });
      const back = parseInstanceKeys(`# note\r\n\r\n${formatInstanceKey(key)}\r\n`);
      assert.ok(back.ok);
      assert.deepEqual(back.value, [key]);
    }),
  );
});

test("several keys keep their order", () => {
  const keys = [makeInstanceKey(systemRandom), makeInstanceKey(systemRandom), makeInstanceKey(systemRandom)];
  assert.deepEqual(parseInstanceKeys(keys.map(formatInstanceKey).join("\n")), { ok: true, value: keys });
});

test("unusable key files are refused, and never quoted", () => {
  const line = formatInstanceKey(makeInstanceKey(systemRandom));
  const secret = line.slice(-43);
  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /holds no key/],
    ["# only a note\n", /holds no key/],
    ["hello", /line 1 is not a key/],
    [`${line}\n${line}`, /line 2 repeats/],
    [line.replace("key-1", "key-2"), /line 1/],
    [line.slice(0, -1), /line 1/],
    [`${line}A`, /line 1/],
    [
      line.replace(
        secret,
        secret.replace(/^./, (c) => (c === "A" ? "B" : "A")),
      ),
      /damaged/,
    ],
    ["x".repeat(20_000), /longer than/],
    [Array.from({ length: 17 }, () => formatInstanceKey(makeInstanceKey(systemRandom))).join("\n"), /more than 16/],
  ];
  for (const [text, expected] of refused) {
    const answer = parseInstanceKeys(text);
    assert.ok(!answer.ok, text);
    assert.match(answer.problem, expected);
    assert.ok(!answer.problem.includes(secret));
  }
});
