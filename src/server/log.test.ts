import assert from "node:assert/strict";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLog } from "./log.ts";

const folder = mkdtempSync(join(tmpdir(), "log-"));
test.after(() => rmSync(folder, { recursive: true }));

test("lines are gathered, and warnings go out at once with all that came before", () => {
  const file = join(folder, "lines");
  const descriptor = openSync(file, "a");
  const log = createLog("info", descriptor);
  log.debug({ a: 1 }, "not at this level");
  log.info({ a: 2 }, "gathered");
  assert.equal(readFileSync(file, "utf8"), "");
  log.warn({ a: 3 }, "urgent");
  const messages = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: string; msg: string; a: number });
  assert.deepEqual(
    messages.map(({ level, msg, a }) => [level, msg, a]),
    [
      ["info", "gathered", 2],
      ["warn", "urgent", 3],
    ],
  );
  closeSync(descriptor);
});

test("a log whose file is closed, whose disk is full or whose reader has stopped holds nobody up", () => {
  const closed = openSync(join(folder, "closed"), "a");
  closeSync(closed);
  createLog("info", closed).error({}, "to nobody");
  createLog("info", openSync("/dev/full", "w")).error({}, "on a full disk");
  const pipe = join(folder, "pipe");
  spawnSync("mkfifo", [pipe]);
  assert.ok(existsSync(pipe));
  // Never closed: what waits is tried again by the number of the descriptor, which would soon be another file's.
  const log = createLog("info", openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK));
  for (let index = 0; index < 5_000; index++) log.error({ padding: "x".repeat(1_000) }, "nobody reads");
});
