/**
 * kill -9 while a server works on what it holds: lifecycle runs, moves between the tiers, replication, imports from an upstream, delivery of
 * events. Whatever was acknowledged is whole or properly deleted afterwards, what was begun comes to its end, and nothing is left behind.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreatePullThroughCacheRuleCommand,
  CreateRepositoryCommand,
  CreateRepositoryCreationTemplateCommand,
  DescribeImageReplicationStatusCommand,
  DescribeImagesCommand,
  DescribeRepositoriesCommand,
  GetLifecyclePolicyCommand,
  GetRepositoryPolicyCommand,
  PutLifecyclePolicyCommand,
  PutRegistryPolicyCommand,
  PutReplicationConfigurationCommand,
  UpdateImageStorageClassCommand,
} from "@aws-sdk/client-ecr";
import type { ECRClient, ImageStatus, RCTAppliedFor } from "@aws-sdk/client-ecr";
import type { EcrEvent } from "#events/event.ts";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { callControl } from "#server/control.ts";
import { dataFolderAt } from "#server/data-folder.ts";
import { createEcrClient } from "../aws-client.ts";
import { makeImage, makeIndex } from "../fixtures/oci-content.ts";
import type { Descriptor } from "../oci-client.ts";
import { home, openGround } from "./upkeep-ground.ts";
import type { Ground } from "./upkeep-ground.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** Names from `<prefix>-0` on. */
function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** Does it for every item, a few at once. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 6 }, worker));
}

async function createRepository({ ecr }: Ground, repositoryName: string): Promise<void> {
  await ecr.send(new CreateRepositoryCommand({ repositoryName, imageScanningConfiguration: { scanOnPush: true } }));
}

/** Pushes images that differ by their tag and share their blobs; answers tag → digest. */
async function pushSmall({ oci }: Ground, repository: string, tags: readonly string[]): Promise<Map<string, string>> {
  const layer = await oci.pushBlob(repository, Buffer.from(`the layer of ${repository}`));
  const config: Descriptor = await oci.pushBlob(repository, Buffer.from("{}"), "application/vnd.oci.image.config.v1+json");
  const digests = new Map<string, string>();
  await each(tags, async (tag) => {
    const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: [layer], annotations: { tag } };
    digests.set(tag, (await oci.putManifest(repository, tag, manifest)).digest);
  });
  return digests;
}

/** Tag → digest of the images in such a state. */
async function imagesOf(
  { ecr }: { readonly ecr: ECRClient },
  repositoryName: string,
  imageStatus: ImageStatus | "ANY",
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let nextToken: string | undefined, isFirst = true; isFirst || nextToken !== undefined; isFirst = false) {
    const page = await ecr.send(new DescribeImagesCommand({ repositoryName, filter: { imageStatus }, maxResults: 1000, nextToken }));
    for (const { imageTags = [], imageDigest = "" } of page.imageDetails ?? []) for (const tag of imageTags) found.set(tag, imageDigest);
    nextToken = page.nextToken;
  }
  return found;
}

/** Waits until the receiver has been told of all of these, in the words that `tell` makes of an event. */
async function untilTold(ground: Ground, tell: (event: EcrEvent) => string, expected: readonly string[]): Promise<void> {
  const missing = (): string[] => {
    const told = new Set(ground.receiver.events.map(tell));
    return expected.filter((one) => !told.has(one));
  };
  await ground
    .until("every event arrives", () => missing().length === 0)
    .catch((error: unknown) => {
      throw new Error(`${missing().length} of ${expected.length} events were lost: ${missing().slice(0, 5).join("; ")}`, { cause: error });
    });
}

/** Sends bytes in pieces, some hundredths of a second apart. */
async function trickle(bytes: Buffer, response: ServerResponse): Promise<void> {
  const pieces = 8;
  const size = Math.ceil(bytes.length / pieces);
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
  for (let start = 0; start < bytes.length && !response.destroyed; start += size) {
    response.write(bytes.subarray(start, start + size));
    await sleep(20);
  }
  response.end();
}

/** Opens a ground for one journey. */
function journey(name: string, walk: (ground: Ground, diagnostic: (text: string) => void) => Promise<void>): void {
  test(name, { timeout: 240_000 }, async (context) => {
    const ground = await openGround();
    try {
      await walk(ground, (text) => context.diagnostic(text));
      await ground.inspect();
      context.diagnostic(`${ground.kills()} kills`);
    } finally {
      await ground.close();
    }
  });
}

