import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#std/log.ts";
import { exportJWK, generateKeyPair } from "jose";
import type { JWK } from "jose";
import { createOpenIdKeys, readKeySet } from "./openid-keys.ts";
import type { FetchJson } from "./openid-keys.ts";

const issuer = "https://issuer.example";
const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
const publicJwk: JWK = { ...(await exportJWK(publicKey)), kid: "one" };

/** An issuer in the test's hands: what it publishes, whether it answers, how often it was asked for its keys. */
function makeIssuer() {
  const state = { keys: [publicJwk], answers: true, asked: 0, now: 1_000_000 };
  const fetchJson: FetchJson = async (url) => {
    if (!state.answers) return { ok: false, kind: "unreachable", problem: "down" };
    if (url === `${issuer}/.well-known/openid-configuration`) return { ok: true, value: { issuer, jwks_uri: `${issuer}/keys` } };
    state.asked += 1;
    return { ok: true, value: { keys: state.keys as never[] } };
  };
  return { state, keys: createOpenIdKeys(fetchJson, { now: () => state.now }, silentLog) };
}

test("keys are remembered for ten minutes", async () => {
  const { state, keys } = makeIssuer();
  for (let at = 0; at < 10; at++) assert.ok((await keys.find(issuer, "one")).ok);
  assert.equal(state.asked, 1);
  state.now += 599_999;
  await keys.find(issuer, "one");
  assert.equal(state.asked, 1);
  state.now += 1;
  await keys.find(issuer, "one");
  assert.equal(state.asked, 2);
});

test("of many at once, one asks", async () => {
  const { state, keys } = makeIssuer();
  await Promise.all(Array.from({ length: 20 }, () => keys.find(issuer, "one")));
  assert.equal(state.asked, 1);
  state.now += 30_000;
  await Promise.all(Array.from({ length: 20 }, () => keys.find(issuer, "two")));
  assert.equal(state.asked, 2);
});

test("an unknown key id asks again, twice a minute at most", async () => {
  const { state, keys } = makeIssuer();
  for (let second = 0; second < 60; second++) {
    await keys.find(issuer, `unknown-${second}`);
    state.now += 1_000;
  }
  assert.equal(state.asked, 2);
  state.keys = [{ ...publicJwk, kid: "two" }];
  const found = await keys.find(issuer, "two");
  assert.ok(found.ok && found.keyIds.has("two") && !found.keyIds.has("one"));
});

test("while the issuer fails, good keys stay good for their time, and it is asked again in seconds", async () => {
  const { state, keys } = makeIssuer();
  await keys.find(issuer, "one");
  state.answers = false;
  state.now += 60_000;
  assert.ok((await keys.find(issuer, "unknown")).ok);
  assert.ok((await keys.find(issuer, "one")).ok);
  state.now += 540_000;
  assert.deepEqual(await keys.find(issuer, "one"), { ok: false, kind: "unreachable", problem: "down" });
  state.answers = true;
  assert.equal((await keys.find(issuer, "one")).ok, false);
  state.now += 5_000;
  assert.ok((await keys.find(issuer, "one")).ok);
});

test("a key set is a list of public keys", async () => {
  const secret: JWK = { kty: "oct", k: "c2VjcmV0", kid: "secret", alg: "HS256" };
  const found = readKeySet({ keys: [publicJwk, secret, { kty: "OKP" }, null, 7] });
  assert.ok(found.ok);
  assert.deepEqual([...found.keyIds], ["one"]);
  for (const bad of [undefined, null, [], {}, { keys: {} }, { keys: Array.from({ length: 101 }, () => publicJwk) }])
    assert.equal(readKeySet(bad).ok, false);
  await assert.rejects(async () => {
    const set = readKeySet({ keys: [{ ...(await exportJWK(privateKey)), kid: "private" }] });
    if (set.ok) await set.keys({ alg: "ES256", kid: "private" }, { payload: "", signature: "" });
  });
});
