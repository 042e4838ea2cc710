import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findKmsKey } from "#metadata/kms-keys.ts";
import { createAlias } from "./alias.ts";
import { decrypt, encrypt } from "./crypt.ts";
import { createGrant, getGrant } from "./grant.ts";
import { cancelKeyDeletion, destroyDueKeys, disableKey, enableKey, scheduleKeyDeletion } from "./key.ts";
import { getKey } from "./key-lookup.ts";
import { dayMs, maxAliasesPerKey, maxOnDemandRotations } from "./limits.ts";
import { ensureManagedKey } from "./managed-key.ts";
import { disableRotation, enableRotation, listMaterials, rotateDueKeys, rotateNow } from "./rotation.ts";
import { tagKey } from "./tag.ts";
import { openTestKms, refused } from "./testing/test-kms.ts";
import type { TestKms } from "./testing/test-kms.ts";

let kms: TestKms;
before(async () => {
  kms = await openTestKms();
});
after(() => kms.close());

const ownKeys = { byAlias: false, ofOthers: false };
const named = { byAlias: true, ofOthers: true };
const plain = Buffer.from("secret");
const again = async (keyId: string): ReturnType<TestKms["createKey"]> => getKey(kms.ctx, keyId, ownKeys);

test("a disabled key does nothing until it is enabled", async () => {
  const key = await kms.createKey();
  const { ciphertext } = await encrypt(kms.core, key, plain, {});
  await disableKey(kms.ctx, key);
  const disabled = await again(key.keyId);
  await assert.rejects(encrypt(kms.core, disabled, plain, {}), refused("key-disabled"));
  await assert.rejects(decrypt(kms.core, disabled, ciphertext, {}), refused("key-disabled"));
  await assert.rejects(rotateNow(kms.ctx, disabled), refused("key-disabled"));
  await assert.rejects(enableRotation(kms.ctx, disabled, 90), refused("key-disabled"));
  await assert.rejects(cancelKeyDeletion(kms.ctx, disabled), refused("key-not-pending-deletion"));
  await enableKey(kms.ctx, disabled);
  assert.deepEqual((await decrypt(kms.core, await again(key.keyId), ciphertext, {})).plain, plain);
});

test("a deletion waits for its day, can be called off, and then takes all with it", async () => {
  const key = await kms.createKey({ tags: [{ key: "a", value: "b" }] });
  await createAlias(kms.ctx, "alias/doomed", key);
  const grant = await createGrant(kms.ctx, key, {
    name: undefined,
    grantee: "arn:aws:iam::111111111111:user/bob",
    retiring: undefined,
    operations: ["Decrypt"],
    equals: undefined,
    subset: undefined,
  });
  const { ciphertext } = await encrypt(kms.core, key, plain, {});
  const pending = await scheduleKeyDeletion(kms.ctx, key, 7);
  assert.equal(pending.deletionAt, kms.core.clock.now() + 7 * dayMs);
  await assert.rejects(decrypt(kms.core, pending, ciphertext, {}), refused("key-pending-deletion"));
  await assert.rejects(enableKey(kms.ctx, pending), refused("key-pending-deletion"));
  await assert.rejects(scheduleKeyDeletion(kms.ctx, pending, 8), refused("key-pending-deletion"));
  await assert.rejects(tagKey(kms.ctx, pending, []), refused("key-pending-deletion"));
  await assert.rejects(createAlias(kms.ctx, "alias/late", pending), refused("key-pending-deletion"));
  assert.equal(await destroyDueKeys(kms.core, { limit: 10 }), 0);
  assert.equal((await cancelKeyDeletion(kms.ctx, pending)).state, "Disabled");
  kms.advance(8 * dayMs);
  assert.equal(await destroyDueKeys(kms.core, { limit: 10 }), 0);
  await scheduleKeyDeletion(kms.ctx, key, 7);
  kms.advance(7 * dayMs);
  assert.equal(await destroyDueKeys(kms.core, { limit: 10 }), 1);
  assert.equal(await findKmsKey(kms.core.metadata, key.keyId), undefined);
  await assert.rejects(again(key.keyId), refused("key-not-found"));
  await assert.rejects(getKey(kms.ctx, "alias/doomed", named), refused("alias-not-found"));
  await assert.rejects(getGrant(kms.core, grant.grantId), refused("grant-not-found"));
  await assert.rejects(encrypt(kms.core, key, plain, {}), refused("key-not-found"));
});

