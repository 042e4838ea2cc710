import { enqueueJob } from "#metadata/jobs.ts";
import type { RegistryCore } from "#registry/context.ts";
import type { RecurringJob } from "./table.ts";

/**
 * Makes sure that every recurring job has its one row waiting, due one interval from now if it is new. The dedupe key makes this safe to
 * call at any time and from every node: while a row of that key waits (for its time, or for another attempt), nothing is added.
 */
export async function scheduleRecurring(core: Pick<RegistryCore, "metadata" | "clock">, recurring: readonly RecurringJob[]): Promise<void> {
  for (const { kind, everyMs } of recurring)
    await enqueueJob(core.metadata, { kind, payload: {}, runAt: core.clock.now() + everyMs, dedupeKey: `recurring:${kind}` });
}
