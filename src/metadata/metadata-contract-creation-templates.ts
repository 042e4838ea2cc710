/** Creation templates and pull times, as both databases keep them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import {
  createCreationTemplate,
  deleteCreationTemplate,
  findCreationTemplates,
  listCreationTemplates,
  replaceCreationTemplate,
} from "./creation-templates.ts";
import type { CreationSettings, CreationTemplate, CreateTemplateOutcome } from "./creation-templates.ts";
import type { Database } from "./database.ts";
import { deleteManifest } from "./manifests.ts";
import { createPullTimeExclusion, deletePullTimeExclusion, findPullTimes, listPullTimeExclusions, notePulls } from "./pull-times.ts";
import { allPages, author, digestFor, graceMs, keyOf, makeRepository, pushed, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import type { RegistryKey } from "./repositories.ts";
import { findRepositoryAccess } from "./resource-policies.ts";
import { purgeManifest } from "./tombstones.ts";

const plain: CreationSettings = {
  description: undefined,
  encryptionType: "AES256",
  kmsKey: undefined,
  resourceTags: [],
  tagMutability: "MUTABLE",
  mutabilityFilters: [],
  repositoryPolicy: undefined,
  lifecyclePolicy: undefined,
  appliedFor: ["REPLICATION"],
  roleArn: undefined,
};
const rich: CreationSettings = {
  description: "d",
  encryptionType: "KMS",
  kmsKey: "arn:aws:kms:eu-west-1:1:key/x",
  resourceTags: [
    ["z", "1"],
    ["__proto__", ""],
  ],
  tagMutability: "IMMUTABLE_WITH_EXCLUSION",
  mutabilityFilters: ["dev*"],
  repositoryPolicy: { document: "policy", principals: { somebody: "AIDA" } },
  lifecyclePolicy: " { } ",
  appliedFor: ["CREATE_ON_PUSH", "PULL_THROUGH_CACHE"],
  roleArn: "arn:aws:iam::1:role/r",
};

function freshRegistry(): RegistryKey {
  return { accountId: unique("account"), region: "eu-west-1" };
}

function create(
  db: Database,
  registry: RegistryKey,
  prefix: string,
  options: { readonly settings?: CreationSettings; readonly maxTemplates?: number } = {},
): Promise<CreateTemplateOutcome> {
  const { settings = plain, maxTemplates = 100 } = options;
  return createCreationTemplate(db, { key: { ...registry, prefix }, givenPrefix: `${prefix}/`, settings, maxTemplates, author: author() });
}

function settingsOf(template: CreationTemplate | undefined): object {
  const { prefix: _, givenPrefix: __, createdAt: ___, updatedAt: ____, revision: _____, ...settings } = template ?? { prefix: "" };
  return settings;
}

/** The suite of creation templates. */
export function creationTemplateContract(opened: OpenedDatabase): void {
  test("a template comes back as it was given, is replaced at its revision, and deleted once", async () => {
    const db = opened();
    const registry = freshRegistry();
    const key = { ...registry, prefix: "team" };
    const made = await create(db, registry, "team", { settings: rich });
    assert.equal(made.outcome, "created");
    const [stored] = await findCreationTemplates(db, registry, ["other", "team"]);
    assert.deepEqual(settingsOf(stored), rich);
    assert.deepEqual(stored, made.template);
    assert.deepEqual([stored?.givenPrefix, stored?.createdAt, stored?.revision], ["team/", startAt, 1]);
    assert.equal((await create(db, registry, "team")).outcome, "exists");
    const replaced = await replaceCreationTemplate(db, { key, revision: 1, settings: plain, author: author(startAt + 5) });
    assert.deepEqual(settingsOf(replaced), plain);
    assert.deepEqual([replaced?.createdAt, replaced?.updatedAt, replaced?.revision], [startAt, startAt + 5, 2]);
    assert.equal(await replaceCreationTemplate(db, { key, revision: 1, settings: rich, author: author() }), undefined);
    assert.deepEqual(await findCreationTemplates(db, registry, ["team"]), [replaced]);
    assert.deepEqual(await findCreationTemplates(db, { ...registry, region: "us-east-1" }, ["team"]), []);
    assert.deepEqual(await deleteCreationTemplate(db, { key, author: author() }), replaced);
    assert.equal(await deleteCreationTemplate(db, { key, author: author() }), undefined);
    assert.equal(await replaceCreationTemplate(db, { key, revision: 2, settings: plain, author: author() }), undefined);
  });

  test("templates have pages and a limit, which two at once keep too", async () => {
    const db = opened();
    const registry = freshRegistry();
    const prefixes = ["ROOT", "a", "a/b", "b", "c-d"];
    for (const prefix of prefixes) await create(db, registry, prefix);
    const listed = await allPages(
      2,
      ({ prefix }: CreationTemplate) => prefix,
      (page) => listCreationTemplates(db, registry, page),
    );
    assert.deepEqual(
      listed.map(({ prefix }) => prefix),
      prefixes,
    );
    const outcomes = await Promise.all(["x", "y", "z"].map((prefix) => create(db, registry, prefix, { maxTemplates: 6 })));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["created", "limit", "limit"]);
  });

  test("a repository is there with its policy, or not at all", async () => {
    const db = opened();
    const policy = { document: "mine", principals: { a: "AIDA" } };
    const repository = await makeRepository(db, { policy });
    assert.deepEqual((await findRepositoryAccess(db, keyOf(repository)))?.policy, policy);
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 10 });
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ["repository-created", "repository-policy-put"],
    );
  });
}

