import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { listFollowUps } from "#metadata/follow-ups.ts";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import { findManifest } from "#metadata/manifests.ts";
import { putRegistrySetting } from "#metadata/registry-settings.ts";
import type { ActivationJob } from "#metadata/storage-class.ts";
import { activationJobKind } from "#metadata/storage-class.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { createKeyService } from "#server/key-service.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { createTieredDriver } from "#storage/tiered.ts";
import { checkBlob, createDownloadTicket, getBlob, listArchivedBlobs, mountBlob } from "./blob.ts";
import type { RegistryContext, RegistryCore } from "./context.ts";
import { runFsck } from "./fsck.ts";
import { runGarbageCollection } from "./gc.ts";
import { getManifest, putManifest, deleteManifest } from "./manifest.ts";
import { getManifests, listManifests } from "./manifest-batch.ts";
import type { ReplicationConfiguration } from "./replication-rule.ts";
import { createRepository } from "./repository.ts";
import { authorOf } from "./scope.ts";
import { archiveManifests, updateStorageClass } from "./storage-class.ts";
import { activateManifest, tierBlobs } from "./storage-class-move.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import {
  createManualClock,
  indexOf,
  manifestOf,
  openTestRegistry,
  pushBlob,
  pushManifest,
  readAll,
  refusal,
  registry,
  sha256,
} from "./testing/test-registry.ts";
import { restore } from "./undo.ts";

const name = "team/app" as RepositoryName;
const other = "team/other" as RepositoryName;
const minuteMs = 60_000;

let folder: string;
let clock: ManualClock;
let standard: StorageDriver;
let cold: StorageDriver;
let opened: TestRegistry;
let ctx: RegistryContext;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "storage-class-"));
  clock = createManualClock();
  standard = createMemoryDriver({ clock });
  cold = createMemoryDriver({ clock });
  opened = await openTestRegistry({
    databaseFile: join(folder, "db"),
    storage: createTieredDriver({ standard, cold }),
    clock,
    keys: createKeyService,
  });
  ctx = opened.ctx;
  for (const each of [name, other]) await createRepository(ctx, registry, each);
});
afterEach(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

async function copiesIn(driver: StorageDriver): Promise<number> {
  let count = 0;
  for await (const _ of driver.listStored()) count += 1;
  for await (const _ of driver.listSegments()) count += 1;
  return count;
}

/** Does the jobs of activations that are due, as a worker does. */
async function runActivations(core: RegistryCore): Promise<string[]> {
  const outcomes: string[] = [];
  for (;;) {
    const job = await claimJob(core.metadata, { kinds: [activationJobKind], now: clock.now(), leaseMs: minuteMs });
    if (job === undefined) return outcomes;
    outcomes.push(await activateManifest(core, job.payload as ActivationJob));
    await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
  }
}

async function expectSound(): Promise<void> {
  const { problems, unreferencedEntries } = await runFsck(ctx.core, { readBytes: true });
  assert.deepEqual([problems, unreferencedEntries], [[], 0]);
}

async function read(digest: Digest, where = name): Promise<string> {
  const stored = await (await getBlob(ctx, registry, where, digest)).open();
  assert.ok(stored.kind === "bytes");
  return readAll(stored.stream);
}

const byDigest = (digest: Digest) => ({ kind: "digest", digest }) as const;
const setClass = (digest: Digest, target: "ARCHIVE" | "STANDARD") => updateStorageClass(ctx, registry, name, { id: { digest }, target });

test("an image goes to the archive and its bytes to the cold tier, and all of it comes back", async () => {
  const digest = await pushManifest(ctx, name, { config: "config", layers: ["layer"], tags: ["v1"] });
  const byTag = { id: { tag: "v1" }, target: "ARCHIVE" } as const;
  assert.deepEqual(await updateStorageClass(ctx, registry, name, byTag), { digest, status: "ARCHIVED" });
  await assert.rejects(getManifest(ctx, registry, name, byDigest(digest)), refusal("manifest-archived"));
  await assert.rejects(getManifest(ctx, registry, name, { kind: "tag", tag: "v1" as Tag }), refusal("manifest-archived"));
  assert.deepEqual((await getManifests(ctx, registry, name, [{ digest }])).failures, [
    { id: { digest }, code: "archived", status: "ARCHIVED" },
  ]);
  await assert.rejects(getBlob(ctx, registry, name, sha256("layer")), refusal("blob-not-found"));
  assert.deepEqual(await tierBlobs(ctx.core), { moved: 2, failures: 0 });
  await expectSound();
  // The copies that were replaced are kept for those who read them, then they go.
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [2, 2]);
  clock.advance(ctx.core.limits.condemnedMs);
  await runGarbageCollection(ctx.core);
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [0, 2]);
  await expectSound();
  assert.deepEqual(await setClass(digest, "STANDARD"), { digest, status: "ACTIVATING" });
  await assert.rejects(getManifest(ctx, registry, name, byDigest(digest)), refusal("manifest-archived"));
  assert.deepEqual(await runActivations(ctx.core), ["activated"]);
  assert.equal((await getManifest(ctx, registry, name, { kind: "tag", tag: "v1" as Tag })).digest, digest);
  assert.deepEqual([await read(sha256("config")), await read(sha256("layer"))], ["config", "layer"]);
  clock.advance(ctx.core.limits.condemnedMs);
  await tierBlobs(ctx.core);
  await runGarbageCollection(ctx.core);
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [2, 0]);
  await expectSound();
});

