import { listChanges } from "#metadata/changes.ts";
import { lastChangePosition, positionBefore } from "#metadata/event-cursors.ts";
import type { RegistryCore } from "#registry/context.ts";
import { eventsOf } from "./event.ts";
import type { EcrEvent } from "./event.ts";
import { isWanted } from "./filter.ts";
import type { EventFilter } from "./filter.ts";

/** What is read. */
export interface TailOptions {
  readonly core: Pick<RegistryCore, "metadata">;
  readonly registryId: string;
  readonly filter: EventFilter;
  /** `now`, the `beginning` of what is kept, or milliseconds since the epoch. */
  readonly from: "now" | "beginning" | number;
  /** Resolves when it is time to look for more; false ends the reading. */
  readonly waitForMore: () => Promise<boolean>;
}

const pageSize = 500;
/** Entries are in the order of their commits, and a transaction may have begun so long before. */
const slackMs = 300_000;

/** Events in the order of the log, from a moment on and then as they happen. */
export async function* tailEvents({ core, registryId, filter, from, waitForMore }: TailOptions): AsyncGenerator<EcrEvent> {
  const { metadata } = core;
  let position = "0.0";
  if (from === "now") position = await lastChangePosition(metadata);
  else if (from !== "beginning") position = await positionBefore(metadata, from, slackMs);
  const since = typeof from === "number" ? from : -Infinity;
  for (;;) {
    const changes = await listChanges(metadata, { after: position, limit: pageSize });
    for (const change of changes) {
      if (change.at < since) continue;
      for (const event of eventsOf(change, registryId)) if (isWanted(filter, event)) yield event;
    }
    position = changes.at(-1)?.position ?? position;
    if (changes.length < pageSize && !(await waitForMore())) return;
  }
}
