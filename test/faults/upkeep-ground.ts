/** What journeys under kill -9 stand on: a server that dies at random moments and comes back, a receiver of its events, and a last look at everything. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { ECRClient } from "@aws-sdk/client-ecr";
import type { EcrEvent } from "#events/event.ts";
import { dataFolderAt } from "#server/data-folder.ts";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { mustRun, runTool } from "../clients/tool.ts";
import { UnexpectedAnswer, createOciClient } from "../oci-client.ts";
import type { OciClient } from "../oci-client.ts";
import { freePort, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

/** The account and the region of a bare host name, and the other region of the deployment. */
export const home = { accountId: "000000000000", region: "us-east-1", otherRegion: "eu-west-1" };

/** Takes events as a webhook's receiver does; what is in a batch counts as received when the batch has arrived, answered or not. */
export interface Receiver {
  readonly url: string;
  readonly events: readonly EcrEvent[];
  /** Awaited before each answer. */
  beforeAnswer: () => Promise<void>;
  close(): void;
}

/** Starts a receiver on a loopback port. */
export async function startReceiver(): Promise<Receiver> {
  const events: EcrEvent[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.once("end", () => {
      events.push(...(JSON.parse(body) as EcrEvent[]));
      void receiver.beforeAnswer().then(() => response.writeHead(204).end());
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    events,
    beforeAnswer: async () => undefined,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return receiver;
}

/** Writes the file that names the receiver, and answers the settings that go with it. */
export function receiverSettings(folder: string, { url }: Receiver): Record<string, string> {
  const file = join(folder, "targets.yaml");
  writeFileSync(file, `targets: [{ name: hook, type: webhook, url: "${url}", secret: { env: HOOK_SECRET } }]\n`);
  return { SUPERCARGO_EVENT_TARGETS: file, HOOK_SECRET: "a long enough secret", SUPERCARGO_TRUSTED_HOSTS: "127.0.0.1" };
}

/** A server that is killed again and again. Its clients stay usable: it comes back at the same port, and its tokens are as good as before. */
export interface Ground {
  readonly folder: string;
  readonly receiver: Receiver;
  readonly ecr: ECRClient;
  readonly oci: OciClient;
  server(): ServerProcess;
  kills(): number;
  /** kill -9, and a new start at once; while one is under way, that one. */
  kill(): Promise<void>;
  /** Kills so many times, each time at a random moment of at most so many milliseconds after the server was ready. */
  killAtRandom(times: number, withinMs: number): Promise<void>;
  /** Does something however often the server dies under it; what the server refuses is thrown. */
  insist<T>(work: (attempt: number) => Promise<T>): Promise<T>;
  until(what: string, holds: () => boolean | Promise<boolean>, withinMs?: number): Promise<void>;
  /** Runs a command of the command line on the data folder; it must succeed. */
  command(...words: string[]): Promise<string>;
  /**
   * All work comes to an end, and none was given up. Then kills a last time: nothing is wrong but unreferenced bytes, and they are gone after
   * a garbage collection. Starts again.
   */
  inspect(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server in a folder of its own. */
export async function openGround(environment: Readonly<Record<string, string>> = {}): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-upkeep-"));
  const data = join(folder, "data");
  const receiver = await startReceiver();
  const options = {
    folder: data,
    port: await freePort(),
    environment: {
      SUPERCARGO_REGIONS: `${home.region},${home.otherRegion}`,
      SUPERCARGO_AUDIT: "off",
      ...receiverSettings(folder, receiver),
      ...environment,
    },
  };
  let server = await startServerProcess(options);
  let kills = 0;
  const ecr = createEcrClient(server.url);

  let restarting: Promise<void> | undefined;
  const killAndStart = async (): Promise<void> => {
    try {
      await server.kill("SIGKILL");
      kills += 1;
      server = await startServerProcess(options);
    } finally {
      restarting = undefined;
    }
  };
  const restart = (): Promise<void> => (restarting ??= killAndStart());
  const ground: Ground = {
    folder: data,
    receiver,
    ecr,
    oci: createOciClient(server.url, await registryPassword(ecr)),
    server: () => server,
    kills: () => kills,
    kill: restart,
    async killAtRandom(times, withinMs) {
      for (let index = 0; index < times; index += 1) {
        await sleep(Math.random() * withinMs);
        await restart();
      }
    },
    async insist(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work(attempt);
        } catch (error) {
          if (isAnswer(error) || attempt > 100) throw error;
          // It is dead, and whoever killed it is about to say so.
          await sleep(10);
          await restarting;
        }
      }
    },
    async until(what, holds, withinMs = 90_000) {
      await until(holds, { withinMs, everyMs: 25, otherwise: () => `${what} did not come to be\n${server.output()}` });
    },
    command: (...words) =>
      mustRun([process.execPath, main, ...words, "--data", data], { environment: options.environment, timeoutMs: 60_000 }),
    async inspect() {
      await restarting;
      const { databaseFile } = dataFolderAt(data);
      const isQuiet = (): boolean => unfinishedIn(databaseFile).length === 0;
      await ground.until("an end of all work", isQuiet).catch(() => assert.deepEqual(unfinishedIn(databaseFile), []));
      await server.kill("SIGKILL");
      const fsck = async (): Promise<{ problems: unknown[]; unreferencedEntries: number }> =>
        JSON.parse((await runTool([process.execPath, main, "fsck", "--read-bytes", "--data", data])).stdout);
      assert.deepEqual((await fsck()).problems, []);
      const report = JSON.parse(await ground.command("gc", "--grace", "0")) as { failures: number };
      assert.equal(report.failures, 0);
      const { problems, unreferencedEntries } = await fsck();
      assert.deepEqual([problems, unreferencedEntries], [[], 0]);
      server = await startServerProcess(options);
    },
    async close() {
      await restarting?.catch(() => undefined);
      await server.kill("SIGKILL");
      receiver.close();
      ecr.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return ground;
}

/** The server said something: it is not dead. */
function isAnswer(error: unknown): boolean {
  if (error instanceof UnexpectedAnswer || error instanceof assert.AssertionError) return true;
  const { httpStatusCode } = (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata ?? {};
  return httpStatusCode !== undefined;
}

/** What stands in the database as under way, or was given up. Jobs that come again and again wait for their hour, and do not count. */
function unfinishedIn(databaseFile: string): readonly string[] {
  const db = new DatabaseSync(databaseFile, { readOnly: true });
  try {
    const rows = db
      .prepare(
        `select 'job ' || kind || ' ' || state || ' ' || payload || ' ' || coalesce(last_error, '') as what from job
           where state <> 'waiting' or dedupe_key is null or dedupe_key not like 'recurring:%'
         union all select 'follow-up ' || f.kind || ' ' || f.target from follow_up f join manifest m on m.manifest_id = f.manifest_id
           where f.state = 'IN_PROGRESS' and m.deleted_at is null
         union all select 'activation of ' || digest from manifest where status = 'ACTIVATING' and deleted_at is null
         union all select 'move of blob ' || blob_id from blob_move`,
      )
      .all() as unknown as readonly { readonly what: string }[];
    return rows.map(({ what }) => what);
  } finally {
    db.close();
  }
}
