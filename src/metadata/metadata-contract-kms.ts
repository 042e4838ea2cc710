import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "./database.ts";
import { createKmsAlias, deleteKmsAlias, findKmsKeyByAlias, listKmsAliases, updateKmsAlias } from "./kms-aliases.ts";
import type { PutKmsAlias } from "./kms-aliases.ts";
import { createKmsGrant, deleteKmsGrant, findKmsGrant, listKmsGrants, listRetirableKmsGrants } from "./kms-grants.ts";
import type { KmsGrant, NewKmsGrant } from "./kms-grants.ts";
import { deleteKmsKeyTags, listKmsKeyTags, putKmsKeyTags } from "./kms-key-tags.ts";
import {
  createKmsKey,
  destroyKmsKey,
  findKeyForDecision,
  findKmsKey,
  listDueKmsDeletions,
  listDueKmsRotations,
  listKmsKeys,
  updateKmsKey,
} from "./kms-keys.ts";
import type { KmsKey, NewKmsKey } from "./kms-keys.ts";
import { addKmsMaterial, findKmsMaterial, listKmsMaterials } from "./kms-materials.ts";
import { allPages, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";

const region = "eu-west-1";

/** Keys of the key management service, and what belongs to them. */
export function kmsContract(opened: OpenedDatabase): void {
  keyCases(opened);
  materialCases(opened);
  aliasCases(opened);
  grantCases(opened);
}

function keyCases(opened: OpenedDatabase): void {
  test("a key is found as it was made, by its id alone, and for decisions only where it lives", async () => {
    const db = opened();
    const policy = { document: "{ }", principals: { "arn:aws:iam::1:user/a": "AIDA1" } };
    const tags = JSON.parse('{"team":"a","__proto__":"b"}') as Record<string, string>;
    const key = await makeKey(db, { policy, tags, description: "d" });
    assert.deepEqual(await findKmsKey(db, key.keyId), key);
    assert.deepEqual([key.state, key.material, key.deletionAt, key.nextRotationAt], ["Enabled", 1, undefined, undefined]);
    assert.deepEqual(await findKeyForDecision(db, key), { policy, tags });
    for (const other of [{ accountId: "other" }, { region: "eu-west-2" }, { keyId: unique("key") }])
      assert.equal(await findKeyForDecision(db, { ...key, ...other }), undefined);
    assert.deepEqual(await findKmsMaterial(db, key.keyId, 1), { materialId: key.materialId, sealed: "sealed" });
    assert.equal(await findKmsMaterial(db, key.keyId, 2), undefined);
  });

  test("an account has so many keys in a region, and lists them page by page", async () => {
    const db = opened();
    const accountId = unique("account");
    const keys: string[] = [];
    for (let at = 0; at < 5; at += 1) keys.push((await makeKey(db, { accountId, limit: 5 })).keyId);
    assert.deepEqual(await createKmsKey(db, newKey({ accountId, limit: 5 })), { outcome: "limit" });
    await makeKey(db, { accountId, limit: 5, region: "eu-west-2" });
    await makeKey(db, { accountId, limit: 5, manager: "AWS" });
    for (const limit of [1, 2, 3, 10]) {
      const read = await allPages(
        limit,
        (keyId: string) => keyId,
        ({ limit: size, after }) => listKmsKeys(db, { accountId, region, after, limit: size }),
      );
      assert.equal(read.length, 6);
      assert.deepEqual(read, read.toSorted());
      for (const keyId of keys) assert.ok(read.includes(keyId));
    }
  });

  test("a key is changed only in the states that are named", async () => {
    const db = opened();
    const { keyId } = await makeKey(db);
    const change = (onlyIn: readonly KmsKey["state"][], patch: Parameters<typeof updateKmsKey>[1]["patch"]) =>
      updateKmsKey(db, { keyId, onlyIn, patch });
    const updated = async (...args: Parameters<typeof change>): Promise<KmsKey> => {
      const result = await change(...args);
      assert.equal(result.outcome, "updated");
      return result.key;
    };
    assert.equal((await change(["Disabled"], { description: "x" })).outcome, "wrong-state");
    assert.equal((await updated(["Enabled"], { description: "new" })).description, "new");
    const rotating = await updated(["Enabled"], { rotation: { periodDays: 90, nextAt: startAt } });
    assert.deepEqual([rotating.rotationPeriodDays, rotating.nextRotationAt, rotating.description], [90, startAt, "new"]);
    assert.ok((await listDueKmsRotations(db, { now: startAt, limit: 1000 })).includes(keyId));
    assert.equal((await updated(["Enabled"], { state: "Disabled" })).state, "Disabled");
    assert.ok(!(await listDueKmsRotations(db, { now: startAt, limit: 1000 })).includes(keyId));
    assert.equal((await updated(["Disabled"], { rotation: null })).nextRotationAt, undefined);
    const pending = await updated(["Disabled"], { state: { deletionAt: startAt + 5 } });
    assert.deepEqual([pending.state, pending.deletionAt], ["PendingDeletion", startAt + 5]);
    const kept = await updated(["PendingDeletion"], { state: "Disabled" });
    assert.deepEqual([kept.state, kept.deletionAt], ["Disabled", undefined]);
    assert.equal((await updateKmsKey(db, { keyId: unique("key"), onlyIn: ["Enabled"], patch: {} })).outcome, "not-found");
  });

  test("a key goes with all that belongs to it, and not before its day", async () => {
    const db = opened();
    const { keyId, accountId } = await makeKey(db, { tags: { a: "b" } });
    await createKmsAlias(db, aliasOf({ accountId, keyId }));
    const { grantId } = await makeGrant(db, { keyId });
    assert.equal(await destroyKmsKey(db, { keyId, now: startAt * 2 }), false);
    await updateKmsKey(db, { keyId, onlyIn: ["Enabled"], patch: { state: { deletionAt: startAt + 5 } } });
    assert.ok(!(await listDueKmsDeletions(db, { now: startAt + 4, limit: 1000 })).includes(keyId));
    assert.equal(await destroyKmsKey(db, { keyId, now: startAt + 4 }), false);
    assert.ok((await listDueKmsDeletions(db, { now: startAt + 5, limit: 1000 })).includes(keyId));
    assert.equal(await destroyKmsKey(db, { keyId, now: startAt + 5 }), true);
    assert.equal(await destroyKmsKey(db, { keyId, now: startAt + 5 }), false);
    assert.equal(await findKmsKey(db, keyId), undefined);
    assert.equal(await findKmsMaterial(db, keyId, 1), undefined);
    assert.equal(await findKmsGrant(db, grantId), undefined);
    assert.deepEqual(await listKmsAliases(db, { accountId, region, after: undefined, limit: 10 }), []);
  });

  test("tags are put all or none, and listed by their keys", async () => {
    const db = opened();
    const { keyId } = await makeKey(db, { tags: { b: "1", a: "1" } });
    const onlyIn = ["Enabled"] as const;
    const list = async (): Promise<string> =>
      (await listKmsKeyTags(db, { keyId, after: undefined, limit: 10 })).map(({ key, value }) => `${key}=${value}`).join();
    assert.deepEqual(await putKmsKeyTags(db, { keyId, onlyIn, tags: { b: "2", c: "3" }, maxTags: 3 }), { outcome: "changed" });
    assert.deepEqual(await putKmsKeyTags(db, { keyId, onlyIn, tags: { b: "9", d: "4" }, maxTags: 3 }), { outcome: "too-many" });
    assert.equal(await list(), "a=1,b=2,c=3");
    assert.deepEqual(await deleteKmsKeyTags(db, { keyId, onlyIn, tagKeys: ["a", "missing"] }), { outcome: "changed" });
    assert.equal(await list(), "b=2,c=3");
    assert.deepEqual(
      (await listKmsKeyTags(db, { keyId, after: "b", limit: 1 })).map(({ key }) => key),
      ["c"],
    );
    assert.equal((await putKmsKeyTags(db, { keyId, onlyIn: ["Disabled"], tags: { x: "" }, maxTags: 9 })).outcome, "wrong-state");
    assert.equal((await deleteKmsKeyTags(db, { keyId: unique("key"), onlyIn, tagKeys: [] })).outcome, "not-found");
  });
}

function materialCases(opened: OpenedDatabase): void {
  test("of many new materials at once one becomes the newest", async () => {
    const db = opened();
    const { keyId } = await makeKey(db, { rotation: { periodDays: 90, nextAt: startAt } });
    const add = (after: number, rotation: "AUTOMATIC" | "ON_DEMAND", nextRotationAt?: number) =>
      addKmsMaterial(db, { keyId, after, rotation, nextRotationAt, materialId: unique("material"), sealed: "s", now: startAt });
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => add(1, "ON_DEMAND")));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["added", "conflict", "conflict", "conflict", "conflict"]);
    const added = await add(2, "AUTOMATIC", startAt + 9);
    assert.equal(added.outcome, "added");
    assert.deepEqual([added.key.material, added.key.onDemandRotations, added.key.nextRotationAt], [3, 1, startAt + 9]);
    const materials = await listKmsMaterials(db, { keyId, after: 0, limit: 10 });
    assert.deepEqual(
      materials.map(({ material, rotation }) => [material, rotation]),
      [
        [1, undefined],
        [2, "ON_DEMAND"],
        [3, "AUTOMATIC"],
      ],
    );
    assert.deepEqual(await listKmsMaterials(db, { keyId, after: 1, limit: 1 }), [materials[1]]);
    await updateKmsKey(db, { keyId, onlyIn: ["Enabled"], patch: { state: "Disabled" } });
    assert.deepEqual(await add(3, "ON_DEMAND"), { outcome: "conflict" });
  });
}

