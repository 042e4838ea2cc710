import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { digestOf } from "#oci/digest.ts";
import type { Digest } from "#oci/digest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryContext } from "./context.ts";
import type { NewManifest } from "./manifest.ts";
import { describeManifests, getManifests, listManifestTags, listManifests, removeManifests } from "./manifest-batch.ts";
import { deleteManifest, deleteTag, findManifestFacts, getManifest, putManifest } from "./manifest.ts";
import { listReferrers } from "./referrer.ts";
import { createRepository, putTagMutability } from "./repository.ts";
import { listTags } from "./tag.ts";
import type { TestRegistry } from "./testing/test-registry.ts";
import {
  bytesOf,
  createManualClock,
  indexOf,
  manifestOf,
  openTestRegistry,
  pushBlob,
  pushManifest,
  refusal,
  registry,
  sha256,
} from "./testing/test-registry.ts";

const missing = "team/missing" as RepositoryName;
const folder = mkdtempSync(join(tmpdir(), "manifest-"));
let opened: TestRegistry;
let ctx: RegistryContext;
let name: RepositoryName;
let count = 0;

before(async () => {
  const clock = createManualClock();
  const limits = { tagsPerManifest: 3, manifestsPerRepository: 6, manifestBytes: 20_000, referrersPageBytes: 4_000 };
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock, limits });
  ({ ctx } = opened);
});
beforeEach(async () => {
  count += 1;
  name = `team/app${count}` as RepositoryName;
  await createRepository(ctx, registry, name);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

const byTag = (tag: string) => ({ kind: "tag", tag: tag as Tag }) as const;
const byDigest = (digest: Digest) => ({ kind: "digest", digest }) as const;
const put = (bytes: Uint8Array, more: Partial<NewManifest> = {}) =>
  putManifest(ctx, registry, name, { bytes, tags: [], plane: "oci", ...more });
const tagged = (...tags: readonly string[]) => ({ tags: tags as readonly Tag[] });

test("a manifest comes back byte for byte, by tag and by digest", async () => {
  await pushBlob(ctx, name, "config");
  const bytes = bytesOf(`${Buffer.from(manifestOf("config", [])).toString()}\n `);
  const { digest, mediaType } = await put(bytes, tagged("v1", "v2"));
  assert.deepEqual([digest, mediaType], [sha256(bytes), mediaTypes.ociManifest]);
  for (const reference of [byTag("v1"), byTag("v2"), byDigest(digest)]) {
    for (const attempt of ["read", "cached"]) {
      const stored = await getManifest(ctx, registry, name, reference);
      assert.deepEqual(
        { ...stored, bytes: Buffer.from(stored.bytes) },
        { manifestId: stored.manifestId, digest, mediaType, sizeBytes: bytes.length, bytes: Buffer.from(bytes) },
        attempt,
      );
    }
    assert.deepEqual(await findManifestFacts(ctx, registry, name, reference), { digest, mediaType, sizeBytes: bytes.length });
  }
  assert.ok(ctx.core.manifests.sizeBytes > bytes.length);
});

test("what is missing is told apart", async () => {
  await assert.rejects(getManifest(ctx, registry, missing, byTag("v1")), refusal("repository-not-found"));
  await assert.rejects(getManifest(ctx, registry, name, byTag("v1")), refusal("manifest-not-found"));
  await assert.rejects(findManifestFacts(ctx, registry, name, byDigest(sha256("x"))), refusal("manifest-not-found"));
  await assert.rejects(
    putManifest(ctx, registry, missing, { bytes: manifestOf("c", []), tags: [], plane: "oci" }),
    refusal("repository-not-found"),
  );
});

test("a given digest must be the bytes' own; sha512 is as good", async () => {
  await pushBlob(ctx, name, "config");
  const bytes = manifestOf("config", []);
  await assert.rejects(put(bytes, { digest: sha256("other") }), refusal("digest-mismatch"));
  const digest = digestOf("sha512", bytes);
  assert.equal((await put(bytes, { digest })).digest, digest);
  assert.equal((await getManifest(ctx, registry, name, byDigest(digest))).digest, digest);
  await assert.rejects(getManifest(ctx, registry, name, byDigest(sha256(bytes))), refusal("manifest-not-found"));
});

test("bad, large and incomplete manifests are refused", async () => {
  await pushBlob(ctx, name, "config");
  await assert.rejects(put(bytesOf("{}")), refusal("manifest-invalid"));
  await assert.rejects(put(manifestOf("config", []), { mediaType: mediaTypes.dockerManifest }), refusal("manifest-invalid"));
  await assert.rejects(put(new Uint8Array(20_001)), refusal("manifest-too-large"));
  await assert.rejects(put(manifestOf("config", ["absent"])), (error: unknown) => {
    const { kind, detail } = (error as { refusal: { kind: string; detail: { digests?: readonly string[] } } }).refusal;
    assert.deepEqual([kind, detail.digests], ["manifest-blobs-missing", [sha256("absent")]]);
    return true;
  });
  await assert.rejects(put(indexOf([manifestOf("absent", [])])), refusal("manifest-children-missing"));
});

test("a non-distributable layer need not be there", async () => {
  await pushBlob(ctx, name, "config");
  const foreign = {
    mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    digest: sha256("elsewhere"),
    size: 9,
    urls: ["https://example.org/"],
  };
  await put(manifestOf("config", [], { layers: [foreign] }));
});

test("a sparse index is a setting of the data plane", async () => {
  const core = { ...ctx.core, limits: { ...ctx.core.limits, allowSparseIndexes: true } };
  const bytes = indexOf([manifestOf("absent", [])]);
  await assert.rejects(
    putManifest({ ...ctx, core }, registry, name, { bytes, tags: [], plane: "ecr" }),
    refusal("manifest-children-missing"),
  );
  await putManifest({ ...ctx, core }, registry, name, { bytes, tags: [], plane: "oci" });
});

test("the same push again is accepted on the data plane and refused by ECR's API", async () => {
  await pushBlob(ctx, name, "config");
  const bytes = manifestOf("config", []);
  await put(bytes, { ...tagged("v1"), plane: "ecr" });
  await put(bytes, tagged("v1"));
  await put(bytes);
  await assert.rejects(put(bytes, { ...tagged("v1"), plane: "ecr" }), refusal("manifest-exists"));
  await assert.rejects(put(bytes, { plane: "ecr" }), refusal("manifest-exists"));
  await put(bytes, { ...tagged("v2"), plane: "ecr" });
});

test("an immutable tag does not move, can be pushed again, deleted and used anew", async () => {
  const first = await pushManifest(ctx, name, { config: "first", tags: ["v1"] });
  await putTagMutability(ctx, registry, name, { tagMutability: "IMMUTABLE_WITH_EXCLUSION", mutabilityFilters: ["dev-*"] });
  await put(manifestOf("first", []), tagged("v1", "dev-1"));
  await pushBlob(ctx, name, "second");
  await assert.rejects(put(manifestOf("second", []), tagged("dev-1", "v1")), refusal("tag-immutable"));
  assert.equal((await getManifest(ctx, registry, name, byTag("dev-1"))).digest, first);
  await put(manifestOf("second", []), tagged("dev-1"));
  await deleteTag(ctx, registry, name, "v1" as Tag);
  await put(manifestOf("second", []), tagged("v1"));
});

test("quotas: tags on a manifest, manifests in a repository", async () => {
  await pushManifest(ctx, name, { config: "c0", tags: ["a", "b", "c"] });
  await assert.rejects(put(manifestOf("c0", []), tagged("d")), refusal("limit-exceeded"));
  for (const config of ["c1", "c2", "c3", "c4", "c5"]) await pushManifest(ctx, name, { config });
  await assert.rejects(pushManifest(ctx, name, { config: "c6" }), refusal("limit-exceeded"));
  await pushManifest(ctx, name, { config: "c5", tags: ["again"] });
});

test("on the data plane a tag goes alone, a manifest with its tags, a child not before its index", async () => {
  const child = await pushManifest(ctx, name, { config: "child", tags: ["child"] });
  const index = (await put(indexOf([manifestOf("child", [])]), tagged("index"))).digest;
  await deleteTag(ctx, registry, name, "child" as Tag);
  await assert.rejects(deleteTag(ctx, registry, name, "child" as Tag), refusal("manifest-not-found"));
  await assert.rejects(deleteManifest(ctx, registry, name, child), (error: unknown) => {
    const { kind, detail } = (error as { refusal: { kind: string; detail: { parents?: readonly string[] } } }).refusal;
    assert.deepEqual([kind, detail.parents], ["manifest-referenced", [index]]);
    return true;
  });
  await deleteManifest(ctx, registry, name, index);
  await deleteManifest(ctx, registry, name, child);
  await assert.rejects(deleteManifest(ctx, registry, name, child), refusal("manifest-not-found"));
  await assert.rejects(deleteManifest(ctx, registry, missing, child), refusal("repository-not-found"));
});

test("an index has the size of its largest child", async () => {
  await createRepository(ctx, registry, `${name}/scanned` as RepositoryName, { scanOnPush: true });
  const scanned = `${name}/scanned` as RepositoryName;
  await pushManifest(ctx, scanned, { config: "c", layers: ["small"] });
  await pushManifest(ctx, scanned, { config: "c", layers: ["much larger"] });
  const children = [manifestOf("c", ["small"]), manifestOf("c", ["much larger"])];
  await putManifest(ctx, registry, scanned, { bytes: indexOf(children), tags: [], plane: "oci" });
  const { manifests } = await listManifests(ctx, registry, scanned, { limit: 10 });
  const facts = manifests.map(({ kind, contentSizeBytes }) => [kind, contentSizeBytes]);
  assert.deepEqual(facts, [
    ["image", 6],
    ["image", 12],
    ["index", 12],
  ]);
});

test("many names at once: each is found or has its own failure", async () => {
  const one = await pushManifest(ctx, name, { config: "one", tags: ["v1", "latest"] });
  const two = await pushManifest(ctx, name, { config: "two" });
  const ids = [
    { tag: "v1" },
    { digest: two },
    { digest: one, tag: "latest" },
    { digest: two, tag: "v1" },
    { digest: one, tag: "absent" },
    { digest: sha256("absent") },
    { digest: "sha256:short" },
    { tag: "not a tag" },
    {},
    { tag: "v1" },
  ];
  const { manifests, failures } = await describeManifests(ctx, registry, name, ids);
  const found = manifests.map(({ id, manifest }) => [id, manifest.digest, manifest.tags]);
  assert.deepEqual(found, [
    [ids[0], one, ["latest", "v1"]],
    [ids[1], two, []],
    [ids[2], one, ["latest", "v1"]],
  ]);
  assert.deepEqual(
    new Map(failures.map(({ id, code }) => [id, code])),
    new Map<unknown, string>([
      [ids[6], "digest-invalid"],
      [ids[7], "tag-invalid"],
      [ids[8], "missing-id"],
      [ids[3], "tag-digest-mismatch"],
      [ids[4], "not-found"],
      [ids[5], "not-found"],
    ]),
  );
  const got = await getManifests(ctx, registry, name, ids);
  assert.deepEqual(
    got.manifests.map(({ digest, tag, bytes }) => [digest, tag, sha256(Buffer.from(bytes))]),
    [
      [one, "v1", one],
      [two, undefined, two],
      [one, "latest", one],
    ],
  );
  assert.deepEqual(got.failures, failures);
  await assert.rejects(getManifests(ctx, registry, missing, ids), refusal("repository-not-found"));
});

test("ECR's batch delete: by tag, by digest, the last tag, children before and after their index", async () => {
  const one = await pushManifest(ctx, name, { config: "one", tags: ["v1", "v2"] });
  const child = await pushManifest(ctx, name, { config: "child", tags: ["child"] });
  const index = (await put(indexOf([manifestOf("child", [])]), tagged("index"))).digest;
  const remove = (...ids: readonly { digest?: string; tag?: string }[]) => removeManifests(ctx, registry, name, ids);
  assert.deepEqual(await remove({ tag: "v2" }, { tag: "v2" }, { tag: "absent" }, { digest: one, tag: "index" }, {}), {
    removed: [{ digest: one, tag: "v2" }],
    failures: [
      { id: {}, code: "missing-id" },
      { id: { tag: "absent" }, code: "not-found" },
      { id: { digest: one, tag: "index" }, code: "tag-digest-mismatch" },
    ],
  });
  assert.deepEqual(await remove({ tag: "v1" }), { removed: [{ digest: one, tag: "v1" }], failures: [] });
  await assert.rejects(getManifest(ctx, registry, name, byDigest(one)), refusal("manifest-not-found"));
  const held = { code: "referenced", parents: [index] };
  assert.deepEqual(await remove({ digest: child }, { tag: "child" }), {
    removed: [],
    failures: [
      { id: { digest: child }, ...held },
      { id: { tag: "child" }, ...held },
    ],
  });
  assert.deepEqual(await remove({ digest: child }, { digest: index }), {
    removed: [
      { digest: index, tag: "index" },
      { digest: child, tag: "child" },
    ],
    failures: [],
  });
  await assert.rejects(removeManifests(ctx, registry, missing, [{ tag: "v1" }]), refusal("repository-not-found"));
});

test("listings visit everything once, whatever the page", async () => {
  for (const [config, tags] of [
    ["one", ["b", "a", "B"]],
    ["two", []],
    ["three", ["c"]],
  ] as const)
    await pushManifest(ctx, name, { config, tags });
  for (const limit of [1, 2, 10]) {
    const tags: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await listTags(ctx, registry, name, { after, limit });
      tags.push(...page.tags);
      if (page.next === undefined) break;
      after = page.next;
    }
    assert.deepEqual(tags, ["B", "a", "b", "c"]);
    const pairs: string[] = [];
    for (let after: { manifestId: number; tag: string } | undefined; ;) {
      const page = await listManifestTags(ctx, registry, name, { after, limit });
      pairs.push(...page.entries.map(({ digest, tag = "-" }) => `${tag} ${digest.slice(7, 11)}`));
      if (page.next === undefined) break;
      after = page.next;
    }
    assert.equal(new Set(pairs).size, 5);
    assert.equal(pairs.length, 5);
    const seen: Record<string, number> = {};
    for (const tagStatus of ["ANY", "TAGGED", "UNTAGGED"] as const) {
      for (let after: number | undefined; ;) {
        const page = await listManifests(ctx, registry, name, { after, limit, tagStatus });
        seen[tagStatus] = (seen[tagStatus] ?? 0) + page.manifests.length;
        if (page.next === undefined) break;
        after = page.next;
      }
    }
    assert.deepEqual(seen, { ANY: 3, TAGGED: 2, UNTAGGED: 1 });
  }
  assert.deepEqual(await listTags(ctx, registry, name, { limit: 0 }), { tags: [] });
  assert.deepEqual(await listTags(ctx, registry, name, { after: "az", limit: 2 }), { tags: ["b", "c"] });
  await assert.rejects(listTags(ctx, registry, missing, { limit: 1 }), refusal("repository-not-found"));
});

test("referrers are listed by subject and type, in pages that end before they weigh too much", async () => {
  await pushBlob(ctx, name, "config");
  const subject = { mediaType: mediaTypes.ociManifest, digest: sha256("a subject that is not there"), size: 1 };
  const digests: Digest[] = [];
  for (const artifactType of ["application/sbom", "application/sbom", "application/signature"]) {
    const annotations = { number: String(digests.length), padding: "x".repeat(1_200) };
    const result = await put(manifestOf("config", [], { subject, artifactType, annotations }));
    assert.equal(result.subject, subject.digest);
    digests.push(result.digest);
  }
  const list = (page: { limit: number; after?: string; artifactTypes?: readonly string[] }) =>
    listReferrers(ctx, registry, name, subject.digest, page);
  const whole = await list({ limit: 10 });
  assert.equal(whole.referrers.length, 2, "the third would weigh too much");
  const rest = await list({ limit: 10, after: whole.next ?? "" });
  assert.equal(rest.next, undefined);
  assert.deepEqual(
    [...whole.referrers, ...rest.referrers].map(({ digest }) => digest),
    digests.toSorted(),
  );
  assert.deepEqual((await list({ limit: 1 })).next, digests.toSorted()[0]);
  const sbom = await list({ limit: 10, artifactTypes: ["application/sbom", "application/other"] });
  assert.deepEqual(
    sbom.referrers.map(({ artifactType }) => artifactType),
    ["application/sbom", "application/sbom"],
  );
  assert.equal(sbom.referrers[0]?.annotations?.["padding"]?.length, 1_200);
  assert.deepEqual(await listReferrers(ctx, registry, name, sha256("nobody's subject"), { limit: 10 }), { referrers: [] });
  await assert.rejects(listReferrers(ctx, registry, missing, subject.digest, { limit: 1 }), refusal("repository-not-found"));
});
