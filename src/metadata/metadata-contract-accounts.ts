import assert from "node:assert/strict";
import { test } from "node:test";
import {
  claimInstanceSetting,
  ensureAccount,
  findAccessKey,
  findRootKey,
  putRootKey,
  readInstanceSetting,
  writeInstanceSetting,
} from "./accounts.ts";
import { readIdentityEpoch } from "./identity-epoch.ts";
import { listChanges } from "./changes.ts";
import { readSchemaVersion } from "./database.ts";
import { claimJob, enqueueJob, failJob, finishJob, listDeadJobs, renewJob, releaseJobs } from "./jobs.ts";
import { makeRepository, pushed, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { knownSchemaVersion } from "./migrations.ts";

/** Keys, settings, background work and the log. */
export function accountContract(opened: OpenedDatabase): void {
  test("a root key replaces the earlier one and moves the identity epoch", async () => {
    const db = opened();
    const accountId = unique("account");
    await ensureAccount(db, { accountId, now: startAt });
    await ensureAccount(db, { accountId, now: startAt });
    assert.equal(await findRootKey(db, accountId), undefined);
    const before = await readIdentityEpoch(db);
    const key = { accessKeyId: unique("AKIA"), accountId, secretSealed: "sealed" };
    await putRootKey(db, { ...key, now: startAt });
    assert.deepEqual(await findAccessKey(db, key.accessKeyId), { ...key, status: "Active", user: undefined });
    const second = { ...key, accessKeyId: unique("AKIA") };
    await putRootKey(db, { ...second, now: startAt + 1 });
    assert.equal(await findAccessKey(db, key.accessKeyId), undefined);
    assert.deepEqual(await findRootKey(db, accountId), { ...second, status: "Active", user: undefined });
    // Other nodes may take half a second to see it; the one that moved it may not.
    assert.equal(await readIdentityEpoch(db), before + 2);
  });

  test("instance settings are written over", async () => {
    const db = opened();
    const name = unique("setting");
    assert.equal(await readInstanceSetting(db, name), undefined);
    await writeInstanceSetting(db, name, "a");
    await writeInstanceSetting(db, name, "b");
    assert.equal(await readInstanceSetting(db, name), "b");
    assert.equal(await readSchemaVersion(db), knownSchemaVersion);
  });

  test("a setting that several claim at once has one value for all of them", async () => {
    const db = opened();
    const name = unique("setting");
    const claims = await Promise.all(["a", "b", "c", "d"].map((value) => claimInstanceSetting(db, name, value)));
    assert.equal(new Set(claims).size, 1);
    assert.equal(await claimInstanceSetting(db, name, "e"), claims[0]);
    assert.equal(await readInstanceSetting(db, name), claims[0]);
  });

  test("a claim is renewed by the attempt that holds it and by no other", async () => {
    const db = opened();
    const kind = unique("kind");
    const claim = (now: number) => claimJob(db, { kinds: [kind], now, leaseMs: 10 });
    await enqueueJob(db, { kind, payload: null, runAt: 0 });
    const job = await claim(0);
    assert.ok(job !== undefined);
    assert.equal(await renewJob(db, { ...job, leaseUntil: 30 }), true);
    assert.equal(await claim(29), undefined);
    assert.equal((await claim(30))?.attempt, 2);
    assert.equal(await renewJob(db, { ...job, leaseUntil: 100 }), false);
    assert.equal(await finishJob(db, { jobId: job.jobId, attempt: 2 }), true);
    assert.equal(await renewJob(db, { jobId: job.jobId, attempt: 2, leaseUntil: 100 }), false);
  });

  test("what the dead had claimed is due at once, with the next attempt", async () => {
    const db = opened();
    const kind = unique("kind");
    await enqueueJob(db, { kind, payload: null, runAt: 0 });
    await enqueueJob(db, { kind, payload: null, runAt: 50 });
    const lost = await claimJob(db, { kinds: [kind], now: 0, leaseMs: 1_000 });
    assert.ok(lost !== undefined);
    assert.ok((await releaseJobs(db, { now: 20 })) >= 1);
    const again = await claimJob(db, { kinds: [kind], now: 20, leaseMs: 10 });
    assert.deepEqual([again?.jobId, again?.attempt], [lost.jobId, 2]);
    assert.equal(await finishJob(db, lost), false);
    assert.equal(await claimJob(db, { kinds: [kind], now: 29, leaseMs: 10 }), undefined);
  });

  test("a job is claimed by one, finished by the attempt that holds it, retried, and given up visibly", async () => {
    const db = opened();
    const kind = unique("kind");
    const claim = (now: number) => claimJob(db, { kinds: [kind, "other"], now, leaseMs: 10 });
    const enqueue = (runAt: number, dedupeKey: string) => enqueueJob(db, { kind, payload: { runAt }, runAt, dedupeKey });
    assert.deepEqual(await enqueue(5, "a"), { enqueued: true });
    assert.deepEqual(await enqueue(4, "a"), { enqueued: false });
    assert.deepEqual(await enqueue(3, "b"), { enqueued: true });
    assert.equal(await claim(2), undefined);
    const claimed = await Promise.all([claim(5), claim(5), claim(5)]);
    assert.deepEqual(
      claimed
        .flatMap((job) => (job === undefined ? [] : [job.payload]))
        .toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
      [{ runAt: 3 }, { runAt: 5 }],
    );
    const jobs = claimed.flatMap((job) => (job === undefined ? [] : [job]));
    const [first, second] = [
      jobs.find((job) => job.jobId === Math.min(...jobs.map(({ jobId }) => jobId))),
      jobs.find((job) => job.jobId === Math.max(...jobs.map(({ jobId }) => jobId))),
    ];
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual([first.attempt, first.leaseUntil], [1, 15]);
    assert.equal(await claim(14), undefined);
    assert.equal(await failJob(db, { ...second, error: "broken", retryAt: 40 }), true);
    const again = await claim(15);
    assert.deepEqual([again?.jobId, again?.attempt], [first.jobId, 2]);
    assert.equal(await finishJob(db, first), false);
    assert.equal(await failJob(db, { ...first, error: "late", retryAt: null }), false);
    assert.equal(await finishJob(db, { jobId: first.jobId, attempt: 2 }), true);
    const retried = await claim(40);
    assert.deepEqual([retried?.jobId, retried?.attempt], [second.jobId, 2]);
    assert.equal(await failJob(db, { jobId: second.jobId, attempt: 2, error: "x".repeat(5_000), retryAt: null }), true);
    assert.equal(await claim(1_000), undefined);
    const dead = (await listDeadJobs(db)).filter((job) => job.kind === kind);
    assert.deepEqual(
      dead.map(({ jobId, attempts, error }) => [jobId, attempts, error.length]),
      [[second.jobId, 2, 2_000]],
    );
  });

  test("a failed job gives way to the same job asked for again", async () => {
    const db = opened();
    const kind = unique("kind");
    const enqueue = () => enqueueJob(db, { kind, payload: null, runAt: 1, dedupeKey: "k" });
    await enqueue();
    const job = await claimJob(db, { kinds: [kind], now: 1, leaseMs: 10 });
    assert.ok(job !== undefined);
    assert.deepEqual(await enqueue(), { enqueued: true });
    assert.equal(await failJob(db, { ...job, error: "broken", retryAt: 5 }), true);
    assert.notEqual((await claimJob(db, { kinds: [kind], now: 9, leaseMs: 10 }))?.jobId, job.jobId);
    assert.equal(await claimJob(db, { kinds: [kind], now: 9, leaseMs: 10 }), undefined);
  });

  test("readers of the log miss nothing that commits while they read", async () => {
    const db = opened();
    const [slow, fast] = [await makeRepository(db), await makeRepository(db)];
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let write = (): void => undefined;
    const written = new Promise<void>((resolve) => (write = resolve));
    const holding = db.transaction(async (tx) => {
      await tx
        .insertInto("change")
        .values({
          account_id: "a",
          region: "r",
          repository_id: slow.repositoryId,
          repository_name: "n",
          at: 1,
          principal_arn: "p",
          request_id: "q",
          kind: "slow",
          subject: "",
          before: null,
          after: null,
        })
        .execute();
      write();
      await released;
    });
    // The slow writer has its number now, and the fast one gets a higher one.
    await written;
    const pushing = pushed(db, fast, "m");
    const seen = new Set<number>();
    let after: string | undefined;
    const read = async () => {
      for (const change of await listChanges(db, { limit: 10_000, ...(after === undefined ? {} : { after }) })) {
        seen.add(change.changeId);
        after = change.position;
      }
    };
    if (db.dialect.name === "postgres") await pushing;
    await read();
    release();
    await holding;
    await pushing;
    await read();
    const all = await db.read.selectFrom("change").select("change_id").execute();
    assert.deepEqual(
      [...seen].toSorted((a, b) => a - b),
      all.map((row) => row.change_id).toSorted((a, b) => a - b),
    );
    await assert.rejects(listChanges(db, { limit: 1, after: "nonsense" }), RangeError);
  });

  test("a transaction that fails leaves nothing and does not stop the next one", async () => {
    const db = opened();
    const name = unique("setting");
    const failing = db.transaction(async (tx) => {
      await tx.insertInto("instance").values({ key: name, value: "x" }).execute();
      throw new Error("stop");
    });
    const next = writeInstanceSetting(db, `${name}-next`, "y");
    await assert.rejects(failing, /stop/);
    await next;
    assert.equal(await readInstanceSetting(db, name), undefined);
    assert.equal(await readInstanceSetting(db, `${name}-next`), "y");
    await assert.rejects(
      db.transaction((tx) => tx.insertInto("resource_tag").values({ repository_id: -1, key: "a", value: "b" }).execute()),
    );
    await db.check();
  });
}
