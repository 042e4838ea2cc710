/** Storage classes and tiers against a naive model: whatever is done in whatever order, what is active can be pulled, and nothing else can. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { listBlobsForFsck } from "#metadata/garbage.ts";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import type { ActivationJob } from "#metadata/storage-class.ts";
import { activationJobKind } from "#metadata/storage-class.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { createTieredDriver } from "#storage/tiered.ts";
import { getBlob } from "./blob.ts";
import type { RegistryRef } from "./context.ts";
import { RegistryError } from "./errors.ts";
import { runFsck } from "./fsck.ts";
import { runGarbageCollection } from "./gc.ts";
import { deleteManifest, getManifest, putManifest } from "./manifest.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import { updateStorageClass } from "./storage-class.ts";
import { activateManifest, tierBlobs } from "./storage-class-move.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, incoming, manifestOf, openTestRegistry, readAll, sha256 } from "./testing/test-registry.ts";
import { restore } from "./undo.ts";
import { uploadWhole } from "./upload.ts";

type Status = "ACTIVE" | "ARCHIVED" | "ACTIVATING" | "NONE";
/** One manifest of a repository, and what it was each time it was deleted: as that it comes back. */
interface Place {
  readonly name: RepositoryName;
  readonly contents: readonly string[];
  readonly bytes: Uint8Array;
  status: Status;
  dead: { readonly was: Status; readonly deletedAt: number }[];
}

const names = ["team/one", "team/two"] as RepositoryName[];
/** They share contents, inside a repository and across. */
const recipes = [["a"], ["b", "ab"], ["ab", "a"]];

let folder: string;
let clock: ManualClock;
let opened: TestRegistry;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "storage-class-model-"));
  clock = createManualClock();
  const storage = createTieredDriver({ standard: createMemoryDriver({ clock }), cold: createMemoryDriver({ clock }) });
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock });
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

async function answerOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "ok";
  } catch (error) {
    if (error instanceof RegistryError) return error.refusal.kind;
    throw error;
  }
}

async function runActivations(): Promise<void> {
  const { core } = opened;
  for (;;) {
    const job = await claimJob(core.metadata, { kinds: [activationJobKind], now: clock.now(), leaseMs: 60_000 });
    if (job === undefined) return;
    await activateManifest(core, job.payload as ActivationJob);
    await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
  }
}

async function finishActivations(places: readonly Place[]): Promise<void> {
  await runActivations();
  for (const each of places) if (each.status === "ACTIVATING") each.status = "ACTIVE";
}

/** Brings what the repository cannot read, as clients do, and pushes the manifest. */
async function push(registry: RegistryRef, { name, contents, bytes }: Place): Promise<void> {
  const { ctx } = opened;
  for (const content of contents) {
    const isThere = (await answerOf(getBlob(ctx, registry, name, sha256(content)))) === "ok";
    if (!isThere) await uploadWhole(ctx, registry, name, { digest: sha256(content), incoming: incoming(content) });
  }
  await putManifest(ctx, registry, name, { bytes, tags: [], plane: "oci" });
}

const actions = ["push", "archive", "archive", "activate", "finish", "delete", "undo", "tier", "tier", "collect", "wait"] as const;

/** Does one thing, and says what the model expects of it; undefined for what must simply work. */
async function act(registry: RegistryRef, places: readonly Place[], place: Place, action: (typeof actions)[number]): Promise<void> {
  const { ctx, core } = opened;
  const { name, status } = place;
  const digest = sha256(place.bytes);
  const classTo = (target: "ARCHIVE" | "STANDARD") => answerOf(updateStorageClass(ctx, registry, name, { id: { digest }, target }));
  const isMissing = status === "NONE";
  clock.advance(1);
  if (action === "push") {
    await push(registry, place);
    place.status = "ACTIVE";
  } else if (action === "archive" || action === "activate") {
    const [target, from, to] =
      action === "archive" ? (["ARCHIVE", "ACTIVE", "ARCHIVED"] as const) : (["STANDARD", "ARCHIVED", "ACTIVATING"] as const);
    const expected = isMissing ? "manifest-not-found" : status === from ? "ok" : "storage-class-refused";
    assert.equal(await classTo(target), expected);
    if (expected === "ok") place.status = to;
  } else if (action === "finish") {
    await finishActivations(places);
  } else if (action === "delete") {
    assert.equal(await answerOf(deleteManifest(ctx, registry, name, digest)), isMissing ? "manifest-not-found" : "ok");
    if (isMissing) return;
    place.status = "NONE";
    place.dead.push({ was: status, deletedAt: clock.now() });
  } else if (action === "undo") {
    const expected = !isMissing ? "manifest-exists" : place.dead.length === 0 ? "manifest-not-found" : "ok";
    assert.equal(await answerOf(restore(ctx, registry, name, { digest })), expected);
    if (expected === "ok") place.status = place.dead.pop()?.was ?? "NONE";
  } else if (action === "tier") assert.equal((await tierBlobs(core)).failures, 0);
  else if (action === "collect") {
    assert.equal((await runGarbageCollection(core, { graceMs: 0 })).failures, 0);
    for (const each of places) each.dead = each.dead.filter(({ deletedAt }) => deletedAt > clock.now() - core.limits.undoMs);
  } else clock.advance(core.limits.linkGraceMs);
}

