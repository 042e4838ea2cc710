/** Lifecycle policies: their texts and turns, what runs look at and do, and previews. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import type { Database } from "./database.ts";
import { claimJob, finishJob } from "./jobs.ts";
import { listLifecycleEdges, listLifecycleManifests } from "./lifecycle-manifests.ts";
import type { LifecycleManifest } from "./lifecycle-manifests.ts";
import {
  deleteLifecyclePolicy,
  findLifecyclePolicy,
  findPolicyHolder,
  lifecycleRunJobKind,
  listPolicyHolders,
  planLifecycleRun,
  putLifecyclePolicy,
} from "./lifecycle-policies.ts";
import {
  addPreviewResults,
  findLifecyclePreview,
  findPreviewResults,
  findUnfinishedPreview,
  lifecyclePreviewJobKind,
  listPreviewResults,
  removePreviewResults,
  settleLifecyclePreview,
  startLifecyclePreview,
} from "./lifecycle-previews.ts";
import { carryOut, recordLifecycleFailures, settleLifecycleRuns } from "./lifecycle-runs.ts";
import type { CarryOutOutcome, JudgedManifest } from "./lifecycle-runs.ts";
import { deleteManifest } from "./manifests.ts";
import { notePulls } from "./pull-times.ts";
import { deleteRepository } from "./repositories.ts";
import type { Repository } from "./repositories.ts";
import { restoreManifest, restoreRepository } from "./tombstones.ts";
import {
  allPages,
  author,
  digestFor,
  graceMs,
  keyOf,
  makeBlob,
  makeRepository,
  pushIndex,
  pushed,
  startAt,
  unique,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";

/** Runs the cases. */
export function lifecycleContract(opened: OpenedDatabase): void {
  policyCases(opened);
  listingCases(opened);
  actionCases(opened);
  previewCases(opened);
}

async function put(db: Database, repository: Repository, policy = "policy", waitingSince = startAt): Promise<boolean> {
  return putLifecyclePolicy(db, { key: keyOf(repository), policy, policyId: unique("policy"), waitingSince, author: author() });
}

async function policyOf(db: Database, repository: Repository) {
  const holder = await findPolicyHolder(db, repository.repositoryId);
  assert.ok(holder !== undefined);
  return { policyId: holder.policyId, version: holder.version };
}

function policyCases(opened: OpenedDatabase): void {
  test("a policy is set, replaced, read and taken away", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    assert.equal((await findLifecyclePolicy(db, key)).outcome, "no-policy");
    assert.equal(await put(db, repository, "first"), true);
    assert.equal(await put(db, repository, "second"), true);
    const found = await findLifecyclePolicy(db, key);
    assert.ok(found.outcome === "found");
    assert.deepEqual([found.version, found.policy, found.lastEvaluatedAt], [2, "second", undefined]);
    const policy = await policyOf(db, repository);
    await settleLifecycleRuns(db, [{ repositoryId: repository.repositoryId, policy, evaluatedAt: 7 }]);
    const deleted = await deleteLifecyclePolicy(db, { key, author: author() });
    assert.ok(deleted.outcome === "found");
    assert.equal(deleted.lastEvaluatedAt, 7);
    assert.equal((await deleteLifecyclePolicy(db, { key, author: author() })).outcome, "no-policy");
    assert.equal((await findLifecyclePolicy(db, { ...key, name: "none" })).outcome, "not-found");
    assert.equal((await deleteLifecyclePolicy(db, { key: { ...key, name: "none" }, author: author() })).outcome, "not-found");
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 10 });
    assert.deepEqual(
      changes.slice(1).map(({ kind, before, after }) => [kind, before, after]),
      [
        ["lifecycle-policy-put", undefined, "first"],
        ["lifecycle-policy-put", "first", "second"],
        ["lifecycle-policy-deleted", "second", undefined],
      ],
    );
  });

  test("a run of an older text is not written down as one of the newer", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await put(db, repository);
    const policy = await policyOf(db, repository);
    await put(db, repository, "newer");
    await settleLifecycleRuns(db, [{ repositoryId: repository.repositoryId, policy, evaluatedAt: 7 }]);
    assert.equal((await findPolicyHolder(db, repository.repositoryId))?.lastEvaluatedAt, undefined);
  });

  test("a policy sleeps with its deleted repository and wakes with it", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await put(db, repository);
    await deleteRepository(db, { key: keyOf(repository), force: true, author: author() });
    assert.equal(await findPolicyHolder(db, repository.repositoryId), undefined);
    assert.deepEqual(await listPolicyHolders(db, repository, { limit: 10 }), []);
    await restoreRepository(db, { key: keyOf(repository), author: author() });
    assert.equal((await findPolicyHolder(db, repository.repositoryId))?.policy, "policy");
  });

  test("those who have waited longest are planned first, each once, and not more than are begun", async () => {
    const db = opened();
    const ids: number[] = [];
    for (const waitingSince of [30, 10, 20, startAt]) {
      const repository = await makeRepository(db);
      await put(db, repository, "policy", waitingSince);
      ids.push(repository.repositoryId);
    }
    const slot = unique("slot");
    const plan = { waitingUntil: 100, limit: 2, slot, now: startAt + 5 };
    assert.equal(await planLifecycleRun(db, plan), "planned");
    assert.equal(await planLifecycleRun(db, plan), "slot-taken");
    const job = await claimJob(db, { kinds: [lifecycleRunJobKind], now: startAt + 5, leaseMs: 1_000 });
    assert.deepEqual(job?.payload, { repositoryIds: [ids[1], ids[2]], plannedAt: startAt + 5 });
    assert.equal(await planLifecycleRun(db, plan), "planned");
    const other = await claimJob(db, { kinds: [lifecycleRunJobKind], now: startAt + 5, leaseMs: 1_000 });
    assert.deepEqual(other?.payload, { repositoryIds: [ids[0]], plannedAt: startAt + 5 });
    assert.equal(await planLifecycleRun(db, plan), "nothing-due");
    for (const claimed of [job, other]) if (claimed !== undefined) await finishJob(db, claimed);
  });

  test("repositories with policies are listed page by page", async () => {
    const db = opened();
    const accountId = unique("account");
    for (const name of ["c", "a", "b", "d"]) {
      const repository = await makeRepository(db, { accountId, name });
      if (name !== "c") await put(db, repository);
    }
    const names = await allPages(
      2,
      (name: string) => name,
      async (page) => (await listPolicyHolders(db, { accountId, region: "eu-west-1" }, page)).map(({ repository }) => repository.name),
    );
    assert.deepEqual(names, ["a", "b", "d"]);
  });
}

