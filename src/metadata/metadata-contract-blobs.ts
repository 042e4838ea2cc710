import assert from "node:assert/strict";
import { test } from "node:test";
import { deleteBlob, extendLink, findBlob, findBlobs, listBlobRepositories, mountBlob } from "./blobs.ts";
import {
  author,
  digestFor,
  graceMs,
  keyOf,
  makeBlob,
  makeRepository,
  pushed,
  startAt,
  unique,
  upload,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { deleteRepository } from "./repositories.ts";
import type { RepositoryKey } from "./repositories.ts";
import {
  beginSegment,
  commitSegment,
  completeUpload,
  createUploadSession,
  deleteUploadSession,
  dropSegment,
  findUploadSession,
} from "./upload-sessions.ts";

/** Who may read which blob, and for how long. */
export function blobContract(opened: OpenedDatabase): void {
  test("a blob is readable while a manifest references it or within its grace, and nowhere else", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const sibling = await makeRepository(db, { accountId: repository.accountId });
    const stranger = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const blob = await makeBlob(db, repository, digest);
    const find = async (key: RepositoryKey, now: number) => (await findBlob(db, keyOf(key), digest, now)).blob;
    assert.deepEqual(await find(repository, startAt), blob);
    assert.deepEqual([blob.referenced, blob.graceUntil, blob.mediaType], [false, startAt + graceMs, undefined]);
    assert.equal(await find(repository, startAt + graceMs), undefined);
    assert.deepEqual(await findBlob(db, keyOf(sibling), digest, startAt), { repository: sibling });
    assert.deepEqual(await findBlob(db, keyOf(stranger), digest, startAt), { repository: stranger });
    assert.deepEqual(await findBlob(db, { ...keyOf(sibling), name: "nothing" }, digest, startAt), {});
    await pushed(db, repository, "m", { blobs: [digest] });
    const referenced = await find(repository, startAt + 10 * graceMs);
    assert.deepEqual([referenced?.referenced, referenced?.mediaType], [true, "application/vnd.oci.image.config.v1+json"]);
    const several = await findBlobs(db, repository.repositoryId, [digest, digestFor("nothing")], startAt + 10 * graceMs);
    assert.deepEqual([...several], [[digest, referenced]]);
    await deleteRepository(db, { key: keyOf(repository), force: true, author: author() });
    assert.equal(await find(repository, startAt), undefined);
  });

  test("the grace of a link is lengthened, never shortened, and not begun again after a delete", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, digest);
    const extend = (graceUntil: number) => extendLink(db, { repositoryId: repository.repositoryId, blobId, graceUntil });
    assert.equal(await extend(startAt + 50_000), true);
    assert.equal(await extend(startAt + 10), true);
    assert.equal((await findBlob(db, keyOf(repository), digest, startAt)).blob?.graceUntil, startAt + 50_000);
    const deletion = { key: keyOf(repository), digest, author: author() };
    assert.deepEqual(await deleteBlob(db, deletion), { outcome: "deleted" });
    assert.deepEqual(await deleteBlob(db, deletion), { outcome: "not-found" });
    assert.equal(await extend(startAt + 90_000), false);
    assert.equal((await findBlob(db, keyOf(repository), digest, startAt)).blob, undefined);
    assert.equal(await extendLink(db, { repositoryId: repository.repositoryId, blobId: -5, graceUntil: 1 }), false);
    assert.equal((await upload(db, repository, digest)).outcome, "joined");
    assert.equal((await findBlob(db, keyOf(repository), digest, startAt)).blob?.blobId, blobId);
  });

  test("a blob that a live manifest references cannot be deleted", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    await makeBlob(db, repository, digest);
    await pushed(db, repository, "m", { blobs: [digest] });
    assert.deepEqual(await deleteBlob(db, { key: keyOf(repository), digest, author: author() }), { outcome: "referenced" });
    const elsewhere = { key: { ...keyOf(repository), name: "nothing" }, digest, author: author() };
    assert.deepEqual(await deleteBlob(db, elsewhere), { outcome: "repository-not-found" });
  });

  test("a mount needs a readable source in the same account and protection domain", async () => {
    const db = opened();
    const source = await makeRepository(db);
    const { accountId } = source;
    const target = await makeRepository(db, { accountId });
    const sealed = await makeRepository(db, { accountId, protectionDomain: "KMS:key" });
    const stranger = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const blob = await makeBlob(db, source, digest);
    const mount = (targetKey: RepositoryKey, sourceKeys: readonly RepositoryKey[] | "any-in-account", now = startAt) =>
      mountBlob(db, {
        sourceKeys: sourceKeys === "any-in-account" ? sourceKeys : sourceKeys.map(keyOf),
        targetKey: keyOf(targetKey),
        digest,
        graceUntil: now + 2 * graceMs,
        author: author(now),
      });
    assert.equal(await mount(stranger, [source]), undefined);
    assert.equal(await mount(stranger, "any-in-account"), undefined);
    assert.equal(await mount(sealed, [source]), undefined);
    assert.equal(await mount(target, [stranger]), undefined);
    assert.equal(await mount(target, []), undefined);
    assert.equal(await mount(target, [source], startAt + graceMs), undefined);
    assert.equal(await mount({ ...keyOf(target), name: "nothing" }, [source]), undefined);
    assert.deepEqual(await listBlobRepositories(db, { targetKey: keyOf(target), digest, now: startAt, limit: 10 }), [keyOf(source)]);
    assert.deepEqual(await listBlobRepositories(db, { targetKey: keyOf(sealed), digest, now: startAt, limit: 10 }), []);
    const mounted = await mount(target, [stranger, source]);
    assert.deepEqual(mounted, { ...blob, graceUntil: startAt + 2 * graceMs });
    assert.equal((await findBlob(db, keyOf(target), digest, startAt + graceMs)).blob?.storageKey, blob.storageKey);
    assert.equal((await mount(await makeRepository(db, { accountId }), "any-in-account"))?.blobId, blob.blobId);
  });

  test("the same content in another protection domain is another blob", async () => {
    const db = opened();
    const plain = await makeRepository(db);
    const sealed = await makeRepository(db, { accountId: plain.accountId, protectionDomain: "KMS:key" });
    const digest = digestFor(unique("blob"));
    const first = await makeBlob(db, plain, digest);
    assert.equal((await upload(db, sealed, digest)).outcome, "stored");
    assert.notEqual((await findBlob(db, keyOf(sealed), digest, startAt)).blob?.blobId, first.blobId);
  });
}

