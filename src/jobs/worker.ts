/**
 * Claims jobs and runs them. A claim is a lease (see lease.ts): when the process dies it runs out, and another worker claims the job with
 * the next attempt number. A lease is no fence (a process may sleep through its own), so every record of a run's end names its attempt and
 * is refused when a later one has begun.
 */
import { claimJob, failJob, finishJob } from "#metadata/jobs.ts";
import type { Job } from "#metadata/jobs.ts";
import type { RegistryCore } from "#registry/context.ts";
import { retryDelayMs } from "./backoff.ts";
import type { Backoff } from "./backoff.ts";
import { holdLease } from "./lease.ts";
import type { RenewLease } from "./lease.ts";
import { scheduleRecurring } from "./schedule.ts";
import type { JobTable, RecurringJob } from "./table.ts";

/** How a worker works; everything but the first two has a default. */
export interface WorkerOptions {
  readonly core: RegistryCore;
  readonly handlers: JobTable;
  readonly recurring?: readonly RecurringJob[];
  /** Jobs at the same time; background work must leave the process to its requests. Default 2. */
  readonly concurrency?: number;
  /** How long a claim holds: how soon another worker takes over after a crash, and without `renewLease` how long a run may take. Default one minute with it, one hour without. */
  readonly leaseMs?: number;
  readonly renewLease?: RenewLease;
  /** How often an idle worker looks for work: one indexed look-up each. Default 2 s. */
  readonly pollMs?: number;
  /** After so many failures a job is kept as dead, to be seen and not run. Default 10. */
  readonly maxAttempts?: number;
  readonly backoff?: Backoff;
  /** How long {@link Worker.stop} waits for handlers that do not heed their signal. Default 20 s. */
  readonly stopMs?: number;
}

/** A running worker. */
export interface Worker {
  /** Looks for work now instead of at the next poll. */
  wake(): void;
  /** Claims nothing more, tells running handlers to end, and resolves when they have (or `stopMs` is over). */
  stop(): Promise<void>;
}

interface Running {
  readonly kind: string;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

const scheduleEveryMs = 60_000;
/** A process that dies in a job records no failure; attempts beyond the limit by this much mean that the job kills its workers. */
const unrecordedAttempts = 5;
const maxErrorLength = 2000;

/** Starts a worker. It never throws: what goes wrong is logged and tried again. */
export function startWorker(options: WorkerOptions): Worker {
  const { core, handlers, recurring = [], concurrency = 2, pollMs = 2000, stopMs = 20_000 } = options;
  const kinds = Object.keys(handlers);
  const running = new Set<Running>();
  const idle = createIdle();
  const stopping = new AbortController();
  let scheduleAt = -Infinity;

  /** What runs is scheduled again when it has ended: so it never overlaps itself here, and its failures count up to the limit. */
  function idleOnes(jobs: readonly RecurringJob[]): readonly RecurringJob[] {
    const busy = new Set([...running].map(({ kind }) => kind));
    return jobs.filter(({ kind }) => !busy.has(kind));
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const before = idle.mark();
      let found = false;
      try {
        if (core.clock.now() >= scheduleAt) {
          await scheduleRecurring(core, idleOnes(recurring));
          scheduleAt = core.clock.now() + scheduleEveryMs;
        }
        found = running.size < concurrency && !stopping.signal.aborted && (await claimOne());
      } catch (error) {
        core.log.error({ error: describe(error) }, "background work cannot reach its rows; trying again");
      }
      if (!found && !stopping.signal.aborted) await idle.wait(pollMs, before);
    }
  }

  async function claimOne(): Promise<boolean> {
    const job = await claimJob(core.metadata, { kinds, now: core.clock.now(), leaseMs: leaseOf(options) });
    if (job === undefined) return false;
    const abort = new AbortController();
    if (stopping.signal.aborted) abort.abort(stopping.signal.reason);
    const done = runJob(options, job, abort).finally(() => {
      running.delete(entry);
      idle.wake();
    });
    const entry: Running = { kind: job.kind, abort, done };
    running.add(entry);
    return true;
  }

  const looping = loop();
  return {
    wake: () => idle.wake(),
    async stop() {
      stopping.abort(new Error("the server is stopping"));
      idle.wake();
      for (const { abort } of running) abort.abort(stopping.signal.reason);
      await looping;
      const ends = [...running].map(({ done }) => done);
      if (!(await settled(ends, stopMs)))
        core.log.warn({ jobs: running.size }, "stopped while a job was still running; its lease will run out and it will be run again");
    },
  };
}

/** Runs one claimed job to its recorded end. Never rejects. */
async function runJob(options: WorkerOptions, job: Job, abort: AbortController): Promise<void> {
  const { core, handlers, maxAttempts = 10, backoff = { firstMs: 1000, longestMs: 900_000 } } = options;
  const fields = { jobId: job.jobId, kind: job.kind, attempt: job.attempt };
  const lease = holdLease(options.renewLease, core, job, abort);
  let outcome: { readonly error?: unknown } = {};
  try {
    if (job.attempt > maxAttempts + unrecordedAttempts) throw new Error("given up: its earlier runs ended without a result");
    const handler = handlers[job.kind];
    if (handler === undefined) throw new Error("no handler for this kind");
    await handler({ core, jobId: job.jobId, attempt: job.attempt, payload: job.payload, signal: abort.signal });
  } catch (error) {
    outcome = { error };
  } finally {
    lease.release();
  }
  try {
    const recorded =
      "error" in outcome ? await recordFailure(outcome.error) : await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
    if (!recorded) core.log.warn(fields, "a job ended after its lease; a later attempt counts instead");
  } catch (error) {
    core.log.error({ ...fields, error: describe(error) }, "the end of a job could not be recorded; it will be run again");
  }

  function recordFailure(error: unknown): Promise<boolean> {
    const text = describe(error).slice(0, maxErrorLength);
    const isGivenUp = job.attempt >= maxAttempts && !abort.signal.aborted;
    // A run that was told to end has not failed: it goes on as soon as someone can.
    const delayMs = abort.signal.aborted ? 0 : retryDelayMs(backoff, job.attempt, core.random);
    if (isGivenUp) core.log.error({ ...fields, error: text }, "a job was given up");
    else core.log.warn({ ...fields, error: text, delayMs }, "a job will be run again");
    return failJob(core.metadata, {
      jobId: job.jobId,
      attempt: job.attempt,
      error: text,
      retryAt: isGivenUp ? null : core.clock.now() + delayMs,
    });
  }
}

function leaseOf(options: WorkerOptions): number {
  return options.leaseMs ?? (options.renewLease === undefined ? 3_600_000 : 60_000);
}

/** Waiting that can be cut short; a wake between `mark` and `wait` is not lost. */
function createIdle(): { mark(): number; wait(ms: number, mark: number): Promise<void>; wake(): void } {
  let wakes = 0;
  let resume: (() => void) | undefined;
  return {
    mark: () => wakes,
    wake() {
      wakes += 1;
      resume?.();
    },
    wait: (ms, mark) =>
      new Promise((resolve) => {
        if (wakes !== mark) return resolve();
        const timer = setTimeout(resolve, ms);
        resume = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
}

/** Did all of them end within the time? */
async function settled(promises: readonly Promise<void>[], withinMs: number): Promise<boolean> {
  if (promises.length === 0) return true;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), withinMs);
  });
  const isDone = await Promise.race([Promise.all(promises).then(() => true), late]);
  clearTimeout(timer);
  return isDone;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
