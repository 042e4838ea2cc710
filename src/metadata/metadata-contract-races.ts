import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lockBlobs } from "./blob-links.ts";
import type { Database } from "./database.ts";
import { condemnBlobs, dropStaleLinks, killBlobs, listManifestsForFsck, purgeTombstones } from "./garbage.ts";
import type { ManifestFact } from "./garbage.ts";
import { deleteManifest, deleteTag, findManifest, listManifests, listTags } from "./manifests.ts";
import { assertCounts, statesOf } from "./metadata-contract-garbage.ts";
import {
  allPages,
  author,
  byTag,
  digestFor,
  graceMs,
  keyOf,
  makeBlob,
  makeRepository,
  push,
  pushed,
  startAt,
  unique,
  upload,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { mountBlob } from "./blobs.ts";
import { createRepository, deleteRepository } from "./repositories.ts";
import { beginSegment, commitSegment, completeUpload, createUploadSession, findUploadSession } from "./upload-sessions.ts";

/** A transaction that stays open until it is told to go on; what it did is undecided meanwhile. */
function hold(db: Database, work: Parameters<Database["transaction"]>[0]): { readonly begun: Promise<void>; release(): Promise<void> } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const done = db.transaction(async (tx) => {
    await work(tx);
    begin();
    await released;
  });
  return {
    begun,
    async release() {
      release();
      await done;
    },
  };
}