function listingCases(opened: OpenedDatabase): void {
  test("manifests are listed page by page with all that policies ask for", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const [one, two, three] = [unique("m"), unique("m"), unique("m")];
    await pushed(db, repository, one, { tags: ["b", "a"] });
    const second = await pushed(db, repository, two, { subjectDigest: digestFor(one) });
    await pushed(db, repository, three);
    await pushIndex(db, repository, unique("index"), [one, three]);
    await notePulls(db, [{ manifestId: second.manifestId, at: 77 }]);
    const all = await allPages(
      2,
      ({ manifestId }: LifecycleManifest) => manifestId,
      async ({ after = 0, limit }) => listLifecycleManifests(db, repository.repositoryId, { after, limit }),
    );
    assert.deepEqual(
      all.map(({ tags, pulledAt, subjectDigest, isIndex, isOrphaned, status }) => [
        tags,
        pulledAt,
        subjectDigest,
        isIndex,
        isOrphaned,
        status,
      ]),
      [
        [["a", "b"], undefined, undefined, false, false, "ACTIVE"],
        [[], 77, digestFor(one), false, false, "ACTIVE"],
        [[], undefined, undefined, false, false, "ACTIVE"],
        [[], undefined, undefined, true, false, "ACTIVE"],
      ],
    );
    const parentIds = [all[3]?.manifestId ?? 0];
    const edges = await allPages(
      1,
      (edge: { parentId: number; childDigest: string }) => edge,
      async (page) => listLifecycleEdges(db, { parentIds, ...page }),
    );
    assert.deepEqual(
      edges.map(({ childDigest }) => childDigest),
      [digestFor(one), digestFor(three)].toSorted(),
    );
  });

  test("a referrer knows how its subject went", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const [subject, referrer] = [unique("m"), unique("m")];
    await pushed(db, repository, subject);
    await pushed(db, repository, referrer, { subjectDigest: digestFor(subject) });
    await pushIndex(db, repository, unique("index"), [referrer]);
    const isOrphaned = async (): Promise<boolean | undefined> =>
      (await listLifecycleManifests(db, repository.repositoryId, { after: 0, limit: 10 })).find(
        ({ digest }) => digest === digestFor(referrer),
      )?.isOrphaned;
    const remove = async (withReferrers: boolean): Promise<void> => {
      const input = { key: keyOf(repository), digest: digestFor(subject), linkGraceMs: graceMs, withReferrers, author: author() };
      assert.equal((await deleteManifest(db, input)).outcome, "deleted");
    };
    await remove(true);
    assert.equal(await isOrphaned(), true, "an index held it");
    await pushed(db, repository, subject);
    await remove(false);
    assert.equal(await isOrphaned(), false, "it was left on its own");
  });
}

