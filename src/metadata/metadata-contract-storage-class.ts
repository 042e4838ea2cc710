import assert from "node:assert/strict";
import { test } from "node:test";
import { findBlobs, mountBlob } from "./blobs.ts";
import { listChanges } from "./changes.ts";
import type { Database } from "./database.ts";
import { knownUploads, listBlobsForFsck, listGone, listManifestsForFsck } from "./garbage.ts";
import { claimJob, finishJob } from "./jobs.ts";
import { deleteManifest, findManifest, listManifests, listManifestTags, listReferrers, listTags } from "./manifests.ts";
import {
  author,
  byDigest,
  digestFor,
  graceMs,
  keyOf,
  makeBlob,
  makeRepository,
  pushed,
  pushIndex,
  push,
  startAt,
  unique,
  upload,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import type { Repository, RepositoryKey } from "./repositories.ts";
import {
  activationJobKind,
  archiveManifests,
  findActivating,
  finishActivation,
  resumeActivations,
  startActivation,
  tieringJobKind,
} from "./storage-class.ts";
import type { FinishActivationOutcome } from "./storage-class.ts";
import * as tiers from "./storage-class-tier.ts";
import type { Tier } from "./storage-class-tier.ts";
import { purgeManifest, restoreManifest } from "./tombstones.ts";

/** When links of the fixture have no grace any more. */
const later = startAt + 2 * graceMs;

async function archive(db: Database, key: RepositoryKey, seeds: readonly string[], now = startAt) {
  return archiveManifests(db, { key: keyOf(key), digests: seeds.map(digestFor), linkGraceMs: graceMs, author: author(now) });
}

async function activate(db: Database, key: RepositoryKey, seed: string, now = later) {
  return startActivation(db, { key: keyOf(key), digest: digestFor(seed), author: author(now) });
}

async function finish(db: Database, repository: Repository, seed: string, now = later): Promise<FinishActivationOutcome> {
  const { manifest } = await findManifest(db, keyOf(repository), byDigest(digestFor(seed)));
  const { repositoryId } = repository;
  return finishActivation(db, { manifestId: manifest?.manifestId ?? 0, repositoryId, followUps: [], author: author(now) });
}

async function statusOf(db: Database, key: RepositoryKey, seed: string): Promise<string | undefined> {
  return (await findManifest(db, keyOf(key), byDigest(digestFor(seed)))).manifest?.status;
}

async function blobRow(db: Database, blobId: number) {
  const [row] = await listBlobsForFsck(db, { after: blobId - 1, limit: 1 });
  assert.equal(row?.blobId, blobId);
  return row;
}

/** Moves a blob as the registry does, without bytes; answers the new key, or why it did not move. */
async function move(db: Database, blobId: number, to: Tier, now = later): Promise<string> {
  const moveId = unique("move");
  const begun = await tiers.beginMove(db, { moveId, blobId, to, now, expiresAt: now + 100 });
  if (begun.outcome !== "begun") return begun.outcome;
  const toKey = `${to}-${moveId}`;
  const moved = await tiers.finishMove(db, { moveId, blobId, to, now, fromKey: begun.copy.storageKey, toKey });
  return moved ? toKey : "superseded";
}

/** Which kinds of job are there now, with their payloads; they are done. */
async function takeJobs(db: Database): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const job = await claimJob(db, { kinds: [activationJobKind, tieringJobKind], now: later * 2, leaseMs: 1 });
    if (job === undefined) return found;
    found.push(job.kind);
    await finishJob(db, { jobId: job.jobId, attempt: job.attempt });
  }
}

