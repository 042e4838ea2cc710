/** Two nodes on one PostgreSQL: one is killed while it holds leases, and the other does what it had begun, when they have run out. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateRepositoryCommand,
  DescribeImageReplicationStatusCommand,
  DescribeImagesCommand,
  PutRegistryPolicyCommand,
  PutReplicationConfigurationCommand,
} from "@aws-sdk/client-ecr";
import pg from "pg";
import { dataFolderAt } from "#server/data-folder.ts";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { mustRun } from "../clients/tool.ts";
import { createOciClient } from "../oci-client.ts";
import { postgresMissing, startPostgres } from "../postgres.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { home, receiverSettings, startReceiver } from "./upkeep-ground.ts";

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const missing = postgresMissing();
const neighbour = "111111111111";
const images = 8;
const layerBytes = 40_000_000;

test(
  "a node takes over from one that was killed",
  { timeout: 240_000, ...(missing !== undefined && { skip: missing }) },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "supercargo-nodes-"));
    const data = join(folder, "data");
    const keyFile = join(folder, "instance.key");
    const [postgres, receiver] = await Promise.all([startPostgres(), startReceiver()]);
    const databaseUrl = await postgres.url("upkeep");
    const facts = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    const nodes: ServerProcess[] = [];
    try {
      await mustRun([process.execPath, main, "key", "make", keyFile]);
      const environment = {
        SUPERCARGO_DATABASE_URL: databaseUrl,
        SUPERCARGO_KEY_FILE: keyFile,
        SUPERCARGO_AUDIT: "off",
        ...receiverSettings(folder, receiver),
      };
      const command = (...words: string[]): Promise<string> =>
        mustRun([process.execPath, main, ...words, "--data", data], { environment, timeoutMs: 60_000 });
      // In this order, so that the first one delivers the events.
      const first = await startServerProcess({ folder: data, environment });
      nodes.push(first);
      const second = await startServerProcess({ folder: data, environment });
      nodes.push(second);
      await command("account", "create", "--id", neighbour);
      const key = readFileSync(`${dataFolderAt(data).rootKeyFile}.${neighbour}`, "utf8");
      const [, accessKeyId = "", secretAccessKey = ""] = /ACCESS_KEY_ID='(.+)'\n.*SECRET_ACCESS_KEY='(.+)'/.exec(key) ?? [];
      const other = createEcrClient(second.url, home.region, { accessKeyId, secretAccessKey });
      const allow = {
        Sid: "copies",
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${home.accountId}:root` },
        Action: ["ecr:ReplicateImage", "ecr:CreateRepository"],
        Resource: `arn:aws:ecr:${home.region}:${neighbour}:repository/*`,
      };
      await other.send(new PutRegistryPolicyCommand({ policyText: JSON.stringify({ Version: "2012-10-17", Statement: [allow] }) }));
      const ecr = createEcrClient(second.url);
      const rules = [{ destinations: [{ region: home.region, registryId: neighbour }] }];
      await ecr.send(new PutReplicationConfigurationCommand({ replicationConfiguration: { rules } }));
      await ecr.send(new CreateRepositoryCommand({ repositoryName: "web" }));
      const oci = createOciClient(first.url, await registryPassword(ecr));

      // The second one sleeps: every lease is the first one's.
      await sleep(500);
      second.child.kill("SIGSTOP");
      const pushed = new Map<string, string>();
      const push = async (): Promise<void> => {
        const tag = `v${pushed.size}`;
        pushed.set(tag, (await oci.pushImage("web", tag, [randomBytes(layerBytes)])).digest);
      };
      while (pushed.size < images) await push();
      const count = async (query: string): Promise<number> => Number((await facts.query<{ count: string }>(query)).rows[0]?.count);
      const asked = (): Promise<number> => count("select count(*) from job where kind = 'replicate'");
      const held = (): Promise<number> => count("select count(*) from job where kind = 'replicate' and state = 'running'");
      // One that waits for a lock that a stopped node holds stays as it is.
      const statements = (): Promise<number> =>
        count(
          `select count(*) from pg_stat_activity
             where application_name = 'supercargo' and state = 'active' and wait_event_type is distinct from 'Lock'`,
        );
      // However fast it copies: it is stopped in a copy, and goes on when it had ended that one just then.
      const isCaught = async (): Promise<boolean> => {
        if ((await asked()) === 0) await push();
        if ((await held()) === 0) return false;
        first.child.kill("SIGSTOP");
        await until(async () => (await statements()) === 0, { otherwise: "a node that is stopped has statements that do not end" });
        if ((await held()) > 0) return true;
        first.child.kill("SIGCONT");
        return false;
      };
      await until(isCaught, { withinMs: 60_000, otherwise: () => `the first node does not replicate\n${first.output()}` });
      const lost = await held();
      await first.kill("SIGKILL");
      const killedAt = performance.now();
      second.child.kill("SIGCONT");

      const statusOf = async (tag: string): Promise<string> => {
        const asked = new DescribeImageReplicationStatusCommand({ repositoryName: "web", imageId: { imageTag: tag } });
        return ((await ecr.send(asked)).replicationStatuses ?? []).map(({ status }) => status).join(" ");
      };
      const told = (): boolean => {
        const seen = new Set(
          receiver.events.map(({ detail, account }) => `${String(detail["action-type"])} ${account} ${String(detail["image-digest"])}`),
        );
        return [...pushed.values()].every(
          (digest) => seen.has(`PUSH ${home.accountId} ${digest}`) && seen.has(`REPLICATE ${neighbour} ${digest}`),
        );
      };
      const patience = (otherwise: string) => ({ withinMs: 120_000, everyMs: 100, otherwise: () => `${otherwise}\n${second.output()}` });
      for (const tag of pushed.keys()) await until(async () => (await statusOf(tag)) === "COMPLETE", patience(`${tag} is not replicated`));
      const seconds = Math.round((performance.now() - killedAt) / 1_000);
      await until(told, patience("events were lost"));
      context.diagnostic(`${lost} leases were lost; everything was replicated ${seconds} s later`);

      const { imageDetails = [] } = await other.send(new DescribeImagesCommand({ repositoryName: "web" }));
      assert.deepEqual(new Map(imageDetails.map(({ imageDigest = "", imageTags = [] }) => [imageTags[0] ?? "", imageDigest])), pushed);
      const { rows: dead } = await facts.query("select kind, last_error from job where state = 'dead'");
      assert.deepEqual(dead, []);
      const fsck = async (): Promise<{ problems: unknown[]; unreferencedEntries: number }> =>
        JSON.parse(await command("fsck", "--read-bytes"));
      assert.deepEqual((await fsck()).problems, []);
      await command("gc", "--grace", "0");
      const { problems, unreferencedEntries } = await fsck();
      assert.deepEqual([problems, unreferencedEntries], [[], 0]);
      other.destroy();
      ecr.destroy();
    } finally {
      for (const node of nodes) {
        node.child.kill("SIGCONT");
        await node.close();
      }
      receiver.close();
      await facts.end();
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
