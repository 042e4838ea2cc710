import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { enqueueJob } from "#metadata/jobs.ts";
import { findReplicationSource, listReplicationLag } from "#metadata/replication.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import { replicationBench } from "../../test/replication-bench.ts";
import type { ReplicationBench } from "../../test/replication-bench.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { backfillReplication } from "#registry/replication-status.ts";
import { describeManifests } from "#registry/manifest-batch.ts";
import { createRepository, putTagMutability } from "#registry/repository.ts";
import { updateStorageClass } from "#registry/storage-class.ts";
import type { RepositoryName } from "#oci/repository-name.ts";

const home = { accountId: "123456789012", region: "eu-central-1" };
const away = { accountId: "123456789012", region: "us-east-1" };
const stranger = { accountId: "222222222222", region: "eu-central-1" };

let server: RegistryServer;
let bench: ReplicationBench;
let commits = 0;

/** Counts the stored copies that are made. */
const counting = (driver: StorageDriver): StorageDriver => ({
  ...driver,
  commit: (segments, target) => {
    commits += 1;
    return driver.commit(segments, target);
  },
});

before(async () => {
  server = await startRegistryServer({ storage: counting, regions: ["eu-central-1", "us-east-1"] });
  bench = replicationBench(server, { regions: ["eu-central-1", "us-east-1"] });
});
after(async () => {
  bench.close();
  await server.close();
});

test("into another region of the account no byte is copied, and the repository is made there", async () => {
  await bench.replicate(home, "near", away);
  await server.createRepository("near/web");
  await server.createRepository("far/web");
  const content = makeImage({ seed: "near", layerCount: 3 });
  await server.push("near/web", content, "v1", "latest");
  await server.push("far/web", content, "v1");
  const before = commits;
  assert.deepEqual(await bench.states(home, "near/web", "v1"), ["123456789012/us-east-1 IN_PROGRESS"]);
  assert.equal((await listReplicationLag(server.core.metadata, 10)).length, 1);
  assert.equal(await bench.work(), 1);
  assert.equal(commits, before, "no new stored copy");
  assert.deepEqual(await bench.states(home, "near/web", "v1"), ["123456789012/us-east-1 COMPLETE"]);
  assert.deepEqual(await bench.tags(away, "near/web"), { v1: content.digest, latest: content.digest });
  assert.deepEqual(await bench.states(home, "far/web", "v1"), []);
  assert.deepEqual(await listReplicationLag(server.core.metadata, 10), []);
  const [entry] = await bench.changes("manifest-replicated");
  assert.deepEqual(
    [entry?.accountId, entry?.region, entry?.repositoryName, entry?.subject, entry?.after],
    [
      away.accountId,
      away.region,
      "near/web",
      content.digest,
      { result: "SUCCESS", sourceAccountId: home.accountId, sourceRegion: home.region, tags: ["latest", "v1"] },
    ],
  );
});

test("an index takes its children along, an artifact its blobs", async () => {
  await bench.replicate(home, "near", away);
  await server.createRepository("near/tree");
  const [one, two] = [makeImage({ seed: "one" }), makeImage({ seed: "two" })];
  const index = makeIndex([one, two]);
  const artifact = makeArtifact({ subject: index });
  for (const each of [one, two, index, artifact]) await server.push("near/tree", each, ...(each === index ? ["v1"] : []));
  // The index alone: what its children's own follow-ups would do must not be needed.
  await bench.work();
  const page = await bench.changes("manifest-replicated");
  const arrived = page.filter(({ repositoryName }) => repositoryName === "near/tree").map(({ subject }) => subject);
  assert.deepEqual(new Set(arrived), new Set([one.digest, two.digest, index.digest, artifact.digest]));
  assert.deepEqual(await bench.tags(away, "near/tree"), { v1: index.digest });
});

test("into another account bytes are copied, and only as its registry policy allows", async () => {
  await bench.replicate(home, "shared", stranger);
  await server.createRepository("shared/web");
  const content = makeImage({ seed: "shared", layerCount: 2 });
  await server.push("shared/web", content, "v1");
  await bench.work();
  assert.deepEqual(await bench.states(home, "shared/web", "v1"), ["222222222222/eu-central-1 FAILED AccessDenied"]);
  const failed = (await bench.changes("manifest-replicated")).at(-1);
  assert.deepEqual(
    [failed?.accountId, failed?.repositoryId, failed?.after],
    [
      stranger.accountId,
      undefined,
      { result: "FAILED", code: "AccessDenied", sourceAccountId: home.accountId, sourceRegion: home.region, tags: [] },
    ],
  );

  await bench.allow(stranger, home.accountId, "ecr:ReplicateImage");
  await server.push("shared/web", content, "v2");
  await bench.work();
  assert.deepEqual(await bench.states(home, "shared/web", "v2"), ["222222222222/eu-central-1 FAILED AccessDenied"], "may not create");

  await bench.allow(stranger, home.accountId, "ecr:ReplicateImage", "ecr:CreateRepository");
  const before = commits;
  await server.push("shared/web", content, "v3");
  await bench.work();
  assert.deepEqual(await bench.states(home, "shared/web", "v3"), ["222222222222/eu-central-1 COMPLETE"]);
  assert.deepEqual(Object.keys(await bench.tags(stranger, "shared/web")), ["v1", "v2", "v3"]);
  // The push of v3 sends three blobs that are there already; each is received and dropped again. Three more are the copies.
  assert.equal(commits - before, 6);
});

