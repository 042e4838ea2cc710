import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  DeleteLifecyclePolicyCommand,
  ECRClient,
  GetLifecyclePolicyCommand,
  GetLifecyclePolicyPreviewCommand,
  PutLifecyclePolicyCommand,
  StartLifecyclePolicyPreviewCommand,
  paginateGetLifecyclePolicyPreview,
  waitUntilLifecyclePolicyPreviewComplete,
} from "@aws-sdk/client-ecr";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import type { LifecyclePreviewJob } from "#metadata/lifecycle-previews.ts";
import { makeLifecyclePreview, removeOldPreviews } from "#registry/lifecycle-preview.ts";
import { makeImage, makeIndex } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
let server: RegistryServer;
let client: ECRClient;

before(async () => {
  server = await startRegistryServer();
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
  // The client would believe the Date of the answers, which is the machine's.
  Object.defineProperty(client.config, "systemClockOffset", { get: () => movedMs, set() {} });
  await server.createRepository("life/empty");
});
after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** Expects that the SDK throws this exception; with the text when it is given. */
async function refused(call: Promise<unknown>, name: string, message?: string): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });
}

let movedMs = 0;

/** Moves the server's clock, and the client's with it. */
function advance(milliseconds: number): void {
  server.advance(milliseconds);
  movedMs += milliseconds;
}

const untaggedRule = {
  rulePriority: 2,
  description: "nobody will miss these",
  selection: { tagStatus: "untagged", countType: "sinceImagePushed", countUnit: "days", countNumber: 1 },
  action: { type: "expire" },
};
const archiveRule = {
  rulePriority: 1,
  selection: { tagStatus: "tagged", tagPrefixList: ["old"], countType: "sinceImagePushed", countUnit: "days", countNumber: 1 },
  action: { type: "transition", targetStorageClass: "archive" },
};
const policy = JSON.stringify({ rules: [untaggedRule, archiveRule] }, null, 2);
const canonical = JSON.stringify({ rules: [archiveRule, untaggedRule] });
const put = (repositoryName: string, lifecyclePolicyText = policy) =>
  client.send(new PutLifecyclePolicyCommand({ repositoryName, lifecyclePolicyText }));
const get = (repositoryName: string) => client.send(new GetLifecyclePolicyCommand({ repositoryName }));
const start = (repositoryName: string, lifecyclePolicyText?: string) =>
  client.send(new StartLifecyclePolicyPreviewCommand({ repositoryName, lifecyclePolicyText }));
const preview = (repositoryName: string, more: object = {}) =>
  client.send(new GetLifecyclePolicyPreviewCommand({ repositoryName, ...more }));

/** Does what the worker would do. */
async function makePreviews(): Promise<void> {
  for (;;) {
    const job = await claimJob(server.core.metadata, { kinds: ["lifecycle-preview"], now: server.core.clock.now(), leaseMs: hourMs });
    if (job === undefined) return;
    await makeLifecyclePreview(server.core, job.payload as LifecyclePreviewJob, { attempt: job.attempt });
    await finishJob(server.core.metadata, job);
  }
}

test("a policy is set, comes back compact, and is deleted", async () => {
  const name = { registryId: "123456789012", repositoryName: "life/empty" };
  const { $metadata: _, ...set } = await put("life/empty");
  assert.deepEqual(set, { ...name, lifecyclePolicyText: canonical });
  const { $metadata: __, ...found } = await get("life/empty");
  assert.deepEqual(found, { ...name, lifecyclePolicyText: canonical, lastEvaluatedAt: new Date(0) });
  const { $metadata: ___, ...deleted } = await client.send(new DeleteLifecyclePolicyCommand({ repositoryName: "life/empty" }));
  assert.deepEqual(deleted, found);
});

test("what is not there or not a policy is refused in ECR's words", async () => {
  const missing = "Lifecycle policy does not exist for the repository with name 'life/empty' in the registry with id '123456789012'";
  await refused(get("life/empty"), "LifecyclePolicyNotFoundException", missing);
  await refused(
    client.send(new DeleteLifecyclePolicyCommand({ repositoryName: "life/empty" })),
    "LifecyclePolicyNotFoundException",
    missing,
  );
  await refused(start("life/empty"), "LifecyclePolicyNotFoundException", missing);
  await refused(preview("life/empty"), "LifecyclePolicyPreviewNotFoundException");
  for (const call of [put("life/none"), get("life/none"), start("life/none", policy), start("life/none"), preview("life/none")])
    await refused(call, "RepositoryNotFoundException");
  const constraint = "Lifecycle policy validation failure: Duplicate priority in multiple rules";
  const text = JSON.stringify({ rules: [untaggedRule, { ...archiveRule, rulePriority: 2 }] });
  const message = `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '${constraint}'`;
  await refused(put("life/empty", text), "InvalidParameterException", message);
  await refused(start("life/empty", text), "InvalidParameterException", message);
  await refused(
    put("life/empty", "{}"),
    "InvalidParameterException",
    "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'",
  );
});

