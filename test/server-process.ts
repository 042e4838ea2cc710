/** Starts the real server as its own process on a free loopback port with a data folder of its own, for journeys and faults. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The root key that journeys give to the server. */
export const rootKey = { accessKeyId: "AKIAJOURNEYROOTKEY00", secretAccessKey: "journey/Secret+Key0123456789abcdefghijkl" };

/** How to start. */
export interface ServerOptions {
  readonly folder?: string;
  readonly port?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly nodeArguments?: readonly string[];
  /** Runs the server under this command, for example `["strace", "-f", …]`. */
  readonly wrapper?: readonly string[];
}

/** A running server process. */
export interface ServerProcess {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  readonly child: ChildProcess;
  /** For aws cli, boto3 and the SDKs. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
  /** Standard output and error so far. */
  output(): string;
  /** Highest resident memory so far, in bytes (VmHWM). */
  peakMemoryBytes(): number;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** SIGTERM, wait, remove the data folder. */
  close(): Promise<void>;
}

const root = new URL("..", import.meta.url).pathname;
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: { start: string } };

/** What `npm start` gives to the runtime, before the program. */
export const runtimeFlags: readonly string[] = scripts.start.split(" ").filter((word) => word.startsWith("--"));

/**
 * A loopback port that is free now and that no test process beside this one asks for: each has ports of its own, below those that the
 * kernel gives out by itself. Otherwise a server that must refuse to start could seem ready because another one answers at its port.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + (process.pid % portGroups) * portsPerProcess + (portsAsked++ % portsPerProcess);
    if (await isFree(port)) return port;
  }
}

const firstPort = 10_000;
const portsPerProcess = 22;
const portGroups = 1_000;
let portsAsked = 0;
/** A busy machine may need long. */
const startTimeoutMs = 60_000;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** Starts the server and waits until it is ready. Rejects with its output when it ends, or does not become ready in time. */
export async function startServerProcess(options: ServerOptions = {}): Promise<ServerProcess> {
  if (options.port !== undefined) return startAt(options.port, options);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startAt(await freePort(), options);
    } catch (error) {
      // Somebody took the port between the look at it and the server's start.
      if (attempt === 5 || !/something else listens there already/.test(String(error))) throw error;
    }
  }
}

async function startAt(port: number, options: ServerOptions): Promise<ServerProcess> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "supercargo-"));
  const command = [
    ...(options.wrapper ?? []),
    process.execPath,
    ...runtimeFlags,
    ...(options.nodeArguments ?? []),
    join(root, "src/cli/main.ts"),
    "serve",
  ];
  const environment: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    HOME: process.env["HOME"] ?? "",
    SUPERCARGO_DATA: folder,
    SUPERCARGO_LISTEN: `127.0.0.1:${port}`,
    SUPERCARGO_LOG_LEVEL: "warn",
    SUPERCARGO_ROOT_ACCESS_KEY_ID: rootKey.accessKeyId,
    SUPERCARGO_ROOT_SECRET_ACCESS_KEY: rootKey.secretAccessKey,
    ...options.environment,
  };
  const child = spawn(command[0] ?? "", command.slice(1), { env: environment, cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const scheme = environment["SUPERCARGO_TLS_CERT"] === undefined ? "http" : "https";
  const url = `${scheme}://127.0.0.1:${port}`;
  try {
    await waitUntilReady(url, child, () => text);
  } catch (error) {
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    url,
    host: `localhost:${port}`,
    port,
    folder,
    child,
    awsEnvironment: {
      AWS_ENDPOINT_URL: `${scheme}://localhost:${port}`,
      AWS_REGION: "us-east-1",
      AWS_DEFAULT_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: rootKey.accessKeyId,
      AWS_SECRET_ACCESS_KEY: rootKey.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_PAGER: "",
      AWS_MAX_ATTEMPTS: "1",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    },
    output: () => text,
    peakMemoryBytes: () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? Number.NaN) * 1024,
    async kill(signal) {
      child.kill(signal);
      await exited;
    },
    async close() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await Promise.race([exited, sleep(10_000, undefined, { ref: false })]);
      child.kill("SIGKILL");
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** It has said itself that it listens: another server at that port could be ready too. */
async function waitUntilReady(url: string, child: ChildProcess, output: () => string): Promise<void> {
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
      (answer) => answer.ok,
      () => false,
    );
  const deadline = performance.now() + startTimeoutMs;
  while (performance.now() < deadline) {
    const end = child.exitCode ?? child.signalCode;
    if (end !== null) throw new Error(`the server ended with ${end}:\n${output()}`);
    if (output().includes(" is listening on ") && (await isReady())) return;
    await sleep(20);
  }
  child.kill("SIGKILL");
  throw new Error(`the server did not become ready:\n${output()}`);
}
