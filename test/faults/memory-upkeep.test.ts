/** Peak resident memory (VmHWM) while a server works on what is large: a layer from an upstream, a layer copied to another account, a repository of 100,000 images. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { createServer, request } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import type { TestContext } from "node:test";
import {
  CreatePullThroughCacheRuleCommand,
  CreateRepositoryCommand,
  DescribeImageReplicationStatusCommand,
  DescribeImagesCommand,
  PutRegistryPolicyCommand,
  PutReplicationConfigurationCommand,
} from "@aws-sdk/client-ecr";
import { callControl } from "#server/control.ts";
import { dataFolderAt } from "#server/data-folder.ts";
import type { LifecycleRunPage } from "#registry/lifecycle-schedule.ts";
import { until } from "#std/testing/until.ts";
import { writeLifecycleContent } from "../../bench/lifecycle-content.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { createOciClient, sha256 } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { home } from "./upkeep-ground.ts";

const gigabyte = 1_073_741_824;
const block = Buffer.alloc(1_048_576, "supercargo");
const limitBytes = 320_000_000;
/** Every image of the repository is looked at, with its tags, before one is judged: some 1,500 bytes each. */
const manyLimitBytes = 400_000_000;
const pullers = 4;
const neighbour = "111111111111";
const manyImages = 100_000;
const expiring = 5_000;

const layerType = "application/vnd.oci.image.layer.v1.tar";
const config = Buffer.from("{}");
let layerDigest: string;
let manifest: Buffer;

before(() => {
  const hash = createHash("sha256");
  for (let sent = 0; sent < gigabyte; sent += block.length) hash.update(block);
  layerDigest = `sha256:${hash.digest("hex")}`;
  manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
      layers: [{ mediaType: layerType, digest: layerDigest, size: gigabyte }],
    }),
  );
});

/** A gigabyte, as fast as it is taken. */
function writeLayer(to: NodeJS.WritableStream): void {
  let sent = 0;
  const more = (): void => {
    while (sent < gigabyte) {
      sent += block.length;
      if (!to.write(block)) return void to.once("drain", more);
    }
    to.end();
  };
  more();
}

