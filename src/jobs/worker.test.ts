import assert from "node:assert/strict";
import test from "node:test";
import { until } from "#std/testing/until.ts";
import { claimJob, enqueueJob, finishJob, listDeadJobs } from "#metadata/jobs.ts";
import type { Database } from "#metadata/database.ts";
import type { RenewLease } from "./lease.ts";
import type { JobHandler, JobRun } from "./table.ts";
import { countJobs, pause, start, withBench } from "./testing/worker-bench.ts";

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }));

test("a job runs once, with its payload, and its row goes", () =>
  withBench(async ({ metadata, core, work, enqueue }) => {
    const runs: JobRun[] = [];
    await enqueue({ digest: "sha256:00" });
    work(async (run) => void runs.push(run));
    await until(async () => (await countJobs(metadata)) === 0);
    assert.equal(runs.length, 1);
    assert.deepEqual(
      [runs[0]?.payload, runs[0]?.attempt, runs[0]?.core === core, runs[0]?.signal.aborted],
      [{ digest: "sha256:00" }, 1, true, false],
    );
  }));

test("never more at a time than allowed, and every job is done", () =>
  withBench(async ({ metadata, work, enqueue }) => {
    for (let n = 0; n < 12; n += 1) await enqueue(n);
    const done = new Set<unknown>();
    let [now, most] = [0, 0];
    work(async ({ payload }) => {
      most = Math.max(most, (now += 1));
      await pause(2);
      now -= 1;
      done.add(payload);
    });
    await until(async () => (await countJobs(metadata)) === 0);
    assert.deepEqual([done.size, most], [12, 2]);
  }));

test("two workers share the jobs, and no job is run by both", () =>
  withBench(async ({ metadata, work, enqueue }) => {
    for (let n = 0; n < 20; n += 1) await enqueue(n);
    const seen: unknown[] = [];
    const handler: JobHandler = async ({ payload }) => void seen.push(payload);
    work(handler);
    work(handler);
    await until(async () => (await countJobs(metadata)) === 0);
    assert.deepEqual(
      seen.toSorted((a, b) => Number(a) - Number(b)),
      Array.from({ length: 20 }, (_, n) => n),
    );
  }));

test("kinds without a handler here are left for others", () =>
  withBench(async ({ metadata, clock, work }) => {
    await enqueueJob(metadata, { kind: "other", payload: {}, runAt: clock.time });
    work(async () => assert.fail("not this one"));
    await pause(30);
    assert.equal(await countJobs(metadata), 1);
  }));

test("a job that is not yet due waits", () =>
  withBench(async ({ metadata, clock, work }) => {
    await enqueueJob(metadata, { kind: "work", payload: {}, runAt: clock.time + 1000 });
    let runs = 0;
    work(async () => void (runs += 1));
    await pause(30);
    assert.equal(runs, 0);
    clock.time += 1000;
    await until(() => runs === 1);
  }));

test("a wake is answered at once, also while the worker sleeps for long", () =>
  withBench(async ({ work, enqueue }) => {
    let runs = 0;
    const worker = work(async () => void (runs += 1), { pollMs: 60_000 });
    await pause(20);
    await enqueue();
    worker.wake();
    await until(() => runs === 1);
  }));

test("the end of a job is answered at once too", () =>
  withBench(async ({ metadata, work, enqueue }) => {
    for (let n = 0; n < 3; n += 1) await enqueue();
    work(() => pause(2), { pollMs: 60_000, concurrency: 1 });
    await until(async () => (await countJobs(metadata)) === 0);
  }));

test("a wake while the worker is looking is not lost", () =>
  withBench(async ({ core, metadata, work, enqueue }) => {
    let runs = 0;
    let isFirstLook = true;
    const transaction: Database["transaction"] = async (task) => {
      const answer = await metadata.transaction(task);
      if (isFirstLook) {
        isFirstLook = false;
        await enqueue();
        worker.wake();
      }
      return answer;
    };
    const worker = work(async () => void (runs += 1), { pollMs: 60_000, core: { ...core, metadata: { ...metadata, transaction } } });
    await until(() => runs === 1);
  }));

