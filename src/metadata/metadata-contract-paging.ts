import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { listChanges } from "./changes.ts";
import type { Change } from "./changes.ts";
import { deleteManifest, listManifests, listManifestTags, listReferrers, listTags } from "./manifests.ts";
import type { Manifest, ManifestTag, TagStatus } from "./manifests.ts";
import { allPages, author, digestFor, keyOf, makeRepository, pushed } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { listTombstones } from "./tombstones.ts";
import type { Tombstone } from "./tombstones.ts";

const runs = 12;
const tagText = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,5}$/);
/** Tags of each manifest of a repository; a tag that comes twice moves to the later one. */
const repositoryContent = fc.array(fc.array(tagText, { maxLength: 4 }), { minLength: 1, maxLength: 10 });
const pageLimit = fc.integer({ min: 1, max: 7 });

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Whatever the page size, pages together show everything once and in order. */
export function pagingContract(opened: OpenedDatabase): void {
  test("tags, manifests and their pairs", async () => {
    const db = opened();
    await fc.assert(
      fc.asyncProperty(repositoryContent, pageLimit, async (content, limit) => {
        const repository = await makeRepository(db);
        const { repositoryId } = repository;
        const owner = new Map<string, number>();
        for (const [index, tags] of content.entries()) {
          await pushed(db, repository, `m${index}`, { tags });
          for (const tag of tags) owner.set(tag, index);
        }
        const tagsOf = (index: number) =>
          [...owner]
            .filter(([, at]) => at === index)
            .map(([tag]) => tag)
            .toSorted(byBytes);
        const listed = await allPages(
          limit,
          (tag: string) => tag,
          (page) => listTags(db, repositoryId, page),
        );
        assert.deepEqual(listed, [...owner.keys()].toSorted(byBytes));
        for (const tagStatus of ["ANY", "TAGGED", "UNTAGGED"] as const satisfies TagStatus[]) {
          const chosen = content
            .map((_, index) => ({ digest: digestFor(`m${index}`), tags: tagsOf(index) }))
            .filter(({ tags }) => tagStatus === "ANY" || tags.length > 0 === (tagStatus === "TAGGED"));
          const manifests = await allPages(
            limit,
            (manifest: Manifest) => manifest.manifestId,
            (page) => listManifests(db, repositoryId, { tagStatus, ...page }),
          );
          assert.deepEqual(
            manifests.map(({ digest, tags }) => ({ digest, tags })),
            chosen,
          );
          const pairs = await allPages(
            limit,
            ({ manifestId, tag }: ManifestTag) => ({ manifestId, tag: tag ?? "" }),
            (page) => listManifestTags(db, repositoryId, { tagStatus, ...page }),
          );
          assert.deepEqual(
            pairs.map(({ digest, tag }) => [digest, tag]),
            chosen.flatMap(({ digest, tags }) => (tags.length === 0 ? [[digest, undefined]] : tags.map((tag) => [digest, tag]))),
          );
        }
      }),
      { numRuns: runs },
    );
  });

  test("referrers, tombstones and the change log", async () => {
    const db = opened();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 12 }), pageLimit, async (count, limit) => {
        const repository = await makeRepository(db);
        const { repositoryId } = repository;
        const subjectDigest = digestFor("subject");
        const digests = Array.from({ length: count }, (_, index) => digestFor(`m${index}`));
        for (const index of digests.keys()) await pushed(db, repository, `m${index}`, { subjectDigest, tags: [`t${index}`] });
        const referrers = await allPages(
          limit,
          (referrer: Manifest) => referrer.digest,
          (page) => listReferrers(db, repositoryId, subjectDigest, page),
        );
        assert.deepEqual(
          referrers.map(({ digest }) => digest),
          digests.toSorted(),
        );
        for (const digest of digests)
          await deleteManifest(db, { key: keyOf(repository), digest, linkGraceMs: 86_400_000, withReferrers: false, author: author() });
        const tombstones = await allPages(
          limit,
          ({ kind, tombstoneId }: Tombstone) => ({ kind, tombstoneId }),
          async (page) => (await listTombstones(db, keyOf(repository), page)) ?? [],
        );
        assert.deepEqual(
          tombstones.map(({ kind, digest, tag }) => [kind, digest, tag]),
          [...digests.map((digest) => ["manifest", digest, undefined]), ...digests.map((digest, index) => ["tag", digest, `t${index}`])],
        );
        const changes = await allPages(
          limit,
          (change: Change) => change.position,
          (page) => listChanges(db, { repositoryId, ...page }),
        );
        assert.equal(changes.length, 1 + 4 * count);
        assert.equal(new Set(changes.map(({ changeId }) => changeId)).size, changes.length);
      }),
      { numRuns: runs },
    );
  });
}
