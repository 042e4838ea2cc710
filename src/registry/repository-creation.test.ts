import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { listChanges } from "#metadata/changes.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryContext } from "./context.ts";
import { createTemplate } from "./creation-template.ts";
import type { TemplateWishes } from "./creation-template.ts";
import { createByService } from "./repository-creation.ts";
import type { CreationOccasion } from "./repository-creation.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import type { TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, openTestRegistry, refusal, registry } from "./testing/test-registry.ts";

const folder = mkdtempSync(join(tmpdir(), "repository-creation-"));
const warnings: object[] = [];
let opened: TestRegistry;
let ctx: RegistryContext;

before(async () => {
  const clock = createManualClock();
  const limits = { repositoriesPerRegistry: 9 };
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock, limits });
  const log = { ...opened.core.log, warn: (fields: object) => void warnings.push(fields) };
  ctx = { ...opened.ctx, core: { ...opened.core, log } };
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

const create = (name: string, occasion: CreationOccasion) => createByService(ctx, registry, name as RepositoryName, occasion);
const template = (prefix: string, wishes: TemplateWishes) => createTemplate(ctx, registry, prefix, wishes);

test("without a template: ECR's defaults, but nothing on a push", async () => {
  for (const [name, occasion] of [
    ["plain/one", "PULL_THROUGH_CACHE"],
    ["plain/two", "REPLICATION"],
  ] as const) {
    const { tagMutability, encryptionType, scanOnPush } = await create(name, occasion);
    assert.deepEqual([tagMutability, encryptionType, scanOnPush], ["MUTABLE", "AES256", false]);
  }
  await assert.rejects(create("plain/three", "CREATE_ON_PUSH"), refusal("repository-not-found"));
});

test("a repository that is there stays as it is, whatever a template says", async () => {
  const made = await createRepository(ctx, registry, "kept/app" as RepositoryName, { tagMutability: "IMMUTABLE" });
  await template("kept", { appliedFor: ["REPLICATION"], resourceTags: [["needs", "a role"]] });
  assert.deepEqual(await create("kept/app", "REPLICATION"), made);
  assert.deepEqual(await create("kept/app", "CREATE_ON_PUSH"), made);
});

test("many who create at once create once", async () => {
  await template("race", { appliedFor: ["CREATE_ON_PUSH"], tagMutability: "IMMUTABLE" });
  const made = await Promise.all(Array.from({ length: 16 }, () => create("race/app", "CREATE_ON_PUSH")));
  assert.equal(new Set(made.map(({ repositoryId }) => repositoryId)).size, 1);
  assert.equal(made[0]?.tagMutability, "IMMUTABLE");
  const changes = await listChanges(ctx.core.metadata, { repositoryId: made[0]?.repositoryId ?? 0, limit: 10 });
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ["repository-created"],
  );
  await deleteRepository(ctx, registry, "race/app" as RepositoryName, { force: true });
  assert.notEqual((await create("race/app", "CREATE_ON_PUSH")).repositoryId, made[0]?.repositoryId);
});

test("a template that cannot be followed creates nothing, and its owner finds the reason in the log", async () => {
  const rows: readonly (readonly [string, TemplateWishes, RegExp])[] = [
    ["tags", { resourceTags: [["a", "b"]] }, /'tags' sets resource tags or a KMS key and has no customRoleArn/],
    ["key", { encryptionType: "KMS" }, /'key' sets resource tags or a KMS key and has no customRoleArn/],
    // Nobody in this test knows roles.
    ["role", { resourceTags: [["a", "b"]], roleArn: "arn:aws:iam::111111111111:role/r" }, /roles are not known here/],
  ];
  for (const [prefix, wishes, reason] of rows) {
    await template(prefix, { ...wishes, appliedFor: ["REPLICATION"] });
    await assert.rejects(create(`${prefix}/app`, "REPLICATION"), refusal("creation-refused"));
    const { reason: logged, repository } = warnings.pop() as { reason: string; repository: string };
    assert.match(logged, reason);
    assert.equal(repository, `${prefix}/app`);
  }
  assert.deepEqual(warnings, []);
});

test("a full registry says that it is full", async () => {
  for (let index = 0; index < 5; index += 1) await create(`full/${index}`, "REPLICATION");
  await assert.rejects(create("full/last", "REPLICATION"), refusal("limit-exceeded"));
});
