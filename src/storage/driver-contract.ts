/** What a storage driver must do, as tests. A driver's own test file calls this and adds only what is special about the driver. */
import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import type { ByteSpan, CommitTarget, StorageDriver, StoredBytes, StoredEntry } from "./driver.ts";
import { StorageError } from "./driver.ts";

/** Makes an empty driver; called once a test. */
export type DriverMaker = () => Promise<StorageDriver>;

const mebibyte = 1_048_576;

/** Registers the contract's tests for one driver. */
export function storageDriverContract(name: string, makeDriver: DriverMaker): void {
  describe(`${name} keeps the storage contract`, () => {
    test("check passes", async () => (await makeDriver()).check());
    keepsBytes(makeDriver);
    readsSpans(makeDriver);
    commitsRepeatedly(makeDriver);
    refusesWhatIsWrong(makeDriver);
    deletes(makeDriver);
    abortsCleanly(makeDriver);
    lists(makeDriver);
    servesMany(makeDriver);
  });
}

/** Bytes that differ everywhere, and by seed; always the same ones. */
export function patternBytes(sizeBytes: number, seed = 0): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

/** The commit target of these bytes. */
export function targetOf(bytes: Uint8Array, incarnation: string): CommitTarget {
  return { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, incarnation, sizeBytes: bytes.byteLength };
}

/** Writes a finished segment in chunks of the given size; the bytes given stay the caller's. */
export async function writeSegment(driver: StorageDriver, key: string, bytes: Buffer, chunkBytes = 65_536): Promise<void> {
  const writer = await driver.openSegment(key);
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) await writer.write(Uint8Array.prototype.slice.call(bytes, at, at + chunkBytes));
  assert.deepEqual(await writer.finish(), { sizeBytes: bytes.byteLength });
}

/** Stores bytes as one segment and commits it. */
export async function store(driver: StorageDriver, bytes: Buffer, incarnation: string): Promise<string> {
  await writeSegment(driver, `${incarnation}/0`, bytes);
  return driver.commit([`${incarnation}/0`], targetOf(bytes, incarnation));
}

/** Reads by the stream. */
export async function readAll(driver: StorageDriver, key: string, sizeBytes: number, span?: ByteSpan): Promise<Buffer> {
  const found = await driver.read(key, sizeBytes, span);
  assert.equal(found.kind, "bytes");
  return collect(found);
}

async function collect(found: StoredBytes): Promise<Buffer> {
  assert.equal(found.kind, "bytes");
  if (found.kind !== "bytes") return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  // Kept while the rest is read: a driver that uses its buffers again would be found out.
  for await (const chunk of found.stream) chunks.push(chunk as Uint8Array);
  const bytes = Buffer.concat(chunks);
  assert.equal(bytes.byteLength, found.sizeBytes);
  return bytes;
}

/** Reads by `pipeTo`, looking at each chunk as late as a socket may. Undefined when the driver has no such way. */
export async function pipeAll(driver: StorageDriver, key: string, sizeBytes: number, span?: ByteSpan): Promise<Buffer | undefined> {
  const found = await driver.read(key, sizeBytes, span);
  if (found.kind !== "bytes" || found.pipeTo === undefined) {
    if (found.kind === "bytes") found.stream.destroy();
    return undefined;
  }
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, flushed) {
      setImmediate(() => {
        chunks.push(Buffer.from(chunk));
        flushed();
      });
    },
  });
  await found.pipeTo(sink);
  assert.equal(sink.writableFinished, true);
  return Buffer.concat(chunks);
}

async function listAll(entries: AsyncIterable<StoredEntry>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key, owner, sizeBytes, modifiedAt } of entries) {
    assert.ok(Number.isInteger(modifiedAt) && modifiedAt > 0);
    found.push(`${key} ${owner} ${sizeBytes}`);
  }
  return found.toSorted();
}

function failsWith(kind: StorageError["kind"]): (error: unknown) => boolean {
  return (error) => error instanceof StorageError && error.kind === kind;
}