test("what cannot change its class says why", async () => {
  const child = await pushManifest(ctx, name, { config: "config" });
  await putManifest(ctx, registry, name, { bytes: indexOf([manifestOf("config", [])]), tags: [], plane: "oci" });
  await assert.rejects(setClass(child, "ARCHIVE"), refusal("storage-class-refused"));
  await assert.rejects(setClass(child, "STANDARD"), refusal("storage-class-refused"));
  await assert.rejects(setClass(sha256("nothing"), "ARCHIVE"), refusal("manifest-not-found"));
  const mismatch = { id: { digest: sha256("nothing"), tag: "none" }, target: "ARCHIVE" } as const;
  await assert.rejects(updateStorageClass(ctx, registry, name, mismatch), refusal("manifest-not-found"));
  await assert.rejects(updateStorageClass(ctx, registry, name, { id: {}, target: "ARCHIVE" }), refusal("parameter-invalid"));
  const nowhere = "team/nowhere" as RepositoryName;
  await assert.rejects(archiveManifests(ctx, registry, nowhere, [child]), refusal("repository-not-found"));
  await assert.rejects(
    updateStorageClass(ctx, registry, nowhere, { id: { digest: child }, target: "ARCHIVE" }),
    refusal("repository-not-found"),
  );
});

test("a blob that is only in the archive answers as one that is not there, and says so where that is asked", async () => {
  const digest = await pushManifest(ctx, name, { config: "config", layers: ["layer"] });
  await pushManifest(ctx, other, { config: "config" });
  await archiveManifests(ctx, registry, name, [digest]);
  await tierBlobs(ctx.core);
  const layer = sha256("layer");
  await assert.rejects(checkBlob(ctx, registry, name, layer), refusal("blob-not-found"));
  assert.equal(await mountBlob(ctx, registry, other, { digest: layer, from: name, mayRead: () => true }), undefined);
  const downloader = { ...ctx, actor: { ...ctx.actor, accessKeyId: "AKIA" } };
  await assert.rejects(createDownloadTicket(downloader, registry, name, layer), refusal("blob-unreferenced"));
  await assert.rejects(createDownloadTicket(downloader, registry, other, layer), refusal("blob-not-found"));
  assert.deepEqual(await listArchivedBlobs(ctx, registry, name, [layer, sha256("no")]), new Set([layer]));
  // Another repository holds it: it is still at hand there.
  assert.equal(await read(sha256("config"), other), "config");
  await expectSound();
});

test("a push takes an image out of the archive, and what it uploads replaces the cold copies", async () => {
  const digest = await pushManifest(ctx, name, { config: "config", layers: ["layer"], tags: ["v1"] });
  await archiveManifests(ctx, registry, name, [digest]);
  await tierBlobs(ctx.core);
  const again = { bytes: manifestOf("config", ["layer"]), tags: ["v1" as Tag], plane: "ecr" as const };
  await assert.rejects(putManifest(ctx, registry, name, again), refusal("manifest-blobs-missing"));
  for (const content of ["config", "layer"]) await pushBlob(ctx, name, content);
  await putManifest(ctx, registry, name, again);
  assert.equal((await getManifest(ctx, registry, name, byDigest(digest))).digest, digest);
  assert.equal(await read(sha256("layer")), "layer");
  clock.advance(ctx.core.limits.condemnedMs);
  await runGarbageCollection(ctx.core);
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [2, 0]);
  // An upload that no manifest follows goes back when its promise is over.
  await archiveManifests(ctx, registry, name, [digest]);
  await tierBlobs(ctx.core);
  await pushBlob(ctx, name, "layer");
  assert.deepEqual(await tierBlobs(ctx.core), { moved: 0, failures: 0 });
  clock.advance(ctx.core.limits.linkGraceMs);
  assert.deepEqual(await tierBlobs(ctx.core), { moved: 1, failures: 0 });
  await expectSound();
});

