import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { decryptUnder, encryptUnder, readMaterialReference } from "./ciphertext.ts";
import { canonicalContext } from "./encryption-context.ts";

const secret = systemRandom.bytes(32);
const reference = { keyId: "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", material: 3 };
const contexts = fc.dictionary(fc.string(), fc.string(), { maxKeys: 4 });
const seal = (plain: Uint8Array, context: Record<string, string> = {}): Buffer =>
  encryptUnder(secret, reference, plain, context, systemRandom);

test("what is encrypted is decrypted with the same context, and says which material it needs", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 4096 }), contexts, (plain, context) => {
      const sealed = seal(plain, context);
      assert.ok(sealed.length <= 6144, "the most that Decrypt takes");
      assert.deepEqual(readMaterialReference(sealed), reference);
      assert.deepEqual(decryptUnder(secret, sealed, context), Buffer.from(plain));
    }),
  );
});

test("another context opens nothing", () => {
  fc.assert(
    fc.property(contexts, contexts, (context, other) => {
      const same = canonicalContext(context).equals(canonicalContext(other));
      assert.equal(decryptUnder(secret, seal(Buffer.from("x"), context), other) !== undefined, same);
    }),
  );
});

test("another material opens nothing, and the same text never looks the same", () => {
  const plain = Buffer.from("attack at dawn");
  const sealed = Array.from({ length: 50 }, () => seal(plain).toString("hex"));
  assert.equal(new Set(sealed).size, 50);
  for (const hex of sealed) assert.ok(!hex.includes(plain.toString("hex")));
  assert.equal(decryptUnder(systemRandom.bytes(32), seal(plain), {}), undefined);
});

test("every changed bit and every other length is noticed", () => {
  const sealed = seal(Buffer.from("ab"), { a: "b" });
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const forged = Buffer.from(sealed);
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(decryptUnder(secret, forged, { a: "b" }), undefined, `bit ${bit}`);
  }
  for (let length = 0; length < sealed.length; length += 1)
    assert.equal(decryptUnder(secret, sealed.subarray(0, length), { a: "b" }), undefined);
  assert.equal(decryptUnder(secret, Buffer.concat([sealed, Buffer.alloc(1)]), { a: "b" }), undefined);
});

test("what has not the form of a ciphertext names no material", () => {
  const sealed = seal(Buffer.from("a"));
  for (const other of [Buffer.alloc(0), Buffer.alloc(69), sealed.subarray(0, 69), Buffer.concat([Buffer.from([2]), sealed.subarray(1)])])
    assert.equal(readMaterialReference(other), undefined);
});
