import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, before, test } from "node:test";
import { silentLog } from "#std/log.ts";
import { auditFiles, createCollectorAuditLog, createFileAuditLog, createStreamAuditLog } from "./audit-log.ts";

let folder: string;
before(() => void (folder = mkdtempSync(join(tmpdir(), "audit-"))));
after(() => rmSync(folder, { recursive: true }));

test("a file a day, for its owner only, and old ones go", async () => {
  const clock = { time: Date.UTC(2026, 10, 20, 23, 59), now: () => clock.time };
  writeFileSync(join(folder, "2026-11-11.elsewhere.jsonl"), "old\n");
  writeFileSync(join(folder, "2026-11-12.elsewhere.jsonl"), "kept\n");
  writeFileSync(join(folder, "notes.txt"), "not ours");
  const log = createFileAuditLog({ folder, node: "n1", keepDays: 9, clock, log: silentLog });
  log.write(() => "one\n");
  await new Promise((resolve) => setTimeout(resolve, 300));
  clock.time += 120_000;
  log.write(() => "two\n");
  log.write(() => "three\n");
  await log.close();
  assert.deepEqual(readdirSync(folder).toSorted(), [
    "2026-11-12.elsewhere.jsonl",
    "2026-11-20.n1.jsonl",
    "2026-11-21.n1.jsonl",
    "notes.txt",
  ]);
  assert.equal(readFileSync(join(folder, "2026-11-20.n1.jsonl"), "utf8"), "one\n");
  assert.equal(readFileSync(join(folder, "2026-11-21.n1.jsonl"), "utf8"), "two\nthree\n");
  assert.equal(statSync(join(folder, "2026-11-21.n1.jsonl")).mode & 0o777, 0o600);
  assert.deepEqual(
    auditFiles(folder).map(({ day }) => day),
    ["2026-11-12", "2026-11-20", "2026-11-21"],
  );
});

test("a sink that does not keep up costs records, not memory", async () => {
  let release = (): void => {};
  const slow = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, callback) {
      release = callback;
    },
  });
  const errors: string[] = [];
  const log = createStreamAuditLog(slow, { ...silentLog, error: (_fields, message) => void errors.push(message) });
  const line = `${"x".repeat(65_535)}\n`;
  for (let count = 0; count < 300; count++) log.write(() => line);
  assert.deepEqual(errors, ["audit records are dropped: their sink does not keep up"]);
  const closing = log.close();
  const releaseAll = setInterval(() => release(), 1);
  await closing;
  clearInterval(releaseAll);
});

test("a collector gets what it did not take once more", async () => {
  const taken: string[] = [];
  let failures = 1;
  const log = createCollectorAuditLog(async (lines) => {
    if (failures-- > 0) throw new Error("not now");
    taken.push(Buffer.from(lines).toString());
  }, silentLog);
  log.write(() => "one\n");
  log.write(() => "two\n");
  await log.close();
  assert.deepEqual(taken, ["one\ntwo\n"]);
});

test("lines of every length and script arrive whole and in order", async () => {
  const parts: string[] = [];
  const log = createCollectorAuditLog(async (lines) => void parts.push(Buffer.from(lines).toString()), silentLog);
  const lines = Array.from({ length: 300 }, (_, n) => `${n} ${"ü漢😀x".repeat((n * 37) % 2_000)}\n`);
  for (const line of lines) log.write(() => line);
  await log.close();
  assert.ok(parts.join("") === lines.join(""));
  assert.ok(parts.length > 1 && parts.every((part) => part.endsWith("\n")));
});
