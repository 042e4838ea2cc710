import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BatchCheckLayerAvailabilityCommand,
  BatchGetImageCommand,
  DescribeImagesCommand,
  ECRClient,
  GetDownloadUrlForLayerCommand,
  ListImageReferrersCommand,
  ListImagesCommand,
  PutImageCommand,
  UpdateImageStorageClassCommand,
} from "@aws-sdk/client-ecr";
import type { ImageStatusFilter, TargetStorageClass } from "@aws-sdk/client-ecr";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import type { ActivationJob } from "#metadata/storage-class.ts";
import { activationJobKind } from "#metadata/storage-class.ts";
import { activateManifest, tierBlobs } from "#registry/storage-class-move.ts";
import { systemClock } from "#std/clock.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { createTieredDriver } from "#storage/tiered.ts";
import { makeArtifact, makeImage } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
let client: ECRClient;
const image = makeImage({ seed: "archived" });
const layerDigest = image.layers[0]?.digest ?? "";

before(async () => {
  const cold = createMemoryDriver({ clock: systemClock });
  server = await startRegistryServer({ storage: (standard) => createTieredDriver({ standard, cold }) });
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
});

after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function pushImage(repositoryName: string, tag = "v1"): Promise<void> {
  await server.createRepository(repositoryName);
  await server.push(repositoryName, image, tag);
}

async function update(repositoryName: string, targetStorageClass: TargetStorageClass, imageId: object = { imageDigest: image.digest }) {
  const answer = await client.send(new UpdateImageStorageClassCommand({ repositoryName, imageId, targetStorageClass }));
  const { $metadata: _, ...rest } = answer;
  return rest;
}

async function activate(): Promise<void> {
  const { metadata, clock } = server.core;
  for (;;) {
    const job = await claimJob(metadata, { kinds: [activationJobKind], now: clock.now(), leaseMs: 60_000 });
    if (job === undefined) return;
    await activateManifest(server.core, job.payload as ActivationJob);
    await finishJob(metadata, { jobId: job.jobId, attempt: job.attempt });
  }
}

async function listed(repositoryName: string, imageStatus?: ImageStatusFilter): Promise<readonly (number | undefined)[]> {
  const filter = imageStatus === undefined ? {} : { filter: { imageStatus } };
  const { imageIds } = await client.send(new ListImagesCommand({ repositoryName, ...filter }));
  const { imageDetails } = await client.send(new DescribeImagesCommand({ repositoryName, ...filter }));
  return [imageIds?.length, imageDetails?.length];
}

test("an image goes to the archive and comes back, on both planes", async () => {
  const repositoryName = "shop/web";
  await pushImage(repositoryName);
  const base = { registryId: server.accountId, repositoryName };
  assert.deepEqual(await update(repositoryName, "ARCHIVE", { imageTag: "v1" }), {
    ...base,
    imageId: { imageDigest: image.digest, imageTag: "v1" },
    imageStatus: "ARCHIVED",
  });
  await tierBlobs(server.core);
  const expected: [ImageStatusFilter | undefined, number][] = [
    [undefined, 0],
    ["ACTIVE", 0],
    ["ARCHIVED", 1],
    ["ACTIVATING", 0],
    ["ANY", 1],
  ];
  for (const [filter, count] of expected) assert.deepEqual(await listed(repositoryName, filter), [count, count], filter ?? "none");
  const named = { repositoryName, imageIds: [{ imageTag: "v1" }] };
  const [detail] = (await client.send(new DescribeImagesCommand(named))).imageDetails ?? [];
  assert.equal(detail?.imageStatus, "ARCHIVED");
  assert.ok(detail.lastArchivedAt instanceof Date && detail.lastActivatedAt === undefined);
  const { images, failures } = await client.send(new BatchGetImageCommand(named));
  assert.deepEqual(
    [images, failures],
    [[], [{ imageId: { imageTag: "v1" }, failureCode: "ImageInaccessible", failureReason: "Requested image is archived" }]],
  );
  for (const reference of ["v1", image.digest]) {
    const pull = await server.request("GET", `/v2/${repositoryName}/manifests/${reference}`);
    assert.deepEqual([pull.status, pull.code], [404, "MANIFEST_UNKNOWN"]);
    assert.match(pull.message, /^Requested image is archived/);
  }
  assert.equal((await server.request("HEAD", `/v2/${repositoryName}/blobs/${layerDigest}`)).status, 404);
  assert.deepEqual((await server.request("GET", `/v2/${repositoryName}/tags/list`)).json<{ tags: unknown }>().tags, []);

  assert.deepEqual(await update(repositoryName, "STANDARD"), {
    ...base,
    imageId: { imageDigest: image.digest },
    imageStatus: "ACTIVATING",
  });
  const waiting = await client.send(new BatchGetImageCommand(named));
  assert.equal(waiting.failures?.[0]?.failureReason, "Requested image is being restored from the archive");
  assert.match((await server.request("GET", `/v2/${repositoryName}/manifests/v1`)).message, /being restored/);
  await activate();
  assert.deepEqual(await listed(repositoryName), [1, 1]);
  const [back] = (await client.send(new DescribeImagesCommand(named))).imageDetails ?? [];
  assert.ok(back?.imageStatus === "ACTIVE" && back.lastActivatedAt instanceof Date);
  assert.equal((await server.request("GET", `/v2/${repositoryName}/manifests/v1`)).status, 200);
  assert.equal((await server.request("GET", `/v2/${repositoryName}/blobs/${layerDigest}`)).status, 200);
});

