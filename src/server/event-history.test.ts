import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { listChanges } from "#metadata/changes.ts";
import { openDatabase } from "#metadata/database.ts";
import { claimEventCursor, moveEventCursor, openEventCursor } from "#metadata/event-cursors.ts";
import { author, makeRepository, pushed } from "#metadata/metadata-contract-fixture.ts";
import { silentLog } from "#std/log.ts";
import { trimHistory } from "./event-history.ts";

const day = 86_400_000;
const start = 1_800_000_000_000;

test("history goes when it is old; a target that failed for all that time loses it, and everybody hears of it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "event-history-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  let now = start;
  const lines: { readonly level: string; readonly message: string; readonly target: unknown }[] = [];
  const keep = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, target: (fields as { target?: unknown }).target });
  const log = { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
  const trim = (targetNames: readonly string[], signal?: AbortSignal) =>
    trimHistory({ metadata, clock: { now: () => now }, log }, { keepMs: 90 * day, targetNames }, signal);
  const left = async () => (await listChanges(metadata, { limit: 100 })).length;
  try {
    for (const name of ["stuck", "removed"]) await openEventCursor(metadata, { name, from: "beginning", now });
    const repository = await makeRepository(metadata, { author: author(start) });
    for (let n = 0; n < 3; n += 1) await pushed(metadata, repository, `m${n}`, { author: author(start) });
    const claimed = await claimEventCursor(metadata, { name: "stuck", owner: "a", now, leaseMs: 1, isOnlyNode: true });
    assert.ok(typeof claimed === "object");
    const failure = { since: start + day, error: "down" };
    await moveEventCursor(metadata, { name: "stuck", fence: claimed.fence, position: "0.0", leaseUntil: now, refusals: 0, failure, now });

    now = start + 91 * day - 1;
    await trim(["stuck"]);
    assert.equal(await left(), 4, "a target has still to get them");
    assert.deepEqual(
      lines.map(({ level, target }) => [level, target]),
      [["info", "removed"]],
    );
    now += 1;
    await assert.rejects(trim(["stuck"], AbortSignal.abort(new Error("the server is stopping"))), /stopping/);
    await trim(["stuck"]);
    assert.equal(await left(), 0);
    const loud = lines.filter(({ level }) => level === "error");
    assert.deepEqual([loud.length, loud[0]?.target], [1, "stuck"]);
    assert.match(loud[0]?.message ?? "", /events were lost/);
    await pushed(metadata, repository, "young", { author: author(now - 90 * day) });
    await trim([]);
    assert.equal(await left(), 1);
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
});