function actionCases(opened: OpenedDatabase): void {
  const make = async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await put(db, repository);
    const policy = await policyOf(db, repository);
    const judge = async (seed: string): Promise<JudgedManifest> => {
      const all = await listLifecycleManifests(db, repository.repositoryId, { after: 0, limit: 100 });
      const manifest = all.find(({ digest }) => digest === digestFor(seed));
      assert.ok(manifest !== undefined);
      return { ...manifest, hasSubject: all.some(({ digest }) => digest === manifest.subjectDigest), priority: 1 };
    };
    const act = async (action: "expire" | "archive", ...judged: readonly JudgedManifest[]): Promise<CarryOutOutcome> =>
      carryOut(db, { repositoryId: repository.repositoryId, policy, action, judged, linkGraceMs: graceMs, author: author(startAt + 1) });
    return { db, repository, policy, judge, act };
  };

  test("a batch expires or archives what is as it was judged, and says what is not", async () => {
    const { db, repository, judge, act } = await make();
    const [one, two, moved, child] = [unique("m"), unique("m"), unique("m"), unique("m")];
    await makeBlob(db, repository, digestFor(unique("blob")));
    for (const seed of [one, two, child]) await pushed(db, repository, seed, { tags: [`tag-${seed}`] });
    await pushed(db, repository, moved, { tags: ["moving"] });
    const [first, second, third, fourth] = await Promise.all([judge(one), judge(two), judge(moved), judge(child)]);
    await pushed(db, repository, one, { tags: [] });
    await pushed(db, repository, two, { tags: ["moving"] });
    await pushIndex(db, repository, unique("index"), [child]);
    const outcome = await act("expire", first, second, third, fourth);
    assert.ok(outcome.outcome === "done");
    assert.deepEqual(outcome.digests, [digestFor(one)]);
    assert.deepEqual(
      outcome.failures.map(({ manifest, reason, parents }) => [manifest.digest, reason, parents?.length]),
      [
        [digestFor(two), "changed", undefined],
        [digestFor(moved), "changed", undefined],
        [digestFor(child), "referenced", 1],
      ],
    );
    const archived = await act("archive", await judge(two), await judge(child));
    assert.ok(archived.outcome === "done");
    assert.deepEqual([archived.digests, archived.failures.length], [[digestFor(two)], 1]);
    const back = await restoreManifest(db, { key: keyOf(repository), digest: digestFor(one), author: author() });
    assert.ok(back.outcome === "restored");
    assert.deepEqual(back.tags, [`tag-${one}`]);
  });

  test("the children of an archived index do not expire under it", async () => {
    const { db, repository, judge, act } = await make();
    const [child, index] = [unique("m"), unique("index")];
    await pushed(db, repository, child);
    await pushIndex(db, repository, index, [child]);
    assert.equal((await act("archive", await judge(index))).outcome, "done");
    const outcome = await act("expire", await judge(child));
    assert.ok(outcome.outcome === "done");
    assert.deepEqual(outcome.failures[0]?.parents, [digestFor(index)]);
  });

  test("nothing is done under another text, or in a repository that is gone", async () => {
    const { db, repository, judge, act } = await make();
    const seed = unique("m");
    await pushed(db, repository, seed);
    const judged = await judge(seed);
    await put(db, repository, "another");
    assert.deepEqual(await act("expire", judged), { outcome: "policy-changed" });
    await deleteRepository(db, { key: keyOf(repository), force: true, author: author() });
    assert.deepEqual(await act("expire", judged), { outcome: "policy-changed" });
  });

  test("what was done and what was not is told in tens", async () => {
    const { db, repository, policy, judge, act } = await make();
    const seeds = Array.from({ length: 12 }, () => unique("m"));
    const judged: JudgedManifest[] = [];
    for (const seed of seeds) await pushed(db, repository, seed);
    for (const seed of seeds) judged.push(await judge(seed));
    await act("expire", ...judged);
    const failures = judged.map((manifest) => ({ manifest, reason: "changed" as const }));
    await recordLifecycleFailures(db, { repositoryId: repository.repositoryId, policy, failures, failureCount: 500, author: author() });
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 });
    const told = changes.filter(({ kind }) => kind === "lifecycle-policy-executed").map(({ after }) => after as Record<string, unknown>);
    const lengths = told.map(({ manifests, failures: some }) => ((manifests ?? some) as readonly unknown[]).length);
    assert.deepEqual(lengths, [10, 2, 10, 2]);
    assert.deepEqual(
      told.map(({ failureCount }) => failureCount),
      [undefined, undefined, 500, 500],
    );
  });
}