/** What is active can be pulled with all of its blobs; what is not, cannot. */
async function compare(registry: RegistryRef, places: readonly Place[]): Promise<void> {
  const { ctx } = opened;
  for (const { name, bytes, contents, status } of places) {
    const answer = await answerOf(getManifest(ctx, registry, name, { kind: "digest", digest: sha256(bytes) }));
    const expected = status === "ACTIVE" ? "ok" : status === "NONE" ? "manifest-not-found" : "manifest-archived";
    assert.equal(answer, expected);
    if (status !== "ACTIVE") continue;
    for (const content of contents) {
      const stored = await (await getBlob(ctx, registry, name, sha256(content))).open();
      assert.ok(stored.kind === "bytes" && (await readAll(stored.stream)) === content);
    }
  }
}

/**
 * When everything has come to rest, exactly what only archived manifests hold is cold. What a manifest holds that was deleted on its way back
 * may be in either tier: it goes on its way when its deletion is undone.
 */
async function expectTiers(accountId: string, places: readonly Place[]): Promise<void> {
  const { core } = opened;
  await finishActivations(places);
  clock.advance(core.limits.linkGraceMs + 1);
  await tierBlobs(core);
  for (const blob of await listBlobsForFsck(core.metadata, { limit: 10_000 })) {
    if (blob.accountId !== accountId || blob.state !== "live") continue;
    const holders = places.filter(({ contents }) => contents.some((content) => sha256(content) === blob.digest));
    const held = holders.flatMap(({ status, dead }) => [status, ...dead.map(({ was }) => was)]).filter((status) => status !== "NONE");
    if (held.includes("ACTIVATING") && !held.includes("ACTIVE")) continue;
    const isCold = held.length > 0 && held.every((status) => status === "ARCHIVED");
    assert.equal(blob.tier, isCold ? "cold" : "standard", `${blob.digest} held by ${held.join()}`);
  }
}

test("in any order of pushes, archivings, returns, deletions and looks at the tiers, what is active can be pulled", async () => {
  let account = 200_000_000_000;
  const step = fc.tuple(fc.nat({ max: names.length * recipes.length - 1 }), fc.constantFrom(...actions));
  const property = fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 40, size: "max" }), async (steps) => {
    account += 1;
    const registry = { accountId: String(account), region: "eu-central-1" };
    const places = names.flatMap((name) =>
      recipes.map((contents): Place => {
        const [config = "", ...layers] = contents;
        return { name, contents, bytes: manifestOf(config, layers), status: "NONE", dead: [] };
      }),
    );
    for (const name of names) await createRepository(opened.ctx, registry, name);
    for (const place of places.slice(0, 4)) await act(registry, places, place, "push");
    for (const [which, action] of steps) {
      await act(registry, places, places[which] as Place, action);
      await compare(registry, places);
    }
    await expectTiers(registry.accountId, places);
    await compare(registry, places);
    assert.deepEqual((await runFsck(opened.core, { readBytes: true })).problems, []);
    for (const name of names) await deleteRepository(opened.ctx, registry, name, { force: true });
    clock.advance(opened.core.limits.undoMs);
    for (let pass = 0; pass < 3; pass += 1) await runGarbageCollection(opened.core, { graceMs: 0 });
    assert.deepEqual(await Array.fromAsync(opened.core.storage.listStored()), []);
  });
  await fc.assert(property, { numRuns: 20 });
});
