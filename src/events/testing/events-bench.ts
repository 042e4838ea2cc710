/** What the tests of delivery stand on: a real database with pushes in it, a clock that the test moves, and targets that do what they are told. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import { author, makeRepository, pushed } from "#metadata/metadata-contract-fixture.ts";
import type { Repository } from "#metadata/repositories.ts";
import { silentLog } from "#std/log.ts";
import { startDelivery } from "../delivery.ts";
import type { Delivery, DeliveryOptions } from "../delivery.ts";
import type { EcrEvent } from "../event.ts";
import type { EventTarget, NamedTarget, SendOutcome } from "../target.ts";

/** When every test begins. */
export const start = 1_800_000_000_000;

/** What is counted. */
export interface Counts {
  delivered: number;
  failed: number;
  refused: number;
}

/** A database with a repository, and deliveries that end with the test. */
export interface EventsBench {
  readonly metadata: Database;
  readonly clock: { time: number };
  readonly counts: Counts;
  readonly repository: Repository;
  /** Pushes a tag with a manifest of its own. */
  readonly push: (tag: string) => Promise<void>;
  readonly deliver: (targets: readonly NamedTarget[], options?: Partial<DeliveryOptions>) => Promise<Delivery>;
}

/** A target in memory: what arrived, and how it answers. */
export interface RecordingTarget extends EventTarget {
  readonly received: EcrEvent[];
  /** Every send, accepted or not. */
  readonly sends: (readonly EcrEvent[])[];
  /** How it answers from now on; undefined: it takes everything. */
  answer: ((events: readonly EcrEvent[]) => Promise<readonly SendOutcome[]> | readonly SendOutcome[]) | undefined;
}

/** Makes a target that takes everything until it is told otherwise. */
export function recordingTarget(maxEvents = 10, maxBytes = 100_000): RecordingTarget {
  const target: RecordingTarget = {
    maxEvents,
    maxBytes,
    received: [],
    sends: [],
    answer: undefined,
    async send(events, signal) {
      target.sends.push(events);
      const outcomes = (await target.answer?.(events)) ?? events.map((): SendOutcome => ({ outcome: "delivered" }));
      signal.throwIfAborted();
      events.forEach((event, index) => outcomes[index]?.outcome === "delivered" && target.received.push(event));
      return outcomes;
    },
    async close() {},
  };
  return target;
}

/** The target under a name, for all events from now on. */
export function named(target: EventTarget, name = "target", more: Partial<NamedTarget> = {}): NamedTarget {
  return { name, filter: {}, from: "now", target, ...more };
}

/** Tags of events, in their order. */
export function tagsOf(events: readonly EcrEvent[]): readonly unknown[] {
  return events.map(({ detail }) => detail["image-tag"]);
}

/** Runs a test on a database (a new SQLite file unless one is given) and ends its deliveries. */
export async function withEventsBench(run: (bench: EventsBench) => Promise<void>, given?: Database): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "events-"));
  const metadata = given ?? (await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog }));
  const clock = { time: start };
  const counts: Counts = { delivered: 0, failed: 0, refused: 0 };
  const deliveries: Delivery[] = [];
  const repository = await makeRepository(metadata);
  try {
    await run({
      metadata,
      clock,
      counts,
      repository,
      push: async (tag) => void (await pushed(metadata, repository, tag, { tags: [tag], author: author(clock.time) })),
      async deliver(targets, options) {
        const delivery = await startDelivery({
          core: { metadata, clock: { now: () => clock.time }, log: silentLog },
          registryId: "registry",
          node: `node-${deliveries.length}`,
          isOnlyNode: given === undefined,
          observer: {
            delivered: (_target, count) => void (counts.delivered += count),
            failed: () => void (counts.failed += 1),
            refused: () => void (counts.refused += 1),
          },
          targets,
          pollMs: 2,
          stopMs: 20,
          ...options,
        });
        deliveries.push(delivery);
        return delivery;
      },
    });
  } finally {
    await Promise.all(deliveries.map((delivery) => delivery.stop()));
    if (given === undefined) await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

/** Lets real time pass. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
