import type { Job } from "#metadata/jobs.ts";
import type { RegistryCore } from "#registry/context.ts";

/** Extends a claim until `leaseUntil`; false when a later attempt has begun and the claim is lost. */
export type RenewLease = (claim: { readonly jobId: number; readonly attempt: number; readonly leaseUntil: number }) => Promise<boolean>;

/**
 * Watches over a claim while its handler runs: renews it every third of its length, and aborts the run when it is lost or about to run
 * out, before another worker may begin. Without `renew` the claim's length is the most that a run may take.
 */
export function holdLease(
  renew: RenewLease | undefined,
  core: Pick<RegistryCore, "clock" | "log">,
  job: Job,
  abort: AbortController,
): { release(): void } {
  const leaseMs = job.leaseUntil - core.clock.now();
  const { jobId, attempt } = job;
  let leaseUntil = job.leaseUntil;
  let isReleased = false;

  async function check(): Promise<void> {
    if (renew !== undefined) {
      const next = core.clock.now() + leaseMs;
      try {
        if (await renew({ jobId, attempt, leaseUntil: next })) leaseUntil = next;
        else leaseUntil = 0;
      } catch (error) {
        core.log.warn({ jobId, kind: job.kind, error: String(error) }, "a job's lease could not be renewed; trying again");
      }
    }
    // The next look comes after a third of the lease: too late when the rest is shorter than that.
    if (!isReleased && core.clock.now() + leaseMs / 3 >= leaseUntil) abort.abort(new Error("the job's lease was lost or used up"));
  }

  const timer = setInterval(() => void check(), Math.max(1, Math.floor(leaseMs / 3)));
  return {
    release() {
      isReleased = true;
      clearInterval(timer);
    },
  };
}