/** The suite of pull times. */
export function pullTimeContract(opened: OpenedDatabase): void {
  test("a pull time moves forward only, and only of what is there", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const [one, two, gone] = [
      await pushed(db, repository, "one"),
      await pushed(db, repository, "two"),
      await pushed(db, repository, "gone"),
    ];
    const del = { key: keyOf(repository), digest: digestFor("gone"), linkGraceMs: graceMs, withReferrers: false, author: author() };
    assert.equal((await deleteManifest(db, del)).outcome, "deleted");
    const ids = [one, two, gone].map(({ manifestId }) => manifestId);
    assert.deepEqual(await findPullTimes(db, ids), new Map());
    await notePulls(db, []);
    await notePulls(db, [
      { manifestId: two.manifestId, at: 5 },
      { manifestId: one.manifestId, at: 3 },
      { manifestId: two.manifestId, at: 4 },
      { manifestId: gone.manifestId, at: 9 },
      { manifestId: 987_654_321, at: 9 },
    ]);
    assert.deepEqual(
      await findPullTimes(db, ids),
      new Map([
        [one.manifestId, 3],
        [two.manifestId, 5],
      ]),
    );
    await notePulls(db, [
      { manifestId: one.manifestId, at: 7 },
      { manifestId: two.manifestId, at: 1 },
    ]);
    assert.deepEqual(
      await findPullTimes(db, ids),
      new Map([
        [one.manifestId, 7],
        [two.manifestId, 5],
      ]),
    );
  });

  test("more pulls than one statement takes, and two nodes that write the same ones", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const { manifestId } = await pushed(db, repository, "popular");
    const crowd = Array.from({ length: 1_200 }, (_, index) => ({ manifestId: manifestId + 1_000_000 + index, at: 1 }));
    await Promise.all([notePulls(db, [...crowd, { manifestId, at: 2 }]), notePulls(db, [{ manifestId, at: 3 }, ...crowd.toReversed()])]);
    assert.deepEqual(await findPullTimes(db, [manifestId]), new Map([[manifestId, 3]]));
  });

  test("a purged manifest takes its pull time with it", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const { manifestId } = await pushed(db, repository, "purged");
    await notePulls(db, [{ manifestId, at: 3 }]);
    const del = { key: keyOf(repository), digest: digestFor("purged"), linkGraceMs: graceMs, withReferrers: false, author: author() };
    assert.equal((await deleteManifest(db, del)).outcome, "deleted");
    assert.equal((await findPullTimes(db, [manifestId])).size, 1);
    const purged = await purgeManifest(db, { key: keyOf(repository), digest: digestFor("purged"), author: author() });
    assert.equal(purged.outcome, "purged");
    assert.equal((await findPullTimes(db, [manifestId])).size, 0);
  });

  test("exclusions are of one registry, have pages and a limit", async () => {
    const db = opened();
    const registry = freshRegistry();
    const add = (name: string, maxExclusions = 100): Promise<string> =>
      createPullTimeExclusion(db, { key: { ...registry, principalArn: name }, maxExclusions, author: author() });
    for (const name of ["c", "a", "b"]) assert.equal(await add(name), "created");
    assert.equal(await add("b"), "exists");
    assert.deepEqual((await Promise.all(["x", "y"].map((name) => add(name, 4)))).toSorted(), ["created", "limit"]);
    const listed = await allPages(
      2,
      (arn: string) => arn,
      (page) => listPullTimeExclusions(db, registry, page),
    );
    assert.deepEqual(listed.slice(0, 3), ["a", "b", "c"]);
    assert.equal(listed.length, 4);
    assert.deepEqual(await listPullTimeExclusions(db, { ...registry, region: "us-east-1" }, { limit: 10 }), []);
    const key = { ...registry, principalArn: "b" };
    assert.equal(await deletePullTimeExclusion(db, { key, author: author() }), true);
    assert.equal(await deletePullTimeExclusion(db, { key, author: author() }), false);
  });
}
