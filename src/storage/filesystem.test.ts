import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemRandom } from "#std/random.ts";
import { patternBytes, readAll, store, storageDriverContract, targetOf, writeSegment } from "./driver-contract.ts";
import type { StorageDriver, StoredEntry } from "./driver.ts";
import { createFilesystemDriver } from "./filesystem.ts";

const root = await mkdtemp(join(tmpdir(), "supercargo-storage-"));
after(() => rm(root, { recursive: true, force: true }));

async function makeDriver(): Promise<{ readonly folder: string; readonly driver: StorageDriver }> {
  const folder = await mkdtemp(join(root, "driver-"));
  return { folder, driver: await createFilesystemDriver({ folder, random: systemRandom }) };
}

storageDriverContract("filesystem", async () => (await makeDriver()).driver);

async function keysOf(entries: AsyncIterable<StoredEntry>): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of entries) keys.push(key);
  return keys.toSorted();
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

const bytes = patternBytes(1_000);
const hexOf = (key: string): string => key.slice("sha256/".length, "sha256/".length + 64);

test("a folder can be opened again, by several processes at once: what one wrote the other commits and reads", async () => {
  const { folder, driver } = await makeDriver();
  const other = await createFilesystemDriver({ folder, random: systemRandom });
  await writeSegment(driver, "u1/0", bytes);
  await writeSegment(other, "u1/1", bytes);
  const whole = Buffer.concat([bytes, bytes]);
  const key = await other.commit(["u1/0", "u1/1"], targetOf(whole, "u1"));
  assert.ok(whole.equals(await readAll(driver, key, whole.byteLength)));
  assert.ok(whole.equals(await readAll(await createFilesystemDriver({ folder, random: systemRandom }), key, whole.byteLength)));
});

test("nothing is left beside the stored copy, and nobody else may read it", async () => {
  const folder = join(root, "made", "by", "the-driver");
  const driver = await createFilesystemDriver({ folder, random: systemRandom });
  const key = await store(driver, bytes, "u1");
  const file = `blobs/sha256/${hexOf(key).slice(0, 2)}/${hexOf(key)}.u1`;
  assert.deepEqual((await filesBelow(folder)).toSorted(), [file, "check"]);
  assert.deepEqual(await readdir(join(folder, "segments")), []);
  assert.equal((await stat(join(folder, file))).mode & 0o777, 0o600);
  for (const made of ["", "blobs/sha256", "segments"]) assert.equal((await stat(join(folder, made))).mode & 0o777, 0o700);
});

test("a commit that finds its copy leaves it alone", async () => {
  const { folder, driver } = await makeDriver();
  const key = await store(driver, bytes, "u1");
  const file = join(folder, "blobs/sha256", hexOf(key).slice(0, 2), `${hexOf(key)}.u1`);
  const before = await stat(file);
  await writeSegment(driver, "u1/1", bytes);
  await driver.commit(["u1/1"], targetOf(bytes, "u1"));
  assert.equal((await stat(file)).ino, before.ino);
});

test("a crash between storing and removing the segments is finished by the next commit", async () => {
  const { driver } = await makeDriver();
  const whole = Buffer.concat([bytes, bytes]);
  await store(driver, whole, "u1");
  // As after the rename of the joined file, with only the first segment removed.
  await writeSegment(driver, "u1/1", bytes);
  await driver.commit(["u1/0", "u1/1"], targetOf(whole, "u1"));
  assert.deepEqual(await keysOf(driver.listSegments()), []);
});

test("what a crash leaves of a join is listed under its upload and can be deleted", async () => {
  const { folder, driver } = await makeDriver();
  await writeSegment(driver, "u1/0", bytes);
  await writeFile(join(folder, "segments/u1/joined-11111111-2222-4333-8444-555555555555"), "half");
  const keys = await keysOf(driver.listSegments());
  assert.deepEqual(keys, ["u1/0", "u1/joined-11111111-2222-4333-8444-555555555555"]);
  for (const key of keys) await driver.deleteSegment(key);
  assert.deepEqual(await readdir(join(folder, "segments")), []);
});

test("listing passes over what is not ours, and removes folders that a crash left empty", async () => {
  const { folder, driver } = await makeDriver();
  const key = await store(driver, bytes, "u1");
  const home = join(folder, "blobs/sha256", hexOf(key).slice(0, 2));
  const elsewhere = join(folder, "blobs/sha256/zz");
  for (const made of [elsewhere, join(home, `${hexOf(key)}.folder`), join(folder, "segments/empty"), join(folder, "segments/lost+found")])
    await mkdir(made);
  await writeSegment(driver, "u2/0", bytes);
  for (const foreign of [
    join(elsewhere, `${hexOf(key)}.u1`),
    join(home, "README"),
    join(folder, "segments/file"),
    join(folder, "segments/u2/a.b"),
  ])
    await writeFile(foreign, "foreign");
  await writeFile(join(folder, "blobs/sha256/file"), "foreign");
  assert.deepEqual(await keysOf(driver.listStored()), [key]);
  assert.deepEqual(await keysOf(driver.listSegments()), ["u2/0"]);
  assert.deepEqual((await readdir(join(folder, "segments"))).toSorted(), ["file", "lost+found", "u2"]);
});

test("a listing tells when the bytes were written", async () => {
  const { folder, driver } = await makeDriver();
  await writeSegment(driver, "u1/0", bytes);
  await utimes(join(folder, "segments/u1/0"), 1_700_000_000, 1_700_000_000.123);
  for await (const entry of driver.listSegments())
    assert.deepEqual(entry, { key: "u1/0", owner: "u1", sizeBytes: 1_000, modifiedAt: 1_700_000_000_123 });
});

test("a folder that vanishes under a new segment is made again", async () => {
  const { driver } = await makeDriver();
  const stop = new AbortController();
  const sweep = async (): Promise<void> => {
    while (!stop.signal.aborted) await driver.deleteSegment("u1/never");
  };
  const sweeping = sweep();
  try {
    for (let round = 0; round < 300; round++) {
      const writer = await driver.openSegment(`u1/${round}`);
      await writer.abort();
    }
  } finally {
    stop.abort();
  }
  await sweeping;
});

test("check notices a folder that went away, and does not make it again", async () => {
  const { folder, driver } = await makeDriver();
  await driver.check();
  await rename(folder, `${folder}-away`);
  await assert.rejects(driver.check(), { name: "StorageError", kind: "unavailable" });
  await mkdir(folder);
  await assert.rejects(driver.check(), { name: "StorageError", kind: "unavailable" });
  await assert.rejects(driver.openSegment("u1/0"), { name: "StorageError" });
});

test("a folder that cannot be made is a storage error", async () => {
  const file = join(root, "a-file");
  await writeFile(file, "");
  await assert.rejects(createFilesystemDriver({ folder: join(file, "storage"), random: systemRandom }), { name: "StorageError" });
});