test("a tag that is taken in an immutable repository stays, and the image arrives without it", async () => {
  await bench.replicate(home, "fixed", away);
  await server.createRepository("fixed/web");
  const [first, second] = [makeImage({ seed: "first" }), makeImage({ seed: "second" })];
  await server.push("fixed/web", first, "v1");
  await bench.work();
  await putTagMutability(bench.ctx, away, "fixed/web" as RepositoryName, { tagMutability: "IMMUTABLE" });
  await server.push("fixed/web", second, "v1");
  await server.push("fixed/web", second, "v2");
  await bench.work();
  assert.deepEqual(await bench.tags(away, "fixed/web"), { v1: first.digest, v2: second.digest });
  assert.deepEqual(await bench.states(home, "fixed/web", "v1"), ["123456789012/us-east-1 COMPLETE"]);
});

test("two registries that replicate to each other come to rest at the newest push, in whatever order events arrive", async () => {
  await bench.replicate(home, "loop", away);
  await bench.replicate(away, "loop", home);
  await server.createRepository("loop/web");
  const [first, second, third] = [makeImage({ seed: "l1" }), makeImage({ seed: "l2" }), makeImage({ seed: "l3" })];
  await server.push("loop/web", first, "v1");
  assert.equal(await bench.work(), 1, "a copy begins no replication");
  const east = {
    headers: { Host: "123456789012.dkr.ecr.us-east-1.localhost" },
    authorization: server.authorization({ region: "us-east-1" }),
  };
  for (const blob of [second.config, ...second.layers])
    await server.request("POST", `/v2/loop/web/blobs/uploads/?digest=${blob.digest}`, { ...east, body: blob.bytes });
  const put = { ...east, body: second.bytes, headers: { ...east.headers, "Content-Type": second.mediaType } };
  assert.equal((await server.request("PUT", "/v2/loop/web/manifests/v1", put)).status, 201);
  assert.equal(await bench.work(), 1);
  assert.deepEqual(
    [await bench.tags(home, "loop/web"), await bench.tags(away, "loop/web")],
    [{ v1: second.digest }, { v1: second.digest }],
  );

  await server.push("loop/web", third, "v1");
  await bench.work();
  // Every event once more: the oldest one last.
  for (const salt of [3, 2, 1]) await enqueueAll(salt);
  await bench.work();
  assert.deepEqual([await bench.tags(home, "loop/web"), await bench.tags(away, "loop/web")], [{ v1: third.digest }, { v1: third.digest }]);
});

/** Begins every replication between the two registries again, whatever its state. */
async function enqueueAll(salt: number): Promise<void> {
  const { metadata, clock } = server.core;
  for (let manifestId = 1; manifestId < 60; manifestId += 1) {
    const source = await findReplicationSource(metadata, manifestId);
    if (source?.key.name !== "loop/web") continue;
    const target = source.key.region === home.region ? "123456789012/us-east-1" : "123456789012/eu-central-1";
    await enqueueJob(metadata, {
      kind: "replicate",
      payload: { manifestId, target },
      runAt: clock.now(),
      dedupeKey: `${manifestId} ${salt}`,
    });
  }
}

test("what nobody serves fails at once, and what was deleted before it was copied fails too", async () => {
  await bench.replicate(home, "lost", { accountId: home.accountId, region: "mars-1" }, away);
  await server.createRepository("lost/web");
  const content = makeImage({ seed: "lost" });
  await server.push("lost/web", content, "v1");
  await bench.work();
  assert.deepEqual(await bench.states(home, "lost/web", "v1"), [
    "123456789012/mars-1 FAILED DestinationNotConfigured",
    "123456789012/us-east-1 COMPLETE",
  ]);
  const doomed = makeImage({ seed: "doomed" });
  await server.push("lost/web", doomed);
  assert.equal((await server.request("DELETE", `/v2/lost/web/manifests/${doomed.digest}`)).status, 202);
  await bench.work();
  assert.deepEqual(await listReplicationLag(server.core.metadata, 10), [], "nothing waits for what is gone");
});

test("a copy that was archived at the destination is active again", async () => {
  await bench.replicate(home, "cold", away);
  await server.createRepository("cold/web");
  const content = makeImage({ seed: "cold" });
  await server.push("cold/web", content, "v1");
  await bench.work();
  const name = "cold/web" as RepositoryName;
  const found = async () => (await describeManifests(bench.ctx, away, name, [{ digest: content.digest }])).manifests[0]?.manifest.status;
  await updateStorageClass(bench.ctx, away, name, { id: { digest: content.digest }, target: "ARCHIVE" });
  assert.equal(await found(), "ARCHIVED");
  await server.push("cold/web", content, "v2");
  await bench.work();
  assert.equal(await found(), "ACTIVE");
  assert.deepEqual(Object.keys(await bench.tags(away, "cold/web")), ["v1", "v2"]);
});

test("a backfill begins what the rules of now cover, in batches", async () => {
  await server.createRepository("old/web");
  await server.createRepository("other");
  for (const seed of ["o1", "o2", "o3"]) await server.push("old/web", makeImage({ seed }), seed);
  await bench.replicate(home, "old", away);
  let replications = 0;
  let batches = 0;
  for (let from: number | undefined = 0; from !== undefined; batches += 1) {
    const batch = await backfillReplication(bench.ctx, home, { name: "old/web" as RepositoryName, after: from, limit: 2 });
    replications += batch.replications;
    from = batch.next;
  }
  assert.deepEqual([replications, batches], [3, 2]);
  assert.equal(await bench.work(), 3);
  assert.deepEqual(Object.keys(await bench.tags(away, "old/web")), ["o1", "o2", "o3"]);
  await createRepository(bench.ctx, home, "old/empty" as RepositoryName);
  assert.deepEqual(await backfillReplication(bench.ctx, home, { name: "old/empty" as RepositoryName, after: 0, limit: 2 }), {
    manifests: 0,
    replications: 0,
    next: undefined,
  });
});
