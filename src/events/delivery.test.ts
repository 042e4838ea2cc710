import assert from "node:assert/strict";
import test from "node:test";
import { until } from "#std/testing/until.ts";
import { claimEventCursor } from "#metadata/event-cursors.ts";
import { listRefusedEvents } from "#metadata/event-refusals.ts";
import { openDatabase } from "#metadata/database.ts";
import { silentLog } from "#std/log.ts";
import { postgresMissing, startPostgres } from "../../test/postgres.ts";
import type { EcrEvent } from "./event.ts";
import { named, pause, recordingTarget, tagsOf, withEventsBench } from "./testing/events-bench.ts";
import type { SendOutcome } from "./target.ts";

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);
const answerAll = (outcome: SendOutcome) => (events: readonly EcrEvent[]) => events.map(() => outcome);
const failed: SendOutcome = { outcome: "failed", reason: "down" };
const refused: SendOutcome = { outcome: "refused", reason: "400" };
const delivered: SendOutcome = { outcome: "delivered" };

test("a new target gets what happens from now on, in order and in batches of its size", () =>
  withEventsBench(async ({ push, deliver, counts }) => {
    await push("before");
    const target = recordingTarget(3);
    await deliver([named(target)]);
    for (const tag of numbers(8)) await push(tag);
    await until(() => target.received.length === 8);
    assert.deepEqual(tagsOf(target.received), numbers(8));
    assert.ok(target.sends.every((events) => events.length <= 3));
    assert.equal(counts.delivered, 8);
  }));

test("one that wants the beginning gets everything, and only what its filter lets through", () =>
  withEventsBench(async ({ push, deliver, repository }) => {
    await push("a");
    const [all, none, own] = [recordingTarget(), recordingTarget(), recordingTarget()];
    await deliver([
      named(all, "all", { from: "beginning" }),
      named(none, "none", { from: "beginning", filter: { repositories: ["elsewhere/*"] } }),
      named(own, "own", { from: "beginning", filter: { repositories: [repository.name], detailTypes: ["ECR Image Action"] } }),
    ]);
    await push("b");
    await until(() => all.received.length === 2 && own.received.length === 2);
    assert.deepEqual([tagsOf(all.received), tagsOf(own.received), none.sends.length], [["a", "b"], ["a", "b"], 0]);
  }));

test("a batch is cut by its bytes; a single event that is longer goes alone", () =>
  withEventsBench(async ({ push, deliver }) => {
    for (const tag of numbers(4)) await push(tag);
    const target = recordingTarget(10, 10);
    await deliver([named(target, "t", { from: "beginning" })]);
    await until(() => target.received.length === 4);
    assert.deepEqual(
      target.sends.map((events) => events.length),
      [1, 1, 1, 1],
    );
  }));

test("a target that is down gets everything when it is back, and holds up nobody else", () =>
  withEventsBench(async ({ push, deliver, clock, counts, metadata }) => {
    const [down, up] = [recordingTarget(), recordingTarget()];
    down.answer = answerAll(failed);
    const delivery = await deliver([named(down, "down"), named(up, "up")]);
    for (const tag of numbers(5)) await push(tag);
    await until(() => up.received.length === 5 && counts.failed > 0);
    assert.deepEqual(down.received, []);
    const standing = () => delivery.standings().find(({ name }) => name === "down");
    assert.deepEqual(standing(), { name: "down", isHeld: true, waitingSince: clock.time });
    const row = await metadata.read.selectFrom("event_cursor").selectAll().where("name", "=", "down").executeTakeFirstOrThrow();
    assert.deepEqual([row.failing_since, row.last_error], [clock.time, "down"]);
    // It is left alone until its pause is over.
    const sends = down.sends.length;
    await pause(20);
    assert.equal(down.sends.length, sends);
    down.answer = undefined;
    clock.time += 1_001;
    await until(() => down.received.length === 5);
    assert.deepEqual(tagsOf(down.received), numbers(5));
    await until(() => standing()?.waitingSince === undefined);
  }));

test("the pauses of a target that stays down grow", () =>
  withEventsBench(async ({ push, deliver, clock }) => {
    const target = recordingTarget();
    target.answer = () => Promise.reject(new Error("no route"));
    await deliver([named(target)]);
    await push("a");
    await until(() => target.sends.length === 1);
    for (const [attempt, pauseMs] of [1_000, 2_000, 4_000, 8_000].entries()) {
      clock.time += pauseMs - 1;
      await pause(10);
      assert.equal(target.sends.length, attempt + 1);
      clock.time += 1;
      await until(() => target.sends.length === attempt + 2);
    }
  }));

test("an event that is refused is found in its batch, tried five times, kept apart and passed over", () =>
  withEventsBench(async ({ push, deliver, clock, counts, metadata }) => {
    for (const tag of numbers(6)) await push(tag);
    const target = recordingTarget();
    // It judges a request as a whole, as a webhook does.
    target.answer = (events) => events.map(() => (tagsOf(events).includes("t2") ? refused : delivered));
    await deliver([named(target, "t", { from: "beginning" })]);
    const tries = () => target.sends.filter((events) => events.length === 1 && tagsOf(events)[0] === "t2").length;
    for (let n = 1; n < 5; n += 1) {
      await until(() => tries() === n);
      assert.deepEqual(tagsOf(target.received), ["t0", "t1"]);
      clock.time += 60_000;
    }
    await until(() => target.received.length === 5);
    assert.deepEqual(tagsOf(target.received), ["t0", "t1", "t3", "t4", "t5"]);
    assert.deepEqual([tries(), counts.refused, counts.failed], [5, 1, 4]);
    const [kept, ...rest] = await listRefusedEvents(metadata, { target: "t", limit: 10 });
    assert.deepEqual([tagsOf([kept?.event as EcrEvent])[0], kept?.reason, kept?.refusedAt, rest], ["t2", "400", clock.time, []]);
    assert.equal(kept?.eventId, target.sends.flat().find((event) => tagsOf([event])[0] === "t2")?.id);
  }));