function aliasCases(opened: OpenedDatabase): void {
  test("an alias names one key, moves, and goes", async () => {
    const db = opened();
    const key = await makeKey(db);
    const { accountId } = key;
    const other = await makeKey(db, { accountId });
    const alias = aliasOf({ accountId, keyId: key.keyId, name: "alias/a" });
    assert.deepEqual(await createKmsAlias(db, alias), { outcome: "put" });
    assert.deepEqual(await createKmsAlias(db, { ...alias, keyId: other.keyId }), { outcome: "exists" });
    assert.deepEqual(await findKmsKeyByAlias(db, alias), key);
    assert.deepEqual(await updateKmsAlias(db, { ...alias, keyId: other.keyId, now: startAt + 1 }), { outcome: "put" });
    assert.deepEqual(await findKmsKeyByAlias(db, alias), other);
    assert.deepEqual(await updateKmsAlias(db, { ...alias, name: "alias/none" }), { outcome: "alias-not-found" });
    assert.deepEqual(await createKmsAlias(db, { ...alias, keyId: unique("key") }), { outcome: "key-not-found" });
    assert.equal((await createKmsAlias(db, { ...alias, onlyIn: ["Disabled"] })).outcome, "wrong-state");
    const [listed] = await listKmsAliases(db, { accountId, region, keyId: other.keyId, after: undefined, limit: 2 });
    assert.deepEqual(listed, { accountId, region, name: "alias/a", keyId: other.keyId, createdAt: startAt, updatedAt: startAt + 1 });
    assert.deepEqual(await listKmsAliases(db, { accountId, region, keyId: key.keyId, after: undefined, limit: 2 }), []);
    assert.equal(await deleteKmsAlias(db, alias), true);
    assert.equal(await deleteKmsAlias(db, alias), false);
  });

  test("a key has so many aliases; moving one to where it is counts no more", async () => {
    const db = opened();
    const { keyId, accountId } = await makeKey(db);
    const of = (name: string): PutKmsAlias => aliasOf({ accountId, keyId, name, limit: 2 });
    const made = await Promise.all(["alias/1", "alias/2", "alias/3", "alias/4"].map((name) => createKmsAlias(db, of(name))));
    assert.deepEqual(made.map(({ outcome }) => outcome).toSorted(), ["limit", "limit", "put", "put"]);
    const [first] = await listKmsAliases(db, { accountId, region, after: undefined, limit: 1 });
    assert.deepEqual(await updateKmsAlias(db, of(first?.name ?? "")), { outcome: "put" });
  });

  test("of many keys that are made with one alias all but one are not made", async () => {
    const db = opened();
    const accountId = unique("account");
    const made = await Promise.all(
      Array.from({ length: 4 }, () => createKmsKey(db, newKey({ accountId, manager: "AWS", alias: "alias/aws/x" }))),
    );
    assert.deepEqual(made.map(({ outcome }) => outcome).toSorted(), ["alias-exists", "alias-exists", "alias-exists", "created"]);
    const ids = new Set(made.map((result) => (result.outcome === "limit" ? "" : result.key.keyId)));
    assert.deepEqual([...ids], await listKmsKeys(db, { accountId, region, after: undefined, limit: 10 }));
  });
}

