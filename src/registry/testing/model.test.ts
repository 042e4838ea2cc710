/** The registry against a naive model of itself: random sequences of operations must give the same answers and leave the same things visible. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { createMemoryDriver } from "#storage/memory.ts";
import { runFsck } from "../fsck.ts";
import { runGarbageCollection } from "../gc.ts";
import { createRepository, deleteRepository } from "../repository.ts";
import { createModel, names } from "./model-state.ts";
import { commands } from "./model-commands.ts";
import type { ManualClock, TestRegistry } from "./test-registry.ts";
import { createManualClock, openTestRegistry } from "./test-registry.ts";

let folder: string;
let clock: ManualClock;
let opened: TestRegistry;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "model-"));
  clock = createManualClock();
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock });
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("random sequences of operations give what a naive model gives, and leave nothing behind", async () => {
  let account = 100_000_000_000;
  const property = fc.asyncProperty(commands, async (sequence) => {
    account += 1;
    const registry = { accountId: String(account), region: "eu-central-1" };
    for (const name of names) await createRepository(opened.ctx, registry, name);
    await fc.asyncModelRun(() => ({ model: createModel(), real: { opened, clock, registry } }), sequence);
    const { problems } = await runFsck(opened.core, { readBytes: true });
    assert.deepEqual(problems, []);
    for (const name of names) await deleteRepository(opened.ctx, registry, name, { force: true });
    clock.advance(opened.core.limits.undoMs);
    await runGarbageCollection(opened.core, { graceMs: 0 });
    const left = [
      ...(await Array.fromAsync(opened.core.storage.listStored())),
      ...(await Array.fromAsync(opened.core.storage.listSegments())),
    ];
    assert.deepEqual(left, []);
  });
  await fc.assert(property, { numRuns: 25 });
});
