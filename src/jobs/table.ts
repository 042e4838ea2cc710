/**
 * The jobs room: background work as rows. A job is a kind and a payload; the table says which handler runs which kind.
 * A job may run more than once (a crash, a lost lease), so what a handler does must be idempotent; its effects on facts go through
 * named metadata operations as everyone's do.
 */
import type { RegistryCore } from "#registry/context.ts";

/** One run of a job, as its handler sees it. */
export interface JobRun {
  readonly core: RegistryCore;
  readonly jobId: number;
  /** 1 for the first run. */
  readonly attempt: number;
  readonly payload: unknown;
  /** Aborted when the server stops or the job's lease was lost: end soon, or throw; the job is run again. */
  readonly signal: AbortSignal;
}

/** Does a job's work. Throwing means: try again later. */
export type JobHandler = (run: JobRun) => Promise<void>;

/** Kind → handler. A worker claims only the kinds in its table, so nodes may differ in what they do. */
export type JobTable = Readonly<Record<string, JobHandler>>;

/** Work that has to be done again and again. */
export interface RecurringJob {
  readonly kind: string;
  /** From the end of one run to the start of the next, to within a minute; the first run comes this long after the first start ever. */
  readonly everyMs: number;
}
