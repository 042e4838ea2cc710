import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, suite, test } from "node:test";
import { listChanges } from "#metadata/changes.ts";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import type { LifecycleRunJob } from "#metadata/lifecycle-policies.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryContext, RegistryCore } from "./context.ts";
import { planLifecycleRuns, runLifecycleJob, runLifecycleNamed } from "./lifecycle-schedule.ts";
import type { LifecycleReport } from "./lifecycle-run.ts";
import { deleteLifecyclePolicy, getLifecyclePolicy, putLifecyclePolicy } from "./lifecycle.ts";
import { listManifests, removeManifests } from "./manifest-batch.ts";
import { deleteManifest, putManifest } from "./manifest.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import { archiveManifests, updateStorageClass } from "./storage-class.ts";
import { createManualClock, indexOf, manifestOf, openTestRegistry, pushBlob, registry, sha256 } from "./testing/test-registry.ts";
import type { TestRegistry } from "./testing/test-registry.ts";
import { restore } from "./undo.ts";

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "lifecycle-run-"));
const clock = createManualClock();
let opened: TestRegistry;
let ctx: RegistryContext;
let core: RegistryCore;
let name: RepositoryName;
let repositories = 0;

interface TestRule {
  readonly list?: readonly string[];
  readonly untagged?: true;
  readonly archived?: true;
  readonly keep?: number;
  readonly pushed?: number;
  readonly pulled?: number;
  readonly transitioned?: number;
  readonly archive?: true;
}

/** A policy in the words of the test. */
function policyOf(...rules: readonly TestRule[]): string {
  return JSON.stringify({
    rules: rules.map((rule, index) => ({
      rulePriority: index + 1,
      description: "a rule of a test, with words enough to make the shortest policy long enough",
      selection: {
        ...(rule.list !== undefined
          ? { tagStatus: "tagged", tagPatternList: rule.list }
          : { tagStatus: rule.untagged === true ? "untagged" : "any" }),
        ...(rule.archived === true && { storageClass: "archive" }),
        ...(rule.keep !== undefined && { countType: "imageCountMoreThan", countNumber: rule.keep }),
        ...(rule.pushed !== undefined && { countType: "sinceImagePushed", countUnit: "days", countNumber: rule.pushed }),
        ...(rule.pulled !== undefined && { countType: "sinceImagePulled", countUnit: "days", countNumber: rule.pulled }),
        ...(rule.transitioned !== undefined && { countType: "sinceImageTransitioned", countUnit: "days", countNumber: rule.transitioned }),
      },
      action: rule.archive === true ? { type: "transition", targetStorageClass: "archive" } : { type: "expire" },
    })),
  });
}

/** Pushes an image of its own bytes, and lets a second pass. */
async function push(seed: string, tags: readonly string[] = [], more: Readonly<Record<string, unknown>> = {}): Promise<Digest> {
  await pushBlob(ctx, name, "config");
  await pushBlob(ctx, name, `layer of ${seed}`);
  const bytes = manifestOf("config", [`layer of ${seed}`], { annotations: { seed }, ...more });
  return put(bytes, tags);
}

async function put(bytes: Uint8Array, tags: readonly string[]): Promise<Digest> {
  const { digest } = await putManifest(ctx, registry, name, { bytes, tags: tags as readonly Tag[], plane: "oci" });
  clock.advance(1_000);
  return digest;
}

async function referrerOf(subject: Uint8Array, seed: string, tags: readonly string[] = []): Promise<Digest> {
  return push(seed, tags, {
    artifactType: "application/x-signature",
    subject: { mediaType: mediaTypes.ociManifest, digest: sha256(subject), size: subject.byteLength },
  });
}

function bytesOf(seed: string, more: Readonly<Record<string, unknown>> = {}): Uint8Array {
  return manifestOf("config", [`layer of ${seed}`], { annotations: { seed }, ...more });
}

async function run(use: RegistryCore = core): Promise<LifecycleReport> {
  const report = await runLifecycleNamed(use, registry, name, {});
  assert.ok(report !== undefined);
  return report;
}

async function living(): Promise<readonly Digest[]> {
  const { manifests } = await listManifests(ctx, registry, name, { limit: 1_000, status: "ANY" });
  return manifests.map(({ digest }) => digest as Digest).toSorted();
}