const templatePolicies = {
  repositoryPolicy: JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Sid: "read", Effect: "Allow", Principal: "*", Action: "ecr:BatchGetImage" }],
  }),
  lifecyclePolicy: JSON.stringify({
    rules: [
      {
        rulePriority: 1,
        selection: { tagStatus: "untagged", countType: "sinceImagePushed", countUnit: "days", countNumber: 14 },
        action: { type: "expire" },
      },
    ],
  }),
};

async function makeTemplate(ecr: ECRClient, prefix: string, occasion: RCTAppliedFor): Promise<void> {
  const facts = { prefix, appliedFor: [occasion], imageTagMutability: "IMMUTABLE" as const };
  await ecr.send(new CreateRepositoryCreationTemplateCommand({ ...facts, ...templatePolicies }));
}

/** A repository that was made by the template is all that the template says. */
async function assertMadeByTemplate(ecr: ECRClient, repositoryName: string): Promise<void> {
  const { repositories = [] } = await ecr.send(new DescribeRepositoriesCommand({ repositoryNames: [repositoryName] }));
  assert.equal(repositories[0]?.imageTagMutability, "IMMUTABLE", repositoryName);
  const { policyText = "" } = await ecr.send(new GetRepositoryPolicyCommand({ repositoryName }));
  assert.deepEqual(JSON.parse(policyText), JSON.parse(templatePolicies.repositoryPolicy), repositoryName);
  await ecr.send(new GetLifecyclePolicyCommand({ repositoryName }));
}