test("a deleted archived image comes back archived, and goes with its cold bytes in the end", async () => {
  const digest = await pushManifest(ctx, name, { config: "config", tags: ["v1"] });
  await archiveManifests(ctx, registry, name, [digest]);
  await tierBlobs(ctx.core);
  await deleteManifest(ctx, registry, name, digest);
  await restore(ctx, registry, name, { digest });
  const { manifests } = await listManifests(ctx, registry, name, { limit: 10, status: "ARCHIVED" });
  assert.deepEqual(
    manifests.map((each) => [each.digest, each.tags]),
    [[digest, ["v1"]]],
  );
  await deleteManifest(ctx, registry, name, digest);
  clock.advance(ctx.core.limits.undoMs);
  for (let pass = 0; pass < 4; pass += 1) {
    await runGarbageCollection(ctx.core);
    clock.advance(ctx.core.limits.unreferencedGraceMs);
  }
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [0, 0]);
});

test("an index comes back with its archived children, and not before them", async () => {
  const children = [manifestOf("one", []), manifestOf("two", [])];
  for (const config of ["one", "two"]) await pushManifest(ctx, name, { config });
  const index = await putManifest(ctx, registry, name, { bytes: indexOf(children), tags: ["all" as Tag], plane: "oci" });
  const digests = [index.digest, ...children.map((child) => sha256(child))];
  assert.deepEqual((await archiveManifests(ctx, registry, name, digests)).refused, []);
  await tierBlobs(ctx.core);
  await setClass(index.digest, "STANDARD");
  assert.deepEqual((await runActivations(ctx.core)).filter((each) => each === "activated").length, 3);
  for (const digest of digests) assert.equal((await getManifest(ctx, registry, name, byDigest(digest))).digest, digest);
  await expectSound();
});

test("what comes back is sent on as after a push, but not a copy of what another registry holds", async () => {
  const { metadata } = ctx.core;
  const value: ReplicationConfiguration = { rules: [{ destinations: [{ region: "us-east-1", registryId: registry.accountId }] }] };
  await putRegistrySetting(metadata, { registry, name: "replication", value, author: authorOf(ctx) });
  const targetsOf = async (digest: Digest) => {
    const { manifest } = await findManifest(metadata, { ...registry, name }, byDigest(digest));
    return (await listFollowUps(metadata, "replicate", [manifest?.manifestId ?? 0])).map(({ startedAt }) => startedAt);
  };
  const own = await pushManifest(ctx, name, { config: "own" });
  await pushBlob(ctx, name, "copy");
  const bytes = manifestOf("copy", []);
  const put = (more: object) => putManifest(ctx, registry, name, { bytes, tags: [], plane: "oci", ...more });
  const { digest: copy } = await put({ tags: ["v1"], tagVersions: new Map([["v1", 1]]) });
  const restoreBoth = async (): Promise<void> => {
    assert.deepEqual((await archiveManifests(ctx, registry, name, [own, copy])).refused, []);
    clock.advance(minuteMs);
    for (const digest of [own, copy]) await setClass(digest, "STANDARD");
    await runActivations(ctx.core);
  };
  await restoreBoth();
  assert.deepEqual([await targetsOf(own), await targetsOf(copy)], [[clock.now()], []]);
  await put({ tags: ["v2"] });
  assert.deepEqual(await targetsOf(copy), [clock.now()], "somebody has pushed it here as well");
  await restoreBoth();
  assert.deepEqual(await targetsOf(copy), [clock.now()]);
});

test("a cold tier that fails leaves everything as it was, and the next look moves it", async () => {
  const digest = await pushManifest(ctx, name, { config: "config" });
  await archiveManifests(ctx, registry, name, [digest]);
  const full: StorageDriver = { ...cold, openSegment: () => Promise.reject(new StorageError("no-space", "the disk is full")) };
  const core = { ...ctx.core, storage: createTieredDriver({ standard, cold: full }) };
  assert.deepEqual(await tierBlobs(core), { moved: 0, failures: 1 });
  assert.deepEqual(await tierBlobs(ctx.core), { moved: 0, failures: 0 }, "it is left alone for a while");
  clock.advance(15 * minuteMs);
  assert.deepEqual(await tierBlobs(ctx.core), { moved: 1, failures: 0 });
  const broken: StorageDriver = { ...cold, read: () => Promise.reject(new StorageError("unavailable", "not mounted")) };
  await setClass(digest, "STANDARD");
  const coldless = { ...ctx.core, storage: createTieredDriver({ standard, cold: broken }) };
  await assert.rejects(runActivations(coldless), /not mounted/);
  await assert.rejects(getManifest(ctx, registry, name, byDigest(digest)), refusal("manifest-archived"));
  clock.advance(minuteMs);
  assert.deepEqual(await runActivations(ctx.core), ["activated"]);
  await expectSound();
});

