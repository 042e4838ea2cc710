import assert from "node:assert/strict";
import { createSecretKey, generateKeyPairSync } from "node:crypto";
import type { JsonWebKeyInput } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { parseUploadedKeys } from "./uploaded-keys.ts";

type Jwk = JsonWebKeyInput["key"] & Readonly<Record<string, unknown>>;
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = (key: { export(options: { format: "jwk" }): object }, more: object = {}): Jwk => ({
  ...key.export({ format: "jwk" }),
  ...more,
});
const curve = (namedCurve: string): Jwk => jwk(generateKeyPairSync("ec", { namedCurve }).publicKey, { kid: namedCurve });
const short = jwk(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey);
const rsaPublic = jwk(rsa.publicKey, { kid: "r", alg: "RS256", use: "sig" });
const ecPublic = jwk(ec.publicKey, { kid: "e" });

test("public keys for signatures are kept, without what a signature is not checked with", () => {
  const read = parseUploadedKeys({
    keys: [{ ...rsaPublic, x5c: ["certificate"], key_ops: ["verify"] }, ecPublic, curve("P-384"), curve("P-521")],
  });
  assert.ok(read.ok);
  assert.deepEqual(
    read.value.map(({ kid }) => kid),
    ["r", "e", "P-384", "P-521"],
  );
  assert.deepEqual(read.value[0], rsaPublic);
});

test("public keys that no token is taken with are left out", () => {
  const others = [
    { ...rsaPublic, kid: "enc", use: "enc", alg: "RSA-OAEP" },
    { ...rsaPublic, kid: "pss", alg: "PS256" },
    { ...ecPublic, kid: "mixed", alg: "RS256" },
    jwk(generateKeyPairSync("ed25519").publicKey),
    curve("secp256k1"),
    // A curve's name is no type of key.
    { ...ecPublic, kty: "P-256" },
  ];
  const read = parseUploadedKeys({ keys: [...others, ecPublic] });
  assert.deepEqual(read, { ok: true, value: [ecPublic] });
  assert.equal(parseUploadedKeys({ keys: others }).ok, false);
});

test("secrets, weak keys and what is no key set are refused by name", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ keys: [ecPublic, jwk(rsa.privateKey)] }, /^Key 2 is a secret key/],
    [{ keys: [jwk(ec.privateKey)] }, /^Key 1 is a secret key/],
    [{ keys: [jwk(createSecretKey(Buffer.alloc(32)))] }, /^Key 1 is a secret key/],
    [{ keys: [{ ...jwk(generateKeyPairSync("ed25519").privateKey) }] }, /^Key 1 is a secret key/],
    [{ keys: [{ ...rsaPublic, use: "enc", d: 7 }] }, /^Key 1 is a secret key/],
    [{ keys: [short] }, /^Key 1 has 1024 bits; at least 2048 are needed\.$/],
    [{ keys: [{ ...rsaPublic, e: "AQ" }] }, /^Key 1 has an exponent that is none\.$/],
    [{ keys: [{ ...rsaPublic, n: Buffer.alloc(1025, 255).toString("base64url") }] }, /^Key 1 has 8200 bits; at most 8192/],
    [{ keys: [{ ...ecPublic, x: ecPublic["y"], y: ecPublic["x"] }] }, /^Key 1 is no key\.$/],
    [{ keys: [{ kty: "EC", crv: "P-256" }] }, /^Key 1 is no key\.$/],
    [{ keys: [{ ...rsaPublic, kid: 7 }] }, /^Key 1 has members that are not text\.$/],
    [{ keys: [{ ...rsaPublic, kid: "" }] }, /^Key 1 has an id of other than/],
    [{ keys: [{ ...rsaPublic, kid: "k".repeat(257) }] }, /^Key 1 has an id of other than/],
    [{ keys: [rsaPublic, { ...ecPublic, kid: "r" }] }, /^Key 2 has the id of an earlier key\.$/],
    [{ keys: [null] }, /^Key 1 is no object\.$/],
    [{ keys: Array.from({ length: 101 }, () => ecPublic) }, /at most 100 keys/],
    [{ keys: [] }, /^No key is one/],
    [{ keys: {} }, /list of 'keys'/],
    [[rsaPublic], /list of 'keys'/],
    [undefined, /list of 'keys'/],
  ];
  for (const [value, words] of cases) {
    const read = parseUploadedKeys(value);
    assert.ok(!read.ok, JSON.stringify(value));
    assert.match(read.problem, words);
  }
});

test("whatever is uploaded, it is answered and never thrown", () => {
  const member = fc.constantFrom("kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "d");
  const text = fc.oneof(fc.constantFrom("RSA", "EC", "P-256", "AQAB", "RS256", "sig"), fc.string(), fc.jsonValue());
  const key = fc.dictionary(member, text);
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.record({ keys: fc.array(key, { maxLength: 3 }) })), (value) => void parseUploadedKeys(value)),
  );
});
