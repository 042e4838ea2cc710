import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { keepKeys, readKeptKeys, userCacheFolder, waitForTurn } from "./login-cache.ts";

const minute = 60_000;
const ends = Date.UTC(2026, 10, 21, 9);
const keys = {
  Version: 1,
  AccessKeyId: "ASIA1",
  SecretAccessKey: "s",
  SessionToken: "t",
  Expiration: new Date(ends).toISOString(),
} as const;
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-cache-"));
});
after(() => rmSync(folder, { recursive: true }));

test("keys are kept for their owner and their sign-in, until five minutes before their end", async () => {
  const file = join(folder, "new", "folder", "keys.json");
  assert.equal(await readKeptKeys(file, "a", ends), undefined);
  await keepKeys(file, "a", keys);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, "new")).mode & 0o777, 0o700);
  assert.deepEqual(await readKeptKeys(file, "a", ends - 5 * minute - 1), keys);
  assert.equal(await readKeptKeys(file, "a", ends - 5 * minute), undefined);
  assert.equal(await readKeptKeys(file, "a", ends + minute), undefined);
  assert.equal(await readKeptKeys(file, "b", ends - 60 * minute), undefined);
});

test("a file that others could read or have written, or that holds something else, is not believed", async () => {
  const file = join(folder, "keys.json");
  await keepKeys(file, "a", keys);
  const text = readFileSync(file, "utf8");
  const found = (): Promise<unknown> => readKeptKeys(file, "a", ends - 60 * minute);
  for (const mode of [0o644, 0o620, 0o602]) {
    chmodSync(file, mode);
    assert.equal(await found(), undefined, mode.toString(8));
  }
  chmodSync(file, 0o600);
  assert.deepEqual(await found(), keys);
  const kept = JSON.parse(text) as Record<string, unknown>;
  const bad = ["", "[]", "null", text.slice(1), text.padEnd(70_000), JSON.stringify({ ...kept, SessionToken: 1 })];
  for (const content of [...bad, JSON.stringify({ ...kept, Expiration: "soon" }), JSON.stringify({ ...kept, AccessKeyId: "" })]) {
    writeFileSync(file, content);
    assert.equal(await found(), undefined, content.slice(0, 200));
  }
  assert.equal(await readKeptKeys(folder, "a", 0), undefined);
});

test("who comes second waits for the first, and not for ever", async () => {
  const file = join(folder, "turn.json");
  const first = await waitForTurn(file, minute, () => assert.fail("nobody to wait for"));
  let waits = 0;
  await assert.rejects(
    waitForTurn(file, 0, () => waits++),
    /another sign-in for .*turn\.json does not end/,
  );
  const second = await waitForTurn(file, minute, () => {
    waits++;
    first?.release();
  });
  assert.ok(second);
  second.release();
  assert.equal(waits, 2);
  mkdirSync(join(folder, "blocked.json.lock"));
  assert.equal(await waitForTurn(join(folder, "blocked.json"), 0, () => undefined), undefined);
});

test("the user's cache folder", () => {
  assert.equal(userCacheFolder({ XDG_CACHE_HOME: "/somewhere" }, "linux"), "/somewhere");
  assert.match(userCacheFolder({ XDG_CACHE_HOME: "relative" }, "linux"), /^\/.*\/\.cache$/);
  assert.match(userCacheFolder({}, "darwin"), /^\/.*\/Library\/Caches$/);
});
