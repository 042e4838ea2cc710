import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "#std/clock.ts";
import { systemRandom } from "#std/random.ts";
import { patternBytes, readAll, store, storageDriverContract, targetOf } from "./driver-contract.ts";
import type { StorageDriver, StorageTier, StorageTiers } from "./driver.ts";
import { StorageError } from "./driver.ts";
import { createFilesystemDriver } from "./filesystem.ts";
import { createMemoryDriver } from "./memory.ts";
import { createTieredDriver } from "./tiered.ts";

const root = await mkdtemp(join(tmpdir(), "supercargo-tiers-"));
after(() => rm(root, { recursive: true, force: true }));

const inMemory = () => createMemoryDriver({ clock: systemClock });
const onDisk = async () => createFilesystemDriver({ folder: await mkdtemp(join(root, "driver-")), random: systemRandom });

async function makeTiers(): Promise<{
  readonly standard: StorageDriver;
  readonly cold: StorageDriver;
  readonly driver: StorageDriver;
  readonly tiers: StorageTiers;
}> {
  const standard = inMemory();
  const cold = await onDisk();
  const driver = createTieredDriver({ standard, cold });
  assert.ok(driver.tiers !== undefined);
  return { standard, cold, driver, tiers: driver.tiers };
}

storageDriverContract("two tiers", async () => createTieredDriver({ standard: await onDisk(), cold: inMemory() }));

async function keysOf(driver: StorageDriver): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key, owner } of driver.listStored()) keys.push(`${key} ${owner}`);
  for await (const { key, owner } of driver.listSegments()) keys.push(`segment ${key} ${owner}`);
  return keys.toSorted();
}

for (const sizeBytes of [0, 1, 3 * 1_048_576 + 17]) {
  test(`${sizeBytes} bytes go to the cold tier and come back, each time under a new key`, async () => {
    const { standard, cold, driver, tiers } = await makeTiers();
    const bytes = patternBytes(sizeBytes);
    const { digest } = targetOf(bytes, "u1");
    let key = await store(driver, bytes, "u1");
    const keys = [key];
    for (const to of ["cold", "standard", "cold"] as const satisfies readonly StorageTier[]) {
      key = await tiers.copy({ from: key, storedBytes: sizeBytes, to, digest, incarnation: `m${keys.length}` });
      assert.equal(tiers.tierOf(key), to);
      assert.deepEqual(await driver.stat(key), { sizeBytes });
      assert.ok(bytes.equals(await readAll(driver, key, sizeBytes)));
      keys.push(key);
    }
    assert.equal(new Set(keys).size, 4);
    assert.deepEqual(
      await keysOf(driver),
      keys.map((each, index) => `${each} ${index === 0 ? "u1" : `m${index}`}`).toSorted(),
      "a copy's owner is the incarnation it was made with",
    );
    // A key deletes its own copy and no other.
    await driver.delete(keys[1] ?? "");
    assert.equal(await driver.stat(keys[1] ?? ""), undefined);
    for (const each of keys.filter((_, index) => index !== 1)) assert.ok(bytes.equals(await readAll(driver, each, sizeBytes)));
    assert.deepEqual([(await keysOf(standard)).length, (await keysOf(cold)).length], [2, 1]);
  });
}

test("a copy that fails leaves nothing, and the old copy stays", async () => {
  const { driver, tiers } = await makeTiers();
  const bytes = patternBytes(5_000);
  const { digest } = targetOf(bytes, "u1");
  const from = await store(driver, bytes, "u1");
  const before = await keysOf(driver);
  const copy = { from, storedBytes: bytes.length, to: "cold", digest, incarnation: "m1" } as const;
  const refuse = () => Promise.reject(new Error("refused"));
  await assert.rejects(tiers.copy({ ...copy, onChunk: refuse }), /refused/);
  await assert.rejects(tiers.copy({ ...copy, storedBytes: 4_999 }), (error) => error instanceof StorageError && error.kind === "corrupt");
  await assert.rejects(tiers.copy({ ...copy, from: `${from}x` }), (error) => error instanceof StorageError && error.kind === "not-found");
  assert.deepEqual(await keysOf(driver), before);
});

test("what is seen of a copy is all of its bytes, in order", async () => {
  const { driver, tiers } = await makeTiers();
  const bytes = patternBytes(700_000);
  const seen: Uint8Array[] = [];
  const from = await store(driver, bytes, "u1");
  const { digest } = targetOf(bytes, "u1");
  await tiers.copy({
    from,
    storedBytes: bytes.length,
    to: "cold",
    digest,
    incarnation: "m1",
    onChunk: (chunk) => void seen.push(Uint8Array.from(chunk)),
  });
  assert.ok(bytes.equals(Buffer.concat(seen)));
});

test("a crash in the middle of a copy leaves a segment with the copy's owner, and it can be deleted", async () => {
  const { cold, driver } = await makeTiers();
  const writer = await cold.openSegment("m1/copy");
  await writer.write(Uint8Array.from([1]));
  await writer.finish();
  assert.deepEqual(await keysOf(driver), ["segment m1/copy m1"]);
  await driver.deleteSegment("m1/copy");
  assert.deepEqual(await keysOf(driver), []);
});

test("both tiers are checked", async () => {
  const broken: StorageDriver = { ...inMemory(), check: () => Promise.reject(new StorageError("unavailable", "gone")) };
  await assert.rejects(createTieredDriver({ standard: inMemory(), cold: broken }).check(), /gone/);
  await assert.rejects(createTieredDriver({ standard: broken, cold: inMemory() }).check(), /gone/);
});