/** The archive: what is in it, what leaves it, and where bytes are meanwhile. */
export function storageClassContract(opened: OpenedDatabase): void {
  test("what is archived can neither be listed by default nor read, keeps its tags, and is written down", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const { repositoryId } = repository;
    const blob = digestFor(unique("blob"));
    await makeBlob(db, repository, blob);
    await pushed(db, repository, "a", { blobs: [blob], tags: ["one", "two"] });
    await pushed(db, repository, "b", { tags: ["three"], subjectDigest: digestFor("a") });
    assert.deepEqual(await archive(db, repository, ["a", "nothing", "a"], startAt + 5), {
      outcome: "archived",
      digests: [digestFor("a")],
      refused: [{ digest: digestFor("nothing"), outcome: "not-found" }],
    });
    const { manifest } = await findManifest(db, keyOf(repository), byDigest(digestFor("a")));
    assert.deepEqual([manifest?.status, manifest?.lastArchivedAt, manifest?.lastActivatedAt], ["ARCHIVED", startAt + 5, undefined]);
    assert.deepEqual(await listTags(db, repositoryId, { limit: 10 }), ["three"]);
    for (const tagStatus of ["ANY", "TAGGED"] as const) {
      const digests = async (status?: "ACTIVE" | "ARCHIVED" | "ACTIVATING" | "ANY") =>
        (await listManifests(db, repositoryId, { tagStatus, ...(status && { status }), limit: 10 })).map((row) => row.digest);
      assert.deepEqual(await digests("ACTIVE"), [digestFor("b")]);
      assert.deepEqual(await digests("ARCHIVED"), [digestFor("a")]);
      assert.deepEqual(await digests("ACTIVATING"), []);
      assert.deepEqual(await digests("ANY"), [digestFor("a"), digestFor("b")]);
      const pairs = await listManifestTags(db, repositoryId, { tagStatus, status: "ARCHIVED", limit: 10 });
      assert.deepEqual(
        pairs.map(({ tag }) => tag),
        ["one", "two"],
      );
    }
    assert.equal((await findBlobs(db, repositoryId, [blob], startAt + 6)).size, 0, "not for the rest of its grace either");
    assert.deepEqual(await tiers.findArchivedBlobs(db, repositoryId, [blob, digestFor("other")]), new Set([blob]));
    assert.deepEqual(await archive(db, repository, ["a"]), {
      outcome: "archived",
      digests: [],
      refused: [{ digest: digestFor("a"), outcome: "status", status: "ARCHIVED" }],
    });
    assert.deepEqual(await archive(db, { ...repository, name: "nowhere" }, ["a"]), { outcome: "repository-not-found" });
    await archive(db, repository, ["b"]);
    const byClass = async (status: "ACTIVE" | "ARCHIVED") =>
      (await listReferrers(db, repositoryId, digestFor("a"), { status, limit: 10 })).length;
    assert.deepEqual([await byClass("ACTIVE"), await byClass("ARCHIVED")], [0, 1]);
    const [change] = (await listChanges(db, { repositoryId, limit: 100 })).filter(({ kind }) => kind === "manifest-archived");
    assert.deepEqual(
      [change?.subject, change?.after],
      [
        digestFor("a"),
        {
          status: "ARCHIVED",
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          artifactMediaType: "application/vnd.oci.image.config.v1+json",
          lastArchivedAt: startAt + 5,
        },
      ],
    );
    await takeJobs(db);
  });

  test("a child stays with its index, whatever the order, and an index in the archive lets it go", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    for (const seed of ["c1", "c2"]) await pushed(db, repository, seed);
    await pushIndex(db, repository, "inner", ["c1", "c2"]);
    await pushIndex(db, repository, "outer", ["inner"]);
    const refused = async (seeds: readonly string[]) => {
      const result = await archive(db, repository, seeds);
      return result.outcome === "archived" ? result.refused.map((each) => [each.digest, each.outcome]) : [];
    };
    assert.deepEqual(await refused(["c1"]), [[digestFor("c1"), "referenced"]]);
    assert.deepEqual(await refused(["c1", "inner"]), [
      [digestFor("inner"), "referenced"],
      [digestFor("c1"), "referenced"],
    ]);
    assert.deepEqual(await refused(["c1", "inner", "outer"]), []);
    assert.deepEqual([await statusOf(db, repository, "c1"), await statusOf(db, repository, "c2")], ["ARCHIVED", "ACTIVE"]);
    assert.deepEqual(await refused(["c2"]), [], "free, as its index is archived");
    const kept = await pushIndex(db, repository, "late", ["c1"]);
    assert.deepEqual(kept, { outcome: "children-missing", digests: [digestFor("c1")] });
    // Coming back, an index brings its children, and waits for them.
    await takeJobs(db);
    assert.deepEqual(await activate(db, repository, "outer"), { outcome: "started" });
    assert.deepEqual(await activate(db, repository, "outer"), { digest: digestFor("outer"), outcome: "status", status: "ACTIVATING" });
    assert.deepEqual(
      await takeJobs(db),
      Array.from({ length: 4 }, () => activationJobKind),
    );
    assert.equal(await finish(db, repository, "outer"), "waiting");
    const held = await deleteManifest(db, {
      key: keyOf(repository),
      digest: digestFor("c1"),
      linkGraceMs: graceMs,
      withReferrers: false,
      author: author(),
    });
    assert.equal(held.outcome, "referenced", "an index on its way back holds its children");
    assert.equal(await finish(db, repository, "c1"), "activated");
    assert.deepEqual(await takeJobs(db), [activationJobKind], "the parent looks again");
    assert.equal(await finish(db, repository, "inner"), "waiting");
    assert.equal(await finish(db, repository, "c2"), "activated");
    assert.equal(await finish(db, repository, "inner"), "activated");
    assert.equal(await finish(db, repository, "outer"), "activated");
    assert.equal(await finish(db, repository, "outer"), "ended");
    for (const seed of ["c1", "c2", "inner", "outer"]) assert.equal(await statusOf(db, repository, seed), "ACTIVE");
    await takeJobs(db);
  });

  test("a blob goes to the cold tier when only archived manifests hold it, and no promise is open", async () => {
    const db = opened();
    const accountId = unique("account");
    const repository = await makeRepository(db, { accountId });
    const other = await makeRepository(db, { accountId });
    const [shared, own] = [digestFor(unique("blob")), digestFor(unique("blob"))];
    const { blobId: sharedId, storageKey } = await makeBlob(db, repository, shared);
    const { blobId: ownId } = await makeBlob(db, repository, own);
    await upload(db, other, shared);
    await pushed(db, repository, "a", { blobs: [shared, own] });
    await pushed(db, other, "b", { blobs: [shared] });
    assert.equal(await move(db, ownId, "cold"), "unneeded", "a live manifest holds it");
    await archive(db, repository, ["a"]);
    const due = async (now: number) =>
      (await tiers.listTierChecks(db, { now, limit: 1_000 })).filter((blobId) => blobId === sharedId || blobId === ownId);
    assert.deepEqual(await due(startAt), [sharedId, ownId]);
    assert.equal(await move(db, sharedId, "cold"), "unneeded", "the other repository holds it");
    const coldKey = await move(db, ownId, "cold");
    assert.match(coldKey, /^cold-/);
    assert.deepEqual(await due(later), [], "both were looked at");
    assert.deepEqual([(await blobRow(db, ownId)).storageKey, (await blobRow(db, ownId)).tier], [coldKey, "cold"]);
    assert.equal(await tiers.hasColdBlobs(db), true);
    await archive(db, other, ["b"], startAt + 1);
    // A promise made by a HEAD or an upload after the push stays.
    await upload(db, other, shared, startAt + 10);
    assert.equal(await move(db, sharedId, "cold", startAt + 20), "unneeded");
    assert.deepEqual(await due(startAt + 20), []);
    assert.deepEqual(await due(startAt + 10 + graceMs), [sharedId], "looked at again when the promise is over");
    assert.match(await move(db, sharedId, "cold", startAt + 10 + graceMs), /^cold-/);
    const gone = async (condemnedBefore: number) =>
      (await listGone(db, { limit: 1_000, condemnedBefore })).filter((copy) => copy.storageKey === storageKey).length;
    const movedAt = startAt + 10 + graceMs;
    assert.deepEqual([await gone(movedAt - 1), await gone(movedAt)], [0, 1], "the old copy waits for its readers");
    const sources = { sourceKeys: "any-in-account" as const, targetKey: keyOf(other), digest: shared, graceUntil: later * 2 };
    assert.equal(await mountBlob(db, { ...sources, author: author(later) }), undefined);
    await takeJobs(db);
  });

  test("tombstones that were not archived keep their blobs at hand until they are purged; a deleted archived one comes back archived", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const blob = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, blob);
    await pushed(db, repository, "a", { blobs: [blob], tags: ["t"] });
    await pushed(db, repository, "b", { blobs: [blob] });
    const remove = (seed: string) =>
      deleteManifest(db, { key, digest: digestFor(seed), linkGraceMs: graceMs, withReferrers: false, author: author() });
    await remove("b");
    await archive(db, repository, ["a"]);
    assert.equal(await move(db, blobId, "cold"), "unneeded");
    await purgeManifest(db, { key, digest: digestFor("b"), author: author() });
    assert.ok((await tiers.listTierChecks(db, { now: later, limit: 1_000 })).includes(blobId));
    assert.match(await move(db, blobId, "cold"), /^cold-/);
    await remove("a");
    assert.deepEqual(await restoreManifest(db, { key, digest: digestFor("a"), author: author() }), {
      outcome: "restored",
      digest: digestFor("a"),
      tags: ["t"],
    });
    assert.equal(await statusOf(db, repository, "a"), "ARCHIVED");
    assert.equal((await findBlobs(db, repository.repositoryId, [blob], startAt)).size, 0);
    // Deleted on its way back, it goes on when it is restored.
    await activate(db, repository, "a");
    await remove("a");
    assert.equal(await finish(db, repository, "a"), "ended");
    await takeJobs(db);
    await restoreManifest(db, { key, digest: digestFor("a"), author: author() });
    assert.deepEqual(await takeJobs(db), [activationJobKind]);
    assert.equal(await resumeActivations(db, { after: 0, limit: 1_000, now: later }).then((last) => last !== undefined), true);
    assert.ok((await takeJobs(db)).length > 0);
  });

  test("what comes back needs all of its blobs at hand", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const blob = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, blob);
    const { manifestId } = await pushed(db, repository, "a", { blobs: [blob] });
    await archive(db, repository, ["a"]);
    await move(db, blobId, "cold");
    assert.equal(await findActivating(db, manifestId), undefined);
    await activate(db, repository, "a");
    assert.equal((await findActivating(db, manifestId))?.digest, digestFor("a"));
    assert.equal(await finish(db, repository, "a"), "cold");
    assert.deepEqual(await tiers.listColdBlobs(db, { manifestId, after: 0, limit: 10 }), [blobId]);
    assert.match(await move(db, blobId, "standard"), /^standard-/);
    assert.equal(await move(db, blobId, "cold"), "unneeded", "on its way back it is held as if it were active");
    assert.equal(await finish(db, repository, "a", later + 7), "activated");
    const { manifest } = await findManifest(db, keyOf(repository), byDigest(digestFor("a")));
    assert.deepEqual([manifest?.status, manifest?.lastArchivedAt, manifest?.lastActivatedAt], ["ACTIVE", startAt, later + 7]);
    assert.equal((await findBlobs(db, repository.repositoryId, [blob], later)).size, 1);
    const facts = await listManifestsForFsck(db, { after: manifestId - 1, limit: 1 });
    assert.deepEqual([facts[0]?.unlinkedBlobs, facts[0]?.coldBlobs], [[], []]);
    await takeJobs(db);
  });

  test("a push takes what is archived out at once, with a new copy in the place of the cold one", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const blob = digestFor(unique("blob"));
    const { blobId } = await makeBlob(db, repository, blob);
    await pushed(db, repository, "a", { blobs: [blob], tags: ["t"] });
    await archive(db, repository, ["a"]);
    const coldKey = await move(db, blobId, "cold");
    const again = { blobs: [blob], tags: ["t"], whenSame: "refuse" as const, author: author(later) };
    assert.deepEqual(await push(db, repository, "a", again), { outcome: "blobs-missing", digests: [blob] });
    const uploaded = await upload(db, repository, blob, later);
    assert.ok(uploaded.outcome === "stored" && uploaded.blob.blobId === blobId && uploaded.blob.storageKey !== coldKey);
    assert.deepEqual((await listGone(db, { limit: 1_000 })).filter((copy) => copy.storageKey === coldKey).length, 1);
    const stored = await push(db, repository, "a", again);
    assert.ok(stored.outcome === "stored" && stored.manifest.status === "ACTIVE" && stored.manifest.lastActivatedAt === later);
    assert.deepEqual(await push(db, repository, "a", again), { outcome: "same" });
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 });
    assert.equal(changes.at(-1)?.kind, "manifest-activated");
    await takeJobs(db);
  });

  test("a move is claimed, fenced, and given up", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const blob = digestFor(unique("blob"));
    const { blobId, storageKey } = await makeBlob(db, repository, blob);
    await pushed(db, repository, "a", { blobs: [blob] });
    await archive(db, repository, ["a"]);
    const [first, second] = [unique("move"), unique("move")];
    const begin = (moveId: string, now: number) =>
      tiers.beginMove(db, { moveId, blobId, to: "cold", now, expiresAt: now + 100 }).then(({ outcome }) => outcome);
    assert.equal(await begin(first, later), "begun");
    assert.deepEqual(await knownUploads(db, [first, second]), new Set([first]), "its copy is nobody's orphan");
    assert.equal(await begin(second, later + 50), "busy");
    assert.equal(await tiers.renewMove(db, { moveId: first, expiresAt: later + 200 }), true);
    assert.equal(await begin(second, later + 150), "busy");
    assert.equal(await begin(second, later + 200), "begun");
    assert.equal(await tiers.renewMove(db, { moveId: first, expiresAt: later + 900 }), false);
    const end = { blobId, to: "cold" as const, now: later + 210, fromKey: storageKey };
    assert.equal(await tiers.finishMove(db, { ...end, moveId: first, toKey: unique("key") }), false);
    assert.equal(await tiers.endExpiredMoves(db, { now: later + 200, limit: 1_000 }), 0);
    assert.ok((await tiers.endExpiredMoves(db, { now: later + 300, limit: 1_000 })) > 0);
    assert.equal(await tiers.finishMove(db, { ...end, moveId: second, toKey: unique("key") }), false);
    assert.equal((await blobRow(db, blobId)).storageKey, storageKey);
    // A reference that is added while bytes flow keeps the blob where it is.
    const third = unique("move");
    assert.equal(await begin(third, later + 400), "begun");
    await upload(db, repository, blob, later + 410);
    await pushed(db, repository, "b", { blobs: [blob], author: author(later + 411) });
    assert.equal(await tiers.finishMove(db, { ...end, moveId: third, toKey: unique("key"), now: later + 420 }), false);
    assert.deepEqual([(await blobRow(db, blobId)).tier, (await knownUploads(db, [third])).size], ["standard", 0]);
    await tiers.dropMove(db, third);
    await tiers.postponeTierCheck(db, { blobId, until: later });
    await takeJobs(db);
  });

  test("in a crowd no active manifest ever has a cold blob, and nobody waits in a circle", async () => {
    const db = opened();
    const accountId = unique("account");
    const places = [await makeRepository(db, { accountId }), await makeRepository(db, { accountId })];
    const contents = [1, 2, 3].map(() => digestFor(unique("blob")));
    const blobIds: number[] = [];
    for (const content of contents) blobIds.push((await makeBlob(db, places[0] as Repository, content)).blobId);
    const pushAnyhow = async (place: Repository, seed: string, blobs: readonly string[], now: number): Promise<void> => {
      for (let attempt = 0; attempt < 50; attempt += 1) {
        if ((await push(db, place, seed, { blobs, author: author(now) })).outcome === "stored") return;
        for (const blob of blobs) await upload(db, place, blob, now);
      }
      assert.fail("a push gets through");
    };
    const crowd = [0, 1, 2, 3, 4, 5].map(async (person) => {
      const place = places[person % 2] as Repository;
      const blobs = contents.filter((_, index) => index !== person % 3);
      const seed = `crowd ${person}`;
      for (let round = 0; round < 4; round += 1) {
        // Each round is a day of its own, so that no promise of the last one holds anything back.
        const now = later * (round + 1);
        await pushAnyhow(place, seed, blobs, now);
        await archive(db, place, [seed], now);
        await Promise.all(blobIds.map((blobId) => move(db, blobId, "cold", now + 2 * graceMs)));
        await activate(db, place, seed, now);
        if ((await finish(db, place, seed, now)) === "cold")
          for (const blobId of blobIds.toReversed()) await move(db, blobId, "standard", now + 2 * graceMs);
      }
    });
    await Promise.all(crowd);
    const facts = await listManifestsForFsck(db, { limit: 100_000 });
    const ours = new Set(places.map(({ repositoryId }) => repositoryId));
    const wrong = facts.filter((fact) => ours.has(fact.repositoryId) && (fact.coldBlobs.length > 0 || fact.unlinkedBlobs.length > 0));
    assert.deepEqual(wrong, []);
    await takeJobs(db);
  });
}
