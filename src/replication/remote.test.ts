import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import { replicationBench } from "../../test/replication-bench.ts";
import type { ReplicationBench } from "../../test/replication-bench.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { callJson } from "../../test/signed-call.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { putTagMutability } from "#registry/repository.ts";
import type { Peer } from "./peers.ts";

const account = "123456789012";
const stranger = "222222222222";
/** Both deployments have a bare host of this region; what they replicate goes to the other's second one. */
const home = { accountId: account, region: "eu-central-1" };
const west = { accountId: account, region: "eu-west-1" };
const north = { accountId: account, region: "eu-north-1" };

let one: RegistryServer;
let two: RegistryServer;
let first: ReplicationBench;
let second: ReplicationBench;

const peerAt = (server: RegistryServer, region: string, more: Partial<Peer> = {}): Peer => ({
  region,
  origin: server.url,
  ...server.credentials,
  accounts: new Map(),
  ...more,
});

before(async () => {
  one = await startRegistryServer({ regions: ["eu-central-1", "eu-west-1"] });
  two = await startRegistryServer({ regions: ["eu-central-1", "eu-north-1"] });
  const toTwo = new Map([
    ["eu-north-1", peerAt(two, "eu-north-1")],
    ["eu-gone-1", peerAt(two, "eu-gone-1", { origin: "http://127.0.0.1:9" })],
  ]);
  first = replicationBench(one, { regions: ["eu-central-1", "eu-west-1"], peers: toTwo, chunkBytes: 300 });
  second = replicationBench(two, { regions: ["eu-central-1", "eu-north-1"], peers: new Map([["eu-west-1", peerAt(one, "eu-west-1")]]) });
});
after(async () => {
  first.close();
  second.close();
  await Promise.all([one.close(), two.close()]);
});

test("blobs in chunks, children before their index, the repository made on the way, and the arrival on record at the peer", async () => {
  await first.replicate(home, "tree", north);
  await one.createRepository("tree/web");
  const [left, right] = [makeImage({ seed: "left", layerSizeBytes: 2_000 }), makeImage({ seed: "right" })];
  const index = makeIndex([left, right]);
  for (const child of [left, right]) await one.push("tree/web", child);
  await one.push("tree/web", index, "v1", "latest");
  await first.work();
  assert.deepEqual(await first.states(home, "tree/web", "v1"), [`${account}/eu-north-1 COMPLETE`]);
  assert.deepEqual(await second.tags(north, "tree/web"), { v1: index.digest, latest: index.digest });
  const entry = (await second.changes("manifest-replicated")).at(-1);
  assert.deepEqual(
    [entry?.subject, entry?.region, entry?.after],
    [index.digest, "eu-north-1", { result: "SUCCESS", sourceAccountId: account, sourceRegion: "eu-central-1", tags: ["latest", "v1"] }],
  );
  const read = { headers: { Host: `${account}.dkr.ecr.eu-north-1.localhost` }, authorization: two.authorization({ region: "eu-north-1" }) };
  for (const blob of left.layers) assert.equal((await two.request("GET", `/v2/tree/web/blobs/${blob.digest}`, read)).status, 200);
});

test("two deployments that replicate to each other pass nothing back, and agree on the newest tag", async () => {
  // What arrives at the second deployment is in its region eu-north-1, and that is what it replicates back.
  await first.replicate(home, "loop", north);
  await second.replicate(north, "loop", west);
  await one.createRepository("loop/web");
  await one.push("loop/web", makeImage({ seed: "a" }), "v1");
  assert.equal(await first.work(), 1);
  assert.equal(await second.work(), 0, "a copy is not sent on");
  assert.deepEqual(await second.changes("manifest-pushed").then((all) => all.at(-1)?.after), {
    ...((await second.changes("manifest-pushed")).at(-1)?.after as object),
    replicated: true,
  });
});

const putReplica = (tag: string, version: number, image: ReturnType<typeof makeImage>) =>
  callJson(
    two,
    "Supercargo_V1.PutReplica",
    {
      registryId: account,
      repositoryName: "order/web",
      sourceRegistryId: account,
      sourceRegion: "eu-central-1",
      imageDigest: image.digest,
      imageManifest: image.bytes.toString("utf8"),
      imageManifestMediaType: image.mediaType,
      imageTags: [{ imageTag: tag, version }],
    },
    { service: "ecr" },
  );