function keepsBytes(makeDriver: DriverMaker): void {
  for (const sizeBytes of [0, 1, 65_535, 65_536, 65_537, 524_287, 524_288, 524_289, 5 * mebibyte + 17]) {
    test(`${sizeBytes} bytes come back as they were`, async () => {
      const driver = await makeDriver();
      const bytes = patternBytes(sizeBytes);
      const key = await store(driver, bytes, "u1");
      assert.deepEqual(await driver.stat(key), { sizeBytes });
      assert.ok(bytes.equals(await readAll(driver, key, sizeBytes)));
      const piped = await pipeAll(driver, key, sizeBytes);
      assert.ok(piped === undefined || bytes.equals(piped));
    });
  }

  for (const chunkBytes of [1, 700, mebibyte - 1, 3 * mebibyte]) {
    test(`a segment written in chunks of ${chunkBytes} bytes can be read before and is gone after it became a copy`, async () => {
      const driver = await makeDriver();
      const bytes = patternBytes(chunkBytes === 1 ? 5_000 : 3 * mebibyte + 1);
      await writeSegment(driver, "u1/a", bytes, chunkBytes);
      assert.ok(bytes.equals(Buffer.concat(await (await driver.readSegment("u1/a")).toArray())));
      const key = await driver.commit(["u1/a"], targetOf(bytes, "u1"));
      assert.ok(bytes.equals(await readAll(driver, key, bytes.byteLength)));
      await assert.rejects(driver.readSegment("u1/a"), failsWith("not-found"));
    });
  }

  const joins: readonly (readonly number[])[] = [[], [0], [0, 0], [1, 0, 2], [65_537, 1, 2 * mebibyte, 65_536], Array<number>(40).fill(3)];
  for (const sizes of joins) {
    test(`segments of [${sizes.join(", ")}] bytes are joined in the order given`, async () => {
      const driver = await makeDriver();
      const parts = sizes.map((sizeBytes, index) => patternBytes(sizeBytes, index + 1));
      const whole = Buffer.concat(parts);
      // Named against the order: it is the caller's list that counts.
      const keys = parts.map((_, index) => `u1/${String(900 - index)}`);
      for (const [index, part] of parts.entries()) await writeSegment(driver, keys[index] ?? "", part);
      const key = await driver.commit(keys, targetOf(whole, "u1"));
      assert.ok(whole.equals(await readAll(driver, key, whole.byteLength)));
      assert.deepEqual(await listAll(driver.listSegments()), []);
    });
  }
}

function readsSpans(makeDriver: DriverMaker): void {
  test("a span is exactly the bytes from its first to its last", async () => {
    const driver = await makeDriver();
    const sizeBytes = 3 * mebibyte;
    const bytes = patternBytes(sizeBytes);
    const key = await store(driver, bytes, "u1");
    const spans: readonly (readonly [first: number, last: number])[] = [
      [0, 0],
      [0, sizeBytes - 1],
      [sizeBytes - 1, sizeBytes - 1],
      [1, 65_535],
      [1, 65_536],
      [1, 65_537],
      [1, 524_288],
      [1, 524_289],
      [524_287, 524_288],
      [524_288, 2 * mebibyte],
      [7, 2 * mebibyte + 11],
    ];
    for (const [first, last] of spans) {
      const expected = bytes.subarray(first, last + 1);
      assert.ok(expected.equals(await readAll(driver, key, sizeBytes, { first, last })), `${first}-${last}`);
      const piped = await pipeAll(driver, key, sizeBytes, { first, last });
      assert.ok(piped === undefined || expected.equals(piped), `${first}-${last} piped`);
    }
  });
}

