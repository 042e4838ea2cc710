/**
 * Two servers on one machine that replicate to each other, each as a process of its own, over links that can be cut: nothing is lost, nothing
 * goes in circles, and what has arrived is not sent again.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateRepositoryCommand, DescribeImageReplicationStatusCommand, PutReplicationConfigurationCommand } from "@aws-sdk/client-ecr";
import type { ECRClient } from "@aws-sdk/client-ecr";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { createOciClient } from "../oci-client.ts";
import type { OciClient } from "../oci-client.ts";
import { freePort, rootKey, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

const mebibyte = 1_048_576;
const account = "000000000000";

/** A link to a port of this machine that counts what is sent and can be cut. */
interface Link {
  readonly port: number;
  sentBytes(): number;
  /** Breaks everything off after so many more bytes, and stays down. */
  cutAfter(bytes: number): void;
  isDown(): boolean;
  restore(): void;
  close(): void;
}

async function openLink(target: number): Promise<Link> {
  const sockets = new Set<Socket>();
  let sent = 0;
  let cutAt = Infinity;
  let isDown = false;
  const server = createServer((near) => {
    if (isDown) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.once("close", () => void (sockets.delete(from), to.destroy()));
    }
    far.pipe(near);
    near.on("data", (chunk: Buffer) => {
      sent += chunk.length;
      if (sent >= cutAt) {
        isDown = true;
        for (const socket of sockets) socket.destroy();
      } else if (!far.write(chunk)) near.pause();
    });
    far.on("drain", () => near.resume());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sentBytes: () => sent,
    cutAfter: (bytes) => void (cutAt = sent + bytes),
    isDown: () => isDown,
    restore() {
      isDown = false;
      cutAt = Infinity;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A server with its clients; the token is of this life of its process. */
interface Site {
  readonly server: ServerProcess;
  readonly ecr: ECRClient;
  readonly oci: OciClient;
}

const folder = mkdtempSync(join(tmpdir(), "supercargo-replication-"));
let east: Site;
let west: Site;
let toWest: Link;
let toEast: Link;
let eastPort: number;

async function startSite(region: string, peer: { readonly region: string; readonly port: number }, port: number): Promise<Site> {
  const peers = join(folder, `${region}.yaml`);
  writeFileSync(
    peers,
    `- region: ${peer.region}\n  url: http://127.0.0.1:${peer.port}\n  accessKeyId: ${rootKey.accessKeyId}\n  secretAccessKeyEnvironment: PEER_SECRET\n`,
  );
  const server = await startServerProcess({
    port,
    folder: join(folder, region),
    environment: {
      SUPERCARGO_REGION: region,
      SUPERCARGO_PEERS: peers,
      PEER_SECRET: rootKey.secretAccessKey,
      SUPERCARGO_SHUTDOWN_SECONDS: "1",
    },
  });
  const ecr = createEcrClient(server.url, region);
  return { server, ecr, oci: createOciClient(server.url, await registryPassword(ecr)) };
}

before(async () => {
  eastPort = await freePort();
  const westPort = await freePort();
  toWest = await openLink(westPort);
  toEast = await openLink(eastPort);
  west = await startSite("eu-west-1", { region: "us-east-1", port: toEast.port }, westPort);
  east = await startSite("us-east-1", { region: "eu-west-1", port: toWest.port }, eastPort);
  for (const [{ ecr }, region] of [
    [east, "eu-west-1"],
    [west, "us-east-1"],
  ] as const) {
    const rules = [{ destinations: [{ region, registryId: account }] }];
    await ecr.send(new PutReplicationConfigurationCommand({ replicationConfiguration: { rules } }));
  }
  await east.ecr.send(new CreateRepositoryCommand({ repositoryName: "web" }));
});
after(async () => {
  for (const { ecr, server } of [east, west]) {
    ecr.destroy();
    await server.close();
  }
  for (const link of [toEast, toWest]) link.close();
  rmSync(folder, { recursive: true, force: true });
});

async function statusOf(site: Site, tag: string): Promise<string> {
  const answer = await site.ecr.send(new DescribeImageReplicationStatusCommand({ repositoryName: "web", imageId: { imageTag: tag } }));
  return (answer.replicationStatuses ?? []).map(({ status, failureCode = "" }) => `${status}${failureCode}`).join(",");
}

async function untilIt(otherwise: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const told = () => `${otherwise}\neast:\n${east.server.output()}\nwest:\n${west.server.output()}`;
  await until(holds, { withinMs: 60_000, everyMs: 50, otherwise: told });
}

/** A layer of its own in every push. */
const layer = (sizeBytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(randomBytes(sizeBytes));

test("a link that breaks in the middle of a blob costs no more than the piece that was under way", async () => {
  const before = toWest.sentBytes();
  toWest.cutAfter(24 * mebibyte);
  const { digest } = await east.oci.pushImage("web", "v1", [layer(40 * mebibyte)]);
  await untilIt("the link was never cut", () => toWest.isDown());
  assert.equal(await statusOf(east, "v1"), "IN_PROGRESS");
  await sleep(500);
  toWest.restore();
  await untilIt("v1 does not arrive", async () => (await statusOf(east, "v1")) === "COMPLETE");
  assert.equal((await west.oci.verifyImage("web", "v1")).digest, digest);
  const sent = (toWest.sentBytes() - before) / mebibyte;
  // 24 before the cut, of which 16 counted, and 24 after it; all over again it would be 64.
  assert.ok(sent > 40 && sent < 52, `${sent} MiB were sent for 40`);
});

test("a restart in the middle of a blob costs no more either", async () => {
  const before = toWest.sentBytes();
  toWest.cutAfter(24 * mebibyte);
  const { digest } = await east.oci.pushImage("web", "v2", [layer(40 * mebibyte)]);
  await untilIt("the link was never cut", () => toWest.isDown());
  east.ecr.destroy();
  await east.server.kill("SIGTERM");
  toWest.restore();
  east = await startSite("us-east-1", { region: "eu-west-1", port: toWest.port }, eastPort);
  await untilIt("v2 does not arrive", async () => (await statusOf(east, "v2")) === "COMPLETE");
  assert.equal((await west.oci.verifyImage("web", "v2")).digest, digest);
  const sent = (toWest.sentBytes() - before) / mebibyte;
  assert.ok(sent > 40 && sent < 52, `${sent} MiB were sent for 40`);
});

test("copies are not sent back, and a push on the other side comes over", async () => {
  assert.deepEqual([await statusOf(west, "v1"), await statusOf(west, "v2")], ["", ""]);
  const { digest } = await west.oci.pushImage("web", "v1", [layer(10_000)]);
  await untilIt("v1 does not come back", async () => (await statusOf(west, "v1")) === "COMPLETE");
  assert.equal((await east.oci.verifyImage("web", "v1")).digest, digest);
  assert.equal(await statusOf(east, "v1"), "");
  const metrics = await (await fetch(`${east.server.url}/metrics`)).text();
  assert.match(metrics, /# TYPE supercargo_replication_lag_seconds gauge/);
});
