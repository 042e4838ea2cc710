/**
 * `node bench/lifecycle.ts [--small]`: what running lifecycle policies costs a real server: CPU time for 10,000 repositories of 100 images of which
 * ten expire, the longest transaction, and how much longer pushes take meanwhile. Needs about 4 GB of disk; `--small` about 100 MB.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { LifecycleRunPage } from "../src/registry/lifecycle-schedule.ts";
import { callControl } from "../src/server/control.ts";
import { dataFolderAt } from "../src/server/data-folder.ts";
import { createEcrClient, registryPassword } from "../test/aws-client.ts";
import { startServerProcess } from "../test/server-process.ts";
import type { ServerProcess } from "../test/server-process.ts";
import { writeLifecycleContent } from "./lifecycle-content.ts";
import type { ProbeReport } from "./lifecycle-probe.ts";

const { values } = parseArgs({ options: { small: { type: "boolean", default: false } } });
const repositories = values.small ? 200 : 10_000;
/** Those that run while there are pushes; they lie in a region of their own. */
const besidePushes = values.small ? 200 : 2_000;
const imagesPerRepository = 100;
const expiring = 10;
const accountId = "000000000000";
const quiet = "us-east-1";
const busy = "eu-west-1";
const quietPushes = values.small ? 150 : 600;

const folder = mkdtempSync(join(tmpdir(), "supercargo-bench-lifecycle-"));
const probeFile = join(folder, "probe.json");

async function start(): Promise<ServerProcess> {
  return startServerProcess({
    folder: join(folder, "data"),
    nodeArguments: ["--import", new URL("lifecycle-probe.ts", import.meta.url).pathname],
    environment: { SUPERCARGO_REGIONS: `${quiet},${busy}`, SUPERCARGO_ACCOUNT: accountId, BENCH_PROBE_FILE: probeFile },
  });
}

/** What was measured since the last time. */
async function probe(server: ServerProcess): Promise<ProbeReport> {
  rmSync(probeFile, { force: true });
  server.child.kill("SIGUSR2");
  while (!existsSync(probeFile)) await sleep(5);
  return JSON.parse(readFileSync(probeFile, "utf8")) as ProbeReport;
}

/** Runs all policies of a region, as `supercargo lifecycle run` does. Answers how many images expired. */
async function runPolicies(region: string): Promise<number> {
  const socket = dataFolderAt(join(folder, "data")).controlSocket;
  let expired = 0;
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const input = { region, dryRun: false, ...(after !== undefined && { after }) };
    const page = (await callControl(socket, "lifecycle-run", input)) as LifecycleRunPage;
    for (const { rules } of page.reports) for (const { done } of rules) expired += done;
    after = page.next;
  }
  return expired;
}

const agent = new Agent({ keepAlive: true });

function send(server: ServerProcess, authorization: string, method: string, path: string, body: Buffer, type: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { authorization, "content-type": type, "content-length": body.length };
    const call = request({ host: "127.0.0.1", port: server.port, method, path, agent, headers }, (answer) => {
      answer.resume();
      answer.once("end", () =>
        answer.statusCode === 201 ? resolve() : reject(new Error(`${method} ${path} answered ${answer.statusCode}`)),
      );
    });
    call.once("error", reject);
    call.end(body);
  });
}

/** Pushes a small image, a layer and a manifest, again and again; answers how long each took, in milliseconds. */
async function pushUntil(server: ServerProcess, authorization: string, isOver: (pushes: number) => boolean): Promise<readonly number[]> {
  const times: number[] = [];
  const digest = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const blob = "application/octet-stream";
  const config = Buffer.from("{}");
  const place = "/v2/bench/app-000000";
  await send(server, authorization, "POST", `${place}/blobs/uploads/?digest=${digest(config)}`, config, blob);
  for (; !isOver(times.length);) {
    const layer = Buffer.from(`layer ${performance.now()} ${times.length}`);
    const media = "application/vnd.oci.image.manifest.v1+json";
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: media,
        config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digest(config), size: config.length },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: digest(layer), size: layer.length }],
      }),
    );
    const began = performance.now();
    await send(server, authorization, "POST", `${place}/blobs/uploads/?digest=${digest(layer)}`, layer, blob);
    await send(server, authorization, "PUT", `${place}/manifests/push-${times.length}`, manifest, media);
    times.push(performance.now() - began);
    await sleep(5);
  }
  return times;
}

function quantile(times: readonly number[], share: number): number {
  return times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
}

function line(name: string, measured: string, bound = ""): void {
  process.stdout.write(`${name.padEnd(52)} ${measured.padStart(14)}  ${bound}\n`);
}

/** Makes the data folder by a first start, fills its database, and starts again. */
async function prepare(): Promise<ServerProcess> {
  const first = await start();
  await first.kill("SIGTERM");
  const began = performance.now();
  const { databaseFile } = dataFolderAt(join(folder, "data"));
  const content = { accountId, imagesPerRepository, expiring };
  writeLifecycleContent(databaseFile, { ...content, region: quiet, repositories }, Date.now());
  writeLifecycleContent(databaseFile, { ...content, region: busy, repositories: besidePushes }, Date.now());
  process.stderr.write(`the database was filled in ${Math.round((performance.now() - began) / 1000)} s\n`);
  return start();
}

async function main(): Promise<void> {
  const server = await prepare();
  try {
    await probe(server);
    const began = performance.now();
    const expired = await runPolicies(quiet);
    const seconds = (performance.now() - began) / 1000;
    const run = await probe(server);
    const password = await registryPassword(createEcrClient(server.url, quiet));
    const authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
    await pushUntil(server, authorization, (pushes) => pushes >= 50);
    const alone = await pushUntil(server, authorization, (pushes) => pushes >= quietPushes);
    await probe(server);
    let isRunning = true;
    const running = runPolicies(busy).finally(() => (isRunning = false));
    const beside = await pushUntil(server, authorization, () => !isRunning);
    const besideExpired = await running;
    const together = await probe(server);
    process.stdout.write(
      "Measured: one server process with its database in " +
        `${folder} (TMPDIR chooses the disk). All policies of one region run without other load, as by 'supercargo lifecycle run';\n` +
        "then those of another one while one client pushes small images, a layer and a manifest each, one after the other.\n",
    );
    line(`${repositories} repositories × ${imagesPerRepository} images: expired`, String(expired), `of ${repositories * expiring}`);
    line(
      "CPU time of the run",
      `${(run.cpuMs / 1000).toFixed(1)} s`,
      `bound for 10,000 repositories: 60 s; it took ${seconds.toFixed(0)} s`,
    );
    line("transactions", String(run.transactions));
    line("longest transaction without its commit", `${run.longestMs.toFixed(1)} ms`, "bound: 20 ms");
    line("longest transaction with its commit (disk)", `${run.longestWithCommitMs.toFixed(1)} ms`);
    line("longest turn of the event loop", `${run.longestLoopMs.toFixed(1)} ms`);
    line("highest memory of the server", `${Math.round(server.peakMemoryBytes() / 1e6)} MB`);
    line(`${alone.length} pushes without a run: median, p99`, `${quantile(alone, 0.5).toFixed(1)}, ${quantile(alone, 0.99).toFixed(1)} ms`);
    line(
      `${beside.length} pushes beside a run of ${besidePushes} repositories`,
      `${quantile(beside, 0.5).toFixed(1)}, ${quantile(beside, 0.99).toFixed(1)} ms`,
      `${besideExpired} expired; bound: p99 + 50 ms; longest transaction ${together.longestMs.toFixed(1)} ms`,
    );
  } finally {
    agent.destroy();
    await server.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