test("a preview is made, waited for, paged, filtered, and grows old", async () => {
  await server.createRepository("life/preview");
  const images = ["a", "b", "c", "d"].map((seed) => makeImage({ seed }));
  const [a, b, c, d] = images;
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  await server.push("life/preview", a);
  await server.push("life/preview", b, "old-1", "kept");
  await server.push("life/preview", c, "young");
  await server.push("life/preview", d);
  await server.push("life/preview", makeIndex([d]), "index");
  advance(2 * dayMs);
  const begun = await start("life/preview", policy);
  assert.deepEqual([begun.status, begun.lifecyclePolicyText], ["IN_PROGRESS", policy]);
  await refused(start("life/preview", policy), "LifecyclePolicyPreviewInProgressException");
  const waiting = await preview("life/preview");
  assert.deepEqual([waiting.status, waiting.previewResults, waiting.summary], ["IN_PROGRESS", [], undefined]);
  await makePreviews();
  const waited = await waitUntilLifecyclePolicyPreviewComplete({ client, maxWaitTime: 6 }, { repositoryName: "life/preview" });
  assert.equal(waited.state, "SUCCESS");
  const done = await preview("life/preview");
  assert.equal(done.lifecyclePolicyText, policy);
  const summary = { expiringImageTotalCount: 1, transitioningImageTotalCounts: [{ targetStorageClass: "ARCHIVE", imageTotalCount: 1 }] };
  assert.deepEqual(done.summary, summary);
  for (const { imagePushedAt } of done.previewResults ?? []) assert.equal(imagePushedAt?.getMilliseconds(), 0);
  const shown = done.previewResults?.map((result) => ({ ...result, imagePushedAt: undefined }));
  const archived = {
    imageTags: ["kept", "old-1"],
    imageDigest: b.digest,
    imagePushedAt: undefined,
    action: { type: "TRANSITION", targetStorageClass: "ARCHIVE" },
    appliedRulePriority: 1,
    storageClass: "STANDARD",
  };
  const expired = {
    imageDigest: a.digest,
    imagePushedAt: undefined,
    action: { type: "EXPIRE" },
    appliedRulePriority: 2,
    storageClass: "STANDARD",
  };
  assert.deepEqual(shown, [archived, expired]);
  const pages: unknown[] = [];
  for await (const page of paginateGetLifecyclePolicyPreview({ client, pageSize: 1 }, { repositoryName: "life/preview" })) {
    assert.deepEqual(page.summary, summary);
    pages.push(page.previewResults?.map(({ imageDigest }) => imageDigest));
  }
  assert.deepEqual(pages, [[b.digest], [a.digest]]);
  const digestsOf = async (more: object): Promise<unknown> =>
    (await preview("life/preview", more)).previewResults?.map(({ imageDigest }) => imageDigest);
  assert.deepEqual(await digestsOf({ filter: { tagStatus: "TAGGED" } }), [b.digest]);
  assert.deepEqual(await digestsOf({ filter: { tagStatus: "UNTAGGED" } }), [a.digest]);
  assert.deepEqual(await digestsOf({ imageIds: [{ imageTag: "kept" }, { imageTag: "young" }] }), [b.digest]);
  assert.deepEqual(await digestsOf({ imageIds: [{ imageDigest: a.digest }, { imageDigest: c.digest }] }), [a.digest]);
  assert.deepEqual(await digestsOf({ imageIds: [{ imageDigest: b.digest, imageTag: "young" }] }), []);
  advance(dayMs);
  const old = await preview("life/preview");
  assert.deepEqual([old.status, old.previewResults], ["EXPIRED", []]);
  await removeOldPreviews(server.core);
  assert.equal((await preview("life/preview")).status, "EXPIRED");
  assert.equal((await start("life/preview", policy)).status, "IN_PROGRESS", "a new one takes its place");
});

test("without a text the repository's own policy is previewed", async () => {
  await server.createRepository("life/own");
  await put("life/own");
  assert.equal((await start("life/own")).lifecyclePolicyText, canonical);
  await makePreviews();
  const done = await preview("life/own");
  assert.deepEqual([done.status, done.summary], ["COMPLETE", { expiringImageTotalCount: 0 }]);
});

test("a preview that nobody makes has failed", async () => {
  await server.createRepository("life/stuck");
  await start("life/stuck", policy);
  advance(11 * 60_000);
  assert.equal((await preview("life/stuck")).status, "FAILED");
  assert.equal((await start("life/stuck", policy)).status, "IN_PROGRESS");
});

test("parameters that contradict each other are refused", async () => {
  const imageIds = [{ imageTag: "a" }];
  for (const [more, name] of [
    [{ imageIds, maxResults: 5 }, "InvalidParameterException"],
    [{ imageIds, nextToken: "token" }, "InvalidParameterException"],
    [{ imageIds: [{}] }, "InvalidParameterException"],
    [{ imageIds: [{ imageDigest: "none" }] }, "InvalidParameterException"],
    [{ maxResults: 101 }, "InvalidParameterException"],
    [{ nextToken: "token" }, "InvalidParameterException"],
  ] as const)
    await refused(preview("life/empty", more), name);
});
