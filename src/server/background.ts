/** All background work of a node: which handler runs which kind of job, and what comes again and again. A file or two per kind, loaded when it first runs. */
import type { JobTable, RecurringJob } from "#jobs/table.ts";
import { startWorker } from "#jobs/worker.ts";
import type { Worker } from "#jobs/worker.ts";
import { renewJob } from "#metadata/jobs.ts";
import { lifecycleRunJobKind } from "#metadata/lifecycle-policies.ts";
import type { LifecycleRunJob } from "#metadata/lifecycle-policies.ts";
import { lifecyclePreviewJobKind } from "#metadata/lifecycle-previews.ts";
import type { LifecyclePreviewJob } from "#metadata/lifecycle-previews.ts";
import { activationJobKind, tieringJobKind } from "#metadata/storage-class.ts";
import type { ActivationJob } from "#metadata/storage-class.ts";
import { pullThroughJob } from "#pullthrough/job.ts";
import type { PullThroughPayload } from "#pullthrough/job.ts";
import { repeatUntilDone } from "#registry/batches.ts";
import { runGarbageCollection } from "#registry/gc.ts";
import type { Replicator } from "#replication/replicator.ts";
import type { Foundation } from "./assemble.ts";
import type { Settings } from "./settings.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** Keys that are destroyed or rotated before requests are let through. */
const keyBatch = 20;
/** Secrets, each with up to a hundred versions, that are removed before requests are let through. */
const secretBatch = 20;

/** Jobs that wait for other servers. Each kind has a worker of its own: whoever lets them wait holds up no other work. */
const outwardKinds: readonly string[] = ["replicate", pullThroughJob];

/** Starts the work of a node. It never throws: what goes wrong is logged and tried again. */
export function startBackgroundWork(foundation: Foundation, settings: Settings): Pick<Worker, "stop"> {
  const { core } = foundation;
  const { handlers, recurring } = backgroundWork(foundation, settings);
  const only = (isWanted: (kind: string) => boolean): JobTable =>
    Object.fromEntries(Object.entries(handlers).filter(([kind]) => isWanted(kind)));
  const start = (table: JobTable, again: readonly RecurringJob[]): Worker =>
    startWorker({ core, handlers: table, recurring: again, renewLease: (claim) => renewJob(core.metadata, claim) });
  const own = start(
    only((kind) => !outwardKinds.includes(kind)),
    recurring,
  );
  const outward = outwardKinds.map((kind) =>
    start(
      only((other) => other === kind),
      [],
    ),
  );
  return { stop: async () => void (await Promise.all([own, ...outward].map((worker) => worker.stop()))) };
}

/** The work of a node with this foundation and these settings. Each handler is idempotent: a job may run more than once. */
function backgroundWork(
  foundation: Foundation,
  settings: Settings,
): { readonly handlers: JobTable; readonly recurring: readonly RecurringJob[] } {
  const replicator = createReplicatorOnce(foundation, settings);
  return {
    handlers: {
      gc: async ({ core, signal }) => void (await runGarbageCollection(core, { signal })),
      kms: async ({ core, signal }) => {
        const [{ destroyDueKeys }, { rotateDueKeys }] = await Promise.all([import("#kms/key.ts"), import("#kms/rotation.ts")]);
        await repeatUntilDone(signal, () => destroyDueKeys(core, { limit: keyBatch }));
        await repeatUntilDone(signal, () => rotateDueKeys(core, { limit: keyBatch }));
      },
      [tieringJobKind]: async ({ core, signal }) => {
        const { tierBlobs } = await import("#registry/storage-class-move.ts");
        await tierBlobs(core, { signal });
      },
      [activationJobKind]: async ({ core, payload, signal }) => {
        const { activateManifest } = await import("#registry/storage-class-move.ts");
        await activateManifest(core, payload as ActivationJob, signal);
      },
      [pullThroughJob]: async ({ core, payload, signal }) => {
        const [{ fetchIndexChildren }, puller] = await Promise.all([
          import("#pullthrough/index-children.ts"),
          foundation.pullThrough.puller(),
        ]);
        await fetchIndexChildren({ core, puller }, payload as PullThroughPayload, signal);
      },
      replicate: async ({ payload, signal }) => (await replicator()).run({ payload, signal }),
      scan: async (run) => {
        const { runScan } = await import("#registry/scanner.ts");
        // No engine is built in yet: every scan says so.
        await runScan(run, undefined);
      },
      sign: async (run) => {
        const { signManifest } = await import("#signing/sign-manifest.ts");
        await signManifest(run);
      },
      lifecycle: async ({ core, signal }) => {
        const [{ planLifecycleRuns }, { removeOldPreviews }] = await Promise.all([
          import("#registry/lifecycle-schedule.ts"),
          import("#registry/lifecycle-preview.ts"),
        ]);
        await planLifecycleRuns(core, signal);
        await removeOldPreviews(core, signal);
      },
      [lifecycleRunJobKind]: async ({ core, payload, signal }) => {
        const { runLifecycleJob } = await import("#registry/lifecycle-schedule.ts");
        await runLifecycleJob(core, payload as LifecycleRunJob, signal);
      },
      [lifecyclePreviewJobKind]: async ({ core, payload, attempt, signal }) => {
        const { makeLifecyclePreview } = await import("#registry/lifecycle-preview.ts");
        await makeLifecyclePreview(core, payload as LifecyclePreviewJob, { attempt, signal });
      },
      history: async ({ core, signal }) => {
        const { trimHistory } = await import("./event-history.ts");
        // What can be restored must still be told of.
        const keepMs = Math.max(settings.historyDays * 24 * hourMs, core.limits.undoMs);
        await trimHistory(core, { keepMs, targetNames: foundation.eventTargets.map(({ name }) => name) }, signal);
      },
      secrets: async ({ core, signal }) => {
        const { removeDueSecrets } = await import("#secrets/secret.ts");
        await repeatUntilDone(signal, () => removeDueSecrets(core, { limit: secretBatch }));
      },
    },
    recurring: [
      { kind: "gc", everyMs: hourMs },
      { kind: tieringJobKind, everyMs: hourMs },
      { kind: "kms", everyMs: hourMs },
      { kind: "secrets", everyMs: hourMs },
      { kind: "history", everyMs: hourMs },
      { kind: "lifecycle", everyMs: minuteMs },
    ],
  };
}

/** Connections to other deployments are kept, so there is one replicator; and it is made by the first replication. */
function createReplicatorOnce({ core, access, peers }: Foundation, { regions, trustedHosts }: Settings): () => Promise<Replicator> {
  let made: Promise<Replicator> | undefined;
  return () => {
    made ??= import("#replication/replicator.ts").then(({ createReplicator }) =>
      createReplicator({ core, access, regions, peers, trustedHosts }),
    );
    return made;
  };
}
