import assert from "node:assert/strict";
import { test } from "node:test";
import { findBlob } from "./blobs.ts";
import { listChanges } from "./changes.ts";
import {
  deleteManifest,
  deleteTag,
  findManifest,
  findManifestsWithTags,
  listManifests,
  listManifestTags,
  listReferrers,
  listTags,
  readManifestBytes,
} from "./manifests.ts";
import {
  author,
  byDigest,
  byTag,
  digestFor,
  keyOf,
  makeBlob,
  makeRepository,
  push,
  pushed,
  pushIndex,
  startAt,
  unique,
} from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import type { TagMutability } from "./repositories.ts";

/** Pushing manifests and moving tags. */
export function manifestPutContract(opened: OpenedDatabase): void {
  test("a pushed manifest is found by tag and digest, with its exact bytes", async () => {
    const db = opened();
    const repository = await makeRepository(db, { scanOnPush: true });
    const blobs = [digestFor(unique("blob")), digestFor(unique("blob"))];
    for (const digest of blobs) await makeBlob(db, repository, digest);
    const outcome = await push(db, repository, "first", {
      blobs: [...blobs, blobs[1] ?? ""],
      tags: ["v1", "latest"],
      annotations: { a: "b" },
      artifactType: "application/x",
      subjectDigest: digestFor("subject"),
    });
    assert.equal(outcome.outcome, "stored");
    assert.equal(outcome.created, true);
    assert.deepEqual(outcome.movedTags, []);
    const { manifest } = outcome;
    assert.deepEqual(manifest, {
      manifestId: manifest.manifestId,
      repositoryId: repository.repositoryId,
      digest: digestFor("first"),
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      kind: "image",
      artifactType: "application/x",
      configMediaType: "application/vnd.oci.image.config.v1+json",
      sizeBytes: 5,
      contentSizeBytes: 30,
      subjectDigest: digestFor("subject"),
      annotations: { a: "b" },
      pushedAt: startAt,
      status: "ACTIVE",
    });
    for (const reference of [byTag("v1"), byTag("latest"), byDigest(digestFor("first"))]) {
      assert.deepEqual(await findManifest(db, keyOf(repository), reference), { repository, manifest });
    }
    assert.deepEqual(await findManifest(db, keyOf(repository), byTag("V1")), { repository });
    assert.equal(Buffer.from((await readManifestBytes(db, manifest.manifestId)) ?? []).toString(), "first");
    assert.equal(await readManifestBytes(db, -1), undefined);
  });

  test("the same push again changes nothing, and is refused where that is asked for", async () => {
    const db = opened();
    const repository = await makeRepository(db, { tagMutability: "IMMUTABLE" });
    const first = await pushed(db, repository, "same", { tags: ["v1"] });
    const before = await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 });
    const later = author(startAt + 5);
    const again = await push(db, repository, "same", { tags: ["v1"], author: later });
    assert.deepEqual(again, { outcome: "stored", repository, manifest: first, created: false, movedTags: [] });
    assert.deepEqual(await push(db, repository, "same", { tags: ["v1"], whenSame: "refuse" }), { outcome: "same" });
    assert.deepEqual(await push(db, repository, "same", { whenSame: "refuse" }), { outcome: "same" });
    assert.deepEqual(await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 }), before);
    const tagged = await push(db, repository, "same", { tags: ["v1", "v2"], whenSame: "refuse", author: later });
    assert.equal(tagged.outcome, "stored");
    assert.deepEqual(await listTags(db, repository.repositoryId, { limit: 10 }), ["v1", "v2"]);
  });

  test("a tag moves; the manifest that loses it stays, untagged", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const first = await pushed(db, repository, "one", { tags: ["latest"] });
    const outcome = await push(db, repository, "two", { tags: ["latest"] });
    assert.equal(outcome.outcome, "stored");
    assert.deepEqual(outcome.movedTags, [{ tag: "latest", fromDigest: first.digest }]);
    const untagged = await listManifests(db, repository.repositoryId, { tagStatus: "UNTAGGED", limit: 10 });
    assert.deepEqual(untagged, [{ ...first, tags: [] }]);
    const changes = await listChanges(db, { repositoryId: repository.repositoryId, limit: 100 });
    const { before, after } = changes.at(-1) ?? {};
    assert.deepEqual([before, after], [{ digest: first.digest }, { digest: digestFor("two"), mediaType: first.mediaType }]);
  });

  const mutability: readonly [TagMutability, readonly string[], string, boolean][] = [
    ["MUTABLE", [], "v1", true],
    ["IMMUTABLE", [], "v1", false],
    ["IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "dev-1", true],
    ["IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "my-dev-1", false],
    ["MUTABLE_WITH_EXCLUSION", ["v*", "release"], "v1", false],
    ["MUTABLE_WITH_EXCLUSION", ["v*", "release"], "release", false],
    ["MUTABLE_WITH_EXCLUSION", ["v*", "release"], "release-1", true],
  ];
  for (const [tagMutability, mutabilityFilters, tag, mayMove] of mutability) {
    test(`${tagMutability} ${mutabilityFilters.join()}: tag ${tag} ${mayMove ? "moves" : "stays"}`, async () => {
      const db = opened();
      const repository = await makeRepository(db, { tagMutability, mutabilityFilters });
      await pushed(db, repository, "one", { tags: [tag] });
      const outcome = await push(db, repository, "two", { tags: ["another", tag] });
      if (mayMove) assert.equal(outcome.outcome, "stored");
      else assert.deepEqual(outcome, { outcome: "tag-immutable", tag });
      // A refusal leaves nothing behind.
      const found = await findManifest(db, keyOf(repository), byTag("another"));
      assert.equal(found.manifest !== undefined, mayMove);
      assert.equal((await findManifest(db, keyOf(repository), byDigest(digestFor("two")))).manifest !== undefined, mayMove);
      // An immutable tag can be deleted and pushed again.
      const gone = await deleteTag(db, {
        key: keyOf(repository),
        tag,
        lastTagDeletesManifest: false,
        linkGraceMs: 86_400_000,
        withReferrers: false,
        author: author(),
      });
      assert.equal(gone.outcome, "deleted");
      assert.equal((await push(db, repository, "three", { tags: [tag] })).outcome, "stored");
    });
  }

  test("missing blobs and children are named, and nothing is stored", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const [there, missing] = [digestFor(unique("blob")), digestFor(unique("blob"))];
    await makeBlob(db, repository, there);
    const other = await makeRepository(db, { accountId: repository.accountId });
    await makeBlob(db, other, missing);
    assert.deepEqual(await push(db, repository, "m", { blobs: [there, missing] }), { outcome: "blobs-missing", digests: [missing] });
    const expired = { blobs: [there], author: author(startAt + 10_000) };
    assert.deepEqual(await push(db, repository, "m", expired), { outcome: "blobs-missing", digests: [there] });
    assert.deepEqual(await pushIndex(db, repository, "i", ["m"]), { outcome: "children-missing", digests: [digestFor("m")] });
    assert.deepEqual(await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 10 }), []);
    assert.equal((await pushIndex(db, repository, "i", ["m"], { allowMissingChildren: true })).outcome, "stored");
    assert.deepEqual(await push(db, { ...keyOf(repository), name: "nothing" }, "m"), { outcome: "repository-not-found" });
  });

  test("a descriptor that states another size than the blob has is refused, whichever mention it is", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    await makeBlob(db, repository, digest);
    const stated = (sizeBytes: number) => ({ digest, mediaType: "application/vnd.oci.image.layer.v1.tar", sizeBytes });
    const wrong = { outcome: "blob-size-wrong", digest, statedBytes: 9, actualBytes: 10 };
    assert.deepEqual(await push(db, repository, "m", { config: stated(9), tags: ["v1"] }), wrong);
    assert.deepEqual(await push(db, repository, "m", { layers: [stated(9)], tags: ["v1"] }), wrong);
    assert.deepEqual(await push(db, repository, "m", { config: stated(10), layers: [stated(10), stated(9)] }), wrong);
    const missing = digestFor(unique("blob"));
    const both = { layers: [stated(9), { ...stated(9), digest: missing }] };
    assert.deepEqual(await push(db, repository, "m", both), { outcome: "blobs-missing", digests: [missing] });
    assert.deepEqual(await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 10 }), []);
    assert.deepEqual(await listTags(db, repository.repositoryId, { limit: 10 }), []);
    assert.equal((await push(db, repository, "m", { config: stated(10), layers: [stated(10), stated(10)] })).outcome, "stored");
  });

  test("so is one that states another size than a child that is there", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await pushed(db, repository, "child");
    const stated = (seed: string, sizeBytes: number) => ({ digest: digestFor(seed), mediaType: "application/x", sizeBytes });
    const wrong = { outcome: "child-size-wrong", digest: digestFor("child"), statedBytes: 4, actualBytes: 5 };
    assert.deepEqual(await pushIndex(db, repository, "i", [], { children: [stated("child", 4)] }), wrong);
    assert.deepEqual(await pushIndex(db, repository, "i", [], { children: [stated("child", 5), stated("child", 4)] }), wrong);
    const sparse = { allowMissingChildren: true };
    const absent = stated("not there", 1_000);
    assert.deepEqual(await pushIndex(db, repository, "i", [], { children: [absent, stated("child", 4)], ...sparse }), wrong);
    assert.equal((await listManifests(db, repository.repositoryId, { tagStatus: "ANY", limit: 10 })).length, 1);
    assert.equal((await pushIndex(db, repository, "i", [], { children: [absent, stated("child", 5)], ...sparse })).outcome, "stored");
  });

  test("an index takes the content size of its largest child", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await pushed(db, repository, "small", { contentSizeBytes: 5 });
    await pushed(db, repository, "large", { contentSizeBytes: 50 });
    const outcome = await pushIndex(db, repository, "index", ["small", "large"]);
    assert.equal(outcome.outcome === "stored" && outcome.manifest.contentSizeBytes, 50);
  });

  test("limits hold, and what they refuse leaves nothing", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await pushed(db, repository, "one", { tags: ["a", "b"], maxTagsPerManifest: 2, maxManifests: 1 });
    assert.deepEqual(await push(db, repository, "two", { maxManifests: 1 }), { outcome: "limit", which: "manifests" });
    const third = { tags: ["c"], maxTagsPerManifest: 2 };
    assert.deepEqual(await push(db, repository, "one", third), { outcome: "limit", which: "tags-per-manifest" });
    assert.deepEqual(await listTags(db, repository.repositoryId, { limit: 10 }), ["a", "b"]);
    await deleteManifest(db, {
      key: keyOf(repository),
      digest: digestFor("one"),
      linkGraceMs: 86_400_000,
      withReferrers: false,
      author: author(),
    });
    assert.equal((await push(db, repository, "two", { maxManifests: 1 })).outcome, "stored");
  });

  test("a manifest of ten thousand blobs is one push", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const digest = digestFor(unique("blob"));
    await makeBlob(db, repository, digest);
    const children = Array.from({ length: 10_000 }, (_, index) => `child${index}`);
    assert.equal((await pushIndex(db, repository, "large", children, { allowMissingChildren: true })).outcome, "stored");
    const refused = await pushIndex(db, repository, "strict", children);
    assert.equal(refused.outcome === "children-missing" && refused.digests.length, 10_000);
  });
}

