import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { parseLifecyclePolicy } from "#lifecycle/policy.ts";
import { selectCandidates } from "#lifecycle/select.ts";
import type { LifecycleCandidate } from "#lifecycle/select.ts";
import { listLifecycleManifests } from "#metadata/lifecycle-manifests.ts";
import { archiveManifests } from "#metadata/storage-class.ts";
import { putManifest } from "#metadata/manifests.ts";
import { notePulls } from "#metadata/pull-times.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { runLifecycleNamed } from "./lifecycle-schedule.ts";
import { putLifecyclePolicy } from "./lifecycle.ts";
import { createRepository } from "./repository.ts";
import { repositoryKey } from "./scope.ts";
import { createManualClock, openTestRegistry, registry, sha256 } from "./testing/test-registry.ts";
import type { TestRegistry } from "./testing/test-registry.ts";

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "lifecycle-run-property-"));
const clock = createManualClock();
let opened: TestRegistry;
let repositories = 0;

before(async () => {
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock });
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

/** An image of the model; the numbers point at images that were pushed before it. */
interface Made {
  readonly tags: readonly string[];
  readonly daysOld: number;
  readonly pulledDaysAgo: number | undefined;
  readonly archivedDaysAgo: number | undefined;
  readonly subject: number | undefined;
  readonly children: readonly number[];
}

const tags = fc.uniqueArray(fc.constantFrom("a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2"), { maxLength: 3 });
const madeImage: fc.Arbitrary<Made> = fc.record({
  tags,
  daysOld: fc.integer({ min: 0, max: 200 }),
  pulledDaysAgo: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined, freq: 2 }),
  archivedDaysAgo: fc.option(fc.integer({ min: 1, max: 150 }), { nil: undefined, freq: 4 }),
  subject: fc.option(fc.nat(20), { nil: undefined, freq: 3 }),
  children: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.uniqueArray(fc.nat(20), { maxLength: 3 }) }),
});

const days = fc.integer({ min: 1, max: 120 });
const expire = { type: "expire" };
const archive = { type: "transition", targetStorageClass: "archive" };
const standardRule = (selection: object) =>
  fc.oneof(
    fc.record({ countNumber: fc.integer({ min: 1, max: 6 }), action: fc.constantFrom(expire, archive) }).map(({ countNumber, action }) => ({
      selection: { ...selection, countType: "imageCountMoreThan", countNumber },
      action,
    })),
    fc.record({ countNumber: days, action: fc.constantFrom(expire, archive) }).map(({ countNumber, action }) => ({
      selection: { ...selection, countType: "sinceImagePushed", countUnit: "days", countNumber },
      action,
    })),
    days.map((countNumber) => ({
      selection: { ...selection, countType: "sinceImagePulled", countUnit: "days", countNumber },
      action: archive,
    })),
  );
const archivedRule = fc.integer({ min: 90, max: 140 }).map((countNumber) => ({
  selection: { tagStatus: "any", storageClass: "archive", countType: "sinceImageTransitioned", countUnit: "days", countNumber },
  action: expire,
}));
const policy = fc
  .tuple(
    standardRule({ tagStatus: "tagged", tagPatternList: ["a*"] }),
    standardRule({ tagStatus: "tagged", tagPrefixList: ["b"] }),
    standardRule({ tagStatus: "untagged" }),
    archivedRule,
    standardRule({ tagStatus: "any" }),
  )
  .map((rules) => JSON.stringify({ rules: rules.map((rule, index) => ({ rulePriority: index + 1, ...rule })) }));

/** Pushes straight into the metadata, oldest first: no image here has blobs. Answers where each lies in the model. */
async function make(name: RepositoryName, images: readonly Made[]): Promise<void> {
  const { metadata, clock: time } = opened.core;
  const key = repositoryKey(registry, name);
  const now = time.now();
  const used = new Set<string>();
  const archived: { readonly digest: string; readonly at: number }[] = [];
  const author = (at: number) => ({ principalArn: "arn:aws:iam::111111111111:root", requestId: "r", now: at });
  for (const [index, image] of images.entries()) {
    const digestAt = (at: number): string => sha256(`${name} ${at % Math.max(1, index)}`);
    const children = index === 0 ? [] : [...new Set(image.children.map(digestAt))];
    const own = image.tags.filter((tag) => !used.has(tag));
    for (const tag of own) used.add(tag);
    const isIndex = children.length > 0;
    const pushedAt = now - image.daysOld * dayMs - 1;
    const stored = await putManifest(metadata, {
      key,
      digest: sha256(`${name} ${index}`),
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      kind: isIndex ? "index" : "image",
      bytes: Buffer.from("{}"),
      layers: [],
      children: children.map((digest) => ({ digest, mediaType: "application/vnd.oci.image.manifest.v1+json", sizeBytes: 2 })),
      ...(image.subject !== undefined && index > 0 && { subjectDigest: digestAt(image.subject) }),
      contentSizeBytes: 0,
      tags: own,
      allowMissingChildren: false,
      whenSame: "accept",
      maxManifests: 1_000,
      maxTagsPerManifest: 100,
      author: author(pushedAt),
    });
    assert.ok(stored.outcome === "stored");
    const { manifestId, digest } = stored.manifest;
    if (image.pulledDaysAgo !== undefined) await notePulls(metadata, [{ manifestId, at: now - image.pulledDaysAgo * dayMs - 1 }]);
    if (image.archivedDaysAgo !== undefined) archived.push({ digest, at: now - image.archivedDaysAgo * dayMs - 1 });
  }
  for (const { digest, at } of archived) await archiveManifests(metadata, { key, digests: [digest], linkGraceMs: 0, author: author(at) });
}

