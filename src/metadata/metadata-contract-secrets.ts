import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Database } from "./database.ts";
import { startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { listSecrets } from "./secret-listing.ts";
import type { SecretFilter, SecretOrder, SecretPosition } from "./secret-listing.ts";
import { moveSecretStage } from "./secret-stages.ts";
import { findSecretVersion, listSecretVersions, noteSecretAccess, updateSecret } from "./secret-versions.ts";
import type { NewSecretVersion } from "./secret-versions.ts";
import type { Secret } from "./secret-rows.ts";
import {
  createSecret,
  deleteSecretTags,
  findSecret,
  findSecretAccess,
  markSecretDeleted,
  putSecretPolicy,
  putSecretTags,
  removeDueSecrets,
  removeSecret,
  restoreSecret,
} from "./secrets.ts";

const region = "eu-west-1";

function version(versionId: string, options: Partial<NewSecretVersion> = {}): NewSecretVersion {
  return {
    versionId,
    kind: "string",
    valueSealed: `sealed ${versionId}`,
    stages: ["AWSCURRENT"],
    maxVersions: 100,
    maxStages: 20,
    now: startAt,
    ...options,
  };
}

async function made(db: Database, options: Partial<Parameters<typeof createSecret>[1]> = {}): Promise<Secret> {
  const key = { accountId: unique("account"), region, name: unique("secret") };
  const base = { key, suffix: "AbCdEf", description: undefined, tags: {}, version: undefined, maxSecrets: 1_000, now: startAt };
  const created = await createSecret(db, { ...base, ...options });
  assert.equal(created.outcome, "created", JSON.stringify(created));
  return created.secret;
}

function stagesOf(db: Database, secretId: number): Promise<Record<string, readonly string[]>> {
  return listSecretVersions(db, { secretId, includeDeprecated: true, after: undefined, limit: 1_000 }).then(({ versions }) =>
    Object.fromEntries(versions.map(({ versionId, stages }) => [versionId, stages])),
  );
}

/** Secrets: names, values and labels, deletion and restoring, tags, policies, listings. */
export function secretContract(opened: OpenedDatabase): void {
  test("a name has one secret, also when several make it at once", async () => {
    const db = opened();
    const key = { accountId: unique("account"), region, name: "n" };
    const input = { key, description: "d", tags: { k: "v" }, version: version("v1"), maxSecrets: 1, now: startAt };
    const outcomes = await Promise.all(["aaaaaa", "bbbbbb", "cccccc"].map((suffix) => createSecret(db, { ...input, suffix })));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["created", "exists", "exists"]);
    const secret = await findSecret(db, key);
    const { secretId = 0, suffix = "" } = secret ?? {};
    const rest = { createdAt: startAt, changedAt: startAt, accessedAt: undefined, removeAt: undefined };
    assert.deepEqual(secret, { ...key, secretId, suffix, description: "d", ...rest });
    assert.deepEqual(await findSecretAccess(db, { ...key, suffix }), { policy: undefined, tags: { k: "v" } });
    assert.equal(await findSecretAccess(db, { ...key, suffix: "zzzzzz" }), undefined);
    assert.deepEqual(await stagesOf(db, secretId), { v1: ["AWSCURRENT"] });
    assert.deepEqual(await createSecret(db, { ...input, key: { ...key, name: "m" }, suffix: "dddddd" }), { outcome: "limit" });
    assert.equal(await findSecret(db, { ...key, name: "m" }), undefined);
    assert.equal(await findSecret(db, { ...key, name: "N" }), undefined);
  });

  test("labels move, and the oldest versions without labels go", async () => {
    const db = opened();
    const { secretId } = await made(db);
    const put = (id: string, options: Partial<NewSecretVersion> = {}) =>
      updateSecret(db, { secretId, version: version(id, { maxVersions: 3, maxStages: 4, ...options }), now: startAt });
    assert.equal(await findSecretVersion(db, secretId, { stage: "AWSCURRENT" }), undefined);
    assert.deepEqual(await put("v1", { stages: ["AWSPENDING"] }), { outcome: "put", stages: ["AWSPENDING", "AWSCURRENT"] });
    assert.deepEqual(await put("v2", { stages: ["AWSPENDING"] }), { outcome: "put", stages: ["AWSPENDING"] });
    assert.deepEqual(await put("v3", { kind: "binary" }), { outcome: "put", stages: ["AWSCURRENT"] });
    assert.deepEqual(await put("v3", { valueSealed: "other" }), { outcome: "version-exists" });
    assert.deepEqual(await stagesOf(db, secretId), { v1: ["AWSPREVIOUS"], v2: ["AWSPENDING"], v3: ["AWSCURRENT"] });
    assert.deepEqual(await put("v4"), { outcome: "put", stages: ["AWSCURRENT"] });
    assert.deepEqual(await stagesOf(db, secretId), { v2: ["AWSPENDING"], v3: ["AWSPREVIOUS"], v4: ["AWSCURRENT"] });
    assert.deepEqual(await put("v5", { stages: ["a", "b"] }), { outcome: "too-many-stages" });
    assert.equal(await findSecretVersion(db, secretId, { versionId: "v5" }), undefined);
    assert.equal((await put("v5", { stages: ["a"] })).outcome, "put");
    assert.equal((await put("v6", { stages: ["a"] })).outcome, "put");
    // A label keeps a version whatever its age.
    assert.deepEqual(await stagesOf(db, secretId), {
      v2: ["AWSPENDING"],
      v3: ["AWSPREVIOUS"],
      v4: ["AWSCURRENT"],
      v5: [],
      v6: ["a"],
    });
    const found = await findSecretVersion(db, secretId, { stage: "AWSPREVIOUS" });
    const { versionId, kind, valueSealed } = found ?? {};
    assert.deepEqual([versionId, kind, valueSealed], ["v3", "binary", "sealed v3"]);
    const first = await listSecretVersions(db, { secretId, includeDeprecated: false, after: undefined, limit: 3 });
    assert.deepEqual(
      first.versions.map((row) => row.versionId),
      ["v2", "v3", "v4"],
    );
    const second = await listSecretVersions(db, { secretId, includeDeprecated: false, after: first.next, limit: 3 });
    assert.deepEqual([second.versions.map((row) => row.versionId), second.next], [["v6"], undefined]);
  });

  test("versions that are stored at once all become current one after the other", async () => {
    const db = opened();
    const { secretId } = await made(db);
    const ids = ["v1", "v2", "v3", "v4", "v5"];
    await Promise.all(ids.map((id) => updateSecret(db, { secretId, version: version(id), now: startAt })));
    const labels = Object.values(await stagesOf(db, secretId));
    assert.equal(labels.length, ids.length);
    assert.deepEqual(labels.flat().toSorted(), ["AWSCURRENT", "AWSPREVIOUS"]);
  });

  test("labels move without a value", async () => {
    const db = opened();
    const { secretId } = await made(db, { version: version("v1") });
    for (const id of ["v2", "v3"]) await updateSecret(db, { secretId, version: version(id), now: startAt });
    const move = async (stage: string, from?: string, to?: string) => {
      const moved = await moveSecretStage(db, { secretId, stage, from, to, maxStages: 3, now: startAt });
      return moved.outcome === "elsewhere" ? `on ${moved.holder ?? "none"}` : moved.outcome;
    };
    // What is moved, from where, to where; what is answered; where the labels are then.
    const cases: readonly (readonly [string, string | undefined, string | undefined, string, string])[] = [
      ["AWSCURRENT", undefined, "v1", "on v3", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", "v2", "v1", "on v3", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", "v3", undefined, "current-removed", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", "v3", "v9", "version-not-found", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", undefined, "v3", "moved", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", "v3", "v3", "moved", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["AWSCURRENT", "v3", "v2", "moved", "v2 AWSCURRENT, v3 AWSPREVIOUS"],
      ["AWSPREVIOUS", "v3", undefined, "moved", "v2 AWSCURRENT"],
      ["AWSCURRENT", "v2", "v3", "moved", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["blue", "v1", undefined, "on none", "v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["blue", undefined, "v1", "moved", "v1 blue, v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["green", undefined, "v1", "too-many-stages", "v1 blue, v2 AWSPREVIOUS, v3 AWSCURRENT"],
      ["blue", "v1", "v3", "moved", "v2 AWSPREVIOUS, v3 AWSCURRENT+blue"],
    ];
    for (const [stage, from, to, outcome, expected] of cases) {
      assert.equal(await move(stage, from, to), outcome, `${stage} ${from} ${to}`);
      const labels = Object.entries(await stagesOf(db, secretId)).filter(([, stages]) => stages.length > 0);
      assert.equal(labels.map(([id, stages]) => `${id} ${stages.join("+")}`).join(", "), expected, `${stage} ${from} ${to}`);
    }
    const all = await Promise.all(["v1", "v2"].map((to) => move("AWSCURRENT", "v3", to)));
    assert.equal(all.filter((outcome) => outcome === "moved").length, 1, "one of two who move the same label");
    await markSecretDeleted(db, { secretId, removeAt: startAt + 1, now: startAt });
    assert.equal(await move("blue", "v3"), "marked-deleted");
    await removeSecret(db, secretId);
  });

  test("marking, restoring and removing", async () => {
    const db = opened();
    const secret = await made(db, { tags: { k: "v" }, version: version("v1") });
    const { secretId } = secret;
    const now = startAt + 1;
    assert.deepEqual(await markSecretDeleted(db, { secretId, removeAt: startAt + 10, now }), { outcome: "marked" });
    const gone = { outcome: "marked-deleted" };
    assert.deepEqual(await markSecretDeleted(db, { secretId, removeAt: startAt + 20, now }), gone);
    assert.deepEqual(await updateSecret(db, { secretId, version: version("v2"), now }), gone);
    assert.deepEqual(await putSecretTags(db, { secretId, tags: { a: "b" }, maxTags: 50, now }), gone);
    assert.deepEqual(await deleteSecretTags(db, { secretId, keys: ["k"], now }), gone);
    assert.deepEqual(await putSecretPolicy(db, { secretId, policy: undefined, now }), gone);
    assert.equal((await findSecret(db, secret))?.removeAt, startAt + 10);
    assert.equal(await removeDueSecrets(db, { now: startAt + 9, limit: 10 }), 0);
    assert.equal(await restoreSecret(db, { secretId, now }), true);
    assert.equal(await removeDueSecrets(db, { now: startAt + 10, limit: 10 }), 0);
    await markSecretDeleted(db, { secretId, removeAt: startAt + 10, now });
    const later = await made(db, { version: version("v1") });
    await markSecretDeleted(db, { secretId: later.secretId, removeAt: startAt + 11, now });
    assert.equal(await removeDueSecrets(db, { now: startAt + 11, limit: 1 }), 1);
    assert.equal(await findSecret(db, secret), undefined);
    assert.equal((await findSecret(db, later))?.removeAt, startAt + 11);
    await removeSecret(db, later.secretId);
    await removeSecret(db, later.secretId);
    assert.equal(await findSecret(db, later), undefined);
    assert.equal(await restoreSecret(db, { secretId, now }), false);
    assert.deepEqual(await updateSecret(db, { secretId, description: "d", now }), { outcome: "not-found" });
  });

  test("descriptions, tags, policies and days of reading", async () => {
    const db = opened();
    const secret = await made(db, { version: version("v1") });
    const { secretId } = secret;
    const now = startAt + 5;
    assert.deepEqual(await updateSecret(db, { secretId, description: "text", now }), { outcome: "updated" });
    assert.deepEqual([(await findSecret(db, secret))?.description, (await findSecret(db, secret))?.changedAt], ["text", now]);
    await updateSecret(db, { secretId, description: "", now });
    assert.equal((await findSecret(db, secret))?.description, undefined);
    assert.deepEqual(await putSecretTags(db, { secretId, tags: { a: "1", b: "2" }, maxTags: 3, now }), { outcome: "put" });
    assert.deepEqual(await putSecretTags(db, { secretId, tags: { c: "1", d: "2" }, maxTags: 3, now }), { outcome: "too-many" });
    assert.deepEqual(await putSecretTags(db, { secretId, tags: { a: "3", c: "4" }, maxTags: 3, now }), { outcome: "put" });
    await deleteSecretTags(db, { secretId, keys: ["b", "none"], now });
    const policy = { document: "{}", principals: { "arn:aws:iam::111111111111:user/u": "AIDA1" } };
    await putSecretPolicy(db, { secretId, policy, now });
    assert.deepEqual(await findSecretAccess(db, secret), { policy, tags: { a: "3", c: "4" } });
    await putSecretPolicy(db, { secretId, policy: undefined, now });
    assert.equal((await findSecretAccess(db, secret))?.policy, undefined);
    const { secretVersionId = 0 } = (await findSecretVersion(db, secretId, { versionId: "v1" })) ?? {};
    for (const day of [2_000, 1_000]) await noteSecretAccess(db, { secretId, secretVersionId, day });
    assert.equal((await findSecret(db, secret))?.accessedAt, 2_000);
    assert.equal((await findSecretVersion(db, secretId, { versionId: "v1" }))?.accessedAt, 2_000);
  });

  test("filters", async () => {
    const db = opened();
    const accountId = unique("account");
    const make = (name: string, description: string | undefined, tags: Record<string, string>) =>
      made(db, { key: { accountId, region, name }, description, tags });
    await make("app/db", "The Database of production", { Env: "prod", team: "core_a" });
    await make("app/api", undefined, { Env: "test" });
    await make("App_x", "production 100%", {});
    const cases: readonly (readonly [SecretFilter["attribute"], readonly string[], string])[] = [
      ["name", ["app"], "app/api app/db"],
      ["name", ["App", "app/d"], "App_x app/db"],
      ["name", ["!app"], "App_x"],
      ["description", ["the data"], "app/db"],
      ["description", ["!the"], "App_x app/api"],
      ["tag-key", ["E"], "app/api app/db"],
      ["tag-key", ["env"], ""],
      ["tag-value", ["prod"], "app/db"],
      ["any", ["PRODUCTION"], "App_x app/db"],
      ["any", ["production core_a"], "app/db"],
      ["any", ["core-a"], ""],
      ["any", ["a_a"], ""],
      ["any", ["100%"], "App_x"],
      ["any", [" "], ""],
      ["absent", ["x"], ""],
      ["absent", ["!x"], "App_x app/api app/db"],
    ];
    for (const [attribute, values, names] of cases) {
      const texts = values.map((value) => ({ text: value.replace("!", ""), isNegated: value.startsWith("!") }));
      const { secrets } = await listSecrets(db, {
        accountId,
        region,
        includeMarked: false,
        filters: [
          { attribute, texts },
          { attribute: "absent", texts: [{ text: "", isNegated: true }] },
        ],
        order: "name",
        isDescending: false,
        after: undefined,
        limit: 10,
      });
      assert.equal(secrets.map(({ name }) => name).join(" "), names, `${attribute} ${values.join()}`);
    }
  });

  test("pages show every secret once, in every order", async () => {
    const db = opened();
    const orders = fc.constantFrom<SecretOrder>("created", "changed", "accessed", "name");
    const times = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(times, orders, fc.boolean(), fc.integer({ min: 1, max: 4 }), async (offsets, order, isDescending, limit) => {
        const accountId = unique("account");
        for (const [index, offset] of offsets.entries()) {
          const tags = { index: String(index) };
          const secret = await made(db, {
            key: { accountId, region, name: `n${index}` },
            tags,
            now: startAt + offset,
            version: version("v"),
          });
          if (index % 3 === 0) await noteSecretAccess(db, { secretId: secret.secretId, secretVersionId: 0, day: offset });
          if (index % 4 === 0) await markSecretDeleted(db, { secretId: secret.secretId, removeAt: startAt * 2, now: startAt });
        }
        for (const includeMarked of [true, false]) {
          const seen: string[] = [];
          let after: SecretPosition | undefined;
          do {
            const page = await listSecrets(db, { accountId, region, includeMarked, filters: [], order, isDescending, after, limit });
            for (const { name, tags, stages } of page.secrets) {
              assert.deepEqual([{ ...tags }, { ...stages }], [{ index: name.slice(1) }, { v: ["AWSCURRENT"] }]);
              seen.push(name);
            }
            after = page.next;
          } while (after !== undefined);
          const expected = offsets.map((_, index) => `n${index}`).filter((_, index) => includeMarked || index % 4 !== 0);
          assert.deepEqual(seen.toSorted(), expected.toSorted());
          if (order === "name") assert.deepEqual(seen, isDescending ? expected.toReversed() : expected);
        }
      }),
      { numRuns: 10 },
    );
  });
}
