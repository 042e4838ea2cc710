import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, suite, test } from "node:test";
import type { Database } from "#metadata/database.ts";
import type { Digest } from "#oci/digest.ts";
import { digestOf } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { systemRandom } from "#std/random.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { getBlob } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import { bytesOf, createManualClock, incoming, openTestRegistry, readAll, refusal, registry, sha256 } from "./testing/test-registry.ts";
import {
  appendPart,
  appendUpload,
  cancelUpload,
  completeUpload,
  completeUploadParts,
  getUpload,
  startUpload,
  uploadWhole,
} from "./upload.ts";

const name = "team/app" as RepositoryName;
const otherName = "team/other" as RepositoryName;
const partMinBytes = 4;

const drivers: Readonly<Record<string, (folder: string, clock: ManualClock) => Promise<StorageDriver>>> = {
  memory: async (_folder, clock) => createMemoryDriver({ clock }),
  filesystem: (folder) => createFilesystemDriver({ folder: join(folder, "blobs"), random: systemRandom }),
};

for (const [driverName, makeDriver] of Object.entries(drivers)) {
  suite(`uploads over the ${driverName} driver`, () => {
    const folder = mkdtempSync(join(tmpdir(), "upload-"));
    const clock = createManualClock();
    let storage: StorageDriver;
    let opened: TestRegistry;
    let ctx: RegistryContext;

    before(async () => {
      storage = await makeDriver(folder, clock);
      const limits = { partMinBytes, partMaxBytes: 16, partsPerUpload: 3, blobMaxBytes: 64, appendsPerUpload: 5 };
      opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock, limits });
      await createRepository(opened.ctx, registry, name);
      await createRepository(opened.ctx, registry, otherName);
    });
    beforeEach(() => {
      ctx = opened.ctx;
    });
    after(async () => {
      await opened.close();
      rmSync(folder, { recursive: true });
    });

    async function begin(...chunks: readonly string[]): Promise<string> {
      const { uploadId } = await startUpload(ctx, registry, name);
      for (const chunk of chunks) await appendUpload(ctx, registry, name, uploadId, incoming(chunk));
      return uploadId;
    }

    async function read(digest: Digest): Promise<string> {
      const stored = await (await getBlob(ctx, registry, name, digest)).open();
      assert.ok(stored.kind === "bytes");
      return readAll(stored.stream);
    }

    async function segmentsOf(uploadId: string): Promise<readonly string[]> {
      const found: string[] = [];
      for await (const entry of storage.listSegments()) if (entry.owner === uploadId) found.push(entry.key);
      return found;
    }

    async function copies(): Promise<number> {
      let count = 0;
      for await (const _entry of storage.listStored()) count += 1;
      return count;
    }

    const complete = (uploadId: string, digest: Digest, closing?: string, use = ctx) =>
      completeUpload(use, registry, name, uploadId, { digest, ...(closing !== undefined && { incoming: incoming(closing) }) });

    const ways: readonly [string, readonly string[], string | undefined][] = [
      ["one append", ["one append"], undefined],
      ["several appends", ["sev", "eral", " appends"], undefined],
      ["closing bytes only", [], "closing bytes only"],
      ["appends and closing bytes", ["appends and ", "closing"], " bytes"],
      ["nothing at all", [], undefined],
      ["an empty closing body", ["an empty closing body"], ""],
    ];
    for (const [what, appends, closing] of ways) {
      for (const algorithm of ["sha256", "sha512"] as const) {
        for (const restarted of [false, true]) {
          test(`${what}, ${algorithm}${restarted ? ", in a process that just started" : ""}`, async () => {
            const content = [...appends, closing ?? ""].join("");
            const uploadId = await begin(...appends);
            const digest = digestOf(algorithm, bytesOf(content));
            const facts = await complete(uploadId, digest, closing, restarted ? opened.restart() : ctx);
            assert.deepEqual(facts, { digest, sizeBytes: content.length, referenced: false });
            assert.equal(await read(digest), content);
            assert.deepEqual(await segmentsOf(uploadId), []);
            await assert.rejects(getUpload(ctx, registry, name, uploadId), refusal("upload-not-found"));
          });
        }
      }
    }

    test("appends go on after a restart, and after an append of no bytes", async () => {
      const uploadId = await begin("before ");
      const restarted = opened.restart();
      assert.equal((await appendUpload(restarted, registry, name, uploadId, incoming())).receivedBytes, 7);
      assert.equal((await appendUpload(restarted, registry, name, uploadId, incoming("aft", "er"))).receivedBytes, 12);
      await complete(uploadId, sha256("before after"));
    });

    test("a wrong digest cancels the session and leaves nothing", async () => {
      const uploadId = await begin("content");
      const before = await copies();
      await assert.rejects(complete(uploadId, sha256("other"), " more"), (error: unknown) => {
        assert.deepEqual((error as { refusal: unknown }).refusal, {
          kind: "digest-mismatch",
          detail: { expected: sha256("other"), actual: sha256("content more") },
        });
        return true;
      });
      await assert.rejects(getUpload(ctx, registry, name, uploadId), refusal("upload-not-found"));
      assert.deepEqual(await segmentsOf(uploadId), []);
      assert.equal(await copies(), before);
    });

    const refused: readonly [string, Parameters<typeof appendUpload>[4], Parameters<typeof refusal>[0]][] = [
      ["bytes that begin too late", { ...incoming("x"), firstByte: 4 }, "upload-range"],
      ["bytes that were sent before", { ...incoming("x"), firstByte: 0 }, "upload-range"],
      ["fewer bytes than announced", { ...incoming("x"), announcedBytes: 2 }, "upload-size"],
      ["more bytes than announced", { ...incoming("x", "yz"), announcedBytes: 2 }, "upload-size"],
      ["a client that goes away", { chunks: brokenBody() }, "body-aborted"],
      ["more than a blob may have", incoming("x".repeat(62)), "limit-exceeded"],
      ["the announcement of more than a blob may have", { ...incoming("x"), announcedBytes: 62 }, "limit-exceeded"],
    ];
    for (const [what, body, kind] of refused) {
      test(`${what}: ${kind}, and the session goes on where it stood`, async () => {
        const uploadId = await begin("abc");
        await assert.rejects(appendUpload(ctx, registry, name, uploadId, body), refusal(kind));
        assert.equal((await getUpload(ctx, registry, name, uploadId)).receivedBytes, 3);
        assert.equal((await segmentsOf(uploadId)).length, 1);
        await appendUpload(ctx, registry, name, uploadId, { ...incoming("def"), firstByte: 3, announcedBytes: 3 });
        await complete(uploadId, sha256("abcdef"));
      });
    }

    test("a second append of this process is told that the session is busy; the session can be cancelled under the first", async () => {
      const uploadId = await begin("abc");
      const { body, push, end } = slowBody();
      const first = appendUpload(ctx, registry, name, uploadId, body);
      push("def");
      await assert.rejects(appendUpload(ctx, registry, name, uploadId, incoming("x")), refusal("upload-busy"));
      await assert.rejects(complete(uploadId, sha256("abc")), refusal("upload-busy"));
      await cancelUpload(ctx, registry, name, uploadId);
      end();
      await assert.rejects(first, refusal("upload-not-found"));
      assert.deepEqual(await segmentsOf(uploadId), []);
    });

    test("of two processes that append at one offset one wins whole", async () => {
      const uploadId = await begin("abc");
      const { body, push, end } = slowBody();
      const slow = appendUpload(ctx, registry, name, uploadId, body);
      push("slow");
      await new Promise((resolve) => setTimeout(resolve, 20));
      await appendUpload(opened.restart(), registry, name, uploadId, incoming("fast"));
      end();
      await assert.rejects(slow, refusal("upload-busy"));
      const stale = { ...incoming("x"), firstByte: 3 };
      await assert.rejects(appendUpload(ctx, registry, name, uploadId, stale), refusal("upload-range"));
      await complete(uploadId, sha256("abcfast"));
    });

    test("somebody else's session, another repository's, an ended and an invented one are answered alike", async () => {
      const uploadId = await begin("abc");
      const stranger = opened.actAs("AIDATWO");
      const invented = systemRandom.uuid();
      const cases: readonly [RegistryContext, RepositoryName, string][] = [
        [stranger, name, uploadId],
        [ctx, otherName, uploadId],
        [ctx, name, invented],
        [ctx, name, "../../etc/passwd"],
      ];
      for (const [who, where, id] of cases) {
        const attempts = [
          () => getUpload(who, registry, where, id),
          () => cancelUpload(who, registry, where, id),
          () => appendUpload(who, registry, where, id, incoming("x")),
          () => completeUpload(who, registry, where, id, { digest: sha256("abc") }),
          () => completeUploadParts(who, registry, where, id, [sha256("abc")]),
        ];
        for (const attempt of attempts) {
          await assert.rejects(attempt, (error: unknown) => {
            const { kind, detail } = (error as { refusal: { kind: string; detail: unknown } }).refusal;
            assert.deepEqual([kind, detail], ["upload-not-found", { registryId: registry.accountId, repositoryName: where, uploadId: id }]);
            return true;
          });
        }
      }
      await complete(uploadId, sha256("abc"));
    });

    test("a session ends with its time, and with its repository", async () => {
      const uploadId = await begin("abc");
      clock.advance(ctx.core.limits.uploadTtlMs - 1);
      await appendUpload(ctx, registry, name, uploadId, incoming("def"));
      clock.advance(ctx.core.limits.uploadTtlMs - 1);
      await getUpload(ctx, registry, name, uploadId);
      clock.advance(1);
      await assert.rejects(getUpload(ctx, registry, name, uploadId), refusal("upload-not-found"));
      const brief = "team/brief" as RepositoryName;
      await createRepository(ctx, registry, brief);
      const inBrief = await startUpload(ctx, registry, brief);
      await deleteRepository(ctx, registry, brief, { force: true });
      await assert.rejects(getUpload(ctx, registry, brief, inBrief.uploadId), refusal("repository-not-found"));
      await createRepository(ctx, registry, brief);
      await assert.rejects(getUpload(ctx, registry, brief, inBrief.uploadId), refusal("upload-not-found"));
    });

    for (const [what, appends, closing] of ways) {
      for (const algorithm of ["sha256", "sha512"] as const) {
        test(`a closing request is repeated after a crash between the copy and its row: ${what}, ${algorithm}`, async () => {
          const content = `${algorithm} crash ${[...appends, closing ?? ""].join("")}`;
          const uploadId = await begin(`${algorithm} crash `, ...appends);
          const digest = digestOf(algorithm, bytesOf(content));
          const crash = new Error("crash");
          const dying: Database = { ...ctx.core.metadata, transaction: failFrom(ctx.core.metadata, closing ? 2 : 1, crash) };
          const doomed: RegistryContext = { ...ctx, core: { ...opened.restart().core, metadata: dying } };
          await assert.rejects(complete(uploadId, digest, closing, doomed), crash);
          await complete(uploadId, digest, closing, opened.restart());
          assert.equal(await read(digest), content);
        });
      }
    }

    test("the same content twice is kept once", async () => {
      const content = "the same content";
      const first = await uploadWhole(ctx, registry, name, { digest: sha256(content), incoming: incoming(content) });
      const count = await copies();
      const uploadId = await begin(content);
      assert.deepEqual(await complete(uploadId, sha256(content)), first);
      await uploadWhole(ctx, registry, otherName, { digest: sha256(content), incoming: incoming(content) });
      assert.equal(await copies(), count);
      assert.equal(await read(sha256(content)), content);
    });

    test("a blob in one request costs two transactions, a monolithic push three", async () => {
      let transactions = 0;
      const { metadata } = ctx.core;
      const counting: Database = {
        ...metadata,
        transaction(work) {
          transactions += 1;
          return metadata.transaction(work);
        },
      };
      const counted: RegistryContext = { ...ctx, core: { ...ctx.core, metadata: counting } };
      await uploadWhole(counted, registry, name, { digest: sha256("whole"), incoming: incoming("whole") });
      assert.equal(transactions, 2);
      transactions = 0;
      const { uploadId } = await startUpload(counted, registry, name);
      await complete(uploadId, sha256("monolithic"), "monolithic", counted);
      assert.equal(transactions, 3);
    });

    test("a blob in one request that fails leaves nothing", async () => {
      const before = [await copies(), await allSegments(storage)];
      const bodies = [incoming("wrong"), { ...incoming("ab"), announcedBytes: 3 }, { chunks: brokenBody() }];
      const kinds = ["digest-mismatch", "upload-size", "body-aborted"] as const;
      for (const [position, body] of bodies.entries()) {
        const push = uploadWhole(ctx, registry, name, { digest: sha256("right"), incoming: body });
        await assert.rejects(push, refusal(kinds[position] ?? "storage-full"));
      }
      assert.deepEqual([await copies(), await allSegments(storage)], before);
    });

    test("a full disk is told from other failures, and the session stands where it stood", async () => {
      const uploadId = await begin("abc");
      const full: StorageDriver = { ...storage, openSegment: async () => Promise.reject(new StorageError("no-space", "full")) };
      const onFullDisk: RegistryContext = { ...ctx, core: { ...ctx.core, storage: full } };
      await assert.rejects(appendUpload(onFullDisk, registry, name, uploadId, incoming("x")), refusal("storage-full"));
      await appendUpload(ctx, registry, name, uploadId, incoming("def"));
      await complete(uploadId, sha256("abcdef"));
    });

    suite("ECR's parts", () => {
      const part = (uploadId: string, firstByte: number, content: string, use = ctx) =>
        appendPart(use, registry, name, uploadId, { ...incoming(content), firstByte, lastByte: firstByte + content.length - 1 });

      test("parts in sequence become a blob; one of the offered digests must fit", async () => {
        const { uploadId } = await startUpload(ctx, registry, name);
        assert.deepEqual(await part(uploadId, 0, "first "), { lastByteReceived: 5 });
        assert.deepEqual(await part(uploadId, 6, "2nd"), { lastByteReceived: 8 });
        const offer = (...digests: readonly string[]) => completeUploadParts(ctx, registry, name, uploadId, digests);
        await assert.rejects(offer(sha256("x"), "sha256:nonsense"), refusal("upload-digest-mismatch"));
        assert.deepEqual(await offer(sha256("x"), sha256("first 2nd")), { digest: sha256("first 2nd") });
        assert.equal(await read(sha256("first 2nd")), "first 2nd");
        await assert.rejects(offer(sha256("first 2nd")), refusal("upload-not-found"));
      });

      test("a digest of another algorithm is tried when it is offered", async () => {
        const { uploadId } = await startUpload(ctx, registry, name);
        await part(uploadId, 0, "by sha512");
        const digest = digestOf("sha512", bytesOf("by sha512"));
        assert.deepEqual(await completeUploadParts(ctx, registry, name, uploadId, [digest]), { digest });
      });

      test("empty uploads, small parts and blobs that are there are refused", async () => {
        const { uploadId } = await startUpload(ctx, registry, name);
        await assert.rejects(completeUploadParts(ctx, registry, name, uploadId, [sha256("")]), refusal("upload-empty"));
        await part(uploadId, 0, "x".repeat(partMinBytes - 1));
        await part(uploadId, partMinBytes - 1, "long enough");
        await assert.rejects(completeUploadParts(ctx, registry, name, uploadId, [sha256("any")]), refusal("upload-part-too-small"));
        for (const expected of [undefined, "blob-exists"] as const) {
          const again = await startUpload(ctx, registry, name);
          await part(again.uploadId, 0, "twice");
          const done = completeUploadParts(ctx, registry, name, again.uploadId, [sha256("twice")]);
          if (expected === undefined) assert.deepEqual(await done, { digest: sha256("twice") });
          else await assert.rejects(done, refusal(expected));
        }
      });

      test("parts out of sequence, of the wrong length, too long or too many are refused", async () => {
        const { uploadId } = await startUpload(ctx, registry, name);
        await part(uploadId, 0, "abcd");
        const put = (firstByte: number, lastByte: number, content: string) =>
          appendPart(ctx, registry, name, uploadId, { ...incoming(content), firstByte, lastByte });
        await assert.rejects(put(0, 3, "abcd"), refusal("upload-range"));
        await assert.rejects(put(4, 9, "four"), refusal("upload-size"));
        await assert.rejects(put(4, 5, "four"), refusal("upload-size"));
        await assert.rejects(put(4, 3, ""), refusal("parameter-invalid"));
        await assert.rejects(put(4, 20, "x".repeat(17)), refusal("parameter-invalid"));
        await put(4, 7, "efgh");
        await put(8, 11, "ijkl");
        await assert.rejects(put(12, 15, "mnop"), refusal("limit-exceeded"));
        await completeUploadParts(ctx, registry, name, uploadId, [sha256("abcdefghijkl")]);
      });
    });
  });
}

async function* brokenBody(): AsyncGenerator<Uint8Array> {
  yield bytesOf("half");
  throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
}

/** A body whose bytes come when told. */
function slowBody() {
  const waiting: (string | undefined)[] = [];
  let wake: () => void = () => undefined;
  const say = (text: string | undefined) => {
    waiting.push(text);
    wake();
  };
  const chunks = (async function* () {
    for (;;) {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const text = waiting.shift();
      if (text === undefined) return;
      yield bytesOf(text);
    }
  })();
  return { body: { chunks }, push: (text: string) => say(text), end: () => say(undefined) };
}

/** Lets transactions through before the `nth`, and fails from then on. */
function failFrom(metadata: Database, nth: number, error: Error): Database["transaction"] {
  let count = 0;
  return (work) => {
    count += 1;
    return count >= nth ? Promise.reject(error) : metadata.transaction(work);
  };
}

async function allSegments(storage: StorageDriver): Promise<number> {
  let count = 0;
  for await (const _entry of storage.listSegments()) count += 1;
  return count;
}
