import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import { keyVersion, makeAccessKey, openSecret, sealSecret } from "./key-material.ts";

const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);

/** The account inside a key id, as the tools that read it there compute it. */
function accountOf(accessKeyId: string): string {
  let bits = 0n;
  for (const letter of accessKeyId.slice(4)) bits = (bits << 5n) | BigInt("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter));
  return String(((bits >> 32n) & 0x7fffffffff80n) >> 7n).padStart(12, "0");
}

test("reading the account out of a published key id", () => assert.equal(accountOf("AKIARZPUZDIKLZYHJPTQ"), "123456789012"));

test("a made key has AWS's form and carries its account", () => {
  const accounts = fc.integer({ min: 0, max: 999_999_999_999 }).map((n) => String(n).padStart(12, "0"));
  fc.assert(
    fc.property(accounts, (accountId) => {
      const key = makeAccessKey(systemRandom, accountId);
      assert.match(key.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
      assert.match(key.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
      assert.equal(accountOf(key.accessKeyId), accountId);
    }),
  );
  assert.match(makeAccessKey(systemRandom, "123456789012", "ASIA").accessKeyId, /^ASIA[A-Z2-7]{16}$/);
  for (const edge of ["000000000000", "999999999999"]) assert.equal(accountOf(makeAccessKey(systemRandom, edge).accessKeyId), edge);
});

test("made keys differ", () => {
  const keys = Array.from({ length: 200 }, () => makeAccessKey(systemRandom, "123456789012"));
  assert.equal(new Set(keys.map((key) => key.accessKeyId)).size, 200);
  assert.equal(new Set(keys.map((key) => key.secretAccessKey)).size, 200);
});

test("a secret opens as its own key's only", () => {
  const key = makeAccessKey(systemRandom, "123456789012");
  const sealed = sealSecret(sealer, key);
  assert.ok(!sealed.includes(key.secretAccessKey));
  assert.equal(openSecret(sealer, key.accessKeyId, sealed), key.secretAccessKey);
  assert.equal(openSecret(sealer, "AKIAOTHERAAAAAAAAAAA", sealed), undefined);
  assert.equal(openSecret(createSealer([makeInstanceKey(systemRandom)], systemRandom), key.accessKeyId, sealed), undefined);
});

test("a key's version follows its secret", () => {
  const key = makeAccessKey(systemRandom, "123456789012");
  assert.match(keyVersion(key), /^[A-Za-z0-9_-]{12}$/);
  assert.equal(keyVersion(key), keyVersion({ ...key }));
  assert.notEqual(keyVersion(key), keyVersion({ ...key, secretAccessKey: `${key.secretAccessKey}x` }));
});
