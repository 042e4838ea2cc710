import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { getBlob } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import { runFsck } from "./fsck.ts";
import { runGarbageCollection } from "./gc.ts";
import { deleteManifest, deleteTag } from "./manifest.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import { listTags } from "./tag.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, openTestRegistry, pushBlob, pushManifest, refusal, registry, sha256 } from "./testing/test-registry.ts";
import type { TombstonePosition } from "./undo.ts";
import { listTombstones, purge, restore } from "./undo.ts";

const missing = "team/missing" as RepositoryName;
const folder = mkdtempSync(join(tmpdir(), "undo-"));
let clock: ManualClock;
let storage: StorageDriver;
let opened: TestRegistry;
let ctx: RegistryContext;

before(async () => {
  clock = createManualClock();
  storage = createMemoryDriver({ clock });
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock });
  ({ ctx } = opened);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

async function repository(text: string): Promise<RepositoryName> {
  const name = text as RepositoryName;
  await createRepository(ctx, registry, name);
  return name;
}

test("a deleted manifest comes back with its tags and its blobs", async () => {
  const name = await repository("team/manifest");
  const digest = await pushManifest(ctx, name, { config: "config", tags: ["v1", "v2"] });
  await assert.rejects(restore(ctx, registry, name, { digest }), refusal("manifest-exists"));
  await deleteManifest(ctx, registry, name, digest);
  await assert.rejects(getBlob(ctx, registry, name, sha256("config")), refusal("blob-not-found"));
  await runGarbageCollection(ctx.core, { graceMs: 0 });
  assert.deepEqual(await restore(ctx, registry, name, { digest }), { restored: "manifest", digest, tags: ["v1", "v2"] });
  assert.deepEqual((await listTags(ctx, registry, name, { limit: 10 })).tags, ["v1", "v2"]);
  assert.equal((await (await getBlob(ctx, registry, name, sha256("config"))).open()).kind, "bytes");
});

test("a deleted tag comes back, with its manifest, unless the tag is in use", async () => {
  const name = await repository("team/tag");
  const digest = await pushManifest(ctx, name, { config: "tagged", tags: ["v1"] });
  await deleteTag(ctx, registry, name, "v1" as Tag);
  clock.advance(1);
  await deleteManifest(ctx, registry, name, digest);
  await pushManifest(ctx, name, { config: "other", tags: ["v1"] });
  await assert.rejects(restore(ctx, registry, name, { tag: "v1" }), refusal("manifest-exists"));
  await deleteManifest(ctx, registry, name, digest).catch(() => undefined);
  clock.advance(1);
  await deleteTag(ctx, registry, name, "v1" as Tag);
  const again = await restore(ctx, registry, name, { tag: "v1" });
  assert.deepEqual(again.tags, ["v1"]);
});

test("a deleted repository comes back whole, unless its name is in use", async () => {
  const name = await repository("team/whole");
  await pushManifest(ctx, name, { config: "whole", tags: ["v1"] });
  await assert.rejects(restore(ctx, registry, name, {}), refusal("repository-exists"));
  await deleteRepository(ctx, registry, name, { force: true });
  assert.deepEqual(await restore(ctx, registry, name, {}), { restored: "repository" });
  assert.deepEqual((await listTags(ctx, registry, name, { limit: 10 })).tags, ["v1"]);
});

test("what cannot be restored or purged is refused", async () => {
  const name = await repository("team/refused");
  for (const operation of [restore, purge]) {
    await assert.rejects(operation(ctx, registry, name, { tag: "v1" }), refusal("manifest-not-found"));
    await assert.rejects(operation(ctx, registry, name, { digest: sha256("x") }), refusal("manifest-not-found"));
    await assert.rejects(operation(ctx, registry, name, { digest: "sha256:x" }), refusal("digest-invalid"));
    await assert.rejects(operation(ctx, registry, name, { tag: "no tag" }), refusal("tag-invalid"));
    await assert.rejects(operation(ctx, registry, name, { tag: "v1", digest: sha256("x") }), refusal("parameter-invalid"));
    await assert.rejects(operation(ctx, registry, missing, { tag: "v1" }), refusal("repository-not-found"));
  }
  await assert.rejects(restore(ctx, registry, missing, {}), refusal("repository-not-found"));
  await assert.rejects(purge(ctx, registry, name, {}), refusal("parameter-invalid"));
});

