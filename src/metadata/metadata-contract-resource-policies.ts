import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "./database.ts";
import { author, makeRepository, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { createRepository, deleteRepository } from "./repositories.ts";
import type { RepositoryKey } from "./repositories.ts";
import {
  deleteRegistryPolicy,
  deleteRepositoryPolicy,
  findRegistryPolicy,
  findRepositoryAccess,
  putRegistryPolicy,
  putRepositoryPolicy,
} from "./resource-policies.ts";
import { deleteResourceTags, putResourceTags } from "./resource-tags.ts";
import { restoreRepository } from "./tombstones.ts";

/** Does the work move the identity epoch? Read from its row, for nodes may believe an older one for a while. */
async function moves(db: Database, work: () => Promise<unknown>): Promise<boolean> {
  const read = async (): Promise<number> => {
    const row = await db.read.selectFrom("epoch").select("value").where("name", "=", "identity").executeTakeFirstOrThrow();
    return row.value;
  };
  const before = await read();
  await work();
  return (await read()) > before;
}

/** Policies of repositories and registries, and what moves the caches that hang on them. */
export function resourcePolicyContract(opened: OpenedDatabase): void {
  const first = { document: '{"one": 1}', principals: { "arn:aws:iam::1:user/a": "AIDA1" } };
  const second = { document: "two", principals: {} };

  test("a repository's policy is kept as it was given, and replaced", async () => {
    const db = opened();
    const repository = await makeRepository(db, { resourceTags: { team: "red", ["__proto__"]: "x" } });
    const { accountId, region, name } = repository;
    const key = { accountId, region, name };
    const tags = Object.fromEntries([
      ["team", "red"],
      ["__proto__", "x"],
    ]);
    const found = await findRepositoryAccess(db, key);
    assert.deepEqual([found?.policy, found?.tags["team"]], [undefined, tags["team"]]);
    for (const policy of [first, second]) {
      assert.equal(await putRepositoryPolicy(db, { ...policy, key, author: author() }), true);
      assert.deepEqual((await findRepositoryAccess(db, key))?.policy, policy);
    }
    assert.deepEqual(await deleteRepositoryPolicy(db, { key, author: author() }), { outcome: "deleted", document: "two" });
    assert.deepEqual(await deleteRepositoryPolicy(db, { key, author: author() }), { outcome: "no-policy" });
    assert.equal((await findRepositoryAccess(db, key))?.policy, undefined);
  });

  test("a repository that is not there has no policy and takes none", async () => {
    const db = opened();
    const key: RepositoryKey = { accountId: unique("account"), region: "eu-west-1", name: "none" };
    assert.equal(await findRepositoryAccess(db, key), undefined);
    assert.equal(await putRepositoryPolicy(db, { ...first, key, author: author() }), false);
    assert.deepEqual(await deleteRepositoryPolicy(db, { key, author: author() }), { outcome: "not-found" });
  });

  test("a policy goes with its repository, does not fall to the next of its name, and comes back with it", async () => {
    const db = opened();
    const { accountId, region, name } = await makeRepository(db);
    const key = { accountId, region, name };
    await putRepositoryPolicy(db, { ...first, key, author: author() });
    await deleteRepository(db, { key, force: true, author: author() });
    assert.equal(await findRepositoryAccess(db, key), undefined);
    await makeRepository(db, { accountId, name });
    assert.equal((await findRepositoryAccess(db, key))?.policy, undefined);
    await deleteRepository(db, { key, force: true, author: author() });
    // The newest tombstone comes back first.
    assert.equal((await restoreRepository(db, { key, author: author() })).outcome, "restored");
    assert.equal((await findRepositoryAccess(db, key))?.policy, undefined);
  });

  test("a registry's policy is its region's", async () => {
    const db = opened();
    const registry = { accountId: unique("account"), region: "eu-west-1" };
    assert.equal(await findRegistryPolicy(db, registry), undefined);
    assert.equal(await deleteRegistryPolicy(db, { registry, author: author() }), undefined);
    for (const policy of [first, second]) {
      await putRegistryPolicy(db, { ...policy, registry, author: author() });
      assert.deepEqual(await findRegistryPolicy(db, registry), policy);
    }
    assert.equal(await findRegistryPolicy(db, { ...registry, region: "us-east-1" }), undefined);
    assert.equal(await deleteRegistryPolicy(db, { registry, author: author() }), "two");
    assert.equal(await findRegistryPolicy(db, registry), undefined);
  });

  test("whatever changes who may do what moves the identity epoch", async () => {
    const db = opened();
    const { accountId, region, name, repositoryId } = await makeRepository(db);
    const key = { accountId, region, name };
    const registry = { accountId, region };
    const deed = { key, author: author() };
    const settings = { tagMutability: "MUTABLE", mutabilityFilters: [], scanOnPush: false, encryptionType: "AES256" } as const;
    const tagged = { ...settings, protectionDomain: "AES256", resourceTags: { a: "b" }, maxRepositories: 10 };
    const rows: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["put repository policy", () => putRepositoryPolicy(db, { ...first, ...deed })],
      ["delete repository policy", () => deleteRepositoryPolicy(db, { key, author: author() })],
      ["put registry policy", () => putRegistryPolicy(db, { ...first, registry, author: author() })],
      ["delete registry policy", () => deleteRegistryPolicy(db, { registry, author: author() })],
      ["put tags", () => putResourceTags(db, { repositoryId, tags: { a: "b" }, maxTags: 50, author: author() })],
      ["delete tags", () => deleteResourceTags(db, { repositoryId, keys: ["a"], author: author() })],
      ["delete", () => deleteRepository(db, { ...deed, force: true })],
      ["restore", () => restoreRepository(db, deed)],
      ["create with tags", () => createRepository(db, { ...tagged, key: { ...key, name: unique("repository") }, author: author() })],
    ];
    for (const [what, work] of rows) assert.equal(await moves(db, work), true, what);
    assert.equal(await moves(db, () => makeRepository(db, { accountId })), false);
  });
}
