/** When lifecycle policies run: each once in the time that the operator has set, a few repositories a job, and at once when a person asks. */
import { setImmediate } from "node:timers/promises";
import { findPolicyHolder, listPolicyHolders, planLifecycleRun } from "#metadata/lifecycle-policies.ts";
import type { LifecycleRunJob } from "#metadata/lifecycle-policies.ts";
import { settleLifecycleRuns } from "#metadata/lifecycle-runs.ts";
import type { EndedRun } from "#metadata/lifecycle-runs.ts";
import { findRepository } from "#metadata/repositories.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryCore, RegistryRef } from "./context.ts";
import { runLifecycle } from "./lifecycle-run.ts";
import type { FinishedRun, LifecycleReport, LifecycleRunOptions } from "./lifecycle-run.ts";
import { repositoryKey } from "./scope.ts";

/** Repositories of one job: small, so that other jobs have their turn. */
const repositoriesPerJob = 20;
/** Jobs that may wait; what is due beyond them is planned when some of these have begun. */
const maxWaitingJobs = 50;
/** The longest time from due to planned, and from planned to begun where the node is not overloaded. */
const slackMs = 15 * 60_000;

/** Gives due policies to jobs. */
export async function planLifecycleRuns(core: RegistryCore, signal?: AbortSignal): Promise<void> {
  const { lifecycleEveryMs } = core.limits;
  const now = core.clock.now();
  // Planned early enough to have run in time.
  const waitingUntil = now - Math.max(lifecycleEveryMs - slackMs, lifecycleEveryMs / 2);
  for (let job = 0; job < maxWaitingJobs; job += 1) {
    signal?.throwIfAborted();
    const plan = { waitingUntil, limit: repositoriesPerJob, slot: `slot ${job}`, now };
    if ((await planLifecycleRun(core.metadata, plan)) === "nothing-due") return;
    await setImmediate();
  }
}

/** Runs the policies of one job. One that fails does not keep the others from running; the job fails at its end. */
export async function runLifecycleJob(core: RegistryCore, job: LifecycleRunJob, signal?: AbortSignal): Promise<void> {
  const failed: unknown[] = [];
  // Rules about pulls should know the latest ones.
  await core.pulls.flush();
  await settlingAll(core, async (ended) => {
    for (const repositoryId of job.repositoryIds) {
      signal?.throwIfAborted();
      const holder = await findPolicyHolder(core.metadata, repositoryId);
      if (holder === undefined || (holder.lastEvaluatedAt ?? 0) >= job.plannedAt) continue;
      try {
        ended(await runLifecycle(core, holder, { signal }));
      } catch (error) {
        signal?.throwIfAborted();
        core.log.warn({ repositoryId, error: String(error) }, "a lifecycle policy could not be run");
        failed.push(error);
      }
    }
  });
  if (failed.length > 0) throw new AggregateError(failed, `${failed.length} lifecycle policies could not be run: ${String(failed[0])}`);
}

/** Writes the ends of runs down together, also where the work is broken off. */
async function settlingAll(core: RegistryCore, work: (ended: (run: FinishedRun) => void) => Promise<void>): Promise<void> {
  const runs: EndedRun[] = [];
  try {
    await work(({ ended }) => {
      if (ended !== undefined) runs.push(ended);
    });
  } finally {
    await settleLifecycleRuns(core.metadata, runs);
  }
}

/** A run that a person asked for, as far as it has come. */
export interface LifecycleRunPage {
  readonly reports: readonly LifecycleReport[];
  /** The `after` of the next call; absent at the end. */
  readonly next?: string;
}

/**
 * Runs the policies of a registry's repositories in byte order of their names, from the first one after `after` on, until some of them are done
 * and `forMs` have passed.
 */
export async function runLifecycleOf(
  core: RegistryCore,
  registry: RegistryRef,
  { after, forMs, ...options }: LifecycleRunOptions & { readonly after?: string | undefined; readonly forMs: number },
): Promise<LifecycleRunPage> {
  const began = core.clock.now();
  if (after === undefined) await core.pulls.flush();
  const holders = await listPolicyHolders(core.metadata, registry, { after, limit: repositoriesPerJob });
  const reports: LifecycleReport[] = [];
  await settlingAll(core, async (ended) => {
    for (const holder of holders) {
      if (reports.length > 0 && core.clock.now() - began >= forMs) break;
      const run = await runLifecycle(core, holder, options);
      ended(run);
      reports.push(run.report);
    }
  });
  const last = reports.at(-1);
  const isAll = holders.length < repositoriesPerJob && reports.length === holders.length;
  return { reports, ...(last !== undefined && !isAll && { next: last.repositoryName }) };
}

/** Runs the policy of one repository. Undefined: there is no such repository, or it has no policy. */
export async function runLifecycleNamed(
  core: RegistryCore,
  registry: RegistryRef,
  name: RepositoryName,
  options: LifecycleRunOptions,
): Promise<LifecycleReport | undefined> {
  await core.pulls.flush();
  const repository = await findRepository(core.metadata, repositoryKey(registry, name));
  const holder = repository === undefined ? undefined : await findPolicyHolder(core.metadata, repository.repositoryId);
  if (holder === undefined) return undefined;
  const { report, ended } = await runLifecycle(core, holder, options);
  await settleLifecycleRuns(core.metadata, ended === undefined ? [] : [ended]);
  return report;
}
