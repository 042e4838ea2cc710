import assert from "node:assert/strict";
import { test } from "node:test";
import { findBlob } from "./blobs.ts";
import type { Database } from "./database.ts";
import {
  condemnBlobs,
  dropStaleLinks,
  forgetGone,
  gcCounts,
  killBlobs,
  knownStorageKeys,
  knownUploads,
  listBlobsForFsck,
  listExpiredUploads,
  listGone,
  listManifestsForFsck,
  purgeTombstones,
} from "./garbage.ts";
import type { BlobFact } from "./garbage.ts";
import { deleteManifest, deleteTag, findManifest, listManifests } from "./manifests.ts";
import {
  allPages,
  author,
  byDigest,
  byTag,
  digestFor,
  graceMs,
  keyOf,
  makeBlob,
  makeRepository,
  pushed,
  pushIndex,
  startAt,
  unique,
  upload,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { deleteRepository } from "./repositories.ts";
import { listTombstones, purgeManifest, purgeTag, restoreManifest, restoreTag } from "./tombstones.ts";
import { beginSegment, createUploadSession, deleteUploadSession } from "./upload-sessions.ts";

/** Deleting is a tombstone: what comes back, and what does not. */
export function tombstoneContract(opened: OpenedDatabase): void {
  test("a manifest comes back with its tags, unless they are in use again", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const digest = digestFor("m");
    const blob = digestFor(unique("blob"));
    await makeBlob(db, repository, blob);
    await pushed(db, repository, "m", { tags: ["a", "b", "c"], blobs: [blob] });
    await deleteTag(db, {
      key,
      tag: "c",
      lastTagDeletesManifest: false,
      linkGraceMs: 86_400_000,
      withReferrers: false,
      author: author(startAt - 1),
    });
    await deleteManifest(db, { key, digest, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    await pushed(db, repository, "n", { tags: ["b"] });
    const tombstones = await listTombstones(db, key, { limit: 10 });
    assert.deepEqual(
      tombstones?.map((tombstone) => [tombstone.kind, tombstone.digest, tombstone.tag, tombstone.deletedAt]),
      [
        ["manifest", digest, undefined, startAt],
        ["tag", digest, "a", startAt],
        ["tag", digest, "b", startAt],
        ["tag", digest, "c", startAt - 1],
      ],
    );
    assert.deepEqual(await restoreManifest(db, { key, digest, author: author() }), { outcome: "restored", digest, tags: ["a"] });
    assert.equal((await findManifest(db, key, byTag("a"))).manifest?.digest, digest);
    assert.equal((await findManifest(db, key, byTag("b"))).manifest?.digest, digestFor("n"));
    assert.equal((await findBlob(db, key, blob, startAt + 10 * graceMs)).blob?.referenced, true);
    assert.deepEqual(await restoreManifest(db, { key, digest, author: author() }), { outcome: "in-the-way" });
    assert.deepEqual(await restoreManifest(db, { key, digest: digestFor("x"), author: author() }), { outcome: "not-found" });
    const nowhere = { key: { ...key, name: "nothing" }, digest, author: author() };
    assert.deepEqual(await restoreManifest(db, nowhere), { outcome: "repository-not-found" });
    assert.equal(await listTombstones(db, nowhere.key, { limit: 1 }), undefined);
    await assertCounts(db, repository.repositoryId);
  });

  test("an index comes back with the children that it needs", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    await pushed(db, repository, "child");
    await pushIndex(db, repository, "index", ["child"]);
    for (const seed of ["index", "child"])
      await deleteManifest(db, { key, digest: digestFor(seed), linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    await restoreManifest(db, { key, digest: digestFor("index"), author: author() });
    assert.equal((await findManifest(db, key, byDigest(digestFor("child")))).manifest?.digest, digestFor("child"));
    const refused = await deleteManifest(db, {
      key,
      digest: digestFor("child"),
      linkGraceMs: 86_400_000,
      withReferrers: false,
      author: author(),
    });
    assert.equal(refused.outcome, "referenced");
    await assertCounts(db, repository.repositoryId);
  });

  test("a tag comes back with its manifest, also onto a digest that was pushed again", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const digest = digestFor("m");
    await pushed(db, repository, "m", { tags: ["a", "b"] });
    await deleteManifest(db, { key, digest, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    assert.deepEqual(await restoreTag(db, { key, tag: "a", author: author() }), { outcome: "restored", digest, tags: ["a"] });
    assert.deepEqual(await restoreTag(db, { key, tag: "a", author: author() }), { outcome: "in-the-way" });
    assert.equal((await findManifest(db, key, byTag("b"))).manifest, undefined);
    await deleteManifest(db, { key, digest, linkGraceMs: 86_400_000, withReferrers: false, author: author(startAt + 1) });
    const again = await pushed(db, repository, "m");
    assert.deepEqual(await restoreTag(db, { key, tag: "b", author: author() }), { outcome: "restored", digest, tags: ["b"] });
    assert.equal((await findManifest(db, key, byTag("b"))).manifest?.manifestId, again.manifestId);
    assert.deepEqual(await restoreTag(db, { key, tag: "x", author: author() }), { outcome: "not-found" });
    await assertCounts(db, repository.repositoryId);
  });

  test("what is purged does not come back, and what is live stays", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const digest = digestFor("m");
    await pushed(db, repository, "m", { tags: ["a", "b"] });
    assert.deepEqual(await purgeManifest(db, { key, digest, author: author() }), { outcome: "not-found" });
    assert.deepEqual(await purgeTag(db, { key, tag: "a", author: author() }), { outcome: "not-found" });
    await deleteTag(db, { key, tag: "a", lastTagDeletesManifest: false, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    assert.deepEqual(await purgeTag(db, { key, tag: "a", author: author() }), { outcome: "purged", count: 1 });
    assert.deepEqual(await restoreTag(db, { key, tag: "a", author: author() }), { outcome: "not-found" });
    await deleteManifest(db, { key, digest, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    assert.deepEqual(await purgeManifest(db, { key, digest, author: author() }), { outcome: "purged", count: 1 });
    assert.deepEqual(await restoreManifest(db, { key, digest, author: author() }), { outcome: "not-found" });
  });
}

/** The counters must agree with what they count. */
export async function assertCounts(db: Database, repositoryId: number): Promise<void> {
  const manifests = await db.read
    .selectFrom("manifest as m")
    .select((select) => [
      "m.manifest_id",
      "m.tag_count",
      select
        .selectFrom("tag as t")
        .select((count) => count.fn.countAll<number>().as("n"))
        .whereRef("t.manifest_id", "=", "m.manifest_id")
        .where("t.deleted_at", "is", null)
        .as("counted"),
    ])
    .where("m.repository_id", "=", repositoryId)
    .where("m.deleted_at", "is", null)
    .execute();
  for (const row of manifests) assert.equal(row.tag_count, row.counted, "tag_count");
  const usage = await db.read
    .selectFrom("repository_usage")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .executeTakeFirstOrThrow();
  assert.equal(usage.manifest_count, manifests.length, "manifest_count");
}

/** Garbage collection as it will be run: everything that is due, until nothing is. */
async function collect(
  db: Database,
  now: number,
  options: { readonly ignoreGrace?: boolean; readonly deletedBefore?: number } = {},
): Promise<void> {
  const limit = 3;
  while ((await purgeTombstones(db, { deletedBefore: options.deletedBefore ?? 0, limit })) > 0);
  while ((await dropStaleLinks(db, { now, limit, ignoreGrace: options.ignoreGrace ?? false })) > 0);
  while ((await condemnBlobs(db, { unreferencedSince: now, now, limit })) > 0);
  while ((await killBlobs(db, { condemnedBefore: now, limit })) > 0);
}

/** The state of a digest's blobs, whatever they are. */
export async function statesOf(db: Database, digest: string): Promise<string[]> {
  const rows = await db.read.selectFrom("blob").select("state").where("digest", "=", digest).orderBy("blob_id").execute();
  return rows.map((row) => row.state);
}

/** What garbage collection takes, and what it must leave. */
export function garbageContract(opened: OpenedDatabase): void {
  test("an unreferenced blob goes step by step, each after its time", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId, storageKey } = await makeBlob(db, repository, digest);
    const drop = (now: number) => dropStaleLinks(db, { now, limit: 100, ignoreGrace: false });
    await drop(startAt + graceMs - 1);
    assert.equal((await findBlob(db, keyOf(repository), digest, startAt)).blob?.blobId, blobId);
    const later = startAt + graceMs;
    await drop(later);
    assert.equal((await findBlob(db, keyOf(repository), digest, startAt)).blob, undefined);
    await condemnBlobs(db, { unreferencedSince: later - 1, now: later, limit: 100 });
    assert.deepEqual(await statesOf(db, digest), ["live"]);
    await condemnBlobs(db, { unreferencedSince: later, now: later + 5, limit: 100 });
    assert.deepEqual(await statesOf(db, digest), ["condemned"]);
    await killBlobs(db, { condemnedBefore: later + 4, limit: 100 });
    assert.deepEqual(await statesOf(db, digest), ["condemned"]);
    await forgetGone(db, blobId);
    await killBlobs(db, { condemnedBefore: later + 5, limit: 100 });
    assert.deepEqual(await statesOf(db, digest), ["gone"]);
    assert.deepEqual(
      (await listGone(db, { limit: 1_000 })).filter((gone) => gone.blobId === blobId),
      [{ blobId, storageKey }],
    );
    assert.deepEqual(await knownStorageKeys(db, [storageKey, "nobody's"]), new Set([storageKey]));
    await forgetGone(db, blobId);
    assert.deepEqual(await statesOf(db, digest), []);
    assert.deepEqual(await knownStorageKeys(db, [storageKey]), new Set());
  });

  for (const state of ["live", "condemned", "gone"] as const) {
    test(`an upload finds an unlinked blob ${state}`, async () => {
      const db = opened();
      const repository = await makeRepository(db);
      const digest = digestFor(unique("blob"));
      const first = await makeBlob(db, repository, digest);
      const later = startAt + graceMs;
      await dropStaleLinks(db, { now: later, limit: 100, ignoreGrace: false });
      if (state !== "live") await condemnBlobs(db, { unreferencedSince: later, now: later, limit: 100 });
      if (state === "gone") await killBlobs(db, { condemnedBefore: later, limit: 100 });
      assert.deepEqual(await statesOf(db, digest), [state]);
      const again = await upload(db, repository, digest, later);
      assert.ok(again.outcome !== "not-found");
      assert.equal(again.outcome, state === "gone" ? "stored" : "joined");
      assert.equal(again.blob.blobId === first.blobId, state !== "gone");
      await condemnBlobs(db, { unreferencedSince: later, now: later, limit: 100 });
      await killBlobs(db, { condemnedBefore: later, limit: 100 });
      assert.deepEqual(await statesOf(db, digest), state === "gone" ? ["gone", "live"] : ["live", "gone"]);
      await pushed(db, repository, "m", { blobs: [digest], author: author(later) });
    });
  }

  test("live and tombstoned manifests keep their blobs; the purge lets them go", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const digests = Array.from({ length: 7 }, () => digestFor(unique("blob")));
    for (const digest of digests) await makeBlob(db, repository, digest);
    const manifest = await pushed(db, repository, "m", { blobs: digests, tags: ["a"] });
    const later = startAt + 100 * graceMs;
    await collect(db, later, { ignoreGrace: true });
    for (const digest of digests) assert.equal((await findBlob(db, key, digest, later)).blob?.referenced, true);
    await deleteManifest(db, { key, digest: manifest.digest, linkGraceMs: 86_400_000, withReferrers: false, author: author(later) });
    await collect(db, later + 1, { deletedBefore: later - 1 });
    for (const digest of digests) assert.deepEqual(await statesOf(db, digest), ["live"]);
    await restoreManifest(db, { key, digest: manifest.digest, author: author() });
    for (const digest of digests) assert.equal((await findBlob(db, key, digest, later)).blob?.referenced, true);
    await deleteManifest(db, { key, digest: manifest.digest, linkGraceMs: 86_400_000, withReferrers: false, author: author(later) });
    await collect(db, later + 1, { deletedBefore: later });
    for (const digest of digests) assert.deepEqual(await statesOf(db, digest), ["gone"]);
    assert.deepEqual(await listTombstones(db, key, { limit: 10 }), []);
  });

  test("a deleted repository keeps everything until it is purged, then leaves nothing", async () => {
    const db = opened();
    const repository = await makeRepository(db, { resourceTags: { a: "1" } });
    const digest = digestFor(unique("blob"));
    await makeBlob(db, repository, digest);
    for (let index = 0; index < 10; index += 1) await pushed(db, repository, `m${index}`, { blobs: [digest], tags: [`t${index}`] });
    await deleteRepository(db, { key: keyOf(repository), force: true, author: author() });
    const later = startAt + 100 * graceMs;
    await collect(db, later, { deletedBefore: startAt - 1 });
    assert.deepEqual(await statesOf(db, digest), ["live"]);
    await collect(db, later, { deletedBefore: startAt });
    assert.deepEqual(await statesOf(db, digest), ["gone"]);
    await collect(db, later, { deletedBefore: startAt });
    const left = await db.read.selectFrom("repository").select("name").where("repository_id", "=", repository.repositoryId).execute();
    assert.deepEqual(left, []);
    assert.deepEqual(await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 1 }), []);
  });

  test("expired uploads are listed with all their segments, and known ones told from others", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const uploadId = unique("upload");
    const expiresAt = startAt - 1_000;
    await createUploadSession(db, { uploadId, key: keyOf(repository), principalId: "p", algorithm: "sha256", expiresAt, author: author() });
    await beginSegment(db, { uploadId, segmentKey: `${uploadId}/a`, expectedBytes: 0, expiresAt, now: expiresAt - 1 });
    await beginSegment(db, { uploadId, segmentKey: `${uploadId}/b`, expectedBytes: 0, expiresAt, now: expiresAt - 1 });
    assert.deepEqual(await listExpiredUploads(db, { now: expiresAt - 1, limit: 10 }), []);
    assert.deepEqual(await listExpiredUploads(db, { now: expiresAt, limit: 10 }), [
      { uploadId, segmentKeys: [`${uploadId}/a`, `${uploadId}/b`] },
    ]);
    assert.deepEqual(await knownUploads(db, [uploadId, "nobody's"]), new Set([uploadId]));
    await deleteUploadSession(db, uploadId);
    assert.deepEqual(await listExpiredUploads(db, { now: expiresAt, limit: 10 }), []);
  });

  test("fsck sees every blob and manifest once, and an unsound one by its missing link", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, digest);
    const { manifestId } = await pushed(db, repository, "m", { blobs: [digest] });
    const blobs = await allPages(
      7,
      (blob: BlobFact) => blob.blobId,
      (page) => listBlobsForFsck(db, page),
    );
    assert.equal(new Set(blobs.map((blob) => blob.blobId)).size, blobs.length);
    const counts = await gcCounts(db);
    assert.equal(blobs.length, counts.live + counts.condemned + counts.gone);
    const facts = async () => (await listManifestsForFsck(db, { after: manifestId - 1, limit: 1 }))[0];
    assert.deepEqual([(await facts())?.tombstoned, (await facts())?.unlinkedBlobs], [false, []]);
    await db.transaction(async (tx) => {
      await tx.deleteFrom("blob_link").where("blob_id", "=", blobId).execute();
    });
    assert.deepEqual((await facts())?.unlinkedBlobs, [digest]);
    await db.transaction(async (tx) => {
      await tx.insertInto("blob_link").values({ repository_id: repository.repositoryId, blob_id: blobId, grace_until: null }).execute();
    });
  });
}