function grantCases(opened: OpenedDatabase): void {
  test("a grant is found as it was made, and goes with its own key only", async () => {
    const db = opened();
    const { keyId } = await makeKey(db);
    const grant = await makeGrant(db, {
      keyId,
      name: "n",
      retiring: "r",
      retiringKey: "R",
      constraint: { kind: "equals", context: { a: "b" } },
    });
    const { onlyIn: _, limit: __, fingerprint: ___, ...facts } = grant;
    const found = await findKmsGrant(db, grant.grantId);
    assert.deepEqual(found, { ...facts, position: found?.position });
    assert.equal(await deleteKmsGrant(db, { keyId: unique("key"), grantId: grant.grantId }), false);
    assert.equal(await deleteKmsGrant(db, { keyId, grantId: grant.grantId }), true);
    assert.equal(await findKmsGrant(db, grant.grantId), undefined);
  });

  test("the same grant asked for at once is made once, up to the limit of its key", async () => {
    const db = opened();
    const { keyId } = await makeKey(db);
    const asked = Array.from({ length: 4 }, () => newGrant({ keyId, fingerprint: "f", limit: 2 }));
    const made = await Promise.all(asked.map((grant) => createKmsGrant(db, grant)));
    assert.equal(new Set(made.map((result) => (result.outcome === "created" ? result.grantId : result.outcome))).size, 1);
    assert.equal((await createKmsGrant(db, newGrant({ keyId, limit: 2 }))).outcome, "created");
    assert.deepEqual(await createKmsGrant(db, newGrant({ keyId, limit: 2 })), { outcome: "limit" });
    assert.equal((await createKmsGrant(db, newGrant({ keyId, onlyIn: ["Disabled"] }))).outcome, "wrong-state");
    assert.deepEqual(await createKmsGrant(db, newGrant({ keyId: unique("key") })), { outcome: "not-found" });
  });

  test("grants are found by who may retire them, on the keys of a region", async () => {
    const db = opened();
    const [one, two, far] = [await makeKey(db), await makeKey(db), await makeKey(db, { region: "eu-north-1" })];
    const [retiringKey, made] = [unique("retiring"), new Array<string>()];
    for (const { keyId } of [two, one, two]) made.push((await makeGrant(db, { keyId, retiringKey })).grantId);
    const { grantId: remote } = await makeGrant(db, { keyId: far.keyId, retiringKey });
    await makeGrant(db, { keyId: one.keyId, retiringKey: unique("retiring") });
    const list = (limit: number, after = 0, of = region) => listRetirableKmsGrants(db, { region: of, retiringKey, after, limit });
    const [first, second] = await list(2);
    const rest = await list(9, second?.position);
    assert.deepEqual(
      [first, second, ...rest].map((grant) => [grant?.grantId, grant?.keyAccountId]),
      [two, one, two].map(({ accountId }, at) => [made[at], accountId]),
    );
    assert.deepEqual(
      (await list(9, 0, "eu-north-1")).map(({ grantId }) => grantId),
      [remote],
    );
  });

  test("grants are listed in the order they were made, by what they have", async () => {
    const db = opened();
    const { keyId } = await makeKey(db);
    const other = await makeKey(db);
    await makeGrant(db, { keyId: other.keyId });
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.push((await makeGrant(db, { keyId, granteeKey: `g${at % 2}`, grantee: `a${at % 2}` })).grantId);
    for (const limit of [1, 2, 5, 9]) {
      const read = await allPages(
        limit,
        ({ position }: KmsGrant) => position,
        ({ limit: size, after = 0 }) => listKmsGrants(db, { keyId, after, limit: size }),
      );
      assert.deepEqual(
        read.map(({ grantId }) => grantId),
        made,
      );
    }
    const ids = async (filter: object): Promise<readonly string[]> =>
      (await listKmsGrants(db, { keyId, ...filter, after: 0, limit: 9 })).map(({ grantId }) => grantId);
    assert.deepEqual(await ids({ granteeKeys: ["g1", "x"] }), [made[1], made[3]]);
    assert.deepEqual(await ids({ grantee: "a0" }), [made[0], made[2], made[4]]);
    assert.deepEqual(await ids({ grantId: made[3] }), [made[3]]);
    assert.deepEqual(await ids({ grantId: made[3], grantee: "a0" }), []);
  });
}