/** Deleting manifests and tags, and what that does to blobs and listings. */
export function manifestDeleteContract(opened: OpenedDatabase): void {
  test("a deleted manifest takes its tags and the right to its own blobs along", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const [own, shared] = [digestFor(unique("blob")), digestFor(unique("blob"))];
    for (const digest of [own, shared]) await makeBlob(db, repository, digest);
    await pushed(db, repository, "doomed", { blobs: [own, shared], tags: ["b", "a"] });
    await pushed(db, repository, "stays", { blobs: [shared] });
    const deletion = { key, digest: digestFor("doomed"), linkGraceMs: 86_400_000, withReferrers: false, author: author() };
    assert.deepEqual(await deleteManifest(db, deletion), {
      outcome: "deleted",
      digest: digestFor("doomed"),
      tags: ["a", "b"],
      referrers: [],
    });
    assert.deepEqual(await deleteManifest(db, deletion), { outcome: "not-found" });
    assert.deepEqual(await findManifest(db, key, byTag("a")), { repository });
    assert.equal((await findBlob(db, key, own, startAt)).blob, undefined);
    assert.equal((await findBlob(db, key, shared, startAt + 100_000)).blob?.referenced, true);
    assert.deepEqual(await listTags(db, repository.repositoryId, { limit: 10 }), []);
    assert.deepEqual(await deleteManifest(db, { ...deletion, key: { ...key, name: "nothing" } }), { outcome: "repository-not-found" });
  });

  test("children of a live index stay until the index goes", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    await pushed(db, repository, "child", { tags: ["child", "other"] });
    await pushIndex(db, repository, "index", ["child"]);
    const removeTag = (tag: string) =>
      deleteTag(db, { key, tag, lastTagDeletesManifest: true, linkGraceMs: 86_400_000, withReferrers: true, author: author() });
    const remove = (digest: string) => deleteManifest(db, { key, digest, linkGraceMs: 86_400_000, withReferrers: true, author: author() });
    assert.deepEqual(await removeTag("other"), { outcome: "deleted", digest: digestFor("child"), manifestDeleted: false });
    assert.deepEqual(await removeTag("child"), { outcome: "referenced", digest: digestFor("child"), parents: [digestFor("index")] });
    assert.deepEqual(await remove(digestFor("child")), { outcome: "referenced", parents: [digestFor("index")] });
    assert.equal((await remove(digestFor("index"))).outcome, "deleted");
    assert.deepEqual(await removeTag("child"), { outcome: "deleted", digest: digestFor("child"), manifestDeleted: true });
  });

  test("referrers stay, or go level by level", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const key = keyOf(repository);
    const { repositoryId } = repository;
    const subjectDigest = digestFor("subject");
    await pushed(db, repository, "subject");
    await pushed(db, repository, "signature", { subjectDigest, artifactType: "a/sig", tags: ["sig"] });
    await pushed(db, repository, "bill", { subjectDigest, artifactType: "a/sbom" });
    await pushed(db, repository, "countersignature", { subjectDigest: digestFor("signature") });
    const listed = await listReferrers(db, repositoryId, subjectDigest, { limit: 10 });
    assert.deepEqual(
      listed.map(({ digest }) => digest),
      [digestFor("signature"), digestFor("bill")].toSorted(),
    );
    const signatures = await listReferrers(db, repositoryId, subjectDigest, { limit: 10, artifactTypes: ["a/sig"] });
    assert.deepEqual(
      signatures.map(({ digest }) => digest),
      [digestFor("signature")],
    );
    await deleteManifest(db, { key, digest: subjectDigest, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
    assert.equal((await listReferrers(db, repositoryId, subjectDigest, { limit: 10 })).length, 2);
    await pushed(db, repository, "subject");
    const outcome = await deleteManifest(db, {
      key,
      digest: subjectDigest,
      linkGraceMs: 86_400_000,
      withReferrers: true,
      author: author(),
    });
    assert.deepEqual(
      outcome.outcome === "deleted" && outcome.referrers.toSorted(),
      [digestFor("signature"), digestFor("bill"), digestFor("countersignature")].toSorted(),
    );
    assert.deepEqual(await listManifests(db, repositoryId, { tagStatus: "ANY", limit: 10 }), []);
  });

  test("a tag is deleted alone, with its last manifest, or not at all", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const base = { key: keyOf(repository), lastTagDeletesManifest: false, linkGraceMs: 86_400_000, withReferrers: false, author: author() };
    await pushed(db, repository, "m", { tags: ["a", "b"] });
    const digest = digestFor("m");
    assert.deepEqual(await deleteTag(db, { ...base, tag: "a", digest: digestFor("x") }), { outcome: "tag-digest-mismatch" });
    assert.deepEqual(await deleteTag(db, { ...base, tag: "a", digest }), { outcome: "deleted", digest, manifestDeleted: false });
    assert.deepEqual(await deleteTag(db, { ...base, tag: "a" }), { outcome: "not-found" });
    assert.deepEqual(await deleteTag(db, { ...base, tag: "b" }), { outcome: "deleted", digest, manifestDeleted: false });
    assert.equal((await findManifest(db, base.key, byDigest(digest))).manifest?.digest, digest);
    await pushed(db, repository, "m", { tags: ["c"] });
    const last = await deleteTag(db, { ...base, tag: "c", lastTagDeletesManifest: true });
    assert.deepEqual(last, { outcome: "deleted", digest, manifestDeleted: true });
    assert.deepEqual(await deleteTag(db, { ...base, key: { ...base.key, name: "nothing" }, tag: "c" }), {
      outcome: "repository-not-found",
    });
  });

  test("a digest can be pushed again beside its tombstone, under a new id", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    const first = await pushed(db, repository, "m");
    await deleteManifest(db, {
      key: keyOf(repository),
      digest: first.digest,
      linkGraceMs: 86_400_000,
      withReferrers: false,
      author: author(),
    });
    const second = await pushed(db, repository, "m", { author: author(startAt + 7) });
    assert.notEqual(second.manifestId, first.manifestId);
    assert.equal(second.pushedAt, startAt + 7);
  });

  test("selectors find manifests in their own order", async () => {
    const db = opened();
    const repository = await makeRepository(db);
    await pushed(db, repository, "one", { tags: ["b", "a"] });
    await pushed(db, repository, "two");
    const found = await findManifestsWithTags(db, repository.repositoryId, [
      { digest: digestFor("two") },
      { tag: "nothing" },
      { tag: "a" },
      { digest: digestFor("one"), tag: "elsewhere" },
      { digest: digestFor("three") },
    ]);
    assert.deepEqual(
      found.map((manifest) => manifest && [manifest.digest, manifest.tags]),
      [[digestFor("two"), []], undefined, [digestFor("one"), ["a", "b"]], [digestFor("one"), ["a", "b"]], undefined],
    );
    const pairs = await listManifestTags(db, repository.repositoryId, { tagStatus: "ANY", limit: 10 });
    assert.deepEqual(
      pairs.map(({ digest, tag }) => [digest, tag]),
      [
        [digestFor("one"), "a"],
        [digestFor("one"), "b"],
        [digestFor("two"), undefined],
      ],
    );
  });
}