/** Upload sessions and their segments. */
export function uploadContract(opened: OpenedDatabase): void {
  test("a session collects segments in order and ends as a blob", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const uploadId = unique("upload");
    const expiresAt = startAt + 100;
    const input = { uploadId, key: keyOf(repository), principalId: "p", algorithm: "sha512" as const, expiresAt, author: author() };
    assert.deepEqual(await createUploadSession(db, input), repository);
    assert.equal(await createUploadSession(db, { ...input, uploadId: "x", key: { ...input.key, name: "nothing" } }), undefined);
    const sizes = [7, 3, 5, 1];
    let offset = 0;
    for (const [ordinal, sizeBytes] of sizes.entries()) {
      const segment = { uploadId, segmentKey: `${uploadId}/${ordinal}`, expiresAt: expiresAt + ordinal, now: startAt };
      assert.deepEqual(await beginSegment(db, { ...segment, expectedBytes: offset }), { outcome: "begun" });
      assert.deepEqual(await commitSegment(db, { ...segment, offset, sizeBytes, digestSoFar: `d${ordinal}` }), { outcome: "committed" });
      offset += sizeBytes;
    }
    assert.deepEqual(await findUploadSession(db, uploadId), {
      uploadId,
      repositoryId: repository.repositoryId,
      repositoryName: repository.name,
      accountId: repository.accountId,
      region: repository.region,
      principalId: "p",
      protectionDomain: "AES256",
      algorithm: "sha512",
      receivedBytes: 16,
      digestSoFar: "d3",
      parts: 4,
      smallestNonLastPartBytes: 3,
      createdAt: startAt,
      expiresAt: expiresAt + 3,
      segments: sizes.map((sizeBytes, ordinal) => ({
        segmentKey: `${uploadId}/${ordinal}`,
        ordinal,
        sizeBytes,
        offset: sizes.slice(0, ordinal).reduce((sum, size) => sum + size, 0),
      })),
    });
    const digest = digestFor(unique("blob"));
    const completion = { uploadId, digest, sizeBytes: 16, storageKey: unique("key"), graceUntil: startAt + 1, author: author() };
    const outcome = await completeUpload(db, completion);
    assert.equal(outcome.outcome, "stored");
    assert.deepEqual([outcome.wasLinked, outcome.discard, outcome.blob.storageKey], [false, undefined, completion.storageKey]);
    assert.equal(await findUploadSession(db, uploadId), undefined);
    assert.deepEqual(await completeUpload(db, completion), { outcome: "not-found" });
  });

  test("a segment that another one overtook does not count", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const uploadId = unique("upload");
    const base = { uploadId, expiresAt: startAt + 100, now: startAt };
    await createUploadSession(db, { ...base, key: keyOf(repository), principalId: "p", algorithm: "sha256", author: author() });
    const begin = (segmentKey: string, expectedBytes: number) => beginSegment(db, { ...base, segmentKey, expectedBytes });
    const commit = (segmentKey: string, offset: number) =>
      commitSegment(db, { ...base, segmentKey, offset, sizeBytes: 4, digestSoFar: segmentKey });
    assert.deepEqual(await begin("a", 0), { outcome: "begun" });
    assert.deepEqual(await begin("b", 0), { outcome: "begun" });
    assert.deepEqual(await commit("b", 0), { outcome: "committed" });
    assert.deepEqual(await commit("a", 0), { outcome: "moved", receivedBytes: 4 });
    assert.deepEqual(await commit("b", 4), { outcome: "not-found" });
    assert.deepEqual(await begin("c", 0), { outcome: "moved", receivedBytes: 4 });
    await dropSegment(db, { uploadId, segmentKey: "a" });
    await dropSegment(db, { uploadId, segmentKey: "b" });
    assert.deepEqual(await commit("a", 4), { outcome: "not-found" });
    assert.deepEqual(
      (await findUploadSession(db, uploadId))?.segments.map(({ segmentKey }) => segmentKey),
      ["b"],
    );
    assert.deepEqual(await beginSegment(db, { ...base, segmentKey: "late", expectedBytes: 4, now: startAt + 100 }), {
      outcome: "not-found",
    });
    await begin("d", 4);
    assert.deepEqual((await deleteUploadSession(db, uploadId))?.toSorted(), ["b", "d"]);
    assert.equal(await deleteUploadSession(db, uploadId), undefined);
  });

  test("an upload of known content joins it, and its copy is to be discarded", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const sibling = await makeRepository(db, { accountId: repository.accountId });
    const digest = digestFor(unique("blob"));
    const first = await makeBlob(db, repository, digest);
    const again = await upload(db, repository, digest);
    const there = await upload(db, sibling, digest);
    assert.ok(again.outcome === "joined" && there.outcome === "joined");
    assert.deepEqual([again.wasLinked, there.wasLinked], [true, false]);
    assert.deepEqual([again.blob.storageKey, there.blob.storageKey], [first.storageKey, first.storageKey]);
    assert.ok(again.discard?.startsWith(digest) && again.discard !== first.storageKey);
  });

  test("sessions end with their repository", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const uploadId = unique("upload");
    const expiresAt = startAt + 100;
    await createUploadSession(db, { uploadId, key: keyOf(repository), principalId: "p", algorithm: "sha256", expiresAt, author: author() });
    await deleteRepository(db, { key: keyOf(repository), force: false, author: author() });
    assert.equal(await findUploadSession(db, uploadId), undefined);
    const completion = {
      uploadId,
      digest: digestFor("x"),
      sizeBytes: 0,
      storageKey: unique("key"),
      graceUntil: startAt + 1,
      author: author(),
    };
    assert.deepEqual(await completeUpload(db, completion), { outcome: "not-found" });
  });
}