for (const type of ["KMS", "KMS_DSSE"] as const) {
  test(`in a ${type} repository bytes move as they are stored`, async () => {
    const sealed = `team/${type.toLowerCase()}` as RepositoryName;
    await createRepository(ctx, registry, sealed, { encryption: { type, kmsKey: undefined } });
    const layer = "a layer that is longer than a frame ".repeat(4_000);
    const digest = await pushManifest(ctx, sealed, { config: "config", layers: [layer] });
    const setTo = (target: "ARCHIVE" | "STANDARD") => updateStorageClass(ctx, registry, sealed, { id: { digest }, target });
    await setTo("ARCHIVE");
    assert.deepEqual(await tierBlobs(ctx.core), { moved: 2, failures: 0 });
    await expectSound();
    await setTo("STANDARD");
    assert.deepEqual(await runActivations(ctx.core), ["activated"]);
    assert.equal(await read(sha256(layer), sealed), layer);
    await setTo("ARCHIVE");
    await tierBlobs(ctx.core);
    // A new copy has keys of its own, and takes the place of the cold one with them.
    await pushBlob(ctx, sealed, layer);
    assert.equal(await read(sha256(layer), sealed), layer);
    await expectSound();
  });
}

test("damaged bytes are not moved", async () => {
  const digest = await pushManifest(ctx, name, { config: "config" });
  await archiveManifests(ctx, registry, name, [digest]);
  const damaged: StorageDriver = {
    ...standard,
    async read(key, sizeBytes, span) {
      const stored = await standard.read(key, sizeBytes, span);
      if (stored.kind !== "bytes") return stored;
      const bytes = Buffer.from(await readAll(stored.stream));
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      const { Readable } = await import("node:stream");
      return { ...stored, stream: Readable.from([bytes]) };
    },
  };
  const core = { ...ctx.core, storage: createTieredDriver({ standard: damaged, cold }) };
  assert.deepEqual(await tierBlobs(core), { moved: 0, failures: 1 });
  assert.deepEqual([await copiesIn(standard), await copiesIn(cold)], [1, 0]);
});

/** A process that dies where it stands: what it had begun stays, and it does nothing more. */
class Died extends Error {}

for (const [moment, dyingAt] of [
  ["before its first byte is durable", "openSegment"],
  ["when its segment is durable", "commit"],
  ["when its copy is durable", "after commit"],
] as const) {
  test(`a move that dies ${moment} leaves no more than bytes that garbage collection takes`, async () => {
    const digest = await pushManifest(ctx, name, { config: "config" });
    await archiveManifests(ctx, registry, name, [digest]);
    const die = (): Promise<never> => Promise.reject(new Died());
    const dying: StorageDriver = {
      ...cold,
      ...(dyingAt === "openSegment" && { openSegment: die }),
      ...(dyingAt === "commit" && { commit: die, deleteSegment: die }),
      ...(dyingAt === "after commit" && { commit: (segments, target) => cold.commit(segments, target).then(die), deleteSegment: die }),
    };
    // Nor does it write down that it has failed: from its first failure on it has no database.
    let isDead = false;
    const metadata = {
      ...ctx.core.metadata,
      transaction: ((work) => (isDead ? die() : ctx.core.metadata.transaction(work))) as RegistryCore["metadata"]["transaction"],
    };
    const storage = createTieredDriver({ standard, cold: dying });
    const tiers = storage.tiers;
    assert.ok(tiers !== undefined);
    const copy: typeof tiers.copy = (request) =>
      tiers.copy(request).catch((error: unknown) => {
        isDead = true;
        throw error;
      });
    await assert.rejects(tierBlobs({ ...ctx.core, metadata, storage: { ...storage, tiers: { ...tiers, copy } } }), Died);
    const left = await copiesIn(cold);
    assert.equal(left, dyingAt === "openSegment" ? 0 : 1);
    // While the move may still be alive its copy is nobody's orphan, even without any waiting time.
    await runGarbageCollection(ctx.core, { graceMs: 0 });
    assert.equal(await copiesIn(cold), left);
    clock.advance(5 * minuteMs);
    await runGarbageCollection(ctx.core, { graceMs: 0 });
    assert.equal(await copiesIn(cold), 0);
    assert.deepEqual(await tierBlobs(ctx.core), { moved: 1, failures: 0 });
    await expectSound();
  });
}