async function statusOf(digest: Digest): Promise<string | undefined> {
  const { manifests } = await listManifests(ctx, registry, name, { limit: 1_000, status: "ANY" });
  return manifests.find((manifest) => manifest.digest === digest)?.status;
}

/** A core whose database lets `meddle` happen before the batch with this number begins to act. */
function meddlingBefore(batch: number, meddle: () => Promise<unknown>): RegistryCore {
  let transactions = 0;
  const { metadata } = core;
  const transaction: typeof metadata.transaction = async (work) => {
    transactions += 1;
    if (transactions === batch) await meddle();
    return metadata.transaction(work);
  };
  return { ...core, metadata: { ...metadata, transaction } };
}

before(async () => {
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock });
  ({ ctx, core } = opened);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  repositories += 1;
  name = `team/app${repositories}` as RepositoryName;
  await createRepository(ctx, registry, name);
});

suite("a run of a lifecycle policy", () => {
  test("expires what the rules choose, says so in the change log, and can be undone", async () => {
    const [a, b, c] = [await push("a", ["v1"]), await push("b", ["v2", "v3"]), await push("c", ["v4"])];
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 1 }));
    const report = await run();
    assert.deepEqual([report.looked, report.rules], [3, [{ priority: 1, action: "expire", done: 2, held: 0 }]]);
    assert.deepEqual(await living(), [c]);
    const { lastEvaluatedAt } = await getLifecyclePolicy(ctx, registry, name);
    assert.equal(lastEvaluatedAt, clock.now());
    const changes = (await allChanges()).filter(({ principalArn }) => principalArn.endsWith("AWSServiceRoleForECRLifecycle"));
    assert.deepEqual(
      changes.map(({ kind, subject }) => `${kind} ${subject}`).toSorted(),
      [
        "lifecycle-policy-executed ",
        `manifest-deleted ${a}`,
        `manifest-deleted ${b}`,
        "tag-deleted v1",
        "tag-deleted v2",
        "tag-deleted v3",
      ].toSorted(),
    );
    assert.equal(new Set(changes.map(({ requestId }) => requestId)).size, 1);
    const told = changes.at(-1)?.after as { readonly manifests: readonly { readonly digest: string; readonly rulePriority: number }[] };
    assert.deepEqual(
      told.manifests.map(({ digest, rulePriority }) => [digest, rulePriority]),
      [
        [a, 1],
        [b, 1],
      ],
    );
    assert.deepEqual(await restore(ctx, registry, name, { digest: b }), { restored: "manifest", digest: b, tags: ["v2", "v3"] });
  });

  test("finds nothing more to do when it is run again", async () => {
    for (const seed of ["a", "b", "c", "d"]) await push(seed);
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 2 }));
    assert.equal((await run()).rules[0]?.done, 2);
    assert.deepEqual((await run()).rules, []);
  });

  test("archives through the storage classes, and lets the archived expire later", async () => {
    const a = await push("a", ["old"]);
    await putLifecyclePolicy(ctx, registry, name, policyOf({ pushed: 30, archive: true }, { archived: true, transitioned: 90 }));
    clock.advance(31 * dayMs);
    assert.deepEqual((await run()).rules, [{ priority: 1, action: "archive", done: 1, held: 0 }]);
    assert.equal(await statusOf(a), "ARCHIVED");
    clock.advance(91 * dayMs);
    assert.deepEqual((await run()).rules, [{ priority: 2, action: "expire", done: 1, held: 0 }]);
    assert.deepEqual(await living(), []);
  });

  test("does not touch what is on its way back from the archive", async () => {
    const a = await push("a");
    await archiveManifests(ctx, registry, name, [a]);
    clock.advance(200 * dayMs);
    await updateStorageClass(ctx, registry, name, { id: { digest: a }, target: "STANDARD" });
    await putLifecyclePolicy(ctx, registry, name, policyOf({ pushed: 1 }, { archived: true, transitioned: 90 }));
    assert.deepEqual((await run()).rules, []);
  });

  test("judges by the last pull", async () => {
    const [a, b] = [await push("a"), await push("b")];
    clock.advance(40 * dayMs);
    const { manifests } = await listManifests(ctx, registry, name, { limit: 10, status: "ANY" });
    const pulled = manifests.find(({ digest }) => digest === b);
    core.pulls.note({ registry, manifestId: pulled?.manifestId ?? 0, principalArn: ctx.actor.arn });
    await putLifecyclePolicy(ctx, registry, name, policyOf({ pulled: 30, archive: true }));
    assert.equal((await run()).rules[0]?.done, 1);
    assert.deepEqual([await statusOf(a), await statusOf(b)], ["ARCHIVED", "ACTIVE"]);
  });

  test("holds the children of an index until it is gone, and tells so", async () => {
    await push("child");
    const index = await put(indexOf([bytesOf("child")]), ["app"]);
    await putLifecyclePolicy(ctx, registry, name, policyOf({ untagged: true, pushed: 1 }));
    clock.advance(2 * dayMs);
    assert.deepEqual((await run()).rules, [{ priority: 1, action: "expire", done: 0, held: 1 }]);
    const told = (await allChanges()).at(-1);
    assert.equal(told?.kind, "lifecycle-policy-executed");
    assert.match(JSON.stringify(told?.after), /"reason":"referenced"/);
    await removeManifests(ctx, registry, name, [{ digest: index }]);
    assert.deepEqual((await run()).rules, [{ priority: 1, action: "expire", done: 1, held: 0 }]);
    assert.deepEqual(await living(), []);
  });

  test("takes referrers after their subject, and leaves those of a subject that was deleted over OCI", async () => {
    await push("app", ["app"]);
    const signature = await referrerOf(bytesOf("app"), "signature");
    await push("other", ["other"]);
    const kept = await referrerOf(bytesOf("other"), "kept");
    await deleteManifest(ctx, registry, name, sha256(bytesOf("other")));
    await putLifecyclePolicy(ctx, registry, name, policyOf({ list: ["app*"], pushed: 30 }));
    clock.advance(31 * dayMs);
    assert.deepEqual((await run()).rules, [
      { priority: 0, action: "expire", done: 1, held: 0 },
      { priority: 1, action: "expire", done: 1, held: 0 },
    ]);
    assert.deepEqual(await living(), [kept]);
    assert.notEqual(signature, kept);
  });

  test("a referrer that an index holds follows its subject when the index is gone", async () => {
    const app = await push("app", ["app"]);
    const signature = await referrerOf(bytesOf("app"), "signature");
    const more = {
      artifactType: "application/x-signature",
      subject: { mediaType: mediaTypes.ociManifest, digest: app, size: bytesOf("app").byteLength },
    };
    const index = await put(indexOf([bytesOf("signature", more)]), ["list"]);
    await putLifecyclePolicy(ctx, registry, name, policyOf({ list: ["app*"], pushed: 30 }));
    clock.advance(31 * dayMs);
    await run();
    assert.deepEqual(await living(), [signature, index].toSorted());
    await deleteManifest(ctx, registry, name, index);
    assert.deepEqual((await run()).rules, [{ priority: 0, action: "expire", done: 1, held: 0 }]);
    assert.deepEqual(await living(), []);
  });
});

