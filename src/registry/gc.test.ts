import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gcCounts } from "#metadata/garbage.ts";
import { parseReference } from "#oci/reference.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { checkBlob, deleteBlob, getBlob } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import type { GcReport } from "./gc.ts";
import { runGarbageCollection } from "./gc.ts";
import { deleteManifest, getManifest } from "./manifest.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import {
  createManualClock,
  incoming,
  openTestRegistry,
  pushBlob,
  pushManifest,
  refusal,
  registry,
  sha256,
} from "./testing/test-registry.ts";
import { appendUpload, completeUpload, getUpload, startUpload } from "./upload.ts";

const name = "team/app" as RepositoryName;
const otherName = "team/other" as RepositoryName;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

let folder: string;
let clock: ManualClock;
let storage: StorageDriver;
let opened: TestRegistry;
let ctx: RegistryContext;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "gc-"));
  clock = createManualClock();
  storage = createMemoryDriver({ clock });
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock });
  ({ ctx } = opened);
  await createRepository(ctx, registry, name);
  await createRepository(ctx, registry, otherName);
});
afterEach(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

/** Runs a pass and answers what it did, without what it did not. */
async function collect(graceMs?: number, core = ctx.core): Promise<Partial<GcReport>> {
  const { durationMs: _duration, orphanedBytes: _bytes, ...report } = await runGarbageCollection(core, { graceMs });
  return Object.fromEntries(Object.entries(report).filter(([, count]) => count !== 0));
}

async function keysOf(entries: AsyncIterable<{ readonly key: string }>): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of entries) keys.push(key);
  return keys;
}

test("a blob without a manifest goes step by step, each after its own wait", async () => {
  await pushBlob(ctx, name, "lonely");
  const steps: readonly [number, Partial<GcReport>][] = [
    [0, {}],
    [dayMs - 1, {}],
    [1, { droppedLinks: 1 }],
    [dayMs - 1, {}],
    [1, { condemnedBlobs: 1 }],
    [20 * minuteMs - 1, {}],
    [1, { killedBlobs: 1, deletedCopies: 1 }],
    [dayMs, {}],
  ];
  for (const [position, [waitMs, expected]] of steps.entries()) {
    clock.advance(waitMs);
    assert.deepEqual(await collect(), expected, `step ${position}`);
  }
  assert.deepEqual(await keysOf(storage.listStored()), []);
  await assert.rejects(getBlob(ctx, registry, name, sha256("lonely")), refusal("blob-not-found"));
});

test("without grace a single pass takes everything but tombstones and open sessions", async () => {
  await pushBlob(ctx, name, "lonely");
  const digest = await pushManifest(ctx, name, { config: "kept", tags: ["v1"] });
  await deleteManifest(ctx, registry, name, await pushManifest(ctx, name, { config: "deleted" }));
  const { uploadId } = await startUpload(ctx, registry, name);
  await appendUpload(ctx, registry, name, uploadId, incoming("open"));
  assert.deepEqual(await collect(0), { droppedLinks: 1, condemnedBlobs: 1, killedBlobs: 1, deletedCopies: 1 });
  assert.equal((await keysOf(storage.listStored())).length, 2);
  await completeUpload(ctx, registry, name, uploadId, { digest: sha256("open") });
  const reference = parseReference("v1");
  assert.ok(reference.ok);
  assert.equal((await getManifest(ctx, registry, name, reference.value)).digest, digest);
  assert.deepEqual((await getBlob(ctx, registry, name, sha256("kept"))).referenced, true);
});

test("what was deleted stays until it can no longer be restored, then goes", async () => {
  await deleteManifest(ctx, registry, name, await pushManifest(ctx, name, { config: "config", layers: ["layer"] }));
  clock.advance(7 * dayMs - 1);
  assert.deepEqual(await collect(0), {});
  clock.advance(1);
  assert.deepEqual(await collect(0), { purgedTombstones: 1, droppedLinks: 2, condemnedBlobs: 2, killedBlobs: 2, deletedCopies: 2 });
  assert.deepEqual(await keysOf(storage.listStored()), []);
});

test("a deleted repository goes with everything in it", async () => {
  await pushManifest(ctx, name, { config: "config", tags: ["v1"] });
  await pushBlob(ctx, name, "lonely");
  await deleteRepository(ctx, registry, name, { force: true });
  clock.advance(7 * dayMs);
  await collect(0);
  await collect(0);
  assert.deepEqual(await keysOf(storage.listStored()), []);
  const { tombstonedManifests, tombstonedTags, tombstonedRepositories } = await gcCounts(ctx.core.metadata);
  assert.deepEqual([tombstonedManifests, tombstonedTags, tombstonedRepositories], [0, 0, 0]);
});

test("a condemned blob is revived by an upload of the same digest", async () => {
  await pushBlob(ctx, name, "again");
  clock.advance(dayMs);
  await collect();
  clock.advance(dayMs);
  assert.deepEqual(await collect(), { condemnedBlobs: 1 });
  await pushBlob(ctx, otherName, "again");
  clock.advance(20 * minuteMs);
  // The copy of the second upload was redundant; its row waits to be forgotten.
  assert.deepEqual(await collect(), { deletedCopies: 1 });
  const blob = await getBlob(ctx, registry, otherName, sha256("again"));
  assert.equal((await blob.open()).kind, "bytes");
});

