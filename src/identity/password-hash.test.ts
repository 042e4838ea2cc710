import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "#std/random.ts";
import { hashPassword, passwordMatches } from "./password-hash.ts";

test("a password matches its own hash and no other, and no two hashes are alike", async () => {
  const password = "pässword with\tblanks";
  const [first, second] = [await hashPassword(systemRandom, password), await hashPassword(systemRandom, password)];
  assert.match(first, /^scrypt\$32768\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
  assert.notEqual(first, second);
  assert.equal(await passwordMatches(password, first), true);
  assert.equal(await passwordMatches(password.toUpperCase(), second), false);
});

test("a hash says how it was made, so that older and stronger ones match, too", async () => {
  // RFC 7914, section 12, the third vector; the first 32 of its 64 bytes, which do not depend on how many are asked for.
  const hash = Buffer.from("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2", "hex").toString("base64url");
  const stored = `scrypt$16384$8$1$${Buffer.from("SodiumChloride").toString("base64url")}$${hash}`;
  assert.equal(await passwordMatches("pleaseletmein", stored), true);
  assert.equal(await passwordMatches("pleaseletmeout", stored), false);
  assert.equal(await passwordMatches("pleaseletmein", stored.replace("16384", "8192")), false);
});

test("what is no hash of ours matches nothing", async () => {
  for (const stored of ["", "plain", "scrypt$32768$8$1$short$short", "bcrypt$32768$8$1$AAAAAAAAAAAAAAAAAAAAAA$A"])
    assert.equal(await passwordMatches("plain", stored), false, stored);
});

test("parameters that would take too much memory are not tried, and the next password is", async () => {
  const greedy = `scrypt$4194304$8$1$${"A".repeat(22)}$${"A".repeat(43)}`;
  const stored = await hashPassword(systemRandom, "secret");
  const [refused, matched] = await Promise.allSettled([passwordMatches("secret", greedy), passwordMatches("secret", stored)]);
  assert.equal(refused.status, "rejected");
  assert.deepEqual(matched, { status: "fulfilled", value: true });
});
