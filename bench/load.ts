/** The load generators, pinned to the other core: wrk for request rates, curl for bytes, a small client of ours for sequences. */
import { spawn } from "node:child_process";
import { Agent, request } from "node:http";
import { mustRun } from "../test/clients/tool.ts";
import { loadCore } from "./peers.ts";
import type { Peer } from "./peers.ts";

/** Requests a second by wrk. Fails when an answer was not 2xx. */
export async function requestRate(peer: Peer, path: string, connections: number, seconds: number): Promise<number> {
  const output = await mustRun([
    "taskset",
    "-c",
    loadCore,
    "wrk",
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    ...curlHeaders(peer),
    "-H",
    `Accept: ${manifestType}`,
    `${peer.url}${path}`,
  ]);
  if (/Non-2xx/.test(output)) throw new Error(`${peer.name} ${path}: ${output}`);
  return rateIn(output);
}

/** HEAD requests a second by hey: wrk waits for the body that Content-Length speaks of, and none comes. */
export async function headRate(peer: Peer, path: string, connections: number, seconds: number): Promise<number> {
  const output = await mustRun([
    "taskset",
    "-c",
    loadCore,
    "hey",
    "-m",
    "HEAD",
    "-c",
    String(connections),
    "-z",
    `${seconds}s`,
    ...curlHeaders(peer),
    "-H",
    `Accept: ${manifestType}`,
    `${peer.url}${path}`,
  ]);
  if (!/\[200\]/.test(output) || /\[[345]\d\d\]\s+\d+ responses/.test(output)) throw new Error(`${peer.name} ${path}: ${output}`);
  return rateIn(output);
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";

function rateIn(output: string): number {
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? Number.NaN);
}

/** Megabytes a second of whole downloads, `parallel` at once, each read by a curl of its own into nothing. */
export async function downloadRate(peer: Peer, paths: readonly string[], sizeBytes: number): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(
    paths.map(async (path) => {
      const output = await mustRun(
        [
          "taskset",
          "-c",
          loadCore,
          "curl",
          "-sS",
          "--fail",
          ...curlHeaders(peer),
          "-o",
          "/dev/null",
          "-w",
          "%{size_download}",
          `${peer.url}${path}`,
        ],
        { timeoutMs: 600_000 },
      );
      if (Number(output) !== sizeBytes) throw new Error(`${peer.name} ${path}: ${output} bytes instead of ${sizeBytes}`);
    }),
  );
  return (paths.length * sizeBytes) / 1e6 / ((performance.now() - startedAt) / 1000);
}

/** Pushes a file as one blob (POST, then one PUT with the whole body) and returns megabytes a second. */
export async function uploadRate(peer: Peer, repository: string, file: string, digest: string, sizeBytes: number): Promise<number> {
  const startedAt = performance.now();
  const opened = await fetch(`${peer.url}/v2/${repository}/blobs/uploads/`, { method: "POST", headers: peer.headers });
  await opened.arrayBuffer();
  const location = new URL(opened.headers.get("location") ?? "", peer.url);
  location.searchParams.set("digest", digest);
  const status = await mustRun(
    [
      "taskset",
      "-c",
      loadCore,
      "curl",
      "-sS",
      "-X",
      "PUT",
      ...curlHeaders(peer),
      "-H",
      "Content-Type: application/octet-stream",
      "-H",
      "Expect:",
      "-T",
      file,
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      location.href,
    ],
    { timeoutMs: 600_000 },
  );
  if (status !== "201") throw new Error(`${peer.name}: PUT answered ${status}`);
  return sizeBytes / 1e6 / ((performance.now() - startedAt) / 1000);
}

function curlHeaders(peer: Peer): string[] {
  return Object.entries(peer.headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
}

/** A keep-alive connection pool for sequences of small requests. */
const agent = new Agent({ keepAlive: true, maxSockets: 16 });

/** One request; resolves with status, headers and body. */
export function send(
  peer: Peer,
  method: string,
  path: string,
  body?: Buffer | string,
  headers: Record<string, string> = {},
): Promise<{ status: number; location: string; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? 0 : Buffer.byteLength(body);
    const call = request(
      new URL(path, peer.url),
      { method, agent, headers: { ...peer.headers, "content-length": String(length), ...headers } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("end", () =>
          resolve({ status: answer.statusCode ?? 0, location: answer.headers.location ?? "", body: Buffer.concat(chunks) }),
        );
      },
    );
    call.once("error", reject);
    call.end(body);
  });
}

/** Pins this process and its children to the load generator's core. */
export function pinToLoadCore(): Promise<void> {
  return new Promise((resolve) =>
    spawn("taskset", ["-a", "-cp", loadCore, String(process.pid)], { stdio: "ignore" }).once("exit", () => resolve()),
  );
}
