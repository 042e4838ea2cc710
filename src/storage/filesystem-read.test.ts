import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import type { Server, ServerResponse } from "node:http";
import { createServer, get } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemRandom } from "#std/random.ts";
import { patternBytes, pipeAll, readAll, store } from "./driver-contract.ts";
import type { LocalBytes } from "./driver.ts";
import { createFilesystemDriver } from "./filesystem.ts";

const root = await mkdtemp(join(tmpdir(), "supercargo-read-"));
after(() => rm(root, { recursive: true, force: true }));
const driver = await createFilesystemDriver({ folder: root, random: systemRandom });

const sizeBytes = 6 * 1_048_576 + 5;
const bytes = patternBytes(sizeBytes);
const key = await store(driver, bytes, "whole");
const file = (storageKey: string): string => {
  const [algorithm = "", name = ""] = storageKey.split("/");
  return join(root, "blobs", algorithm, name.slice(0, 2), name);
};

async function openBytes(storageKey = key): Promise<LocalBytes & { readonly pipeTo: NonNullable<LocalBytes["pipeTo"]> }> {
  const found = await driver.read(storageKey, sizeBytes);
  assert.ok(found.kind === "bytes" && found.pipeTo !== undefined);
  return { ...found, pipeTo: found.pipeTo };
}

/** Open files below the storage folder: a test run has other descriptors that come and go. */
function openFiles(): readonly string[] {
  const found: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith(root)) found.push(target);
    } catch {
      // Closed while we looked.
    }
  }
  return found;
}

async function expectNoOpenFiles(): Promise<void> {
  for (let attempt = 0; attempt < 100 && openFiles().length > 0; attempt++) await delay(10);
  assert.deepEqual(openFiles(), []);
}

/** A real HTTP server and the outcome of each answer it gave. */
async function serve(answer: (response: ServerResponse) => Promise<void>): Promise<{ server: Server; url: string; outcomes: unknown[] }> {
  const outcomes: unknown[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { "Content-Length": String(sizeBytes) });
    answer(response).then(
      () => outcomes.push("delivered"),
      (error: unknown) => outcomes.push(error),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, outcomes };
}

async function request(url: string): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent: false }), "response")) as [IncomingMessage];
  return response;
}

const outcomeOf = async (outcomes: readonly unknown[], count = 1): Promise<readonly unknown[]> => {
  for (let attempt = 0; attempt < 200 && outcomes.length < count; attempt++) await delay(10);
  return outcomes;
};

const canCount = process.platform === "linux" ? false : "needs /proc/self/fd";

test("a response over a real socket carries every byte, several at a time", async () => {
  const { url, outcomes } = await serve(async (response) => (await openBytes()).pipeTo(response));
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      const received = Buffer.concat(await (await request(url)).toArray());
      assert.ok(bytes.equals(received));
    }),
  );
  assert.deepEqual(await outcomeOf(outcomes, 6), Array<string>(6).fill("delivered"));
});

test("a client that goes away ends the delivery with an error and closes the file", { skip: canCount }, async () => {
  const { url, outcomes } = await serve(async (response) => (await openBytes()).pipeTo(response));
  for (let round = 0; round < 10; round++) {
    const response = await request(url);
    await once(response, "readable");
    response.destroy();
  }
  for (const outcome of await outcomeOf(outcomes, 10)) {
    assert.ok(outcome instanceof Error);
    assert.match(String((outcome as NodeJS.ErrnoException).code), /^(ERR_STREAM_PREMATURE_CLOSE|ECONNRESET|EPIPE)$/);
  }
  assert.equal(outcomes.length, 10);
  await expectNoOpenFiles();
});

for (const way of ["pipeTo", "stream"] as const) {
  test(`a file that is cut off while it is read by ${way} never looks complete`, { skip: canCount }, async () => {
    const cutKey = await store(driver, bytes, `cut-${way.toLowerCase()}`);
    const found = await openBytes(cutKey);
    await truncate(file(cutKey), 3 * 1_048_576);
    if (way === "stream") {
      await assert.rejects(found.stream.toArray(), { name: "StorageError", kind: "corrupt" });
    } else {
      const { url, outcomes } = await serve((response) => found.pipeTo(response));
      const response = await request(url);
      await assert.rejects(response.toArray(), { code: "ECONNRESET" });
      const [outcome] = await outcomeOf(outcomes);
      assert.ok(outcome instanceof Error && "kind" in outcome && outcome.kind === "corrupt", String(outcome));
    }
    await expectNoOpenFiles();
  });
}

