import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { EcrEvent } from "#events/event.ts";
import { createEventFile } from "./event-file.ts";

const base = mkdtempSync(join(tmpdir(), "event-file-"));
after(() => rmSync(base, { recursive: true }));
const event = (id: string): EcrEvent => ({ id }) as unknown as EcrEvent;
const day = 86_400_000;
const signal = AbortSignal.timeout(10_000);

for (const sync of ["batch", "never"] as const) {
  test(`lines in a file a day, old files gone (sync ${sync})`, async () => {
    const folder = join(base, sync, "inner");
    let now = Date.UTC(2026, 10, 20, 23, 59);
    const target = createEventFile({ path: join(folder, "events.jsonl"), sync, keepDays: 2, clock: { now: () => now } });
    assert.deepEqual(await target.send([event("a"), event("b")], signal), [{ outcome: "delivered" }, { outcome: "delivered" }]);
    await target.send([event("c")], signal);
    assert.equal(readFileSync(join(folder, "events-2026-11-20.jsonl"), "utf8"), '{"id":"a"}\n{"id":"b"}\n{"id":"c"}\n');
    assert.equal(statSync(join(folder, "events-2026-11-20.jsonl")).mode & 0o777, 0o600);
    writeFileSync(join(folder, "events-old.jsonl"), "somebody else's");
    for (const id of ["d", "e", "f"]) {
      now += day;
      await target.send([event(id)], signal);
    }
    await target.close();
    assert.deepEqual(readdirSync(folder).toSorted(), [
      "events-2026-11-21.jsonl",
      "events-2026-11-22.jsonl",
      "events-2026-11-23.jsonl",
      "events-old.jsonl",
    ]);
  });
}

test("what a crash left of a line stays alone; after a restart lines are added", async () => {
  const file = join(base, "torn-2026-11-20.jsonl");
  const open = () =>
    createEventFile({ path: join(base, "torn.jsonl"), sync: "batch", keepDays: undefined, clock: { now: () => Date.UTC(2026, 10, 20) } });
  const first = open();
  await first.send([event("a")], signal);
  await first.close();
  appendFileSync(file, '{"id":"hal');
  const second = open();
  await second.send([event("b")], signal);
  await second.close();
  assert.equal(readFileSync(file, "utf8"), '{"id":"a"}\n{"id":"hal\n{"id":"b"}\n');
});

test("a folder that cannot be made is told", async () => {
  writeFileSync(join(base, "plain"), "");
  const target = createEventFile({ path: join(base, "plain", "x.jsonl"), sync: "batch", keepDays: undefined, clock: { now: () => 0 } });
  await assert.rejects(target.send([event("a")], signal), /ENOTDIR|EEXIST/);
  await target.close();
});
