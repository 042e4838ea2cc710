import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TagMutability } from "#metadata/repositories.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryContext } from "./context.ts";
import { createManifestCache } from "./manifest-cache.ts";
import { openPageToken, sealPageToken } from "./page-token.ts";
import {
  createRepository,
  deleteRepository,
  deleteResourceTags,
  findRepositories,
  getRepository,
  listRepositories,
  listResourceTags,
  putResourceTags,
  putTagMutability,
} from "./repository.ts";
import { checkMutabilityFilters } from "./tag-mutability.ts";
import type { TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, openTestRegistry, pushManifest, refusal, registry } from "./testing/test-registry.ts";
import { createUploadHashes } from "./upload-hashes.ts";

const folder = mkdtempSync(join(tmpdir(), "repository-"));
const elsewhere = { accountId: registry.accountId, region: "us-east-1" };
const named = (text: string) => text as RepositoryName;
let opened: TestRegistry;
let ctx: RegistryContext;

before(async () => {
  const clock = createManualClock();
  const limits = { repositoriesPerRegistry: 4 };
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock, limits });
  ({ ctx } = opened);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("repositories are created once per registry, listed in pages, deleted when empty or by force", async () => {
  for (const text of ["b", "a/x", "a-x"]) await createRepository(ctx, registry, named(text));
  const { tagMutability, scanOnPush, encryptionType } = await createRepository(ctx, elsewhere, named("b"));
  assert.deepEqual([tagMutability, scanOnPush, encryptionType], ["MUTABLE", false, "AES256"]);
  await assert.rejects(createRepository(ctx, registry, named("b")), refusal("repository-exists"));
  await createRepository(ctx, registry, named("c"));
  await assert.rejects(createRepository(ctx, registry, named("d")), refusal("limit-exceeded"));
  const seen: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await listRepositories(ctx, registry, { after, limit: 3 });
    seen.push(...page.repositories.map(({ name }) => name));
    if (page.next === undefined) break;
    after = page.next;
  }
  assert.deepEqual(seen, ["a-x", "a/x", "b", "c"]);
  const found = await findRepositories(ctx, registry, [named("c"), named("b")]);
  assert.deepEqual(
    found.map(({ name }) => name),
    ["c", "b"],
  );
  await assert.rejects(findRepositories(ctx, registry, [named("c"), named("nn")]), refusal("repository-not-found"));
  await pushManifest(ctx, named("b"), { config: "config" });
  await assert.rejects(deleteRepository(ctx, registry, named("b"), { force: false }), refusal("repository-not-empty"));
  assert.equal((await deleteRepository(ctx, registry, named("b"), { force: true })).name, "b");
  await assert.rejects(getRepository(ctx, registry, named("b")), refusal("repository-not-found"));
  await assert.rejects(deleteRepository(ctx, registry, named("b"), { force: true }), refusal("repository-not-found"));
});

const filters: readonly [TagMutability, readonly string[], boolean][] = [
  ["MUTABLE", [], true],
  ["MUTABLE", ["a"], false],
  ["IMMUTABLE", ["a"], false],
  ["IMMUTABLE_WITH_EXCLUSION", [], false],
  ["MUTABLE_WITH_EXCLUSION", ["dev-*", "*x*", "v1.0_a"], true],
  ["IMMUTABLE_WITH_EXCLUSION", ["a", "b", "c", "d", "e"], true],
  ["IMMUTABLE_WITH_EXCLUSION", ["a", "b", "c", "d", "e", "f"], false],
  ["IMMUTABLE_WITH_EXCLUSION", ["a*b*c*"], false],
  ["IMMUTABLE_WITH_EXCLUSION", ["a b"], false],
  ["IMMUTABLE_WITH_EXCLUSION", [""], false],
  ["IMMUTABLE_WITH_EXCLUSION", ["x".repeat(129)], false],
];

test("mutability filters go with the modes that have exclusions", async () => {
  for (const [mode, texts, isGood] of filters) {
    const check = () => checkMutabilityFilters(mode, texts);
    if (isGood) check();
    else assert.throws(check, refusal("parameter-invalid"), `${mode} ${texts.join()}`);
  }
  const name = named("mutable");
  await createRepository(ctx, registry, name, { tagMutability: "IMMUTABLE_WITH_EXCLUSION", mutabilityFilters: ["dev-*"] });
  assert.deepEqual((await getRepository(ctx, registry, name)).mutabilityFilters, ["dev-*"]);
  const { tagMutability, mutabilityFilters } = await putTagMutability(ctx, registry, name, { tagMutability: "IMMUTABLE" });
  assert.deepEqual([tagMutability, mutabilityFilters], ["IMMUTABLE", []]);
  await assert.rejects(putTagMutability(ctx, registry, named("nn"), { tagMutability: "MUTABLE" }), refusal("repository-not-found"));
});