test("an older event after a newer one changes nothing, whichever clock is ahead", async () => {
  await two.createRepository("order/web");
  const [older, newer, local] = [makeImage({ seed: "older" }), makeImage({ seed: "newer" }), makeImage({ seed: "local" })];
  for (const image of [older, newer, local]) await two.push("order/web", image);
  const now = two.core.clock.now();
  assert.equal((await putReplica("v1", now - 1_000, newer)).status, 200);
  assert.equal((await putReplica("v1", now - 2_000, older)).status, 200);
  assert.deepEqual(await second.tags(home, "order/web"), { v1: newer.digest });
  // The source's clock is an hour ahead. Whoever pushes here afterwards has seen that tag, and wins.
  assert.equal((await putReplica("v1", now + 3_600_000, older)).status, 200);
  await two.push("order/web", local, "v1");
  assert.equal((await putReplica("v1", now + 3_600_000, older)).status, 200);
  assert.deepEqual(await second.tags(home, "order/web"), { v1: local.digest });
  // Both sides choose the same one of two that are equally new.
  const [small, large] = [older, newer].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  assert.ok(small !== undefined && large !== undefined);
  for (const image of [small, large, small]) assert.equal((await putReplica("even", now, image)).status, 200);
  assert.equal((await second.tags(home, "order/web"))["even"], large.digest);
  const ahead = await putReplica("v1", now + 2 * 86_400_000, older);
  assert.deepEqual([ahead.status, ahead.json<{ __type: string }>().__type], [400, "InvalidParameterException"]);
});

test("an immutable tag of the peer stays where it is", async () => {
  await first.replicate(home, "fixed", north);
  await one.createRepository("fixed/web");
  const [before, later] = [makeImage({ seed: "before" }), makeImage({ seed: "later" })];
  await one.push("fixed/web", before, "v1");
  await first.work();
  await putTagMutability(second.ctx, north, "fixed/web" as RepositoryName, { tagMutability: "IMMUTABLE" });
  await one.push("fixed/web", later, "v1");
  await first.work();
  assert.deepEqual(await first.states(home, "fixed/web", "v1"), [`${account}/eu-north-1 COMPLETE`]);
  assert.deepEqual(await second.tags(north, "fixed/web"), { v1: before.digest });
});

test("into another account of the peer only as that account's registry policy allows", async () => {
  const destination = { accountId: stranger, region: "eu-north-1" };
  await first.replicate(home, "shared", destination);
  await one.createRepository("shared/web");
  const image = makeImage({ seed: "shared" });
  await one.push("shared/web", image, "v1");
  await first.work();
  assert.deepEqual(await first.states(home, "shared/web", "v1"), [`${stranger}/eu-north-1 FAILED AccessDenied`]);
  await second.allow(destination, account, "ecr:ReplicateImage", "ecr:CreateRepository");
  await one.push("shared/web", image, "v2");
  await first.work();
  assert.deepEqual(await first.states(home, "shared/web", "v2"), [`${stranger}/eu-north-1 COMPLETE`]);
  assert.deepEqual(Object.keys(await second.tags(destination, "shared/web")), ["v1", "v2"]);
});

test("a peer that is away is tried again for a day, and then the replication has failed", async () => {
  await first.replicate(home, "away", { accountId: account, region: "eu-gone-1" });
  await one.createRepository("away/web");
  await one.push("away/web", makeImage({ seed: "away" }), "v1");
  assert.equal(await first.work(), 1);
  assert.deepEqual(await first.states(home, "away/web", "v1"), [`${account}/eu-gone-1 IN_PROGRESS`]);
  assert.equal(await first.work(), 0, "not before its time");
  one.advance(10_000);
  assert.equal(await first.work(), 1);
  one.advance(86_400_000);
  assert.equal(await first.work(), 1);
  assert.deepEqual(await first.states(home, "away/web", "v1"), [`${account}/eu-gone-1 FAILED DestinationUnavailable`]);
});