function previewCases(opened: OpenedDatabase): void {
  const resultsUntil = startAt + 1_000;
  const start = async (db: Database, repository: Repository, now = startAt): Promise<{ previewId: string; outcome: string }> => {
    const previewId = unique("preview");
    const input = { key: keyOf(repository), previewId, policy: "sent", abandonedBefore: now - 100, author: author(now) };
    return { previewId, outcome: await startLifecyclePreview(db, input) };
  };
  const resultOf = (ordinal: number, tags: readonly string[] = []) => {
    const digest = digestFor(`result ${ordinal}`);
    return { ordinal, digest, tags, pushedAt: ordinal, action: "expire", priority: 1, storageClass: "standard" } as const;
  };

  test("a preview is begun once at a time, made, shown page by page, and replaced", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    assert.equal(await findLifecyclePreview(db, repository.repositoryId), undefined);
    const { previewId, outcome } = await start(db, repository);
    assert.equal(outcome, "started");
    const job = await claimJob(db, { kinds: [lifecyclePreviewJobKind], now: startAt, leaseMs: 1_000 });
    assert.deepEqual(job?.payload, { previewId });
    if (job !== undefined) await finishJob(db, job);
    assert.equal((await start(db, repository, startAt + 99)).outcome, "in-progress");
    assert.equal((await findUnfinishedPreview(db, previewId))?.policy, "sent");
    // An attempt that died leaves results that do not count.
    await addPreviewResults(db, { previewId, attempt: 1, results: [resultOf(0), resultOf(9)] });
    const results = [resultOf(0, ["v1", "v2"]), resultOf(1), resultOf(2, ["v3"])];
    assert.equal(await addPreviewResults(db, { previewId, attempt: 2, results }), true);
    await settleLifecyclePreview(db, {
      previewId,
      attempt: 2,
      status: "COMPLETE",
      counts: { expire: 3, archive: 0 },
      resultsUntil,
      now: startAt + 5,
    });
    const preview = await findLifecyclePreview(db, repository.repositoryId);
    assert.ok(preview !== undefined);
    assert.deepEqual([preview.status, preview.counts, preview.settledAt], ["COMPLETE", { expire: 3, archive: 0 }, startAt + 5]);
    const shown = await allPages(
      2,
      ({ ordinal }: { ordinal: number }) => ordinal,
      async (page) => listPreviewResults(db, preview, page),
    );
    assert.deepEqual(shown, results);
    assert.deepEqual(await listPreviewResults(db, preview, { isTagged: false, limit: 10 }), [results[1]]);
    assert.deepEqual(await findPreviewResults(db, preview, [digestFor("result 2"), digestFor("none")]), [results[2]]);
    assert.equal(await addPreviewResults(db, { previewId, attempt: 2, results: [resultOf(7)] }), false, "it is complete");
    assert.equal((await start(db, repository)).outcome, "started");
    assert.equal((await findLifecyclePreview(db, repository.repositoryId))?.status, "IN_PROGRESS");
    assert.equal(await findUnfinishedPreview(db, previewId), undefined);
  });

  test("an abandoned preview makes way", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await start(db, repository);
    assert.equal((await start(db, repository, startAt + 100)).outcome, "started");
  });

  test("old results are removed in pieces, and replaced previews with them", async () => {
    const db = opened();
    while ((await removePreviewResults(db, { now: startAt + 1_000_000, limit: 100 })) > 0);
    const repository = await makeRepository(db);
    const { previewId } = await start(db, repository);
    await addPreviewResults(db, { previewId, attempt: 1, results: [0, 1, 2].map((ordinal) => resultOf(ordinal)) });
    const remove = async (now: number): Promise<number> => removePreviewResults(db, { now, limit: 2 });
    assert.equal(await remove(resultsUntil), 0, "it is not ready");
    await settleLifecyclePreview(db, {
      previewId,
      attempt: 1,
      status: "COMPLETE",
      counts: { expire: 3, archive: 0 },
      resultsUntil,
      now: startAt,
    });
    assert.equal(await remove(resultsUntil - 1), 0);
    assert.deepEqual(
      [await remove(resultsUntil), await remove(resultsUntil), await remove(resultsUntil), await remove(resultsUntil)],
      [2, 1, 1, 0],
    );
    assert.equal((await findLifecyclePreview(db, repository.repositoryId))?.status, "COMPLETE", "it is remembered without its results");
    await start(db, repository, startAt + 1);
    assert.deepEqual([await remove(resultsUntil), await remove(resultsUntil)], [1, 0]);
  });
}