test("a failed job is tried again after its delay, and succeeds", () =>
  withBench(async ({ metadata, clock, work, enqueue }) => {
    const attempts: number[] = [];
    await enqueue();
    work(
      async ({ attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error("not yet");
      },
      { backoff: { firstMs: 1000, longestMs: 1000 } },
    );
    await until(() => attempts.length === 1);
    const due = async (): Promise<number | undefined> =>
      (await metadata.read.selectFrom("job").select("due_at").executeTakeFirst())?.due_at;
    await until(async () => ((await due()) ?? Infinity) <= start + 1000);
    clock.time += 1001;
    await until(() => attempts.length === 2);
    clock.time += 1001;
    await until(async () => (await countJobs(metadata)) === 0);
    assert.deepEqual(attempts, [1, 2, 3]);
    assert.deepEqual(await listDeadJobs(metadata), []);
  }));

test("after the last attempt a job is kept as dead, with its error, and not run again", () =>
  withBench(async ({ metadata, work, enqueue, lines }) => {
    let runs = 0;
    await enqueue({ n: 1 });
    work(
      async () => {
        runs += 1;
        throw new Error(`broken ${"x".repeat(5000)}`);
      },
      { maxAttempts: 3 },
    );
    await until(async () => (await listDeadJobs(metadata)).length === 1);
    await pause(20);
    const [dead] = await listDeadJobs(metadata);
    assert.deepEqual([runs, dead?.kind, dead?.attempts, dead?.payload], [3, "work", 3, { n: 1 }]);
    assert.match(dead?.error ?? "", /^broken x{1000}/);
    assert.ok((dead?.error ?? "").length <= 2000);
    assert.ok(lines.includes("a job was given up"));
  }));

test("what a crashed process had claimed is run again once its lease is over, not before", () =>
  withBench(async ({ metadata, clock, work, enqueue }) => {
    await enqueue();
    const lost = await claimJob(metadata, { kinds: ["work"], now: clock.time, leaseMs: 60_000 });
    assert.equal(lost?.attempt, 1);
    const attempts: number[] = [];
    work(async ({ attempt }) => void attempts.push(attempt));
    clock.time += 59_999;
    await pause(30);
    assert.deepEqual(attempts, []);
    clock.time += 1;
    await until(async () => (await countJobs(metadata)) === 0);
    assert.deepEqual(attempts, [2]);
    assert.equal(await finishJob(metadata, { jobId: lost.jobId, attempt: 1 }), false);
  }));

test("a worker that overslept its lease cannot record its end; the later attempt counts", () =>
  withBench(async ({ metadata, clock, work, enqueue, lines }) => {
    await enqueue();
    let wakeUp = (): void => undefined;
    work(() => new Promise((resolve) => (wakeUp = resolve)), { concurrency: 1 });
    await until(async () => (await metadata.read.selectFrom("job").select("attempts").executeTakeFirst())?.attempts === 1);
    clock.time += 3_600_000;
    const second = await claimJob(metadata, { kinds: ["work"], now: clock.time, leaseMs: 60_000 });
    assert.equal(second?.attempt, 2);
    wakeUp();
    await until(() => lines.includes("a job ended after its lease; a later attempt counts instead"));
    assert.equal(await countJobs(metadata), 1);
    assert.equal(await finishJob(metadata, { jobId: second.jobId, attempt: 2 }), true);
  }));

test("without renewal a run is told to end before its lease is over", () =>
  withBench(async ({ clock, work, enqueue }) => {
    await enqueue();
    const signals: AbortSignal[] = [];
    work(
      ({ signal }) => {
        signals.push(signal);
        return aborted(signal);
      },
      { leaseMs: 60, concurrency: 1 },
    );
    await until(() => signals.length === 1);
    await pause(50);
    assert.equal(signals[0]?.aborted, false);
    clock.time += 50;
    await until(() => signals[0]?.aborted === true);
  }));

/** Moves the lease of a claim that still stands. */
const renewOn =
  (metadata: Database): RenewLease =>
  ({ jobId, attempt, leaseUntil }) =>
    metadata.transaction(async (tx) => {
      const claim = tx.updateTable("job").set({ due_at: leaseUntil }).where("job_id", "=", jobId).where("attempts", "=", attempt);
      return (await claim.where("state", "=", "running").executeTakeFirst()).numUpdatedRows > 0n;
    });

test("a renewed lease outlives its first length, and a lost one aborts the run", () =>
  withBench(async ({ metadata, clock, work, enqueue }) => {
    await enqueue();
    const signals: AbortSignal[] = [];
    work(
      ({ signal }) => {
        signals.push(signal);
        return aborted(signal);
      },
      { leaseMs: 60, concurrency: 1, renewLease: renewOn(metadata) },
    );
    await until(() => signals.length === 1);
    for (let n = 0; n < 6; n += 1) {
      clock.time += 20;
      await until(async () => (await metadata.read.selectFrom("job").select("due_at").executeTakeFirst())?.due_at === clock.time + 60);
    }
    assert.equal(signals[0]?.aborted, false);
    await metadata.transaction((tx) => tx.updateTable("job").set({ attempts: 7 }).execute());
    await until(() => signals[0]?.aborted === true);
  }));

test("stopping tells the running job, waits for it, and leaves it to be run again", () =>
  withBench(async ({ metadata, work, enqueue }) => {
    await enqueue();
    let [began, ended] = [false, false];
    const worker = work(
      async ({ signal }) => {
        began = true;
        await aborted(signal).finally(async () => {
          await pause(20);
          ended = true;
        });
      },
      { maxAttempts: 1 },
    );
    await until(() => began);
    await worker.stop();
    assert.ok(ended);
    // Interrupted on its only attempt, it is still not dead.
    const job = await metadata.read.selectFrom("job").selectAll().executeTakeFirstOrThrow();
    assert.deepEqual([job.state, job.due_at], ["waiting", start]);
  }));

test("a job that finishes in spite of the signal is finished", () =>
  withBench(async ({ metadata, work, enqueue }) => {
    await enqueue();
    let began = false;
    const worker = work(async () => {
      began = true;
      await pause(20);
    });
    await until(() => began);
    await worker.stop();
    assert.equal(await countJobs(metadata), 0);
  }));

test("a handler that heeds nothing cannot hold up the stop for ever", () =>
  withBench(async ({ work, enqueue, lines }) => {
    await enqueue();
    let [began, release] = [false, (): void => undefined];
    const worker = work(
      () => {
        began = true;
        return new Promise((resolve) => (release = resolve));
      },
      { stopMs: 20 },
    );
    await until(() => began);
    await worker.stop();
    assert.ok(lines.some((line) => line.startsWith("stopped while a job was still running")));
    release();
    await pause(10);
  }));

test("a job that kills its workers is given up although no failure was ever recorded", () =>
  withBench(async ({ metadata, clock, work, enqueue }) => {
    await enqueue();
    for (let n = 0; n < 8; n += 1) {
      await claimJob(metadata, { kinds: ["work"], now: clock.time, leaseMs: 1 });
      clock.time += 1;
    }
    work(async () => assert.fail("it must not be run a ninth time"), { maxAttempts: 3 });
    await until(async () => (await listDeadJobs(metadata)).length === 1);
    assert.match((await listDeadJobs(metadata))[0]?.error ?? "", /^given up/);
  }));

test("a database that fails does not end the worker", () =>
  withBench(async ({ core, metadata, work, enqueue, lines }) => {
    let isDown = true;
    const transaction: Database["transaction"] = (task) => (isDown ? Promise.reject(new Error("unreachable")) : metadata.transaction(task));
    let runs = 0;
    await enqueue();
    work(async () => void (runs += 1), { core: { ...core, metadata: { ...metadata, transaction } } });
    await until(() => lines.length >= 2);
    assert.equal(runs, 0);
    isDown = false;
    await until(() => runs === 1);
  }));