/** What holds however operations meet. */
export function raceContract(opened: OpenedDatabase): void {
  test("parallel pushes of one digest and tag make one manifest", async () => {
    const db = opened();
    const repository = await makeRepository(db, { tagMutability: "IMMUTABLE" });
    const digest = digestFor(unique("blob"));
    await makeBlob(db, repository, digest);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, () => push(db, repository, "m", { blobs: [digest], tags: ["v1", "v2"] })),
    );
    assert.equal(outcomes.filter((outcome) => outcome.outcome === "stored" && outcome.created).length, 1);
    assert.ok(outcomes.every((outcome) => outcome.outcome === "stored" && outcome.movedTags.length === 0));
    assert.equal((await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 10 })).length, 1);
    await assertCounts(db, repository.repositoryId);
  });

  test("parallel pushes of different digests onto one tag leave it on one of them", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) => push(db, repository, `m${index}`, { tags: ["latest", `only${index % 3}`] })),
    );
    assert.ok(outcomes.every(({ outcome }) => outcome === "stored"));
    assert.deepEqual(await listTags(db, repository.repositoryId, { limit: 10 }), ["latest", "only0", "only1", "only2"]);
    const moves = outcomes
      .flatMap((outcome) => (outcome.outcome === "stored" ? outcome.movedTags : []))
      .filter(({ tag }) => tag === "latest");
    assert.equal(new Set(moves.map(({ fromDigest }) => fromDigest)).size, 11, "every push but the first took the tag from another one");
    await assertCounts(db, repository.repositoryId);
  });

  test("an immutable tag goes to exactly one of many pushes", async () => {
    const db = opened();
    const repository = await makeRepository(db, { tagMutability: "IMMUTABLE" });
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, index) => push(db, repository, `m${index}`, { tags: ["v1"] })));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["stored", ...Array<string>(9).fill("tag-immutable")]);
    assert.equal((await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 100 })).length, 1);
  });

  test("limits are exact under parallel pushes", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const pushes = await Promise.all(Array.from({ length: 10 }, (_, index) => push(db, repository, `m${index}`, { maxManifests: 4 })));
    assert.equal(pushes.filter(({ outcome }) => outcome === "stored").length, 4);
    const tags = await Promise.all(
      Array.from({ length: 10 }, (_, index) => push(db, repository, "t", { tags: [`t${index}`], maxTagsPerManifest: 3 })),
    );
    assert.equal(tags.filter(({ outcome }) => outcome === "stored").length, 3);
    await assertCounts(db, repository.repositoryId);
  });

  test("a repository is deleted with or without a push that comes at the same moment, never around it", async () => {
    const db = opened();
    for (let round = 0; round < 8; round += 1) {
      const repository = await makeRepository(db);
      const key = keyOf(repository);
      const [deleted, ...puts] = await Promise.all([
        deleteRepository(db, { key, force: false, author: author() }),
        ...Array.from({ length: 3 }, (_, index) => push(db, repository, `m${index}`, { tags: [`t${index}`] })),
      ]);
      const stored = puts.filter(({ outcome }) => outcome === "stored").length;
      if (deleted.outcome === "deleted") assert.equal(stored, 0);
      else assert.deepEqual([deleted.outcome, stored > 0], ["not-empty", true]);
      assert.equal((await findManifest(db, key, byTag("t0"))).repository === undefined, deleted.outcome === "deleted");
    }
  });

  test("a tag is never left on a manifest that is deleted at the same moment", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    for (let round = 0; round < 8; round += 1) {
      await pushed(db, repository, "m", { tags: ["a"] });
      await Promise.all([
        deleteManifest(db, { key, digest: digestFor("m"), linkGraceMs: 86_400_000, withReferrers: false, author: author(startAt + round) }),
        push(db, repository, "m", { tags: ["b"] }),
        push(db, repository, "n", { tags: ["a", "b"] }),
        deleteTag(db, {
          key,
          tag: "a",
          lastTagDeletesManifest: true,
          linkGraceMs: 86_400_000,
          withReferrers: false,
          author: author(startAt + round),
        }),
      ]);
      for (const tag of await listTags(db, repository.repositoryId, { limit: 10 })) {
        assert.notEqual((await findManifest(db, key, byTag(tag))).manifest, undefined, tag);
      }
      await assertCounts(db, repository.repositoryId);
    }
  });

  test("two completions of one digest share one blob", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    for (let round = 0; round < 5; round += 1) {
      const digest = digestFor(unique("blob"));
      const outcomes = await Promise.all(Array.from({ length: 4 }, () => upload(db, repository, digest)));
      assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ["joined", "joined", "joined", "stored"]);
      assert.deepEqual((await statesOf(db, digest)).toSorted(), ["gone", "gone", "gone", "live"]);
      assert.equal(new Set(outcomes.map((outcome) => (outcome.outcome === "not-found" ? 0 : outcome.blob.blobId))).size, 1);
    }
  });

  test("of appends at one offset one counts, and a session is completed once", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const uploadId = unique("upload");
    const base = { uploadId, expiresAt: startAt + 100, now: startAt };
    await createUploadSession(db, { ...base, key: keyOf(repository), principalId: "p", algorithm: "sha256", author: author() });
    const keys = Array.from({ length: 6 }, (_, index) => `${uploadId}/${index}`);
    const begun = await Promise.all(keys.map((segmentKey) => beginSegment(db, { ...base, segmentKey, expectedBytes: 0 })));
    assert.ok(begun.every(({ outcome }) => outcome === "begun"));
    const committed = await Promise.all(
      keys.map((segmentKey, index) =>
        commitSegment(db, { ...base, segmentKey, offset: 0, sizeBytes: 10 + index, digestSoFar: segmentKey }),
      ),
    );
    const winner = committed.findIndex(({ outcome }) => outcome === "committed");
    assert.equal(committed.filter(({ outcome }) => outcome === "committed").length, 1);
    const session = await findUploadSession(db, uploadId);
    assert.deepEqual([session?.receivedBytes, session?.digestSoFar, session?.segments.length], [10 + winner, keys[winner], 1]);
    const completion = { uploadId, digest: digestFor(unique("blob")), sizeBytes: 1, graceUntil: startAt + 1, author: author() };
    const completed = await Promise.all([1, 2, 3].map(() => completeUpload(db, { ...completion, storageKey: unique("key") })));
    assert.deepEqual(completed.map(({ outcome }) => outcome).toSorted(), ["not-found", "not-found", "stored"]);
  });

  test("garbage collection waits for nobody and takes nothing that a push has locked", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, digest);
    const later = startAt + graceMs;
    const holding = hold(db, (tx) => lockBlobs(db, tx, [blobId]));
    await holding.begun;
    const collecting = dropStaleLinks(db, { now: later, limit: 100, ignoreGrace: false });
    if (db.dialect.name === "postgres") {
      await collecting;
      const link = await db.read.selectFrom("blob_link").select("blob_id").where("blob_id", "=", blobId).execute();
      assert.equal(link.length, 1, "the locked blob's link is left for the next pass");
    }
    await holding.release();
    await collecting;
  });

  test("a push that waits for a blob whose link then goes is told that it is missing", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, digest);
    const holding = hold(db, async (tx) => {
      await tx.updateTable("blob").set({ unlinked_at: startAt }).where("blob_id", "=", blobId).execute();
      await tx.deleteFrom("blob_link").where("blob_id", "=", blobId).execute();
    });
    await holding.begun;
    const pushing = push(db, repository, "m", { blobs: [digest] });
    // Long enough for the push to have read the link and to stand at the blob's lock.
    await sleep(50);
    await holding.release();
    assert.deepEqual(await pushing, { outcome: "blobs-missing", digests: [digest] });
  });

  test("a push that waits for a blob which then goes is told that it is missing", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, digest);
    const holding = hold(db, async (tx) => {
      await tx.updateTable("blob").set({ state: "gone" }).where("blob_id", "=", blobId).execute();
      await tx.deleteFrom("blob_link").where("blob_id", "=", blobId).execute();
    });
    await holding.begun;
    const pushing = push(db, repository, "m", { blobs: [digest] });
    const mounting = mountBlob(db, {
      sourceKeys: "any-in-account",
      targetKey: keyOf(repository),
      digest,
      graceUntil: startAt + 5,
      author: author(),
    });
    const uploading = upload(db, repository, digest);
    await holding.release();
    assert.deepEqual(await pushing, { outcome: "blobs-missing", digests: [digest] });
    assert.equal(await mounting, undefined);
    assert.equal((await uploading).outcome, "stored");
    assert.deepEqual(await statesOf(db, digest), ["gone", "live"]);
  });

  test("in a storm of pushes, deletes and garbage collection no manifest loses a blob", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const blobs = ["x", "y", "z"].map((name) => digestFor(unique(name)));
    const now = startAt + 1_000_000;
    const at = author(now);
    const pushAll = async (seed: string, chosen: readonly string[]) => {
      for (const digest of chosen) await upload(db, repository, digest, now);
      return push(db, repository, seed, { blobs: chosen, tags: [seed], author: at });
    };
    let stored = 0;
    for (let round = 0; round < 6; round += 1) {
      const work: Promise<unknown>[] = [];
      for (let index = 0; index < 4; index += 1) {
        const chosen = blobs.filter((_, position) => (index + round + position) % 3 !== 0);
        work.push(
          pushAll(`m${index}`, index % 2 === 0 ? chosen : chosen.toReversed()).then(
            (outcome) => (stored += outcome.outcome === "stored" ? 1 : 0),
          ),
        );
        work.push(deleteManifest(db, { key, digest: digestFor(`m${index}`), linkGraceMs: 86_400_000, withReferrers: true, author: at }));
        work.push(purgeTombstones(db, { deletedBefore: now, limit: 3 }));
        work.push(dropStaleLinks(db, { now, limit: 3, ignoreGrace: true }));
        work.push(condemnBlobs(db, { unreferencedSince: now, now, limit: 3 }));
        work.push(killBlobs(db, { condemnedBefore: now, limit: 3 }));
      }
      await Promise.all(work);
      const manifests = await allPages(
        50,
        (fact: ManifestFact) => fact.manifestId,
        (page) => listManifestsForFsck(db, page),
      );
      for (const fact of manifests.filter(({ repositoryId }) => repositoryId === repository.repositoryId))
        assert.deepEqual(fact.unlinkedBlobs, []);
      await assertCounts(db, repository.repositoryId);
    }
    assert.ok(stored > 0, "some of the pushes got through");
  });

  test("registry counts survive parallel creations and deletions", async () => {
    const db = opened();
    const template = await makeRepository(db);
    const input = { ...template, resourceTags: {}, maxRepositories: 5, author: author() };
    const keys = Array.from({ length: 8 }, () => ({ ...keyOf(template), name: unique("repository") }));
    const created = await Promise.all(keys.map((key) => createRepository(db, { ...input, key })));
    assert.equal(created.filter(({ outcome }) => outcome === "created").length, 4);
    await Promise.all(keys.map((key) => deleteRepository(db, { key, force: true, author: author() })));
    const again = await Promise.all(keys.map((key) => createRepository(db, { ...input, key })));
    assert.equal(again.filter(({ outcome }) => outcome === "created").length, 4);
  });
}
