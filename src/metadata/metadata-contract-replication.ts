/** What replication may rely on: versions of tags, ends that count once, uploads that are remembered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "./database.ts";
import { startFollowUps } from "./follow-ups.ts";
import { listChanges } from "./changes.ts";
import { findManifest } from "./manifests.ts";
import { author, digestFor, makeRepository, push, startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import {
  findOpenReplication,
  findReplicationSource,
  listReplicable,
  listReplicationLag,
  listTagVersions,
  settleReplication,
} from "./replication.ts";
import { findReplicationUpload, forgetReplicationUpload, keepReplicationUpload } from "./replication-uploads.ts";
import type { Repository } from "./repositories.ts";

const copyOf = (tag: string, version: number) => ({ tags: [tag], tagVersions: new Map([[tag, version]]) });

async function manifestAt(db: Database, key: Repository, tag: string): Promise<{ readonly digest: string; readonly manifestId: number }> {
  const { manifest } = await findManifest(db, key, { kind: "tag", tag } as never);
  assert.ok(manifest !== undefined, `${tag} is there`);
  return manifest;
}

/** The cases. */
export function replicationContract(opened: OpenedDatabase): void {
  test("a copy moves a tag only to a newer version, and a push always moves it", async () => {
    const db = opened();
    const key = await makeRepository(db);
    const tagAt = async () => (await manifestAt(db, key, "v1")).digest;
    await push(db, key, "a", copyOf("v1", 100));
    await push(db, key, "b", copyOf("v1", 99));
    assert.equal(await tagAt(), digestFor("a"), "older");
    await push(db, key, "b", copyOf("v1", 101));
    assert.equal(await tagAt(), digestFor("b"), "newer");
    // Nothing moves, but what is older than this arrival must lose from now on.
    await push(db, key, "b", copyOf("v1", 200));
    await push(db, key, "a", copyOf("v1", 150));
    assert.equal(await tagAt(), digestFor("b"), "late");
    const far = startAt + 1_000_000;
    await push(db, key, "a", copyOf("v1", far));
    await push(db, key, "c", { tags: ["v1"] });
    assert.equal(await tagAt(), digestFor("c"), "a push here, by a clock that is behind");
    await push(db, key, "a", copyOf("v1", far));
    assert.equal(await tagAt(), digestFor("c"), "the same event again");
    const { manifestId } = await manifestAt(db, key, "v1");
    assert.deepEqual(await listTagVersions(db, manifestId, 10), [{ tag: "v1", version: far + 1 }]);
  });

  test("of two tags of one version both sides choose the same", async () => {
    const db = opened();
    for (const order of [
      ["x", "y"],
      ["y", "x"],
    ]) {
      const key = await makeRepository(db);
      for (const seed of order) await push(db, key, seed, copyOf("v1", 100));
      const larger = ["x", "y"].map(digestFor).toSorted().at(-1);
      assert.equal((await manifestAt(db, key, "v1")).digest, larger);
    }
  });

  test("a copy leaves an immutable tag where it is and arrives all the same", async () => {
    const db = opened();
    const key = await makeRepository(db, { tagMutability: "IMMUTABLE" });
    await push(db, key, "a", { tags: ["v1"] });
    const outcome = await push(db, key, "b", {
      tags: ["v1", "v2"],
      tagVersions: new Map([
        ["v1", startAt * 2],
        ["v2", 1],
      ]),
    });
    assert.equal(outcome.outcome, "stored");
    assert.equal((await manifestAt(db, key, "v1")).digest, digestFor("a"));
    assert.equal((await manifestAt(db, key, "v2")).digest, digestFor("b"));
  });

  test("a replication ends once, and one that was begun again is another one", async () => {
    const db = opened();
    const key = await makeRepository(db);
    await push(db, key, "a", { tags: ["v1"] });
    const { manifestId, digest } = await manifestAt(db, key, "v1");
    assert.deepEqual((await findReplicationSource(db, manifestId))?.digest, digest);
    const target = unique("222222222222/region");
    const begin = (now: number) => startFollowUps(db, { manifestId, followUps: [{ kind: "replicate", target }], now });
    const record = { destination: key, source: key, digest, author: author() };
    const settle = (startedAt: number) => settleReplication(db, { manifestId, target, startedAt, record, now: 500 });
    await begin(100);
    assert.deepEqual(await findOpenReplication(db, { manifestId, target }), { startedAt: 100 });
    assert.deepEqual(
      (await listReplicationLag(db, 100)).find((each) => each.target === target),
      { target, startedAt: 100 },
    );
    await begin(200);
    assert.equal(await settle(100), false, "it was begun again");
    assert.equal(await settle(200), true);
    assert.equal(await settle(200), false, "it has ended");
    assert.equal(await findOpenReplication(db, { manifestId, target }), undefined);
    const entries = await listChanges(db, { repositoryId: key.repositoryId, limit: 100 });
    const ends = entries.filter(({ kind }) => kind === "manifest-replicated");
    assert.equal(ends.length, 1);
    assert.deepEqual(ends[0]?.after, { result: "SUCCESS", sourceAccountId: key.accountId, sourceRegion: key.region, tags: ["v1"] });
  });

  test("what can be replicated is listed page by page", async () => {
    const db = opened();
    const key = await makeRepository(db);
    for (const seed of ["a", "b", "c"]) await push(db, key, seed);
    const seen: number[] = [];
    for (let after = 0; ; after = seen.at(-1) ?? 0) {
      const page = await listReplicable(db, { registry: key, repositoryName: key.name, after, limit: 2 });
      seen.push(...page.map(({ manifestId }) => manifestId));
      if (page.length < 2) break;
    }
    assert.equal(new Set(seen).size, 3);
    assert.deepEqual(await listReplicable(db, { registry: key, repositoryName: "other", after: 0, limit: 2 }), []);
  });

  test("uploads are remembered until they end or are old", async () => {
    const db = opened();
    const key = { target: unique("target"), repositoryName: "web", digest: digestFor("a") };
    const keep = (more: object, now: number) =>
      keepReplicationUpload(db, { ...key, location: `/at/${now}`, now, staleBefore: now - 10, ...more });
    assert.equal(await findReplicationUpload(db, key), undefined);
    await keep({}, 100);
    await keep({}, 105);
    assert.equal(await findReplicationUpload(db, key), "/at/105");
    await keep({ digest: digestFor("b") }, 116);
    assert.equal(await findReplicationUpload(db, key), undefined, "too old");
    await forgetReplicationUpload(db, { ...key, digest: digestFor("b") });
    assert.equal(await findReplicationUpload(db, { ...key, digest: digestFor("b") }), undefined);
  });
}