test("layers of archived images say so", async () => {
  const repositoryName = "shop/layers";
  await pushImage(repositoryName);
  await update(repositoryName, "ARCHIVE");
  const { layers } = await client.send(new BatchCheckLayerAvailabilityCommand({ repositoryName, layerDigests: [layerDigest] }));
  assert.deepEqual(layers, [{ layerDigest, layerAvailability: "ARCHIVED" }]);
  await assert.rejects(client.send(new GetDownloadUrlForLayerCommand({ repositoryName, layerDigest })), {
    name: "LayerInaccessibleException",
    message: `The layer with digest '${layerDigest}' is not accessible because every image in the repository with name '${repositoryName}' in registry with id '${server.accountId}' that references it is archived`,
  });
});

test("what cannot be is refused in ECR's words", async () => {
  const repositoryName = "shop/refusals";
  await pushImage(repositoryName);
  const where = `in the repository with name '${repositoryName}' in registry with id '${server.accountId}'`;
  const refused = (reason: string, tag = "null") => ({
    name: "ImageStorageClassUpdateNotSupportedException",
    message: `The storage class of the image with imageId {imageDigest:'${image.digest}', imageTag:'${tag}'} ${where} cannot be updated: ${reason}`,
  });
  await assert.rejects(update(repositoryName, "STANDARD"), refused("the image is in the STANDARD storage class already"));
  await update(repositoryName, "ARCHIVE");
  await assert.rejects(
    update(repositoryName, "ARCHIVE", { imageTag: "v1" }),
    refused("the image is in the ARCHIVE storage class already", "v1"),
  );
  await update(repositoryName, "STANDARD");
  await assert.rejects(update(repositoryName, "STANDARD"), refused("the image is being restored"));
  await assert.rejects(update(repositoryName, "ARCHIVE", { imageTag: "none" }), { name: "ImageNotFoundException" });
  await assert.rejects(update(repositoryName, "ARCHIVE", {}), { name: "InvalidParameterException" });
  await assert.rejects(update(repositoryName, "ARCHIVE", { imageDigest: "nothing" }), { name: "InvalidParameterException" });
  await assert.rejects(update("shop/nowhere", "ARCHIVE"), { name: "RepositoryNotFoundException" });
});

test("a push of an archived image takes it out at once", async () => {
  const repositoryName = "shop/pushed";
  await pushImage(repositoryName);
  await update(repositoryName, "ARCHIVE");
  await tierBlobs(server.core);
  const put = new PutImageCommand({ repositoryName, imageManifest: image.bytes.toString(), imageTag: "v1" });
  await assert.rejects(client.send(put), { name: "LayersNotFoundException" });
  await server.push(repositoryName, image, "v1");
  assert.deepEqual(await listed(repositoryName), [1, 1]);
  await assert.rejects(client.send(put), { name: "ImageAlreadyExistsException" });
});

test("referrers in the archive are listed where that is asked", async () => {
  const repositoryName = "shop/referrers";
  await pushImage(repositoryName);
  const signature = makeArtifact({ subject: image, artifactType: "application/vnd.example.signature" });
  await server.push(repositoryName, signature);
  await update(repositoryName, "ARCHIVE", { imageDigest: signature.digest });
  const listing = { repositoryName, subjectId: { imageDigest: image.digest } };
  assert.deepEqual((await client.send(new ListImageReferrersCommand(listing))).referrers, []);
  const { referrers } = await client.send(new ListImageReferrersCommand({ ...listing, filter: { artifactStatus: "ARCHIVED" } }));
  assert.deepEqual(
    referrers?.map(({ digest, artifactStatus }) => [digest, artifactStatus]),
    [[signature.digest, "ARCHIVED"]],
  );
  const onWire = await server.request("GET", `/v2/${repositoryName}/referrers/${image.digest}`);
  assert.deepEqual(onWire.json<{ manifests: unknown }>().manifests, []);
});
