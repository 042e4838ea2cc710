/**
 * Reads the change log for one target. At least once: the cursor moves when the target has taken what lies before it, so what was sent
 * before a crash is sent again, with the same ids. In order, except that what a target takes of a batch is not taken back because of the rest.
 * Invariant: only the node that holds the cursor's claim sends, and it extends the claim before each send for longer than that may take.
 */
import { listChanges } from "#metadata/changes.ts";
import type { Change } from "#metadata/changes.ts";
import { claimEventCursor, moveEventCursor, openEventCursor, releaseEventCursor } from "#metadata/event-cursors.ts";
import type { RefusedEvent } from "#metadata/event-cursors.ts";
import type { RegistryCore } from "#registry/context.ts";
import { eventsOf } from "./event.ts";
import type { EcrEvent } from "./event.ts";
import { isWanted } from "./filter.ts";
import type { NamedTarget, SendOutcome } from "./target.ts";

/** What is counted. */
export interface DeliveryObserver {
  delivered(target: string, count: number): void;
  /** An attempt that did not deliver. */
  failed(target: string): void;
  /** An event that is not tried again. */
  refused(target: string): void;
}

/** How a node reads. Times in milliseconds. */
export interface ReadingOptions {
  readonly core: Pick<RegistryCore, "metadata" | "clock" | "log">;
  readonly registryId: string;
  /** Unique among the nodes. */
  readonly node: string;
  /** There can be no other: claims of a predecessor do not count. */
  readonly isOnlyNode: boolean;
  readonly observer: DeliveryObserver;
  /** How long a claim holds without being extended. Default one minute. */
  readonly leaseMs?: number;
  /** How long a send may take; less than half of a claim. Default 20 s. */
  readonly sendMs?: number;
  /** The pause after a failure, doubled with each further one. Default from 1 s to 5 minutes. */
  readonly backoff?: { readonly firstMs: number; readonly longestMs: number };
  /** So many refusals, and the event is kept apart and passed over. Default 5. */
  readonly maxRefusals?: number;
}

/** Where a target stands, as far as this node knows. */
export interface Standing {
  readonly name: string;
  /** Whether this node reads for it. */
  readonly isHeld: boolean;
  /** When the oldest event that is still to be delivered happened; undefined when there is none. */
  readonly waitingSince: number | undefined;
}

/** The reader of one target. */
export interface TargetReader {
  /** Claims, reads and sends as far as it gets; true when there is more to do at once. Rejects when the database does not answer. */
  turn(sending: AbortSignal): Promise<boolean>;
  standing(): Standing;
  /** Gives the claim back. */
  release(): Promise<void>;
}

interface Pending {
  readonly event: EcrEvent;
  readonly bytes: number;
  readonly at: number;
  /** Where the cursor may stand when this and everything before it is done. */
  readonly reached: string;
}

/** Entries of one page; most are small, and few are large. */
const pageSize = 500;

class ClaimLost extends Error {
  override readonly name = "ClaimLost";
}

