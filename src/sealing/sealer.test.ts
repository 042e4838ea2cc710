import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { makeInstanceKey } from "./instance-key.ts";
import { createSealer } from "./sealer.ts";

const key = makeInstanceKey(systemRandom);
const sealer = createSealer([key], systemRandom);
const plain = Buffer.from("attack at dawn");

test("what is sealed opens again, for its purpose only", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.string(), (bytes, purpose, other) => {
      const sealed = sealer.seal(purpose, bytes);
      assert.match(sealed, /^[A-Za-z0-9_-]+$/);
      assert.deepEqual(sealer.open(purpose, sealed), Buffer.from(bytes));
      if (other !== purpose) assert.equal(sealer.open(other, sealed), undefined);
    }),
  );
});

test("the same value never looks the same, and its plain text is not in it", () => {
  const sealed = new Set(Array.from({ length: 100 }, () => sealer.seal("p", plain)));
  assert.equal(sealed.size, 100);
  for (const text of sealed) assert.ok(!Buffer.from(text, "base64url").includes(plain));
});

test("every changed bit is noticed", () => {
  const bytes = Buffer.from(sealer.seal("p", plain), "base64url");
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const forged = Buffer.from(bytes);
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(sealer.open("p", forged.toString("base64url")), undefined, `bit ${bit}`);
  }
});

test("every truncation and extension is noticed", () => {
  const sealed = sealer.seal("p", plain);
  for (let length = 0; length < sealed.length; length += 1) assert.equal(sealer.open("p", sealed.slice(0, length)), undefined);
  for (const more of ["A", "AA", "AAAA", "=", " ", "\n", "+"]) assert.equal(sealer.open("p", sealed + more), undefined, more);
});

test("a value has one spelling only", () => {
  // 14 bytes leave stray bits in the last character; a decoder that ignores them would take 4 or 16 spellings.
  const sealed = sealer.seal("p", plain);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const opened = Array.from(alphabet).filter((last) => sealer.open("p", sealed.slice(0, -1) + last) !== undefined);
  assert.deepEqual(opened, [sealed.at(-1)]);
});

test("garbage of any kind is refused without an exception", () => {
  fc.assert(fc.property(fc.string({ unit: "binary-ascii", maxLength: 400 }), (text) => sealer.open("p", text) === undefined));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 49, maxLength: 200 }), (bytes) => {
      bytes[0] = 1;
      Buffer.from(key.id, "hex").copy(bytes, 1);
      return sealer.open("p", Buffer.from(bytes).toString("base64url")) === undefined;
    }),
  );
  assert.equal(sealer.open("p", "A".repeat(1_000_000)), undefined);
});

test("a change of key: old values open while the old key is listed, new ones are sealed under the first", () => {
  const next = makeInstanceKey(systemRandom);
  const both = createSealer([next, key], systemRandom);
  const onlyNext = createSealer([next], systemRandom);
  const old = sealer.seal("p", plain);
  assert.equal(both.keyId, next.id);
  assert.deepEqual(both.open("p", old), plain);
  assert.equal(onlyNext.open("p", old), undefined);
  assert.deepEqual(onlyNext.open("p", both.seal("p", plain)), plain);
});

test("the largest value fits, a larger one is a programmer's error", () => {
  const largest = Buffer.alloc(65_536, 7);
  assert.deepEqual(sealer.open("p", sealer.seal("p", largest)), largest);
  assert.throws(() => sealer.seal("p", Buffer.alloc(65_537)), /too large/);
  assert.throws(() => createSealer([], systemRandom), /needs a key/);
});