suite("what happens while a policy runs", () => {
  const cases: readonly { readonly title: string; readonly meddle: (old: Digest) => Promise<unknown>; readonly stays: boolean }[] = [
    { title: "a tag that is put on the image keeps it", meddle: async () => put(bytesOf("old"), ["release"]), stays: true },
    {
      title: "a tag that leaves the image keeps it for this time",
      meddle: async () => put(bytesOf("young"), ["old"]),
      stays: true,
    },
    { title: "an index that names the image keeps it", meddle: async () => put(indexOf([bytesOf("old")]), ["list"]), stays: true },
    {
      title: "an image that was deleted and pushed again is another one",
      meddle: async (old) => {
        await deleteManifest(ctx, registry, name, old);
        await push("old", ["old"]);
      },
      stays: true,
    },
    { title: "a push of something else changes nothing", meddle: async () => push("new", ["new"]), stays: false },
  ];
  for (const { title, meddle, stays } of cases)
    test(title, async () => {
      const old = await push("old", ["old"]);
      clock.advance(10 * dayMs);
      await push("young", ["young"]);
      await putLifecyclePolicy(ctx, registry, name, policyOf({ pushed: 5 }));
      const report = await run(meddlingBefore(1, async () => meddle(old)));
      assert.deepEqual(report.rules, [{ priority: 1, action: "expire", done: stays ? 0 : 1, held: stays ? 1 : 0 }]);
      assert.equal((await living()).includes(old), stays);
    });

  test("an image that is pulled at the last moment is not archived", async () => {
    const old = await push("old");
    clock.advance(10 * dayMs);
    await putLifecyclePolicy(ctx, registry, name, policyOf({ pulled: 5, archive: true }));
    const pull = async (): Promise<void> => {
      const { manifests } = await listManifests(ctx, registry, name, { limit: 10, status: "ANY" });
      core.pulls.note({ registry, manifestId: manifests[0]?.manifestId ?? 0, principalArn: ctx.actor.arn });
      await core.pulls.flush();
    };
    await run(meddlingBefore(1, pull));
    assert.equal(await statusOf(old), "ACTIVE");
  });

  test("a policy that is taken away ends its run", async () => {
    for (let index = 0; index < 20; index += 1) await push(`image ${index}`, threeTags(index));
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 1 }));
    const report = await run(meddlingBefore(2, async () => deleteLifecyclePolicy(ctx, registry, name)));
    assert.equal(report.isCutShort, true);
    assert.ok((await living()).length > 5, "the batches after it did nothing");
  });

  test("a run that dies in the middle is run again to the same end", async () => {
    for (let index = 0; index < 20; index += 1) await push(`image ${index}`, threeTags(index));
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 5 }));
    const die = async (): Promise<never> => {
      throw new Error("killed");
    };
    await assert.rejects(run(meddlingBefore(2, die)), /killed/);
    const left = (await living()).length;
    assert.ok(left < 20 && left > 5, "half done");
    await run();
    assert.equal((await living()).length, 5);
    const deleted = (await allChanges()).filter(({ kind }) => kind === "manifest-deleted");
    assert.equal(deleted.length, 15, "each image once");
  });
});

