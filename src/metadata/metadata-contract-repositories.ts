import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import { allPages, author, byTag, keyOf, makeRepository, pushed, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { findManifest, listManifests } from "./manifests.ts";
import { createRepository, deleteRepository, findRepository, listRepositories, setTagMutability } from "./repositories.ts";
import type { Repository } from "./repositories.ts";
import { deleteResourceTags, listResourceTags, putResourceTags } from "./resource-tags.ts";
import { restoreRepository } from "./tombstones.ts";

/** Repositories, their settings and their resource tags. */
export function repositoryContract(opened: OpenedDatabase): void {
  test("a repository is created once, found, and refused a second time", async () => {
    const db = opened();
    const repository = await makeRepository(db, { resourceTags: { b: "2", a: "1" }, scanOnPush: true });
    assert.deepEqual(await findRepository(db, keyOf(repository)), repository);
    assert.equal(repository.scanOnPush, true);
    assert.equal(repository.createdAt, startAt);
    assert.deepEqual(await listResourceTags(db, repository.repositoryId), { a: "1", b: "2" });
    const again = { ...repository, key: keyOf(repository), resourceTags: {}, maxRepositories: 1_000, author: author() };
    assert.deepEqual(await createRepository(db, again), { outcome: "exists" });
    assert.equal(await findRepository(db, { ...keyOf(repository), region: "us-east-1" }), undefined);
  });

  test("the limit counts live repositories of one registry only", async () => {
    const db = opened();
    const accountId = unique("account");
    const first = await makeRepository(db, { accountId, maxRepositories: 1 });
    const second = {
      ...first,
      key: { ...keyOf(first), name: unique("repository") },
      resourceTags: {},
      maxRepositories: 1,
      author: author(),
    };
    assert.deepEqual(await createRepository(db, second), { outcome: "limit" });
    assert.equal((await deleteRepository(db, { key: keyOf(first), force: false, author: author() })).outcome, "deleted");
    assert.equal((await createRepository(db, second)).outcome, "created");
  });

  test("many creations at once of one name: one wins", async () => {
    const db = opened();
    const template = await makeRepository(db);
    const input = {
      ...template,
      key: { ...keyOf(template), name: unique("repository") },
      resourceTags: {},
      maxRepositories: 10,
      author: author(),
    };
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => createRepository(db, input)));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["created", ...Array<string>(7).fill("exists")]);
  });

  test("listing goes by the bytes of the names, page by page", async () => {
    const db = opened();
    const accountId = unique("account");
    const names = ["a-b", "a.b", "a/b", "a0", "a_b", "ab", "b", "a--b", "a"];
    for (const name of names) await makeRepository(db, { accountId, name });
    const registry = { accountId, region: "eu-west-1" };
    for (const limit of [1, 2, 4, 100]) {
      const listed = await allPages(
        limit,
        (repository: Repository) => repository.name,
        (page) => listRepositories(db, registry, page),
      );
      assert.deepEqual(
        listed.map(({ name }) => name),
        names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
    }
  });

  test("deleting hides everything at once, a new repository of the name is empty, and restoring brings all back", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    await pushed(db, repository, unique("manifest"), { tags: ["v1"] });
    assert.deepEqual(await deleteRepository(db, { key, force: false, author: author() }), { outcome: "not-empty" });
    assert.equal((await deleteRepository(db, { key, force: true, author: author() })).outcome, "deleted");
    assert.deepEqual(await deleteRepository(db, { key, force: true, author: author() }), { outcome: "not-found" });
    assert.deepEqual(await findManifest(db, key, byTag("v1")), {});

    const fresh = await makeRepository(db, { accountId: key.accountId, name: key.name });
    assert.notEqual(fresh.repositoryId, repository.repositoryId);
    assert.deepEqual(await findManifest(db, key, byTag("v1")), { repository: fresh });
    assert.deepEqual(await listManifests(db, fresh.repositoryId, { tagStatus: "ANY", limit: 10 }), []);
    assert.deepEqual(await restoreRepository(db, { key, author: author() }), { outcome: "in-the-way" });

    await deleteRepository(db, { key, force: false, author: author(startAt - 1) });
    assert.deepEqual(await restoreRepository(db, { key, author: author() }), {
      outcome: "restored",
      repositoryId: repository.repositoryId,
    });
    assert.equal((await findManifest(db, key, byTag("v1"))).repository?.repositoryId, repository.repositoryId);
    const gone = { ...key, name: unique("repository") };
    assert.deepEqual(await restoreRepository(db, { key: gone, author: author() }), { outcome: "not-found" });
  });

  test("settings change and say so in the log", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const change = {
      key: keyOf(repository),
      tagMutability: "IMMUTABLE_WITH_EXCLUSION",
      mutabilityFilters: ["dev-*"],
      author: author(),
    } as const;
    assert.deepEqual(await setTagMutability(db, change), {
      ...repository,
      tagMutability: "IMMUTABLE_WITH_EXCLUSION",
      mutabilityFilters: ["dev-*"],
    });
    assert.deepEqual((await findRepository(db, keyOf(repository)))?.mutabilityFilters, ["dev-*"]);
    assert.equal(await setTagMutability(db, { ...change, key: { ...change.key, name: unique("repository") } }), undefined);
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 10 });
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ["repository-created", "tag-mutability-set"],
    );
    assert.deepEqual(changes[1]?.before, { tagMutability: "MUTABLE", mutabilityFilters: [] });
    assert.deepEqual(changes[1]?.after, { tagMutability: "IMMUTABLE_WITH_EXCLUSION", mutabilityFilters: ["dev-*"] });
  });

  test("resource tags are replaced, counted and removed", async () => {
    const db = opened();
    const { repositoryId } = await makeRepository(db, { resourceTags: { a: "1" } });
    const put = (tags: Record<string, string>, maxTags = 3) => putResourceTags(db, { repositoryId, tags, maxTags, author: author() });
    assert.deepEqual(await put({ a: "2", b: "1", __proto__x: "x" }), { outcome: "put" });
    assert.deepEqual(await put({ c: "1" }), { outcome: "too-many" });
    assert.deepEqual(await put({ a: "3" }), { outcome: "put" });
    assert.deepEqual(await listResourceTags(db, repositoryId), { __proto__x: "x", a: "3", b: "1" });
    await deleteResourceTags(db, { repositoryId, keys: ["a", "nothing"], author: author() });
    assert.deepEqual(await listResourceTags(db, repositoryId), { __proto__x: "x", b: "1" });
    assert.deepEqual(await putResourceTags(db, { repositoryId: -1, tags: {}, maxTags: 3, author: author() }), { outcome: "not-found" });
  });
}
