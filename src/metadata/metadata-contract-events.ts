import assert from "node:assert/strict";
import { test } from "node:test";
import { listChanges } from "./changes.ts";
import {
  claimEventCursor,
  lastChangePosition,
  moveEventCursor,
  openEventCursor,
  positionBefore,
  releaseEventCursor,
} from "./event-cursors.ts";
import type { ClaimedCursor } from "./event-cursors.ts";
import { listRefusedEvents, trimRefusedEvents } from "./event-refusals.ts";
import { dropEventCursors, trimChanges, trimDeadJobs } from "./event-retention.ts";
import { claimJob, enqueueJob, failJob, listDeadJobs } from "./jobs.ts";
import { author, makeRepository, pushed, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";

const leaseMs = 1_000;

/** What readers of the change log, and its end, are promised. */
export function eventContract(opened: OpenedDatabase): void {
  const claim = async (name: string, owner: string, now: number, isOnlyNode = false): Promise<ClaimedCursor> => {
    const claimed = await claimEventCursor(opened(), { name, owner, now, leaseMs, isOnlyNode });
    assert.ok(typeof claimed === "object", JSON.stringify(claimed));
    return claimed;
  };

  test("one node holds a cursor, until its claim is over or given back", async () => {
    const db = opened();
    const name = unique("target");
    const attempt = (owner: string, now: number) => claimEventCursor(db, { name, owner, now, leaseMs, isOnlyNode: false });
    assert.equal(await attempt("a", 0), "missing");
    await openEventCursor(db, { name, from: "beginning", now: 0 });
    const racing = await Promise.all(["a", "b", "c", "d"].map((owner) => attempt(owner, 1)));
    const [first] = racing.filter((outcome) => typeof outcome === "object");
    assert.deepEqual(racing.filter((outcome) => outcome === "held-by-another").length, 3);
    assert.ok(first !== undefined);
    assert.deepEqual([first.position, first.refusals, first.failingSince], ["0.0", 0, undefined]);
    assert.equal(await attempt("e", leaseMs), "held-by-another");
    const move = { name, fence: first.fence, position: "0.5", leaseUntil: 5_000, refusals: 2, now: 2 };
    assert.equal(await moveEventCursor(db, { ...move, failure: { since: 7, error: "x".repeat(5_000) } }), true);
    assert.equal(await attempt("e", 4_999), "held-by-another");
    const second = await claim(name, "e", 5_000);
    assert.deepEqual([second.position, second.refusals, second.failingSince], ["0.5", 2, 7]);
    // Who has lost its claim moves nothing, and takes nothing away.
    assert.equal(await moveEventCursor(db, { ...move, position: "0.9" }), false);
    await releaseEventCursor(db, { name, fence: first.fence, now: 5_001 });
    assert.equal(await attempt("f", 5_002), "held-by-another");
    await releaseEventCursor(db, { name, fence: second.fence, now: 5_003 });
    assert.equal((await claim(name, "f", 5_003)).position, "0.5");
    // The only node there can be does not wait for its dead predecessor.
    assert.equal((await claim(name, "g", 5_004, true)).position, "0.5");
    await openEventCursor(db, { name, from: "now", now: 0 });
    assert.equal((await claim(name, "g", 5_004, true)).position, "0.5");
  });

  test("what is kept of a refused event goes with the move past it", async () => {
    const db = opened();
    const name = unique("target");
    await openEventCursor(db, { name, from: "beginning", now: 0 });
    const { fence } = await claim(name, "a", 1);
    const refused = { eventId: "id", event: { a: "\\ü" }, reason: "y".repeat(5_000) };
    const move = { name, fence, position: "0.1", leaseUntil: 10, refusals: 0, refused };
    assert.equal(await moveEventCursor(db, { ...move, fence: fence - 1, now: 3 }), false);
    for (const now of [3, 4, 5]) assert.equal(await moveEventCursor(db, { ...move, now }), true);
    const [first, ...others] = await listRefusedEvents(db, { target: name, limit: 2 });
    assert.deepEqual(
      [first?.event, first?.eventId, first?.reason.length, first?.refusedAt, others.length],
      [refused.event, "id", 1_000, 3, 1],
    );
    const rest = await listRefusedEvents(db, { target: name, after: others[0]?.refusalId, limit: 2 });
    assert.deepEqual(
      rest.map(({ refusedAt }) => refusedAt),
      [5],
    );
    assert.equal(await trimRefusedEvents(db, { before: 5, limit: 1 }), 1);
    assert.equal(await trimRefusedEvents(db, { before: 5, limit: 10 }), 1);
    assert.deepEqual(
      (await listRefusedEvents(db, { target: name, limit: 9 })).map(({ refusedAt }) => refusedAt),
      [5],
    );
    await dropEventCursors(db, { names: [], before: Number.MAX_SAFE_INTEGER });
  });

  test("a place by its moment, and the end of the log", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const start = startAt + 10_000_000;
    for (let n = 0; n < 10; n += 1) await pushed(db, repository, unique("m"), { author: author(start + n * 100) });
    const end = await lastChangePosition(db);
    assert.deepEqual(await listChanges(db, { after: end, limit: 1 }), []);
    const after = await listChanges(db, { after: await positionBefore(db, start + 500, 0), limit: 100 });
    assert.deepEqual(
      after.map(({ at }) => at - start),
      [500, 600, 700, 800, 900],
    );
    const slack = await listChanges(db, { after: await positionBefore(db, start + 500, 150), limit: 100 });
    assert.deepEqual(slack[0]?.at, start + 400);
    assert.equal(await positionBefore(db, 0, 0), "0.0");
    assert.equal(await positionBefore(db, start + 1_000_000, 0), end);
  });

  test("old entries go in steps, and none that a reader has still to read, unless its target fails for too long", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const name = unique("target");
    const now = startAt + 1_000_000_000;
    await dropEventCursors(db, { names: [], before: Number.MAX_SAFE_INTEGER });
    for (let n = 0; n < 4; n += 1) await pushed(db, repository, unique("m"), { author: author(now) });
    const before = now + 1;
    const trim = (limit: number, givenUpBefore = 0) => trimChanges(db, { before, givenUpBefore, limit });
    const all = await listChanges(db, { limit: 10_000 });
    const third = all.at(-2);
    assert.ok(third !== undefined);
    await openEventCursor(db, { name, from: "beginning", now });
    const { fence } = await claim(name, "a", now);
    assert.deepEqual(await trim(10), { removed: 0, overtaken: [] });
    const move = { name, fence, position: third.position, leaseUntil: now + leaseMs, refusals: 0, now };
    assert.equal(await moveEventCursor(db, { ...move, failure: { since: 100, error: "down" } }), true);
    assert.deepEqual(await trim(2), { removed: 2, overtaken: [] });
    assert.equal((await trim(10_000)).removed, all.length - 3);
    assert.deepEqual(await trim(10), { removed: 0, overtaken: [] });
    assert.deepEqual(
      (await listChanges(db, { limit: 10 })).map(({ changeId }) => changeId),
      [all.at(-1)?.changeId],
    );
    // Young entries stay whoever has read them; and after a long failure it loses the old ones.
    assert.deepEqual(await trimChanges(db, { before: now, givenUpBefore: 100, limit: 10 }), { removed: 0, overtaken: [] });
    assert.deepEqual(await trim(10, 100), { removed: 1, overtaken: [name] });
    assert.deepEqual(await listChanges(db, { limit: 10 }), []);
  });

  test("places of targets that nobody serves any more are forgotten", async () => {
    const db = opened();
    const [old, kept, fresh] = [unique("target"), unique("target"), unique("target")];
    await dropEventCursors(db, { names: [], before: Number.MAX_SAFE_INTEGER });
    await openEventCursor(db, { name: old, from: "now", now: 10 });
    await openEventCursor(db, { name: kept, from: "now", now: 10 });
    await openEventCursor(db, { name: fresh, from: "now", now: 20 });
    assert.deepEqual(await dropEventCursors(db, { names: [kept], before: 20 }), [old]);
    assert.deepEqual(await dropEventCursors(db, { names: [], before: Number.MAX_SAFE_INTEGER }), [kept, fresh].toSorted());
  });

  test("jobs that were given up go when they are old", async () => {
    const db = opened();
    const kind = unique("kind");
    for (const runAt of [1, 2, 3]) {
      await enqueueJob(db, { kind, payload: {}, runAt });
      const job = await claimJob(db, { kinds: [kind], now: runAt, leaseMs: 10 });
      assert.ok(job !== undefined);
      await failJob(db, { ...job, error: "broken", retryAt: runAt === 3 ? 13 : null });
    }
    const dead = async () => (await listDeadJobs(db)).filter((job) => job.kind === kind).length;
    assert.equal(await trimDeadJobs(db, { before: 11, limit: 10 }), 0);
    assert.equal(await trimDeadJobs(db, { before: 12, limit: 10 }), 1);
    assert.equal(await dead(), 1);
    assert.equal(await trimDeadJobs(db, { before: 1_000, limit: 10 }), 1);
    assert.ok((await claimJob(db, { kinds: [kind], now: 13, leaseMs: 1 })) !== undefined, "what waits for another attempt stays");
  });
}