/** Another registry, which has one image. */
async function startUpstream(): Promise<Server> {
  const whole = (response: ServerResponse, bytes: Buffer, type: string): void =>
    void response
      .writeHead(200, { "content-type": type, "content-length": bytes.length, "docker-content-digest": sha256(bytes) })
      .end(bytes);
  const server = createServer(({ url = "" }, response) => {
    if (url.includes("/manifests/")) whole(response, manifest, "application/vnd.oci.image.manifest.v1+json");
    else if (url.endsWith(sha256(config))) whole(response, config, "application/octet-stream");
    else if (url.endsWith(layerDigest)) {
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": gigabyte });
      writeLayer(response);
    } else response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function untilIt(otherwise: string, server: ServerProcess, holds: () => Promise<boolean>): Promise<void> {
  await until(holds, { withinMs: 120_000, everyMs: 100, otherwise: () => `${otherwise}\n${server.output()}` });
}

function judge(context: TestContext, what: string, server: ServerProcess, limit = limitBytes): void {
  const peak = server.peakMemoryBytes();
  const text = `${what}: peak ${Math.round(peak / 1e6)} MB`;
  context.diagnostic(text);
  process.stdout.write(`memory: ${text}\n`);
  assert.ok(peak < limit, text);
}

async function authorizationAt(server: ServerProcess): Promise<string> {
  return `Basic ${Buffer.from(`AWS:${await registryPassword(createEcrClient(server.url))}`).toString("base64")}`;
}

const free = statfsSync(tmpdir());
const roomBytes = free.bavail * free.bsize;
const skip = roomBytes < 6 * gigabyte ? { skip: `needs ${6 * gigabyte} bytes of disk, ${roomBytes} are free` } : {};

test("a gigabyte from an upstream for four clients at once", { timeout: 300_000, ...skip }, async (context) => {
  const upstream = await startUpstream();
  const host = `127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: host } });
  try {
    const ecr = createEcrClient(server.url);
    await ecr.send(new CreatePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "hub", upstreamRegistryUrl: `http://${host}` }));
    const authorization = await authorizationAt(server);
    const pull = async (): Promise<number> => {
      const named = await fetch(`${server.url}/v2/hub/big/manifests/v1`, { headers: { authorization } });
      assert.ok(Buffer.from(await named.arrayBuffer()).equals(manifest));
      const answer = await fetch(`${server.url}/v2/hub/big/blobs/${layerDigest}`, { headers: { authorization } });
      let received = 0;
      for await (const chunk of answer.body ?? []) {
        // The block comes again and again, so every byte can be compared in place.
        for (let at = 0; at < chunk.length; at += block.length) {
          const part = chunk.subarray(at, at + block.length);
          const start = (received + at) % block.length;
          const end = Math.min(block.length, start + part.length);
          assert.equal(block.compare(part, 0, end - start, start, end), 0);
          assert.equal(block.compare(part, end - start, part.length, 0, part.length - (end - start)), 0);
        }
        received += chunk.length;
      }
      return received;
    };
    assert.deepEqual(
      await Promise.all(Array.from({ length: pullers }, pull)),
      Array.from({ length: pullers }, () => gigabyte),
    );
    await untilIt("the image was not stored", server, async () => {
      const { imageDetails = [] } = await ecr.send(new DescribeImagesCommand({ repositoryName: "hub/big" }));
      return imageDetails[0]?.imageTags?.includes("v1") === true;
    });
    judge(context, `${pullers} clients pull a layer of 1 GB through`, server);
  } finally {
    upstream.closeAllConnections();
    upstream.close();
    await server.close();
  }
});

test("a gigabyte copied to another account", { timeout: 300_000, ...skip }, async (context) => {
  const server = await startServerProcess();
  try {
    const key = (await callControl(dataFolderAt(server.folder).controlSocket, "account-create", { accountId: neighbour })) as {
      accessKeyId: string;
      secretAccessKey: string;
    };
    const allow = {
      Sid: "copies",
      Effect: "Allow",
      Principal: { AWS: `arn:aws:iam::${home.accountId}:root` },
      Action: ["ecr:ReplicateImage", "ecr:CreateRepository"],
      Resource: `arn:aws:ecr:${home.region}:${neighbour}:repository/*`,
    };
    const policyText = JSON.stringify({ Version: "2012-10-17", Statement: [allow] });
    await createEcrClient(server.url, home.region, key).send(new PutRegistryPolicyCommand({ policyText }));
    const ecr = createEcrClient(server.url);
    const rules = [{ destinations: [{ region: home.region, registryId: neighbour }] }];
    await ecr.send(new PutReplicationConfigurationCommand({ replicationConfiguration: { rules } }));
    await ecr.send(new CreateRepositoryCommand({ repositoryName: "big" }));
    const password = await registryPassword(ecr);
    const oci = createOciClient(server.url, password);
    await oci.pushBlob("big", config, "application/vnd.oci.image.config.v1+json");
    const opened = await oci.request("POST", "/v2/big/blobs/uploads/");
    const location = new URL(opened.headers.get("location") ?? "", server.url);
    location.searchParams.set("digest", layerDigest);
    const authorization = await authorizationAt(server);
    await new Promise<void>((resolve, reject) => {
      const put = request(location, { method: "PUT", headers: { authorization, "content-length": gigabyte } }, (answer) => {
        answer.resume().once("end", () => (answer.statusCode === 201 ? resolve() : reject(new Error(`PUT answered ${answer.statusCode}`))));
      });
      writeLayer(put.once("error", reject));
    });
    const pushed = server.peakMemoryBytes();
    await oci.putManifest("big", "v1", JSON.parse(manifest.toString()) as object);
    await untilIt("the copy was not completed", server, async () => {
      const asked = new DescribeImageReplicationStatusCommand({ repositoryName: "big", imageId: { imageTag: "v1" } });
      const { replicationStatuses = [] } = await ecr.send(asked);
      assert.notEqual(replicationStatuses[0]?.status, "FAILED", server.output());
      return replicationStatuses[0]?.status === "COMPLETE";
    });
    judge(context, `a layer of 1 GB is copied to another account (after its push, which peaked at ${Math.round(pushed / 1e6)} MB)`, server);
  } finally {
    await server.close();
  }
});

test("a lifecycle run over 100,000 images", { timeout: 300_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-many-"));
  try {
    await (await startServerProcess({ folder })).kill("SIGTERM");
    const { databaseFile, controlSocket } = dataFolderAt(folder);
    const content = { accountId: home.accountId, region: home.region, repositories: 1, imagesPerRepository: manyImages, expiring };
    writeLifecycleContent(databaseFile, content, Date.now());
    const server = await startServerProcess({ folder });
    try {
      const idle = server.peakMemoryBytes();
      const began = performance.now();
      const { reports } = (await callControl(controlSocket, "lifecycle-run", {
        repository: "bench/app-000000",
        dryRun: false,
      })) as LifecycleRunPage;
      const seconds = Math.round((performance.now() - began) / 1_000);
      const done = reports.flatMap(({ rules }) => rules).reduce((sum, rule) => sum + rule.done, 0);
      assert.deepEqual([reports[0]?.looked, done], [manyImages, expiring]);
      judge(
        context,
        `${expiring} of ${manyImages} images expire (${seconds} s; idle ${Math.round(idle / 1e6)} MB)`,
        server,
        manyLimitBytes,
      );
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
