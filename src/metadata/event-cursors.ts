/**
 * Readers of the change log that outlive their process: how far each has come, and which node reads for it now. A claim is a lease, and every
 * claim has a number of its own (the fence): what a node writes after it has lost its claim is refused.
 */
import { sql } from "kysely";
import { parsePosition } from "./changes.ts";
import type { Database } from "./database.ts";

/** What a claim answers. */
export interface ClaimedCursor {
  readonly fence: number;
  /** The last entry that is done. */
  readonly position: string;
  /** How often the event after the position was refused. */
  readonly refusals: number;
  readonly failingSince: number | undefined;
}

/** An event that its target refused for good. */
export interface RefusedEvent {
  readonly eventId: string;
  readonly event: object;
  readonly reason: string;
}

/** One kept refusal. */
export interface Refusal extends RefusedEvent {
  readonly refusalId: number;
  readonly target: string;
  readonly refusedAt: number;
}

/** How a cursor moves. Times are milliseconds since the epoch. */
export interface CursorMove {
  readonly name: string;
  readonly fence: number;
  readonly position: string;
  readonly leaseUntil: number;
  readonly refusals: number;
  /** Absent when the last attempt went well. */
  readonly failure?: { readonly since: number; readonly error: string } | undefined;
  /** Kept with the move past it. */
  readonly refused?: RefusedEvent | undefined;
  readonly now: number;
}

const maxErrorLength = 1_000;

/** Makes sure that there is a cursor of that name. A new one stands before the first entry, or behind the last. */
export async function openEventCursor(
  db: Database,
  input: { readonly name: string; readonly from: "now" | "beginning"; readonly now: number },
): Promise<void> {
  const { transactionId, changeId } = parsePosition(input.from === "now" ? await lastChangePosition(db) : "0.0");
  await db.transaction(async (tx) => {
    await tx
      .insertInto("event_cursor")
      .values({
        name: input.name,
        transaction_id: transactionId,
        change_id: changeId,
        owner: null,
        // Counts as served until now: a node that does not know the name must not forget it at once.
        lease_until: input.now,
        failing_since: null,
        last_error: null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/** Where the log ends now: behind the last entry below which nothing can be written any more. */
export async function lastChangePosition(db: Database): Promise<string> {
  const last = await db.read
    .selectFrom("change")
    .select(["transaction_id", "change_id"])
    .where(db.dialect.changeSettled)
    .orderBy("transaction_id", "desc")
    .orderBy("change_id", "desc")
    .limit(1)
    .executeTakeFirst();
  return last === undefined ? "0.0" : `${last.transaction_id}.${last.change_id}`;
}

/**
 * A position before every entry of that moment or later; entries of up to `slackMs` before it may follow, because writers do not commit in
 * the order of their clocks. Takes a number of look-ups that grows with the number of digits of the log's length.
 */
export async function positionBefore(db: Database, at: number, slackMs: number): Promise<string> {
  const ends = await db.read
    .selectFrom("change")
    .select(({ fn }) => [fn.min("change_id").as("first"), fn.max("change_id").as("last")])
    .executeTakeFirst();
  let [low, high] = [ends?.first ?? 1, ends?.last ?? 0];
  let found: string | undefined;
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const row = await db.read
      .selectFrom("change")
      .select(["transaction_id", "change_id", "at"])
      .where("change_id", ">=", middle)
      .orderBy("change_id")
      .limit(1)
      .executeTakeFirst();
    if (row === undefined || row.at >= at - slackMs) high = middle - 1;
    else {
      found = `${row.transaction_id}.${row.change_id}`;
      low = row.change_id + 1;
    }
  }
  return found ?? "0.0";
}

/**
 * Claims a cursor that nobody holds, or whose holder's lease is over; the only node there can be (`isOnlyNode`) takes it from its own dead
 * predecessor at once.
 */
export async function claimEventCursor(
  db: Database,
  input: { readonly name: string; readonly owner: string; readonly now: number; readonly leaseMs: number; readonly isOnlyNode: boolean },
): Promise<ClaimedCursor | "held-by-another" | "missing"> {
  const { name, now, isOnlyNode } = input;
  // A node that only watches must not write.
  const seen = await db.read.selectFrom("event_cursor").select(["owner", "lease_until"]).where("name", "=", name).executeTakeFirst();
  if (seen === undefined) return "missing";
  if (!isOnlyNode && seen.owner !== null && seen.lease_until > now) return "held-by-another";
  return db.transaction(async (tx) => {
    const row = await tx
      .updateTable("event_cursor")
      .set({ owner: input.owner, lease_until: now + input.leaseMs, fence: sql`fence + 1` })
      .where("name", "=", name)
      .$if(!isOnlyNode, (query) => query.where((eb) => eb.or([eb("owner", "is", null), eb("lease_until", "<=", now)])))
      .returning(["transaction_id", "change_id", "fence", "refusals", "failing_since"])
      .executeTakeFirst();
    if (row === undefined) return "held-by-another";
    return {
      fence: row.fence,
      position: `${row.transaction_id}.${row.change_id}`,
      refusals: row.refusals,
      failingSince: row.failing_since ?? undefined,
    };
  });
}

/** Writes down how far its holder has come, and extends the claim. False: the claim is lost, and nothing was written. */
export async function moveEventCursor(db: Database, move: CursorMove): Promise<boolean> {
  const { transactionId, changeId } = parsePosition(move.position);
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("event_cursor")
      .set({
        transaction_id: transactionId,
        change_id: changeId,
        lease_until: move.leaseUntil,
        refusals: move.refusals,
        failing_since: move.failure?.since ?? null,
        last_error: move.failure?.error.slice(0, maxErrorLength) ?? null,
      })
      .where("name", "=", move.name)
      .where("fence", "=", move.fence)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    if (move.refused !== undefined) {
      const { eventId, event, reason } = move.refused;
      const row = { target: move.name, event_id: eventId, event: JSON.stringify(event), reason: reason.slice(0, maxErrorLength) };
      await tx
        .insertInto("event_refusal")
        .values({ ...row, refused_at: move.now })
        .execute();
    }
    return true;
  });
}

/** Gives a claim back, so that another node can go on at once. */
export async function releaseEventCursor(db: Database, input: { readonly name: string; readonly fence: number; readonly now: number }) {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("event_cursor")
      .set({ owner: null, lease_until: input.now })
      .where("name", "=", input.name)
      .where("fence", "=", input.fence)
      .execute();
  });
}
