import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { KyselyPlugin } from "kysely";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { systemRandom } from "#std/random.ts";
import type { CommitTarget, StorageDriver } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { createTieredDriver } from "#storage/tiered.ts";
import { getBlob, mountBlob } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import { RegistryError } from "./errors.ts";
import { runFsck } from "./fsck.ts";
import { runGarbageCollection } from "./gc.ts";
import type { NewManifest } from "./manifest.ts";
import { deleteManifest, putManifest } from "./manifest.ts";
import { listManifests } from "./manifest-batch.ts";
import { createRepository } from "./repository.ts";
import { archiveManifests, updateStorageClass } from "./storage-class.ts";
import { activateManifest, tierBlobs } from "./storage-class-move.ts";
import type { TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, incoming, manifestOf, openTestRegistry, pushBlob, readAll, registry, sha256 } from "./testing/test-registry.ts";
import { appendUpload, completeUpload, startUpload } from "./upload.ts";

const names = ["team/one", "team/two"] as RepositoryName[];
const pushers = 5;
const roundsPerPusher = 6;
/** Few contents, so that pushers and the collector meet on them. */
const contents = ["red", "green", "blue", "yellow"];

let folder: string;
let opened: TestRegistry;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "gc-race-"));
  const [standard, cold] = await Promise.all(
    ["blobs", "cold"].map(async (each) => dawdling(await createFilesystemDriver({ folder: join(folder, each), random: systemRandom }))),
  );
  assert.ok(standard !== undefined && cold !== undefined);
  const storage = createTieredDriver({ standard, cold });
  // Deletions are final at once, so that the collector finds work all the time.
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock: createManualClock(), limits: { undoMs: 0 } });
  for (const name of names) await createRepository(opened.ctx, registry, name);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

function pick<Item>(items: readonly Item[]): Item {
  const item = items[(systemRandom.bytes(1)[0] ?? 0) % items.length];
  assert.ok(item !== undefined);
  return item;
}

/** Lets others go first, for a while. */
async function dawdle(): Promise<void> {
  for (let turns = pick([0, 0, 1, 3, 8]); turns > 0; turns -= 1) await setImmediate();
}

/** Dawdles between what was read and what is done about it. */
const dawdlingReads: KyselyPlugin = {
  transformQuery: ({ node }) => node,
  async transformResult({ result }) {
    await dawdle();
    return result;
  },
};

/** Dawdles around each step that the collector could disturb. */
function dawdling(driver: StorageDriver): StorageDriver {
  const around =
    <Args extends readonly unknown[], Result>(step: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      await dawdle();
      const result = await step(...args);
      await dawdle();
      return result;
    };
  return {
    ...driver,
    openSegment: around((key: string) => driver.openSegment(key)),
    commit: around((segments: readonly string[], target: CommitTarget) => driver.commit(segments, target)),
    delete: around((key: string) => driver.delete(key)),
  };
}

/** Undefined when the collector was faster and the client has to begin again. */
async function unlessMissing<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RegistryError && error.refusal.kind === "manifest-blobs-missing") return undefined;
    throw error;
  }
}

async function pushInPieces(ctx: RegistryContext, name: RepositoryName, content: string): Promise<void> {
  const { uploadId } = await startUpload(ctx, registry, name);
  for (const piece of content) await appendUpload(ctx, registry, name, uploadId, incoming(piece));
  await completeUpload(ctx, registry, name, uploadId, { digest: sha256(content) });
}

async function provide(ctx: RegistryContext, name: RepositoryName, content: string): Promise<void> {
  const way = pick(["whole", "pieces", "mount"]);
  const mounted = way === "mount" && (await mountBlob(ctx, registry, name, { digest: sha256(content), mayRead: () => true }));
  if (way === "pieces") await pushInPieces(ctx, name, content);
  else if (mounted === false || mounted === undefined) await pushBlob(ctx, name, content);
}

async function expectReadable(ctx: RegistryContext, name: RepositoryName, content: string): Promise<void> {
  const stored = await (await getBlob(ctx, registry, name, sha256(content))).open();
  assert.ok(stored.kind === "bytes");
  assert.equal(await readAll(stored.stream), content);
}