/** What the room of the policy language says about the database as it is. */
async function imagesOf(name: RepositoryName): Promise<readonly LifecycleCandidate[]> {
  const { metadata } = opened.core;
  const row = await metadata.read.selectFrom("repository").select("repository_id").where("name", "=", name).executeTakeFirstOrThrow();
  const manifests = await listLifecycleManifests(metadata, row.repository_id, { after: 0, limit: 1_000 });
  const digests = new Map(manifests.map(({ manifestId, digest }) => [manifestId, digest]));
  const edges = await metadata.read
    .selectFrom("manifest_child")
    .select(["manifest_id", "digest"])
    .where("repository_id", "=", row.repository_id)
    .execute();
  return manifests.map((manifest) => ({
    digest: manifest.digest,
    tags: manifest.tags,
    pushedAt: manifest.pushedAt,
    ...(manifest.lastArchivedAt !== undefined && { archivedAt: manifest.lastArchivedAt }),
    ...(manifest.pulledAt !== undefined && { pulledAt: manifest.pulledAt }),
    storageClass: manifest.status === "ARCHIVED" ? "archive" : "standard",
    parents: edges.filter(({ digest }) => digest === manifest.digest).flatMap(({ manifest_id: id }) => digests.get(id) ?? []),
    ...(manifest.subjectDigest !== undefined && { subject: manifest.subjectDigest }),
    isOrphaned: manifest.isOrphaned,
  }));
}

/** The repository after the actions, with the referrers that follow what expired, unless an index holds them; digest to class. */
function applied(images: readonly LifecycleCandidate[], text: string): ReadonlyMap<string, string> {
  const read = parseLifecyclePolicy(text);
  assert.ok(read.ok, read.ok ? "" : read.message);
  const left = new Map(images.map((image) => [image.digest, image]));
  const classes = new Map(images.map(({ digest, storageClass }) => [digest, storageClass as string]));
  const expired: string[] = [];
  for (const { digest, action, blockedBy } of selectCandidates(read.value, images, clock.now()).actions) {
    if (blockedBy !== undefined) continue;
    if (action === "archive") classes.set(digest, "archive");
    else {
      left.delete(digest);
      expired.push(digest);
    }
  }
  for (let digest = expired.shift(); digest !== undefined; digest = expired.shift()) {
    for (const image of images) {
      if (image.subject !== digest || !left.has(image.digest) || image.parents.some((parent) => left.has(parent))) continue;
      // What went to the archive in this run has changed since it was judged; the next run sees to it.
      if (classes.get(image.digest) !== image.storageClass) continue;
      left.delete(image.digest);
      expired.push(image.digest);
    }
  }
  return new Map([...left.keys()].map((digest) => [digest, classes.get(digest) ?? ""]));
}

test("a run does to a real database what the policy language says, and dry runs nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(madeImage, { minLength: 1, maxLength: 14 }), policy, async (images, text) => {
      const name = `property/app${(repositories += 1)}` as RepositoryName;
      await createRepository(opened.ctx, registry, name);
      await make(name, images);
      await putLifecyclePolicy(opened.ctx, registry, name, text);
      const before = await imagesOf(name);
      const expected = applied(before, text);
      await runLifecycleNamed(opened.core, registry, name, { isDryRun: true });
      assert.deepEqual(await imagesOf(name), before);
      const report = await runLifecycleNamed(opened.core, registry, name, {});
      assert.equal(report?.isCutShort, false);
      const found = new Map((await imagesOf(name)).map(({ digest, storageClass }) => [digest, storageClass]));
      assert.deepEqual(found, expected);
    }),
    { numRuns: 40 },
  );
});