describe("kill -9 during", { concurrency: 1 }, () => {
  journey("a lifecycle run", async (ground) => {
    await createRepository(ground, "trim");
    const stale = names("old", 120);
    const aged = names("cold", 60);
    const kept = names("new", 20);
    const digests = await pushSmall(ground, "trim", [...stale, ...aged, ...kept]);
    const selection = (list: string) => ({ tagStatus: "tagged", tagPatternList: [list], countType: "imageCountMoreThan", countNumber: 1 });
    const rules = [
      { rulePriority: 1, selection: selection("old-*"), action: { type: "expire" } },
      { rulePriority: 2, selection: selection("cold-*"), action: { type: "transition", targetStorageClass: "archive" } },
    ];
    await ground.ecr.send(new PutLifecyclePolicyCommand({ repositoryName: "trim", lifecyclePolicyText: JSON.stringify({ rules }) }));
    const socket = dataFolderAt(ground.folder).controlSocket;
    let before = digests.size;
    for (let round = 0; round < 6; round += 1) {
      const run = callControl(socket, "lifecycle-run", { repository: "trim", dryRun: false }).catch(() => undefined);
      await ground.killAtRandom(1, 120);
      await run;
      const left = await imagesOf(ground, "trim", "ANY");
      assert.ok(left.size <= before, `${left.size} images after ${before}`);
      before = left.size;
      for (const tag of kept) assert.equal(left.get(tag), digests.get(tag), tag);
    }
    await ground.command("lifecycle", "run", "--repository", "trim");
    const active = await imagesOf(ground, "trim", "ACTIVE");
    const archived = await imagesOf(ground, "trim", "ARCHIVED");
    assert.deepEqual([active.size, archived.size], [kept.length + 2, aged.length - 1]);
    for (const [tag, digest] of [...active, ...archived]) assert.equal(digest, digests.get(tag), tag);
    for (const tag of active.keys()) await ground.oci.verifyImage("trim", tag);
    const gone = stale.filter((tag) => !active.has(tag));
    // What expired is a deletion like any other: it comes back whole.
    for (const tag of gone.slice(0, 3)) {
      await ground.command("restore", "trim", "--tag", tag);
      assert.equal((await ground.oci.verifyImage("trim", tag)).digest, digests.get(tag));
    }
    await untilTold(ground, ({ detail }) => `${String(detail["action-type"])} ${String(detail["image-digest"])}`, [
      ...gone.map((tag) => `DELETE ${digests.get(tag)}`),
      ...[...archived.values()].map((digest) => `UPDATE_STORAGE_CLASS ${digest}`),
    ]);
  });

  journey("moves between the tiers", async (ground) => {
    await createRepository(ground, "vault");
    const tags = names("v", 30);
    const digests = new Map<string, string>();
    await each(tags, async (tag) => {
      digests.set(tag, (await ground.oci.pushImage("vault", tag, [randomBytes(1_500_000)])).digest);
    });
    const change = (target: "ARCHIVE" | "STANDARD", tag: string) =>
      ground.insist(async (attempt) => {
        const input = { repositoryName: "vault", imageId: { imageTag: tag }, targetStorageClass: target };
        await ground.ecr.send(new UpdateImageStorageClassCommand(input)).catch((error: unknown) => {
          // The answer of an attempt before may have been cut off by the kill.
          if (attempt === 1 || (error as Error).name !== "ImageStorageClassUpdateNotSupportedException") throw error;
        });
      });
    const back = tags.slice(10);
    for (const [target, moved] of [
      ["ARCHIVE", tags],
      ["STANDARD", back],
    ] as const) {
      await Promise.all([each(moved, (tag) => change(target, tag)), ground.killAtRandom(5, 500)]);
    }
    await ground.until("every restored image is ACTIVE", async () => (await imagesOf(ground, "vault", "ACTIVE")).size === back.length);
    for (const tag of back) assert.equal((await ground.oci.verifyImage("vault", tag)).digest, digests.get(tag));
    for (const tag of tags.slice(0, 10)) await assert.rejects(ground.oci.verifyImage("vault", tag), tag);
    await untilTold(ground, ({ detail }) => `${String(detail["target-storage-class"])} ${String(detail["image-digest"])}`, [
      ...tags.map((tag) => `ARCHIVE ${digests.get(tag)}`),
      ...back.map((tag) => `STANDARD ${digests.get(tag)}`),
    ]);
  });

  journey("replication", async (ground) => {
    const neighbour = "111111111111";
    const key = (await callControl(dataFolderAt(ground.folder).controlSocket, "account-create", { accountId: neighbour })) as {
      accessKeyId: string;
      secretAccessKey: string;
    };
    const other = createEcrClient(ground.server().url, home.region, key);
    const elsewhere = createEcrClient(ground.server().url, home.otherRegion);
    await makeTemplate(other, "shop", "REPLICATION");
    const allow = {
      Sid: "copies",
      Effect: "Allow",
      Principal: { AWS: `arn:aws:iam::${home.accountId}:root` },
      Action: ["ecr:ReplicateImage", "ecr:CreateRepository"],
      Resource: `arn:aws:ecr:${home.region}:${neighbour}:repository/*`,
    };
    await other.send(new PutRegistryPolicyCommand({ policyText: JSON.stringify({ Version: "2012-10-17", Statement: [allow] }) }));
    const destinations = [
      { region: home.region, registryId: neighbour },
      { region: home.otherRegion, registryId: home.accountId },
    ];
    await ground.ecr.send(new PutReplicationConfigurationCommand({ replicationConfiguration: { rules: [{ destinations }] } }));
    const repositories = names("shop/app", 6);
    for (const name of repositories) await createRepository(ground, name);
    const pushed: { readonly name: string; readonly tag: string; readonly digest: string }[] = [];
    const push = (name: string) =>
      each(names("v", 4), async (tag) => {
        const layer = randomBytes(1_000_000);
        const { digest } = await ground.insist(() => ground.oci.pushImage(name, tag, [layer]));
        pushed.push({ name, tag, digest });
      });
    await Promise.all([each(repositories, push), ground.killAtRandom(5, 900)]);
    const statusesOf = async ({ name, tag }: { readonly name: string; readonly tag: string }): Promise<readonly (string | undefined)[]> => {
      const asked = new DescribeImageReplicationStatusCommand({ repositoryName: name, imageId: { imageTag: tag } });
      return ((await ground.ecr.send(asked)).replicationStatuses ?? []).map(({ status }) => status);
    };
    for (const image of pushed)
      await ground.until(`${image.name}:${image.tag} is replicated`, async () => {
        const statuses = await statusesOf(image);
        assert.equal(statuses.includes("FAILED"), false, `${image.name}:${image.tag}`);
        return statuses.join(" ") === "COMPLETE COMPLETE";
      });
    for (const name of repositories) {
      const own = pushed.filter((image) => image.name === name).map(({ tag, digest }) => [tag, digest] as const);
      for (const ecr of [other, elsewhere]) assert.deepEqual(await imagesOf({ ecr }, name, "ANY"), new Map(own));
      await assertMadeByTemplate(other, name);
    }
    const place = ({ detail, account, region }: EcrEvent): string => `${account}/${region} ${String(detail["image-digest"])}`;
    await untilTold(
      ground,
      (event) => `${String(event.detail["action-type"])} ${place(event)}`,
      pushed.flatMap(({ digest }) => [
        `PUSH ${home.accountId}/${home.region} ${digest}`,
        ...destinations.map(({ region, registryId }) => `REPLICATE ${registryId}/${region} ${digest}`),
      ]),
    );
    for (const ecr of [other, elsewhere]) ecr.destroy();
  });

  journey("imports from an upstream", async (ground) => {
    const upstream = await startUpstreamDouble();
    try {
      await ground.ecr.send(
        new CreatePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "hub", upstreamRegistryUrl: `http://${upstream.host}` }),
      );
      await makeTemplate(ground.ecr, "hub", "PULL_THROUGH_CACHE");
      const images = names("team/app", 8).map((name) => ({
        name,
        image: makeImage({ seed: name, layerCount: 2, layerSizeBytes: 600_000 }),
      }));
      const children = names("child", 5).map((seed) => makeImage({ seed, layerSizeBytes: 200_000 }));
      const index = makeIndex(children);
      const blobs = new Map<string, Buffer>();
      upstream.serve("team/multi", { manifest: index, tags: ["v1"] });
      for (const { name, image } of [...images, ...children.map((image) => ({ name: "team/multi", image }))]) {
        upstream.serve(name, { manifest: image, tags: name === "team/multi" ? [] : ["v1"] });
        for (const blob of [image.config, ...image.layers]) blobs.set(blob.digest, blob.bytes);
      }
      upstream.misbehave((request, response) => {
        const bytes = blobs.get(request.url?.split("/").at(-1) ?? "");
        if (bytes === undefined || request.method !== "GET") return false;
        return trickle(bytes, response);
      });
      const pull = ({ name }: { readonly name: string }) => ground.insist(() => ground.oci.verifyImage(`hub/${name}`, "v1"));
      const digests = new Map<string, string>();
      const pulls = each(images, async (image) => void digests.set(image.name, (await pull(image)).digest));
      const pullIndex = ground.insist(() => ground.oci.request("GET", "/v2/hub/team/multi/manifests/v1"));
      await Promise.all([pulls, pullIndex, ground.killAtRandom(5, 500)]);
      assert.equal((await pullIndex).status, 200);
      await ground.until("the children of the index, for which nobody asked, are stored", async () => {
        const { imageDetails = [] } = await ground.ecr.send(new DescribeImagesCommand({ repositoryName: "hub/team/multi" }));
        const stored = new Set(imageDetails.map(({ imageDigest }) => imageDigest));
        return children.every(({ digest }) => stored.has(digest));
      });
      for (const { name, image } of images) {
        assert.equal(digests.get(name), image.digest);
        // What was killed with its last byte on the way to the client was not stored: the next pull does that.
        await ground.until(`${name} is stored`, async () => {
          await pull({ name });
          return (await imagesOf(ground, `hub/${name}`, "ACTIVE")).get("v1") === image.digest;
        });
        await assertMadeByTemplate(ground.ecr, `hub/${name}`);
      }
      await untilTold(
        ground,
        ({ detail }) => `${String(detail["sync-status"])} ${String(detail["repository-name"])}:${String(detail["image-tag"])}`,
        [...images.map(({ name }) => name), "team/multi"].map((name) => `SUCCESS hub/${name}:v1`),
      );
      upstream.misbehave((_request, response) => response.destroy());
      for (const image of images) await pull(image);
      for (const { digest } of children) await ground.oci.verifyImage("hub/team/multi", digest);
    } finally {
      await upstream.close();
    }
  });

  journey("delivery of events", async (ground, diagnostic) => {
    await createRepository(ground, "told");
    const tags = names("t", 150);
    let batches = 0;
    let dying: Promise<void> = Promise.resolve();
    // Some batches die unanswered, some right after the answer.
    ground.receiver.beforeAnswer = async () => {
      batches += 1;
      if (ground.kills() >= 6 || Math.random() < 0.2) return;
      if (Math.random() < 0.5) await ground.kill();
      else dying = sleep(Math.random() * 20).then(() => ground.kill());
    };
    const layer = await ground.insist(() => ground.oci.pushBlob("told", Buffer.from("a layer")));
    const config = await ground.insist(() => ground.oci.pushBlob("told", Buffer.from("{}"), "application/vnd.oci.image.config.v1+json"));
    for (const tag of tags) {
      const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: [layer], annotations: { tag } };
      await ground.insist(() => ground.oci.putManifest("told", tag, manifest));
      await sleep(15);
    }
    const tagOf = ({ detail }: EcrEvent): string => `${String(detail["action-type"])} ${String(detail["image-tag"])}`;
    const expected = tags.map((tag) => `PUSH ${tag}`);
    await untilTold(ground, tagOf, expected);
    ground.receiver.beforeAnswer = async () => undefined;
    await dying;
    const order = [...new Set(ground.receiver.events.map(tagOf))].filter((text) => text.startsWith("PUSH"));
    assert.deepEqual(order, expected);
    const ids = new Set(ground.receiver.events.map(({ id }) => id));
    diagnostic(`${batches} batches, ${ground.receiver.events.length} events of which ${ids.size} are different`);
  });
});