/** Sends a manifest to the archive and takes it out again, by a restore or a push. */
async function archiveAndReturn(
  ctx: RegistryContext,
  name: RepositoryName,
  digest: Digest,
  pushAgain: () => Promise<unknown>,
): Promise<void> {
  assert.deepEqual((await archiveManifests(ctx, registry, name, [digest])).archived, [digest]);
  await setTimeout(pick([0, 1, 10, 30, 150]));
  if (pick([true, false])) return void (await pushAgain());
  await updateStorageClass(ctx, registry, name, { id: { digest }, target: "STANDARD" });
  const { manifests: found } = await listManifests(ctx, registry, name, { limit: 1_000, status: "ACTIVATING" });
  const manifestId = found.find((each) => each.digest === digest)?.manifestId ?? 0;
  for (;;) {
    const outcome = await activateManifest(ctx.core, { manifestId });
    if (outcome === "activated") return;
    assert.equal(outcome, "cold", "another one is moving a blob of it");
    await setTimeout(1);
  }
}

/** Pushes what is nobody else's manifest over everybody's blobs, checks it, deletes it again; begins a push again when the collector was faster. */
async function pushAndDelete(ctx: RegistryContext, pusher: number, graceMs: number | undefined): Promise<void> {
  for (let round = 0; round < roundsPerPusher; round += 1) {
    const name = pick(names);
    const layers = [pick(contents), pick(contents)];
    const input: NewManifest = { bytes: manifestOf(`config ${pusher}`, layers), tags: [`tag-${pusher}` as Tag], plane: "oci" };
    const push = async (): Promise<Digest> => {
      for (;;) {
        for (const content of [`config ${pusher}`, ...layers]) await provide(ctx, name, content);
        const accepted = await unlessMissing(() => putManifest(ctx, registry, name, input));
        assert.ok(accepted !== undefined || graceMs === 0, "within the grace no push is disturbed");
        if (accepted !== undefined) return accepted.digest;
      }
    };
    const digest = await push();
    for (const content of [`config ${pusher}`, ...layers]) await expectReadable(ctx, name, content);
    if (graceMs === 0 && round % 2 === 0) {
      await archiveAndReturn(ctx, name, digest, push);
      for (const content of [`config ${pusher}`, ...layers]) await expectReadable(ctx, name, content);
    }
    // A delete takes what it alone referenced out of sight at once, also from under a push that counts on it: only where pushes begin again.
    if (graceMs === 0 && round % 3 !== 0) await deleteManifest(ctx, registry, name, digest);
  }
}

/** A busy machine may need many rounds until a blob comes to the archive; one round takes a second or two. */
const enoughWithinMs = 120_000;

for (const graceMs of [0, undefined]) {
  test(`pushers against two collectors ${graceMs === 0 ? "without any waiting time" : "with the usual waiting times"}`, async () => {
    const { ctx } = opened;
    const stop = new AbortController();
    let collected = 0;
    let moved = 0;
    const core = { ...ctx.core, metadata: { ...ctx.core.metadata, read: ctx.core.metadata.read.withPlugin(dawdlingReads) } };
    const collector = async () => {
      while (!stop.signal.aborted) {
        const { deletedCopies, failures } = await runGarbageCollection(core, { graceMs });
        collected += deletedCopies;
        const tiering = await tierBlobs(core);
        moved += tiering.moved;
        assert.deepEqual([failures, tiering.failures], [0, 0]);
        // A client gets through only if the collector leaves it the time.
        await setTimeout(pick([1, 10, 30]));
      }
    };
    const collectors = [collector(), collector()];
    let pushes: readonly Promise<void>[] = [];
    // Whether a blob has come to the archive is a matter of chance, so there are as many rounds as that takes.
    const isEnough = (): boolean => graceMs !== 0 || moved > 0;
    const deadline = performance.now() + enoughWithinMs;
    for (let round = 0; round === 0 || (performance.now() < deadline && !isEnough()); round += 1) {
      pushes = [...pushes, ...Array.from({ length: pushers }, (_, pusher) => pushAndDelete(ctx, pusher, graceMs))];
      await Promise.allSettled(pushes);
    }
    stop.abort();
    await Promise.all([...collectors, ...pushes]);
    const { problems, unreferencedEntries, manifests } = await runFsck(ctx.core, { readBytes: true });
    assert.deepEqual([problems, unreferencedEntries], [[], 0]);
    assert.ok(manifests > 0);
    assert.ok(collected > 0, "the collector had something to do");
    assert.ok(moved > 0 || graceMs !== 0, "and so had the archive");
  });
}
