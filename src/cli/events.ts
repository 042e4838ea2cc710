/** `supercargo events`: what happens in the registry, read from its database beside a running server, as one line of JSON each. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { detailTypes } from "#events/event.ts";
import type { DetailType } from "#events/event.ts";
import { tailEvents } from "#events/tail.ts";
import { listRefusedEvents } from "#metadata/event-refusals.ts";
import { readRegistryId } from "#server/instance-marks.ts";
import { UsageError, momentOf, withFoundation } from "./commands.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

const pollMs = 1_000;
const refusalsAtOnce = 500;

/** `supercargo events tail`: until it is interrupted, or its reader goes away. */
export async function eventsTail(flags: Flags): Promise<void> {
  const { repository, type, from, noFollow } = flags;
  const start = from === undefined ? "now" : from === "beginning" ? from : momentOf("--from", from);
  const filter = {
    ...(repository !== undefined && { repositories: [repository] }),
    ...(type !== undefined && { detailTypes: type.split(",").map(detailTypeOf) }),
  };
  const leaving = new AbortController();
  // Whoever reads has enough, as `head` does.
  process.stdout.on("error", () => leaving.abort());
  const settings = settingsFrom(flags);
  await withFoundation(settings, "read", async ({ core, paths }) => {
    const waitForMore = async (): Promise<boolean> => {
      if (noFollow !== undefined) return false;
      await sleep(pollMs, undefined, { signal: leaving.signal }).catch(() => undefined);
      return !leaving.signal.aborted;
    };
    const registryId = (await readRegistryId(paths)) ?? "";
    for await (const event of tailEvents({ core, registryId, filter, from: start, waitForMore })) {
      if (leaving.signal.aborted) return;
      await printLine(event, leaving.signal);
    }
  });
}

/** `supercargo events refused`: the events that targets would not take, oldest first. */
export async function eventsRefused(flags: Flags): Promise<void> {
  await withFoundation(settingsFrom(flags), "read", async ({ core }) => {
    for (let after: number | undefined; ;) {
      const page = await listRefusedEvents(core.metadata, { target: flags["target"], after, limit: refusalsAtOnce });
      for (const { refusalId: _, refusedAt, ...refusal } of page)
        await printLine({ ...refusal, refusedAt: new Date(refusedAt).toISOString() });
      after = page.at(-1)?.refusalId;
      if (after === undefined) return;
    }
  });
}

/** A reader that is slower than the log holds it up, and not the memory. */
async function printLine(value: object, signal?: AbortSignal): Promise<void> {
  if (process.stdout.write(`${JSON.stringify(value)}\n`)) return;
  await once(process.stdout, "drain", signal === undefined ? {} : { signal }).catch(() => undefined);
}

function detailTypeOf(text: string): DetailType {
  const found = detailTypes.find((type) => type.toLowerCase() === text.trim().toLowerCase());
  if (found === undefined) throw new UsageError(`'${text.trim()}' is no type of event; there are: ${detailTypes.join(", ")}`);
  return found;
}
