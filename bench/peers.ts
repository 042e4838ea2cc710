/** The servers that are compared, each started the same way: pinned to the server's core, on loopback, with a folder of its own on the same disk. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../test/aws-client.ts";
import { freePort, rootKey, runtimeFlags } from "../test/server-process.ts";

/** Which core is whose. */
export const serverCore = "0";
/** The load generator's core. */
export const loadCore = "1";
/** The repository that every case uses. */
export const repository = "bench/app";

/** A server under measurement. */
export interface Peer {
  readonly name: "supercargo" | "docker-registry" | "nginx";
  readonly url: string;
  /** Headers that each request must carry; empty where nobody checks credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly startMs: number;
  memory(): { readonly residentBytes: number; readonly peakBytes: number };
  stop(): Promise<void>;
}

interface Launch {
  readonly name: Peer["name"];
  readonly folder: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly url: string;
  readonly readyPath: string;
}

async function launch({ name, folder, command, environment, url, readyPath }: Launch): Promise<{ child: ChildProcess; startMs: number }> {
  const startedAt = performance.now();
  const child = spawn("taskset", ["-c", serverCore, ...command], { stdio: "ignore", env: { ...process.env, ...environment }, cwd: folder });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const ready = await fetch(`${url}${readyPath}`).then(
      (answer) => answer.status < 500,
      () => false,
    );
    if (ready) break;
    if (performance.now() - startedAt > 30_000) throw new Error(`${name} did not become ready`);
    await sleep(5);
  }
  return { child, startMs: performance.now() - startedAt };
}

function peerOf(base: Omit<Peer, "memory" | "stop">, child: ChildProcess, pid = child.pid): Peer {
  return {
    ...base,
    memory() {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const kilobytes = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
      return { residentBytes: kilobytes("VmRSS"), peakBytes: kilobytes("VmHWM") };
    },
    async stop() {
      if (child.exitCode === null) {
        const exited = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGTERM");
        await Promise.race([exited, sleep(5000, undefined, { ref: false })]);
        child.kill("SIGKILL");
      }
      rmSync(base.folder, { recursive: true, force: true });
    },
  };
}

/** Ours: strict mode, tokens checked on every request. */
export async function startSupercargo(folder: string): Promise<Peer> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const main = new URL("../src/cli/main.ts", import.meta.url).pathname;
  const { child, startMs } = await launch({
    name: "supercargo",
    folder,
    command: [process.execPath, ...runtimeFlags, main, "serve"],
    environment: {
      SUPERCARGO_LISTEN: `127.0.0.1:${port}`,
      SUPERCARGO_DATA: join(folder, "data"),
      SUPERCARGO_LOG_LEVEL: "warn",
      SUPERCARGO_ROOT_ACCESS_KEY_ID: rootKey.accessKeyId,
      SUPERCARGO_ROOT_SECRET_ACCESS_KEY: rootKey.secretAccessKey,
    },
    url,
    readyPath: "/readyz",
  });
  const client = createEcrClient(url);
  await client.send(new CreateRepositoryCommand({ repositoryName: repository }));
  const password = await registryPassword(client);
  const headers = { authorization: `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}` };
  return peerOf({ name: "supercargo", url, headers, folder, startMs }, child);
}

/** Debian's docker-registry, its default file system driver, no authentication, deletes on. */
export async function startDockerRegistry(folder: string): Promise<Peer> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const config = join(folder, "config.yml");
  writeFileSync(
    config,
    `version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: ${folder}/data\n  delete:\n    enabled: true\n  cache:\n    blobdescriptor: inmemory\nhttp:\n  addr: 127.0.0.1:${port}\n`,
  );
  const url = `http://127.0.0.1:${port}`;
  const { child, startMs } = await launch({
    name: "docker-registry",
    folder,
    command: ["docker-registry", "serve", config],
    url,
    readyPath: "/v2/",
  });
  return peerOf({ name: "docker-registry", url, headers: {}, folder, startMs }, child);
}

/** nginx serving the same blobs as plain files: what the disk, the kernel and HTTP cost without a registry. */
export async function startNginx(folder: string, files: Readonly<Record<string, string>>): Promise<Peer> {
  mkdirSync(join(folder, "root"), { recursive: true });
  for (const [name, target] of Object.entries(files)) symlinkSync(target, join(folder, "root", name));
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off;\nmaster_process off;\nuser root;\npid ${folder}/pid;\nerror_log /dev/null;\nevents { worker_connections 1024; }\nhttp {\n  access_log off;\n  sendfile on;\n  keepalive_requests 1000000;\n  server { listen 127.0.0.1:${port}; root ${folder}/root; }\n}\n`,
  );
  const url = `http://127.0.0.1:${port}`;
  const { child, startMs } = await launch({ name: "nginx", folder, command: ["nginx", "-c", config, "-p", folder], url, readyPath: "/" });
  return peerOf({ name: "nginx", url, headers: {}, folder, startMs }, child);
}
