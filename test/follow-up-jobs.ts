/** Runs waiting jobs in the test's own process, one after another: the servers of `registry-server.ts` have no worker. */
import type { JobRun, JobTable } from "#jobs/table.ts";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import type { RegistryCore } from "#registry/context.ts";

const leaseMs = 60_000;

/** Runs the waiting jobs of these kinds and answers how many there were. Rejects with the first failure; its job then has a lease. */
export async function runJobs(core: RegistryCore, handlers: JobTable, attempt?: number): Promise<number> {
  for (let done = 0; ; done += 1) {
    const job = await claimJob(core.metadata, { kinds: Object.keys(handlers), now: core.clock.now(), leaseMs });
    if (job === undefined) return done;
    const { signal } = new AbortController();
    const run: JobRun = { core, jobId: job.jobId, attempt: attempt ?? job.attempt, payload: job.payload, signal };
    await handlers[job.kind]?.(run);
    await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
  }
}