suite("when policies run", () => {
  /** Plans, then does all jobs. */
  async function work(): Promise<void> {
    await planLifecycleRuns(core);
    for (;;) {
      const job = await claimJob(core.metadata, { kinds: ["lifecycle-run"], now: clock.now(), leaseMs: 1 });
      if (job === undefined) return;
      await runLifecycleJob(core, job.payload as LifecycleRunJob);
      await finishJob(core.metadata, job);
    }
  }

  test("each within a day, also after the first time, and not again before", async () => {
    await push("a");
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 1 }));
    const evaluatedAt = async (): Promise<number> => (await getLifecyclePolicy(ctx, registry, name)).lastEvaluatedAt ?? 0;
    const setAt = clock.now();
    while ((await evaluatedAt()) === 0 && clock.now() < setAt + 2 * dayMs) {
      clock.advance(600_000);
      await work();
    }
    const first = await evaluatedAt();
    assert.ok(first > setAt && first - setAt <= dayMs, "within a day of being set");
    await work();
    assert.equal(await evaluatedAt(), first);
    clock.advance(dayMs - 600_000);
    await work();
    assert.equal(await evaluatedAt(), clock.now());
  });

  test("a deleted repository is passed over, and its policy comes back with it", async () => {
    await push("a");
    await push("b");
    await putLifecyclePolicy(ctx, registry, name, policyOf({ keep: 1 }));
    await deleteRepository(ctx, registry, name, { force: true });
    clock.advance(2 * dayMs);
    await work();
    await restore(ctx, registry, name, {});
    assert.equal((await living()).length, 2);
    assert.equal((await getLifecyclePolicy(ctx, registry, name)).lastEvaluatedAt, undefined);
    clock.advance(2 * dayMs);
    await work();
    assert.equal((await living()).length, 1);
  });
});

/** Weight enough for several batches. */
function threeTags(index: number): readonly string[] {
  return [`a${index}`, `b${index}`, `c${index}`];
}

async function allChanges() {
  const row = await core.metadata.read.selectFrom("repository").select("repository_id").where("name", "=", name).executeTakeFirstOrThrow();
  return listChanges(core.metadata, { repositoryId: row.repository_id, limit: 10_000 });
}