function newKey(options: Partial<NewKmsKey> = {}): NewKmsKey {
  return {
    accountId: unique("account"),
    region,
    keyId: unique("key"),
    description: "",
    manager: "CUSTOMER",
    policy: { document: "{}", principals: {} },
    tags: {},
    rotation: undefined,
    materialId: unique("material"),
    sealed: "sealed",
    alias: undefined,
    now: startAt,
    limit: 100,
    ...options,
  };
}

async function makeKey(db: Database, options: Partial<NewKmsKey> = {}): Promise<KmsKey> {
  const made = await createKmsKey(db, newKey(options));
  assert.equal(made.outcome, "created");
  return made.key;
}

function aliasOf(options: Partial<PutKmsAlias> & { readonly accountId: string; readonly keyId: string }): PutKmsAlias {
  return { region, name: unique("alias/"), onlyIn: ["Enabled"], now: startAt, limit: 50, ...options };
}

function newGrant(options: Partial<NewKmsGrant> & { readonly keyId: string }): NewKmsGrant {
  return {
    grantId: unique("grant"),
    name: undefined,
    fingerprint: undefined,
    grantee: "arn",
    granteeKey: "id",
    retiring: undefined,
    retiringKey: undefined,
    issuingAccount: "111111111111",
    operations: ["Decrypt"],
    constraint: undefined,
    createdAt: startAt,
    onlyIn: ["Enabled"],
    limit: 100,
    ...options,
  };
}

async function makeGrant(db: Database, options: Partial<NewKmsGrant> & { readonly keyId: string }): Promise<NewKmsGrant> {
  const grant = newGrant(options);
  assert.deepEqual(await createKmsGrant(db, grant), { outcome: "created", grantId: grant.grantId });
  return grant;
}