test("what a target took of a batch is not sent to it again", () =>
  withEventsBench(async ({ push, deliver, clock, counts }) => {
    for (const tag of numbers(5)) await push(tag);
    const target = recordingTarget();
    target.answer = (events) => events.map((event) => (["t1", "t4"].includes(String(tagsOf([event])[0])) ? failed : delivered));
    await deliver([named(target, "t", { from: "beginning" })]);
    await until(() => counts.failed === 1);
    target.answer = undefined;
    clock.time += 1_001;
    await until(() => target.received.length === 5);
    assert.deepEqual(tagsOf(target.received), ["t0", "t2", "t3", "t1", "t4"]);
    await push("last");
    await until(() => target.received.length === 6);
  }));

test("after a crash between the answer and the cursor the same events come again, with the same ids", () =>
  withEventsBench(async ({ push, deliver, metadata }) => {
    const target = recordingTarget();
    const crashed = { ...metadata };
    const first = await deliver([named(target)], { core: { metadata: crashed, clock: { now: () => 1 }, log: silentLog } });
    await until(() => first.standings()[0]?.isHeld === true);
    // From here on this process writes nothing any more, as if it were dead.
    const { promise: dead, reject: bury } = Promise.withResolvers<never>();
    crashed.transaction = () => dead;
    await push("a");
    await until(() => target.received.length === 1);
    await deliver([named(target)]);
    await until(() => target.received.length === 2);
    assert.deepEqual(target.received[0], target.received[1]);
    await push("b");
    await until(() => target.received.length === 3);
    assert.deepEqual(tagsOf(target.received), ["a", "a", "b"]);
    bury(new Error("the process is dead"));
  }));

test("a stop aborts what is being sent, counts no failure, and another process goes on", () =>
  withEventsBench(async ({ push, deliver, counts }) => {
    const target = recordingTarget();
    target.answer = () => new Promise(() => {});
    const hanging = {
      ...target,
      send: (events: readonly EcrEvent[], signal: AbortSignal) =>
        Promise.race([
          target.send(events, signal),
          new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true })),
        ]),
    };
    const delivery = await deliver([named(hanging)]);
    await push("a");
    await until(() => target.sends.length === 1);
    await delivery.stop();
    assert.equal(counts.failed, 0);
    target.answer = undefined;
    await deliver([named(target)]);
    await until(() => target.received.length === 1);
  }));

test("a cursor that another node has forgotten is made again", () =>
  withEventsBench(async ({ push, deliver, metadata }) => {
    const target = recordingTarget();
    const delivery = await deliver([named(target)]);
    await until(() => delivery.standings()[0]?.isHeld === true);
    await metadata.transaction((tx) => tx.deleteFrom("event_cursor").execute());
    await push("lost");
    const isBack = async () => (await metadata.read.selectFrom("event_cursor").selectAll().executeTakeFirst())?.owner != null;
    await until(isBack);
    await push("a");
    await until(() => target.received.some((event) => tagsOf([event])[0] === "a"));
  }));

const missing = postgresMissing();

test(
  "two nodes on one Postgres: each event once and in order, and the other goes on when one dies",
  { skip: missing ?? false },
  async () => {
    const postgres = await startPostgres();
    const metadata = await openDatabase({ kind: "postgres", url: await postgres.url("events") }, { log: silentLog });
    try {
      await withEventsBench(async ({ push, deliver, clock }) => {
        const target = recordingTarget(7);
        const nodes = [await deliver([named(target)]), await deliver([named(target)])];
        // Commits overlap, so their order is the log's and not that of the calls.
        const tags = numbers(60);
        for (let at = 0; at < tags.length; at += 6) await Promise.all(tags.slice(at, at + 6).map((tag) => push(tag)));
        await until(() => target.received.length >= 60);
        await pause(30);
        const ids = target.received.map(({ id }) => id);
        assert.equal(new Set(ids).size, 60);
        assert.equal(ids.length, 60);
        const logged = await metadata.read
          .selectFrom("change")
          .select("subject")
          .where("kind", "=", "tag-put")
          .orderBy("transaction_id")
          .orderBy("change_id")
          .execute();
        assert.deepEqual(
          tagsOf(target.received),
          logged.map(({ subject }) => subject),
        );
        assert.deepEqual(nodes.flatMap((node) => node.standings()).filter(({ isHeld }) => isHeld).length, 1);

        const holder = nodes.find((node) => node.standings()[0]?.isHeld === true);
        await holder?.stop();
        await push("after");
        await until(() => target.received.length === 61);

        // A third one has died without a word: its claim has to run out.
        await Promise.all(nodes.map((node) => node.stop()));
        const dead = await claimEventCursor(metadata, {
          name: "target",
          owner: "dead",
          now: clock.time,
          leaseMs: 60_000,
          isOnlyNode: false,
        });
        assert.ok(typeof dead === "object");
        await deliver([named(target)]);
        await push("late");
        clock.time += 59_999;
        await pause(30);
        assert.equal(target.received.length, 61);
        clock.time += 1;
        await until(() => target.received.length === 62);
      }, metadata);
    } finally {
      await metadata.close();
      await postgres.stop();
    }
  },
);