function commitsRepeatedly(makeDriver: DriverMaker): void {
  for (const count of [0, 1, 3]) {
    test(`a commit of ${count} segments succeeds again after an answer that was lost, also when the segments were sent again`, async () => {
      const driver = await makeDriver();
      const parts = Array.from({ length: count }, (_, index) => patternBytes(1_000, index));
      const bytes = Buffer.concat(parts);
      const keys = parts.map((_, index) => `u1/${index}`);
      for (const [index, part] of parts.entries()) await writeSegment(driver, keys[index] ?? "", part);
      const key = await driver.commit(keys, targetOf(bytes, "u1"));
      assert.equal(await driver.commit(keys, targetOf(bytes, "u1")), key);
      await writeSegment(driver, "u1/again", bytes);
      assert.equal(await driver.commit(["u1/again"], targetOf(bytes, "u1")), key);
      assert.ok(bytes.equals(await readAll(driver, key, bytes.byteLength)));
      assert.deepEqual(await listAll(driver.listSegments()), []);
    });
  }

  for (const sizes of [[700_000], [700_000, 10]]) {
    test(`commits of one target of ${sizes.length} segments at the same time all succeed`, async () => {
      const driver = await makeDriver();
      const parts = sizes.map((sizeBytes, index) => patternBytes(sizeBytes, index));
      const keys = parts.map((_, index) => `u1/${index}`);
      const bytes = Buffer.concat(parts);
      for (const [index, part] of parts.entries()) await writeSegment(driver, keys[index] ?? "", part);
      const made = await Promise.all(Array.from({ length: 6 }, () => driver.commit(keys, targetOf(bytes, "u1"))));
      assert.equal(new Set(made).size, 1);
      assert.ok(bytes.equals(await readAll(driver, made[0] ?? "", bytes.byteLength)));
      assert.deepEqual(await listAll(driver.listSegments()), []);
    });
  }

  test("the same content of another upload has a key and a life of its own", async () => {
    const driver = await makeDriver();
    const bytes = patternBytes(10);
    const keys = [await store(driver, bytes, "u1"), await store(driver, bytes, "u2"), await store(driver, bytes, "u3")] as const;
    assert.equal(new Set(keys).size, 3);
    await driver.delete(keys[1]);
    assert.equal(await driver.stat(keys[1]), undefined);
    for (const key of [keys[0], keys[2]]) assert.ok(bytes.equals(await readAll(driver, key, 10)));
  });
}

function refusesWhatIsWrong(makeDriver: DriverMaker): void {
  test("what is not there is not found", async () => {
    const driver = await makeDriver();
    const bytes = patternBytes(10);
    const key = await store(driver, bytes, "u1");
    await driver.delete(key);
    await assert.rejects(driver.read(key, 10), failsWith("not-found"));
    await assert.rejects(driver.readSegment("u1/9"), failsWith("not-found"));
    await assert.rejects(driver.commit(["u1/0"], targetOf(bytes, "u1")), failsWith("not-found"));
    await writeSegment(driver, "u2/0", bytes);
    await assert.rejects(driver.commit(["u2/0", "u2/1"], targetOf(bytes, "u2")), failsWith("not-found"));
    assert.deepEqual(await listAll(driver.listSegments()), ["u2/0 u2 10"]);
    assert.deepEqual(await listAll(driver.listStored()), []);
  });

  test("sizes that disagree are corrupt, and the segments stay", async () => {
    const driver = await makeDriver();
    const bytes = patternBytes(10);
    await writeSegment(driver, "u1/0", bytes);
    await writeSegment(driver, "u1/1", bytes);
    const target = targetOf(bytes, "u1");
    await assert.rejects(driver.commit(["u1/0"], { ...target, sizeBytes: 11 }), failsWith("corrupt"));
    await assert.rejects(driver.commit(["u1/0", "u1/1"], target), failsWith("corrupt"));
    await assert.rejects(driver.commit([], target), failsWith("corrupt"));
    const key = await driver.commit(["u1/0"], target);
    await assert.rejects(driver.read(key, 11), failsWith("corrupt"));
    await assert.rejects(driver.read(key, 1_000_000, { first: 5, last: 500_000 }), failsWith("corrupt"));
    await assert.rejects(driver.commit(["u1/0"], { ...target, sizeBytes: 9 }), failsWith("corrupt"));
  });

  test("a segment key serves once", async () => {
    const driver = await makeDriver();
    await writeSegment(driver, "u1/0", patternBytes(10));
    await assert.rejects(driver.openSegment("u1/0"));
    assert.deepEqual(await listAll(driver.listSegments()), ["u1/0 u1 10"]);
  });

  for (const key of ["", "u1", "u1/", "/0", "u1/0/0", "../0", "u1/..", "u1/.", "U1/0", "u1/a.b", "u1/a\0", "u1\n/0", "u1/0 "]) {
    test(`${JSON.stringify(key)} is no segment key`, async () => {
      const driver = await makeDriver();
      await assert.rejects(driver.openSegment(key), { name: "AssertionFailure" });
    });
  }
}

function deletes(makeDriver: DriverMaker): void {
  test("deleting twice is deleting once", async () => {
    const driver = await makeDriver();
    const key = await store(driver, patternBytes(10), "u1");
    await writeSegment(driver, "u2/0", patternBytes(10));
    for (let time = 0; time < 2; time++) {
      await driver.delete(key);
      await driver.deleteSegment("u2/0");
    }
    await driver.deleteSegment("never/there");
    assert.deepEqual([...(await listAll(driver.listStored())), ...(await listAll(driver.listSegments()))], []);
  });

  test("a reader that began before the delete reads to the end", async () => {
    const driver = await makeDriver();
    const bytes = patternBytes(2 * mebibyte);
    const key = await store(driver, bytes, "u1");
    const found = await driver.read(key, bytes.byteLength);
    await driver.delete(key);
    assert.ok(bytes.equals(await collect(found)));
  });
}