test("a HEAD that says yes keeps a blob for another grace", async () => {
  await pushBlob(ctx, name, "asked for");
  clock.advance(dayMs - hourMs);
  await checkBlob(ctx, registry, name, sha256("asked for"));
  clock.advance(dayMs - 1);
  assert.deepEqual(await collect(), {});
  await pushManifest(ctx, name, { config: "asked for" });
});

test("a blob deleted in one repository stays readable in another", async () => {
  await pushBlob(ctx, name, "shared");
  await pushBlob(ctx, otherName, "shared");
  await deleteBlob(ctx, registry, name, sha256("shared"));
  assert.deepEqual(await collect(), { droppedLinks: 1, deletedCopies: 1 });
  await assert.rejects(getBlob(ctx, registry, name, sha256("shared")), refusal("blob-not-found"));
  const stored = await (await getBlob(ctx, registry, otherName, sha256("shared"))).open();
  assert.equal(stored.kind, "bytes");
});

test("an expired session goes with its segments, unless this process is writing to it", async () => {
  const { uploadId } = await startUpload(ctx, registry, name);
  await appendUpload(ctx, registry, name, uploadId, incoming("half"));
  clock.advance(dayMs);
  const release = ctx.core.uploads.reserve(uploadId);
  assert.deepEqual(await collect(0), {});
  release?.();
  assert.deepEqual(await collect(), { expiredUploads: 1 });
  assert.deepEqual(await keysOf(storage.listSegments()), []);
  await assert.rejects(getUpload(ctx, registry, name, uploadId), refusal("upload-not-found"));
});

test("bytes without a row go when they are old, those of an open session never", async () => {
  const store = async (owner: string) => {
    const writer = await storage.openSegment(`${owner}/0`);
    await writer.write(new Uint8Array([1, 2, 3]));
    await writer.finish();
  };
  const { uploadId } = await startUpload(ctx, registry, name);
  const strangerId = ctx.core.random.uuid();
  for (const incarnation of [uploadId, strangerId]) {
    await store(incarnation);
    await storage.commit([`${incarnation}/0`], { digest: sha256("any"), incarnation, sizeBytes: 3 });
    await store(incarnation);
  }
  clock.advance(dayMs - 1);
  assert.deepEqual(await collect(), {});
  // The session would expire in the same moment; an append keeps it open.
  await appendUpload(ctx, registry, name, uploadId, incoming("x"));
  clock.advance(1);
  assert.deepEqual(await collect(), { orphanedCopies: 1, orphanedSegments: 1 });
  assert.deepEqual(await collect(0), {});
  assert.equal((await keysOf(storage.listStored())).length, 1);
  clock.advance(dayMs);
  assert.deepEqual(await collect(0), { expiredUploads: 1, orphanedCopies: 1, orphanedSegments: 1 });
  assert.deepEqual([...(await keysOf(storage.listStored())), ...(await keysOf(storage.listSegments()))], []);
});

test("a copy that cannot be deleted is reported, holds up no other, and goes in the next pass", async () => {
  for (const content of ["one", "two", "three"]) await pushBlob(ctx, name, content);
  const broken: StorageDriver = {
    ...storage,
    delete: async (key) => (key.includes(sha256("two")) ? Promise.reject(new StorageError("unavailable", "not now")) : storage.delete(key)),
  };
  const report = await collect(0, { ...ctx.core, storage: broken });
  assert.deepEqual(report, { droppedLinks: 3, condemnedBlobs: 3, killedBlobs: 3, deletedCopies: 2, failures: 1 });
  await pushBlob(ctx, name, "two");
  assert.deepEqual(await collect(), { deletedCopies: 1 });
  const stored = await (await getBlob(ctx, registry, name, sha256("two"))).open();
  assert.equal(stored.kind, "bytes");
});

test("many rows are collected in batches", async () => {
  for (let count = 0; count < 450; count += 1) await pushBlob(ctx, name, `blob ${count}`);
  const expected = { droppedLinks: 450, condemnedBlobs: 450, killedBlobs: 450, deletedCopies: 450 };
  assert.deepEqual(await collect(0), expected);
});

test("a pass that is told to end ends before its next batch, and the next pass does the rest", async () => {
  await pushBlob(ctx, name, "left over");
  const controller = new AbortController();
  const stopping = { ...storage, delete: (key: string) => (controller.abort(new Error("stopping")), storage.delete(key)) };
  const options = { graceMs: 0, signal: controller.signal };
  await assert.rejects(runGarbageCollection({ ...ctx.core, storage: stopping }, options), /stopping/);
  await pushBlob(ctx, name, "came later");
  await assert.rejects(runGarbageCollection(ctx.core, options), /stopping/);
  assert.deepEqual(await collect(0), { droppedLinks: 1, condemnedBlobs: 1, killedBlobs: 1, deletedCopies: 1 });
});