/** Makes the reader of a target. */
export function createTargetReader(options: ReadingOptions, { name, filter, from, target }: NamedTarget): TargetReader {
  const { core, observer, isOnlyNode, leaseMs = 60_000, sendMs = 20_000, maxRefusals = 5 } = options;
  const { backoff = { firstMs: 1_000, longestMs: 300_000 } } = options;
  const { metadata, clock, log } = core;
  let claim: { readonly fence: number; leaseUntil: number } | undefined;
  let position = "0.0";
  let savedPosition = position;
  let refusals = 0;
  let failures = 0;
  let failure: { readonly since: number; readonly error: string } | undefined;
  let retryAt = 0;
  let waitingSince: number | undefined;
  /** Ids behind the cursor's place that have arrived already. */
  let arrived = new Set<string>();
  /** So many events are sent one by one, to find the one that is refused. */
  let single = 0;

  async function take(): Promise<boolean> {
    const now = clock.now();
    const claimed = await claimEventCursor(metadata, { name, owner: options.node, now, leaseMs, isOnlyNode });
    if (claimed === "held-by-another") return false;
    if (claimed === "missing") {
      // A node whose settings do not name the target has forgotten it, because nobody served it for long.
      await openEventCursor(metadata, { name, from, now });
      return false;
    }
    claim = { fence: claimed.fence, leaseUntil: now + leaseMs };
    position = savedPosition = claimed.position;
    refusals = claimed.refusals;
    failure = claimed.failingSince === undefined ? undefined : { since: claimed.failingSince, error: "" };
    [failures, retryAt, single, arrived] = [0, 0, 0, new Set()];
    return true;
  }

  function lose(): void {
    claim = undefined;
    waitingSince = undefined;
  }

  /** Writes down the place, and with it everything else that a successor needs. */
  async function save(refused?: RefusedEvent): Promise<void> {
    if (claim === undefined) throw new ClaimLost();
    const now = clock.now();
    const leaseUntil = now + leaseMs;
    if (!(await moveEventCursor(metadata, { name, fence: claim.fence, position, leaseUntil, refusals, failure, refused, now }))) {
      lose();
      throw new ClaimLost();
    }
    claim.leaseUntil = leaseUntil;
    savedPosition = position;
  }

  /** What needs no saving at once is saved with the claim's extension. A node that is alone has none to extend. */
  async function keep(): Promise<void> {
    if (claim === undefined || clock.now() < claim.leaseUntil - leaseMs / 2) return;
    if (!isOnlyNode || savedPosition !== position) await save();
  }

  async function turn(sending: AbortSignal): Promise<boolean> {
    try {
      if (claim === undefined && !(await take())) return false;
      await keep();
      if (clock.now() < retryAt) return false;
      const changes = await listChanges(metadata, { after: position, limit: pageSize });
      const last = changes.at(-1);
      if (last === undefined) {
        waitingSince = undefined;
        return false;
      }
      const pending = pendingOf(changes);
      waitingSince = pending[0]?.at;
      if (pending.length > 0 && !(await deliver(pending, sending))) return clock.now() >= retryAt;
      position = last.position;
      waitingSince = undefined;
      arrived = new Set();
      if (pending.length > 0) await save();
      return changes.length === pageSize;
    } catch (error) {
      if (error instanceof ClaimLost) return false;
      throw error;
    }
  }

  function pendingOf(changes: readonly Change[]): readonly Pending[] {
    const found: { readonly event: EcrEvent; readonly at: number; readonly index: number }[] = [];
    for (const [index, change] of changes.entries())
      for (const event of eventsOf(change, options.registryId)) if (isWanted(filter, event)) found.push({ event, at: change.at, index });
    return found
      .map(({ event, at }, place): Pending => {
        const next = found[place + 1];
        const reached = next === undefined ? changes.at(-1)?.position : changes[next.index - 1]?.position;
        return { event, at, bytes: Buffer.byteLength(JSON.stringify(event)), reached: reached ?? position };
      })
      .filter(({ event }) => !arrived.has(event.id));
  }

  /** Sends batch after batch. False: it stopped before the end, and there is a time to go on at. */
  async function deliver(pending: readonly Pending[], sending: AbortSignal): Promise<boolean> {
    for (let start = 0; start < pending.length;) {
      if (sending.aborted) throw new ClaimLost();
      const batch = cut(pending, start);
      waitingSince = batch[0]?.at;
      const outcomes = await send(batch, sending);
      const done = await note(batch, outcomes);
      if (!done) return false;
      start += batch.length;
    }
    return true;
  }

  function cut(pending: readonly Pending[], start: number): readonly Pending[] {
    const most = single > 0 ? 1 : target.maxEvents;
    let bytes = 0;
    let end = start;
    while (end < pending.length && end - start < most) {
      bytes += (pending[end]?.bytes ?? 0) + 1;
      if (bytes > target.maxBytes && end > start) break;
      end += 1;
    }
    return pending.slice(start, end);
  }

  async function send(batch: readonly Pending[], sending: AbortSignal): Promise<readonly SendOutcome[]> {
    if (claim === undefined) throw new ClaimLost();
    if (!isOnlyNode && claim.leaseUntil - clock.now() < 2 * sendMs) await save();
    try {
      const signal = AbortSignal.any([sending, AbortSignal.timeout(sendMs)]);
      const events = batch.map(({ event }) => event);
      return await target.send(events, signal);
    } catch (error) {
      // The server stops: nobody knows what arrived, and it is no failure of the target.
      if (sending.aborted) throw new ClaimLost();
      return batch.map(() => ({ outcome: "failed", reason: error instanceof Error ? error.message : String(error) }));
    }
  }

  /** Draws the consequences of a send. True: everything arrived. */
  async function note(batch: readonly Pending[], outcomes: readonly SendOutcome[]): Promise<boolean> {
    const open = batch.filter((_item, index) => outcomes[index]?.outcome !== "delivered");
    const first = open[0];
    observer.delivered(name, batch.length - open.length);
    for (const item of batch) if (!open.includes(item)) arrived.add(item.event.id);
    const before = first === undefined ? batch.at(-1) : batch[batch.indexOf(first) - 1];
    if (before !== undefined) {
      if (failure !== undefined) log.info({ target: name }, "events are delivered again");
      position = before.reached;
      [failures, refusals, failure] = [0, 0, undefined];
      await save();
    }
    single = Math.max(0, single - (batch.length - open.length));
    if (first === undefined) return true;
    const refusal = outcomes.find((outcome) => outcome.outcome === "refused");
    if (refusal?.outcome === "refused" && batch.length > 1) single = open.length;
    else if (refusal?.outcome === "refused") await refuse(first, refusal.reason);
    else {
      const failed = outcomes.find((outcome) => outcome.outcome === "failed");
      await fail(failed?.outcome === "failed" ? failed.reason : "the target did not answer for every event", (failures += 1));
    }
    return false;
  }

  async function fail(reason: string, times: number): Promise<void> {
    const now = clock.now();
    const pauseMs = Math.min(backoff.longestMs, backoff.firstMs * 2 ** Math.min(times - 1, 30));
    retryAt = now + pauseMs;
    failure = { since: failure?.since ?? now, error: reason };
    observer.failed(name);
    log.warn({ target: name, reason, pauseMs }, "events could not be delivered; they are tried again");
    await save();
  }

  async function refuse({ event, reached }: Pending, reason: string): Promise<void> {
    refusals += 1;
    if (refusals < maxRefusals) return fail(`refused: ${reason}`, refusals);
    log.error({ target: name, eventId: event.id, reason }, "an event was refused too often; it is kept apart and passed over");
    observer.refused(name);
    position = reached;
    arrived.add(event.id);
    single = Math.max(0, single - 1);
    [failures, refusals, failure] = [0, 0, undefined];
    await save({ eventId: event.id, event, reason });
  }

  return {
    turn,
    standing: () => ({ name, isHeld: claim !== undefined, waitingSince }),
    async release() {
      if (claim === undefined) return;
      const { fence } = claim;
      if (savedPosition !== position) await save();
      lose();
      await releaseEventCursor(metadata, { name, fence, now: clock.now() });
    },
  };
}