test("tombstones are listed page by page, and gone after a purge", async () => {
  const name = await repository("team/listed");
  const digests = [];
  for (const config of ["one", "two"]) digests.push(await pushManifest(ctx, name, { config, tags: [config] }));
  for (const digest of digests) await deleteManifest(ctx, registry, name, digest);
  const seen: string[] = [];
  for (let after: TombstonePosition | undefined; ;) {
    const page = await listTombstones(ctx, registry, name, { after, limit: 1 });
    seen.push(...page.tombstones.map(({ kind, digest, tag = "" }) => `${kind} ${digest} ${tag}`));
    if (page.next === undefined) break;
    after = page.next;
  }
  const [one, two] = digests;
  assert.deepEqual(seen, [`manifest ${one} `, `manifest ${two} `, `tag ${one} one`, `tag ${two} two`]);
  assert.deepEqual(await purge(ctx, registry, name, { digest: one }), { purged: 1 });
  assert.deepEqual(await purge(ctx, registry, name, { tag: "two" }), { purged: 1 });
  assert.equal((await listTombstones(ctx, registry, name, { limit: 10 })).tombstones.length, 1);
  await assert.rejects(restore(ctx, registry, name, { digest: one }), refusal("manifest-not-found"));
  await assert.rejects(listTombstones(ctx, registry, missing, { limit: 1 }), refusal("repository-not-found"));
});

test("the check finds lost, short and changed bytes, and counts what belongs to nobody", async () => {
  const name = await repository("team/checked");
  for (const config of ["lost", "short", "changed"]) await pushManifest(ctx, name, { config });
  const healthy = await runFsck(ctx.core, { readBytes: true });
  assert.deepEqual([healthy.problems, healthy.unreferencedEntries], [[], 0]);
  assert.ok(healthy.blobs >= 3 && healthy.manifests >= 3 && healthy.readBytes > 100);
  const keyOf = async (content: string) => {
    for await (const { key } of storage.listStored()) if (key.includes(sha256(content))) return key;
    return assert.fail(`no copy of '${content}'`);
  };
  const [lost, short, changed] = [await keyOf("lost"), await keyOf("short"), await keyOf("changed")];
  await storage.delete(lost);
  const damaged: StorageDriver = {
    ...storage,
    stat: async (key) => (key === short ? { sizeBytes: 1 } : storage.stat(key)),
    read: (key, sizeBytes, span) => (key === changed ? storage.read(decoy, sizeBytes, span) : storage.read(key, sizeBytes, span)),
  };
  const writer = await storage.openSegment(`${ctx.core.random.uuid()}/0`);
  await writer.write(Uint8Array.from(Buffer.from("CHANGED")));
  await writer.finish();
  const segments = await Array.fromAsync(storage.listSegments());
  const decoy = await storage.commit(
    segments.map(({ key }) => key),
    { digest: sha256("CHANGED"), incarnation: "nobody", sizeBytes: 7 },
  );
  for (const readBytes of [false, true]) {
    const { problems, problemCount, unreferencedEntries, unreferencedBytes } = await runFsck(
      { ...ctx.core, storage: damaged },
      { readBytes },
    );
    const found = problems.map(({ kind, digest }) => [kind, digest]);
    const expected = [
      ["bytes-missing", sha256("lost")],
      ["size-mismatch", sha256("short")],
      ...(readBytes ? [["digest-mismatch", sha256("changed")]] : []),
    ];
    assert.deepEqual([found, problemCount], [expected, expected.length]);
    assert.deepEqual([unreferencedEntries, unreferencedBytes], [1, 7]);
  }
  await pushBlob(ctx, name, "lost");
});