test("a rotated key decrypts what each of its materials encrypted", async () => {
  const key = await kms.createKey();
  const ciphertexts = [await encrypt(kms.core, key, plain, {})];
  for (let turn = 0; turn < maxOnDemandRotations; turn += 1) {
    await rotateNow(kms.ctx, await again(key.keyId));
    ciphertexts.push(await encrypt(kms.core, await again(key.keyId), plain, {}));
  }
  await assert.rejects(rotateNow(kms.ctx, await again(key.keyId)), refused("limit"));
  assert.equal(new Set(ciphertexts.map(({ materialId }) => materialId)).size, maxOnDemandRotations + 1);
  for (const { ciphertext } of ciphertexts) assert.deepEqual((await decrypt(kms.core, key, ciphertext, {})).plain, plain);
  assert.equal((await listMaterials(kms.ctx, key, { after: 1, limit: 100 })).length, maxOnDemandRotations);
});

test("of two rotations at once one gives way", async () => {
  const key = await kms.createKey();
  const ends = await Promise.allSettled([rotateNow(kms.ctx, key), rotateNow(kms.ctx, key)]);
  assert.deepEqual(ends.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  assert.equal((await again(key.keyId)).material, 2);
});

test("keys rotate by themselves when their day has come, while they are enabled", async () => {
  const [on, off, asleep] = [await kms.createKey(), await kms.createKey(), await kms.createKey()];
  for (const key of [on, off, asleep]) await enableRotation(kms.ctx, key, 90);
  await disableRotation(kms.ctx, off);
  await disableKey(kms.ctx, asleep);
  kms.advance(90 * dayMs - 1);
  assert.equal(await rotateDueKeys(kms.core, { limit: 10 }), 0);
  kms.advance(1);
  assert.equal(await rotateDueKeys(kms.core, { limit: 10 }), 1);
  assert.equal(await rotateDueKeys(kms.core, { limit: 10 }), 0);
  const rotated = await again(on.keyId);
  assert.deepEqual([rotated.material, rotated.onDemandRotations, rotated.nextRotationAt], [2, 0, kms.core.clock.now() + 90 * dayMs]);
  await enableKey(kms.ctx, asleep);
  assert.equal(await rotateDueKeys(kms.core, { limit: 10 }), 1);
  assert.equal((await again(off.keyId)).material, 1);
});

test("a material opens only as its own key's, and only under the instance key that sealed it", async () => {
  const [key, other] = [await kms.createKey(), await kms.createKey()];
  await assert.rejects(encrypt(kms.strangers, key, plain, {}), refused("material-unavailable"));
  const { sealed } = await kms.core.metadata.read
    .selectFrom("kms_material")
    .select("sealed")
    .where("key_id", "=", other.keyId)
    .executeTakeFirstOrThrow();
  await kms.core.metadata.transaction((tx) => tx.updateTable("kms_material").set({ sealed }).where("key_id", "=", key.keyId).execute());
  await assert.rejects(encrypt(kms.core, key, plain, {}), refused("material-unavailable"));
});

test("the managed key is made once, however many ask for it first", async () => {
  const keys = await Promise.all(Array.from({ length: 5 }, () => getKey(kms.ctx, "alias/aws/ecr", named)));
  assert.equal(new Set(keys.map(({ keyId }) => keyId)).size, 1);
  const [key] = keys;
  assert.ok(key !== undefined);
  assert.equal(key.manager, "AWS");
  const elsewhere = await ensureManagedKey(kms.core, { accountId: kms.ctx.accountId, region: "eu-west-2" }, "alias/aws/ecr");
  assert.notEqual(elsewhere.keyId, key.keyId);
  for (const change of [
    disableKey(kms.ctx, key),
    scheduleKeyDeletion(kms.ctx, key, 7),
    disableRotation(kms.ctx, key),
    tagKey(kms.ctx, key, []),
  ])
    await assert.rejects(change, refused("key-managed"));
});

test("a key has so many aliases and tags, and no more", async () => {
  const key = await kms.createKey();
  for (let at = 0; at < maxAliasesPerKey; at += 1) await createAlias(kms.ctx, `alias/many-${at}`, key);
  await assert.rejects(createAlias(kms.ctx, "alias/many-more", key), refused("limit"));
  const tags = Array.from({ length: 50 }, (_, at) => ({ key: `k${at}`, value: "" }));
  await tagKey(kms.ctx, key, tags);
  await tagKey(kms.ctx, key, tags.slice(0, 3));
  await assert.rejects(tagKey(kms.ctx, key, [{ key: "more", value: "" }]), refused("limit"));
  for (const bad of [
    { key: "aws:x", value: "" },
    { key: "a!", value: "" },
    { key: "a", value: "<" },
  ])
    await assert.rejects(tagKey(kms.ctx, key, [bad]), refused("tag-invalid"));
});
