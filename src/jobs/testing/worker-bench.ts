/** What the tests of workers and schedules stand on: a real database, a clock that the test moves, and workers that end with the test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { enqueueJob } from "#metadata/jobs.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import type { RegistryCore } from "#registry/context.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { JobHandler } from "../table.ts";
import { startWorker } from "../worker.ts";
import type { Worker, WorkerOptions } from "../worker.ts";

/** When every test begins. */
export const start = 1_800_000_000_000;
const noWait = { firstMs: 0, longestMs: 0 };

/** One database, a clock that the test moves, and workers that are stopped at the end. */
export interface Bench {
  readonly metadata: Database;
  readonly core: RegistryCore;
  readonly clock: { time: number };
  readonly lines: string[];
  readonly work: (handler: JobHandler, options?: Partial<WorkerOptions>) => Worker;
  readonly enqueue: (payload?: unknown) => Promise<unknown>;
}

/** Runs a test on a new database and cleans up after it. */
export async function withBench(run: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "jobs-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const clock = { time: start };
  const lines: string[] = [];
  const keep = (_fields: unknown, message: string): unknown => lines.push(message);
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  // A worker touches nothing else of the core; it only hands it on.
  const core = { metadata, clock: { now: () => clock.time }, random: systemRandom, log } as unknown as RegistryCore;
  const workers: Worker[] = [];
  try {
    await run({
      metadata,
      core,
      clock,
      lines,
      work(handler, options) {
        const worker = startWorker({ core, handlers: { work: handler }, pollMs: 5, backoff: noWait, ...options });
        workers.push(worker);
        return worker;
      },
      enqueue: (payload = {}) => enqueueJob(metadata, { kind: "work", payload, runAt: clock.time }),
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

/** Lets real time pass. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
/** Jobs that wait or run. */
export async function countJobs(metadata: Database): Promise<number> {
  return (await metadata.read.selectFrom("job").select("job_id").where("state", "<>", "dead").execute()).length;
}