test("a copy of another size is refused before its first byte, a small span of it too", { skip: canCount }, async () => {
  const cutKey = await store(driver, bytes, "shorter");
  await truncate(file(cutKey), sizeBytes - 1);
  for (const span of [undefined, { first: 0, last: 10 }])
    await assert.rejects(driver.read(cutKey, sizeBytes, span), { name: "StorageError", kind: "corrupt" });
  await expectNoOpenFiles();
});

test("reads that are given up at any point close their file", { skip: canCount }, async () => {
  for (let round = 0; round < 200; round++) {
    const { stream } = await openBytes();
    if (round % 4 === 1) stream.read();
    if (round % 4 === 2) await once(stream, "readable");
    if (round % 4 === 3) for await (const chunk of stream) if ((chunk as Buffer).length > 0) break;
    stream.destroy();
  }
  const signals = Array.from({ length: 50 }, async (_, round) => {
    const sink = new Writable({ write: (_chunk, _encoding, flushed) => setImmediate(flushed) });
    const aborter = new AbortController();
    if (round % 2 === 0) setTimeout(() => aborter.abort(new Error("enough")), round % 7);
    else aborter.abort(new Error("enough"));
    const found = await openBytes();
    await found.pipeTo(sink, aborter.signal).then(
      () => assert.ok(sink.writableFinished),
      (error: unknown) => {
        assert.equal((error as Error).message, "enough");
        assert.ok(sink.destroyed);
      },
    );
  });
  await Promise.all(signals);
  await expectNoOpenFiles();
});

test("an abort ends a delivery that the receiver has stopped taking, also when the sink fails late", { skip: canCount }, async () => {
  const sink = new Writable({
    write() {},
    destroy: (_error, closed) => setImmediate(() => closed(new Error("a late failure must not end the process"))),
  });
  const closed = new Promise((resolve) => sink.once("close", resolve));
  const aborter = new AbortController();
  setTimeout(() => aborter.abort(new Error("enough")), 20);
  await assert.rejects((await openBytes()).pipeTo(sink, aborter.signal), /enough/);
  await closed;
  assert.ok(sink.destroyed);
  await expectNoOpenFiles();
});

const badSinks: Readonly<Record<string, () => Writable>> = {
  "was destroyed before": () => new Writable().destroy(),
  "fails at the second chunk": () => {
    let chunks = 0;
    return new Writable({ write: (_chunk, _encoding, flushed) => setImmediate(() => flushed(chunks++ > 0 ? new Error("broken") : null)) });
  },
  "is destroyed and never confirms": () => {
    const sink: Writable = new Writable({ write: () => setImmediate(() => sink.destroy()) });
    return sink;
  },
  "fails at its end": () =>
    new Writable({ write: (_chunk, _encoding, flushed) => flushed(), final: (ended) => ended(new Error("broken")) }),
};
for (const [what, makeSink] of Object.entries(badSinks)) {
  test(`a sink that ${what} is an error and closes the file`, { skip: canCount }, async () => {
    const sink = makeSink();
    const listeners = sink.listenerCount("close");
    await assert.rejects((await openBytes()).pipeTo(sink), /broken|closed before the last byte/);
    assert.ok(sink.destroyed);
    assert.equal(sink.listenerCount("close"), listeners);
    await expectNoOpenFiles();
    // Its buffers may still be in use: the next download must not be given them.
    assert.ok(bytes.equals((await pipeAll(driver, key, sizeBytes)) ?? Buffer.alloc(0)));
  });
}

test("downloads that follow each other and that overlap never see each other's bytes", async () => {
  const others = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const content = patternBytes(700_000 + index * 300_000, index + 1);
      return { content, key: await store(driver, content, `other-${index}`) };
    }),
  );
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      others.map(async (other) => {
        const found = await pipeAll(driver, other.key, other.content.byteLength);
        assert.ok(found !== undefined && other.content.equals(found));
      }),
    );
  }
  assert.ok(bytes.equals(await readAll(driver, key, sizeBytes)));
});
