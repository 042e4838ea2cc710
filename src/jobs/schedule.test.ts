import assert from "node:assert/strict";
import test from "node:test";
import { until } from "#std/testing/until.ts";
import { listDeadJobs } from "#metadata/jobs.ts";
import { scheduleRecurring } from "./schedule.ts";
import { countJobs, pause, withBench } from "./testing/worker-bench.ts";

test("a recurring job has one waiting row however often it is scheduled, and comes back after each run", () =>
  withBench(async ({ metadata, core, clock, work }) => {
    const recurring = [{ kind: "work", everyMs: 3_600_000 }];
    for (let n = 0; n < 3; n += 1) await scheduleRecurring(core, recurring);
    assert.equal(await countJobs(metadata), 1);
    let runs = 0;
    work(async () => void (runs += 1), { recurring });
    await pause(20);
    assert.equal(runs, 0);
    for (let n = 1; n <= 3; n += 1) {
      clock.time += 3_600_000;
      await until(() => runs === n);
      clock.time += 60_000;
      await until(async () => (await countJobs(metadata)) === 1);
    }
    assert.equal(runs, 3);
  }));

test("a recurring job does not overlap itself, and one that was given up comes back", () =>
  withBench(async ({ metadata, clock, work }) => {
    let fail = (_error: Error): void => undefined;
    let runs = 0;
    work(
      () =>
        new Promise((_resolve, reject) => {
          runs += 1;
          fail = reject;
        }),
      { recurring: [{ kind: "work", everyMs: 3_600_000 }], maxAttempts: 1, leaseMs: 36_000_000 },
    );
    await until(async () => (await countJobs(metadata)) === 1);
    clock.time += 3_600_000;
    await until(() => runs === 1);
    clock.time += 7_200_000;
    await pause(30);
    assert.deepEqual([runs, await countJobs(metadata)], [1, 1]);
    fail(new Error("broken"));
    await until(async () => (await listDeadJobs(metadata)).length === 1);
    clock.time += 60_000;
    await until(async () => (await countJobs(metadata)) === 1);
    fail(new Error("done"));
  }));