test("resource tags are added, overwritten, removed and limited", async () => {
  const name = named("a/x");
  await putResourceTags(ctx, registry, name, { team: "a", Größe: "", "with space": "x/y:z@1" });
  await putResourceTags(ctx, registry, name, { team: "b" });
  await deleteResourceTags(ctx, registry, name, ["with space", "absent"]);
  assert.deepEqual({ ...(await listResourceTags(ctx, registry, name)) }, { team: "b", Größe: "" });
  for (const tags of [
    { "aws:x": "" },
    { "AWS:x": "" },
    { "": "" },
    { ["x".repeat(129)]: "" },
    { x: "x".repeat(257) },
    { "x#": "" },
    { x: "<" },
  ]) {
    await assert.rejects(putResourceTags(ctx, registry, name, tags), refusal("resource-tag-invalid"));
  }
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, number) => [`key${number}`, ""]));
  await assert.rejects(putResourceTags(ctx, registry, name, many(51)), refusal("resource-tags-too-many"));
  await assert.rejects(putResourceTags(ctx, registry, name, many(49)), refusal("resource-tags-too-many"));
  await putResourceTags(ctx, registry, name, many(48));
  await assert.rejects(deleteResourceTags(ctx, registry, name, ["aws:x"]), refusal("resource-tag-invalid"));
  for (const refused of [listResourceTags(ctx, registry, named("nn")), putResourceTags(ctx, registry, named("nn"), {})]) {
    await assert.rejects(refused, refusal("repository-not-found"));
  }
});

test("a page token opens for its listing and account only", () => {
  const token = sealPageToken(ctx, "tags of a", { after: "v1" });
  assert.deepEqual(openPageToken(ctx, "tags of a", token), { after: "v1" });
  const stranger = { ...ctx, actor: { ...ctx.actor, accountId: "222222222222" } };
  assert.throws(() => openPageToken(stranger, "tags of a", token), refusal("page-token-invalid"));
  assert.throws(() => openPageToken(ctx, "tags of b", token), refusal("page-token-invalid"));
  const sealed = ctx.core.sealer.seal("page:tags of a", Buffer.from("{}"));
  for (const forged of ["", "x", `${token}x`, token.slice(1), "A".repeat(100_000), sealed]) {
    assert.throws(() => openPageToken(ctx, "tags of a", forged), refusal("page-token-invalid"));
  }
});

test("the manifest cache keeps to its bytes and to itself what is too large", () => {
  const cache = createManifestCache(10_000);
  for (let manifestId = 0; manifestId < 100; manifestId += 1) cache.set(manifestId, new Uint8Array(500));
  assert.ok(cache.sizeBytes <= 10_000 && cache.sizeBytes > 5_000);
  assert.equal(cache.get(99)?.byteLength, 500);
  assert.equal(cache.get(0), undefined);
  cache.set(100, new Uint8Array(5_000));
  assert.equal(cache.get(100), undefined);
  const none = createManifestCache(0);
  none.set(1, new Uint8Array(1));
  assert.equal(none.get(1), undefined);
});

test("running hashes are found by session and length only, and sessions are reserved once", () => {
  const hashes = createUploadHashes(2);
  hashes.keep("one", 3, createHash("sha256").update("abc"));
  assert.equal(hashes.copy("one", 2), undefined);
  const copy = hashes.copy("one", 3)?.update("def").digest("hex");
  assert.equal(copy, createHash("sha256").update("abcdef").digest("hex"));
  assert.notEqual(hashes.copy("one", 3), undefined, "a copy leaves the original as it was");
  hashes.keep("two", 0, createHash("sha256"));
  hashes.keep("three", 0, createHash("sha256"));
  assert.equal(hashes.copy("one", 3), undefined);
  const release = hashes.reserve("one");
  assert.equal(hashes.reserve("one"), undefined);
  assert.ok(hashes.isReserved("one"));
  release?.();
  assert.ok(!hashes.isReserved("one"));
});
