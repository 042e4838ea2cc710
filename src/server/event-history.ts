/** The recurring job `history`: what is only history goes when it is old enough, in steps that let requests through. */
import { trimDeadJobs, trimChanges, dropEventCursors } from "#metadata/event-retention.ts";
import { trimRefusedEvents } from "#metadata/event-refusals.ts";
import { repeatUntilDone } from "#registry/batches.ts";
import type { RegistryCore } from "#registry/context.ts";

/** How long what is kept. */
export interface HistoryLimits {
  /** Of the change log, and how long a target of events may fail before it loses what is older. */
  readonly keepMs: number;
  /** The targets of this node. */
  readonly targetNames: readonly string[];
}

const hourMs = 3_600_000;
const dayMs = 86_400_000;
/** Jobs and events that were given up can be looked at for so long. */
const keepFailuresMs = 30 * dayMs;
/** A target that no node has served for so long is one of the past: nodes that start one after the other do not differ for longer. */
const unservedMs = hourMs;
const step = 1_000;

/** Trims. Idempotent; throws the signal's reason. */
export async function trimHistory(
  { metadata, clock, log }: Pick<RegistryCore, "metadata" | "clock" | "log">,
  { keepMs, targetNames }: HistoryLimits,
  signal?: AbortSignal,
): Promise<void> {
  const now = clock.now();
  const dropped = await dropEventCursors(metadata, { names: targetNames, before: now - unservedMs });
  for (const name of dropped) log.info({ target: name }, "nobody delivers to this target of events any more; its place is forgotten");
  const overtaken = new Set<string>();
  const before = now - keepMs;
  const removed = await repeatUntilDone(signal, async () => {
    const trimmed = await trimChanges(metadata, { before, givenUpBefore: before, limit: step });
    for (const name of trimmed.overtaken) overtaken.add(name);
    return trimmed.removed;
  });
  for (const name of overtaken)
    log.error({ target: name, days: keepMs / dayMs }, "a target of events has failed for so long that events were lost for it");
  const jobs = await repeatUntilDone(signal, () => trimDeadJobs(metadata, { before: now - keepFailuresMs, limit: step }));
  const refusals = await repeatUntilDone(signal, () => trimRefusedEvents(metadata, { before: now - keepFailuresMs, limit: step }));
  if (removed + jobs + refusals > 0) log.info({ changes: removed, jobs, refusals }, "history was trimmed");
}
