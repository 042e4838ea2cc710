import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { patternBytes, store, targetOf, writeSegment } from "./driver-contract.ts";
import { createFileWriter } from "./filesystem-write.ts";
import { createFilesystemDriver } from "./filesystem.ts";

const root = await mkdtemp(join(tmpdir(), "supercargo-write-"));
after(() => rm(root, { recursive: true, force: true }));

/** Where much data may be written without keeping a disk busy. */
const inMemory = existsSync("/dev/shm") ? await mkdtemp("/dev/shm/supercargo-write-") : root;
after(() => rm(inMemory, { recursive: true, force: true }));

const mebibyte = 1_048_576;
const noSpace = { name: "StorageError", kind: "no-space" };

test("whatever the sizes of the chunks, the file is their concatenation", async () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 400_000 }), fc.constant(65_536)), {
    maxLength: 30,
  });
  let number = 0;
  await fc.assert(
    fc.asyncProperty(sizes, async (chunkSizes) => {
      const file = join(root, `chunks-${number++}`);
      const writer = createFileWriter(await open(file, "wx"), { inUse: 0 });
      const chunks = chunkSizes.map((sizeBytes, index) => patternBytes(sizeBytes, index));
      const whole = Buffer.concat(chunks);
      for (const chunk of chunks) await writer.write(chunk);
      assert.equal(await writer.finish(), whole.byteLength);
      assert.ok(whole.equals(await readFile(file)));
      await rm(file);
    }),
    { numRuns: 25 },
  );
});

test("a large buffer is freed once it is written; one that shares its memory is not", async () => {
  const writer = createFileWriter(await open(join(root, "freed"), "wx"), { inUse: 0 });
  const own = new Uint8Array(mebibyte);
  const pooled = Buffer.from("small buffers share one piece of memory");
  const shared = new Uint8Array(2 * mebibyte);
  const part = shared.subarray(0, mebibyte);
  for (const chunk of [own, pooled, part]) await writer.write(chunk);
  await writer.finish();
  assert.equal(own.byteLength, 0);
  assert.equal(pooled.toString(), "small buffers share one piece of memory");
  assert.equal(shared.byteLength, 2 * mebibyte);
});

test("many tiny chunks are not held until they make a large batch", async () => {
  const file = join(root, "tiny");
  const writer = createFileWriter(await open(file, "wx"), { inUse: 0 });
  for (let count = 0; count < 5_000; count++) await writer.write(Uint8Array.of(count));
  assert.ok((await readFile(file)).byteLength >= 3_500);
  assert.equal(await writer.finish(), 5_000);
});

test("who writes faster than the disk waits", async () => {
  const writer = createFileWriter(await open(join(root, "pressed"), "wx"), { inUse: 0 });
  let accepted = 0;
  const writes = Array.from({ length: 8 }, async () => {
    await writer.write(new Uint8Array(mebibyte));
    accepted++;
  });
  await new Promise((resolve) => process.nextTick(resolve));
  assert.ok(accepted <= 2, `${accepted} MiB accepted before the first was written`);
  await Promise.all(writes);
  assert.equal(await writer.finish(), 8 * mebibyte);
});

test("background syncs are counted, and left out when enough are under way", async () => {
  for (const others of [0, 1, 2]) {
    const counted: number[] = [];
    let inUse = others;
    const slots = {
      get inUse() {
        return inUse;
      },
      set inUse(now: number) {
        counted.push(now);
        inUse = now;
      },
    };
    const writer = createFileWriter(await open(join(inMemory, `synced-${others}`), "wx"), slots);
    for (let count = 0; count < 70; count++) await writer.write(new Uint8Array(mebibyte));
    assert.equal(await writer.finish(), 70 * mebibyte);
    assert.deepEqual(counted, others < 2 ? [others + 1, others] : []);
  }
});

test("a full device is no-space, and stays the answer", { skip: process.platform !== "linux" && "needs /dev/full" }, async () => {
  const writer = createFileWriter(await open("/dev/full", "w"), { inUse: 0 });
  const writeMany = async (): Promise<void> => {
    for (let count = 0; count < 4; count++) await writer.write(new Uint8Array(mebibyte));
  };
  await assert.rejects(writeMany(), noSpace);
  await assert.rejects(writer.write(new Uint8Array(1)), noSpace);
  await assert.rejects(writer.finish(), noSpace);
  await writer.abandon();
  await writer.abandon();
});

test(
  "a background sync that fails is not forgotten",
  { skip: process.platform !== "linux" && "needs /dev/null that cannot sync" },
  async () => {
    const writer = createFileWriter(await open("/dev/null", "w"), { inUse: 0 });
    const failure = { name: "StorageError", kind: "unavailable" };
    await assert.rejects(async () => {
      for (let count = 0; count < 200; count++) await writer.write(new Uint8Array(mebibyte));
    }, failure);
    await assert.rejects(writer.finish(), failure);
    await writer.abandon();
  },
);

/** Mounts a filesystem of 5 MiB; says why when that is not allowed here. */
async function mountSmall(folder: string): Promise<string | undefined> {
  await mkdir(folder);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=5m", "supercargo-test", folder], { stdio: "ignore" });
    return undefined;
  } catch {
    return "mounting a small filesystem needs root on Linux";
  }
}

test("a disk that fills up in a segment or a join refuses, keeps nothing half-written, and serves on", async (t) => {
  const folder = join(root, "small");
  const reason = await mountSmall(folder);
  if (reason !== undefined) {
    t.skip(reason);
    return;
  }
  try {
    const driver = await createFilesystemDriver({ folder, random: systemRandom });
    const kept = await store(driver, patternBytes(2 * mebibyte), "kept");
    const writer = await driver.openSegment("large/0");
    const writeMany = async (): Promise<void> => {
      for (let count = 0; count < 8; count++) await writer.write(new Uint8Array(mebibyte));
      await writer.finish();
    };
    await assert.rejects(writeMany(), noSpace);
    await writer.abort();
    assert.deepEqual(await readdir(join(folder, "segments")), []);
    const half = patternBytes(mebibyte);
    for (const ordinal of ["0", "1"]) await writeSegment(driver, `join/${ordinal}`, half);
    await assert.rejects(driver.commit(["join/0", "join/1"], targetOf(Buffer.concat([half, half]), "join")), noSpace);
    assert.deepEqual((await readdir(join(folder, "segments", "join"))).toSorted(), ["0", "1"]);
    assert.deepEqual(await driver.stat(kept), { sizeBytes: 2 * mebibyte });
    await driver.delete(kept);
    await driver.commit(["join/0", "join/1"], targetOf(Buffer.concat([half, half]), "join"));
  } finally {
    execFileSync("umount", [folder]);
  }
});