function abortsCleanly(makeDriver: DriverMaker): void {
  test("an aborted segment leaves nothing, whenever it is aborted and however often", async () => {
    const driver = await makeDriver();
    const fresh = await driver.openSegment("u1/fresh");
    const written = await driver.openSegment("u1/written");
    await written.write(patternBytes(3 * mebibyte));
    const finished = await driver.openSegment("u1/finished");
    await finished.write(patternBytes(10));
    await finished.finish();
    for (let time = 0; time < 2; time++) for (const writer of [fresh, written, finished]) await writer.abort();
    assert.deepEqual(await listAll(driver.listSegments()), []);
    await assert.rejects(async () => {
      await written.write(patternBytes(3 * mebibyte));
      await written.finish();
    });
  });

  test("an abort while bytes are on their way leaves nothing", async () => {
    const driver = await makeDriver();
    const writer = await driver.openSegment("u1/0");
    const writes = Array.from({ length: 4 }, (_, index) => writer.write(patternBytes(mebibyte, index)));
    await Promise.all([writer.abort(), ...writes.map((write) => write.catch(() => {}))]);
    assert.deepEqual(await listAll(driver.listSegments()), []);
  });

  test("an abort after the commit does not touch the copy", async () => {
    const driver = await makeDriver();
    const writer = await driver.openSegment("u1/0");
    await writer.write(patternBytes(10));
    await writer.finish();
    const key = await driver.commit(["u1/0"], targetOf(patternBytes(10), "u1"));
    await writer.abort();
    assert.deepEqual(await driver.stat(key), { sizeBytes: 10 });
  });
}

function lists(makeDriver: DriverMaker): void {
  test("everything that is kept is listed once, with its owner", async () => {
    const driver = await makeDriver();
    const expected: string[] = [];
    for (let index = 0; index < 30; index++) {
      const bytes = patternBytes(index, index);
      expected.push(`${await store(driver, bytes, `u${index}`)} u${index} ${index}`);
    }
    const sha512 = { digest: `sha512:${createHash("sha512").digest("hex")}`, incarnation: "u-512", sizeBytes: 0 };
    expected.push(`${await driver.commit([], sha512)} u-512 0`);
    assert.deepEqual(await listAll(driver.listStored()), expected.toSorted());
    await writeSegment(driver, "a/0", patternBytes(4));
    await writeSegment(driver, "a/1", patternBytes(5));
    const open = await driver.openSegment("b/0");
    assert.deepEqual(await listAll(driver.listSegments()), ["a/0 a 4", "a/1 a 5", "b/0 b 0"]);
    await open.abort();
  });

  test("a list can be left in the middle, and what is listed can be deleted meanwhile", async () => {
    const driver = await makeDriver();
    for (let index = 0; index < 5; index++) await store(driver, patternBytes(index), `u${index}`);
    for await (const entry of driver.listStored()) {
      assert.ok(entry.key.length > 0);
      break;
    }
    for await (const { key } of driver.listStored()) await driver.delete(key);
    assert.deepEqual(await listAll(driver.listStored()), []);
  });
}

function servesMany(makeDriver: DriverMaker): void {
  test("many uploads at the same time, in one session and in many, stay apart", async () => {
    const driver = await makeDriver();
    await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        const parts = [patternBytes(200_000 + index, index), patternBytes(index, index + 100)];
        const [owner, other] = [`u${index % 6}`, `u${index}`];
        await Promise.all(parts.map((part, at) => writeSegment(driver, `${owner}/${index}-${at}`, part, 30_000)));
        const whole = Buffer.concat(parts);
        const key = await driver.commit([`${owner}/${index}-0`, `${owner}/${index}-1`], targetOf(whole, other));
        assert.ok(whole.equals(await readAll(driver, key, whole.byteLength)));
      }),
    );
    assert.deepEqual(await listAll(driver.listSegments()), []);
    assert.equal((await listAll(driver.listStored())).length, 24);
  });
}
