/** Delivers events to all targets of a node, each on its own: one that is down holds up nobody else. */
import { setTimeout as sleep } from "node:timers/promises";
import { openEventCursor } from "#metadata/event-cursors.ts";
import { createTargetReader } from "./reader.ts";
import type { ReadingOptions, Standing, TargetReader } from "./reader.ts";
import type { NamedTarget } from "./target.ts";

/** What a delivery is started with. */
export interface DeliveryOptions extends ReadingOptions {
  readonly targets: readonly NamedTarget[];
  /** How often the log is looked at: one indexed look-up for each target. Default one second. */
  readonly pollMs?: number;
  /** How long a stop waits for what is being sent. Default 3 s. */
  readonly stopMs?: number;
}

/** A running delivery. */
export interface Delivery {
  standings(): readonly Standing[];
  /** Sends nothing more, and gives the claims back. */
  stop(): Promise<void>;
}

/** Starts delivering. Rejects when the cursors cannot be made; after that what goes wrong is logged and tried again. */
export async function startDelivery(options: DeliveryOptions): Promise<Delivery> {
  const { core, targets, pollMs = 1_000, stopMs = 3_000 } = options;
  for (const { name, from } of targets) await openEventCursor(core.metadata, { name, from, now: core.clock.now() });
  const stopping = new AbortController();
  const sending = new AbortController();

  async function run(reader: TargetReader, target: string): Promise<void> {
    while (!stopping.signal.aborted) {
      let isMore = false;
      try {
        isMore = await reader.turn(sending.signal);
      } catch (error) {
        core.log.error({ target, error: describe(error) }, "the events of a target cannot be read; trying again");
      }
      // Also when there is more: requests come in between.
      await sleep(isMore ? 0 : pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await reader.release().catch((error: unknown) => {
      core.log.warn({ target, error: describe(error) }, "the claim of a target of events could not be given back; it will run out");
    });
  }

  const readers = targets.map((target) => createTargetReader(options, target));
  const running = readers.map((reader, index) => run(reader, targets[index]?.name ?? ""));
  return {
    standings: () => readers.map((reader) => reader.standing()),
    async stop() {
      stopping.abort();
      const timer = setTimeout(() => sending.abort(new Error("the server is stopping")), stopMs);
      await Promise.all(running);
      clearTimeout(timer);
      await Promise.all(targets.map(({ target }) => target.close().catch(() => undefined)));
    },
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
