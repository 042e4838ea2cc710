/** A real Docker Engine of the journey's own: private data root, no bridge, no iptables, its own client configuration. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "#std/testing/until.ts";
import { mustRun, runTool } from "./tool.ts";
import type { ToolResult } from "./tool.ts";

/** A running engine. */
export interface DockerEngine {
  /** Runs `docker …`; throws with its output unless it succeeds. */
  docker(words: readonly string[], input?: string): Promise<string>;
  /** Runs `docker …` and returns how it ended. */
  tryDocker(words: readonly string[], input?: string): Promise<ToolResult>;
  readonly folder: string;
  close(): Promise<void>;
}

/** Starts dockerd and waits until it answers. */
export async function startDockerEngine(): Promise<DockerEngine> {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-docker-"));
  const socket = `unix://${folder}/docker.sock`;
  mkdirSync(join(folder, "config"));
  const log = openSync(join(folder, "dockerd.log"), "w");
  const daemon = spawn(
    "dockerd",
    [
      "--iptables=false",
      "--ip6tables=false",
      "--bridge=none",
      "--storage-driver=vfs",
      "--data-root",
      join(folder, "data"),
      "--exec-root",
      join(folder, "exec"),
      "--pidfile",
      join(folder, "pid"),
      "-H",
      socket,
    ],
    { stdio: ["ignore", log, log] },
  );
  const environment = {
    DOCKER_HOST: socket,
    DOCKER_CONFIG: join(folder, "config"),
    DOCKER_BUILDKIT: "0",
    DOCKER_CLI_EXPERIMENTAL: "enabled",
  };
  const tryDocker = (words: readonly string[], input?: string): Promise<ToolResult> =>
    runTool(["docker", ...words], { environment, timeoutMs: 600_000, ...(input !== undefined && { input }) });
  const otherwise = `dockerd did not start; its log is ${folder}/dockerd.log`;
  const answers = async (): Promise<boolean> => {
    if (daemon.exitCode !== null) throw new Error(otherwise);
    return (await tryDocker(["info"])).status === 0;
  };
  await until(answers, { withinMs: 60_000, everyMs: 200, otherwise });
  return {
    folder,
    tryDocker,
    async docker(words, input) {
      const result = await tryDocker(words, input);
      if (result.status !== 0) throw new Error(`docker ${words.join(" ")} ended with ${result.status}\n${result.stdout}\n${result.stderr}`);
      return result.stdout;
    },
    async close() {
      daemon.kill("SIGTERM");
      await Promise.race([new Promise((resolve) => daemon.once("exit", resolve)), sleep(15_000, undefined, { ref: false })]);
      await runTool(["sh", "-c", `umount -R ${folder}/exec/netns/* ${folder}/data 2>/dev/null; true`]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/**
 * A real Debian root file system as a tar, made once by debootstrap and kept in `.cache/`.
 * Takes half a minute the first time.
 */
export async function debianRootTar(): Promise<string> {
  const cache = new URL("../../.cache/", import.meta.url).pathname;
  const tar = join(cache, "debian-bookworm.tar");
  if (existsSync(tar)) return tar;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "supercargo-debootstrap-"));
  // The mirror that this machine installs its own packages from.
  const mirror = (
    await runTool(["sh", "-c", "apt-get indextargets --format '$(SITE)' | sort -u | grep -v security | head -1"])
  ).stdout.trim();
  await mustRun(["debootstrap", "--variant=minbase", "bookworm", folder, ...(mirror === "" ? [] : [mirror])], {
    timeoutMs: 600_000,
    environment: passProxy(),
  });
  await mustRun(
    ["tar", "-C", folder, "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./dev/*", "-cf", `${tar}.part`, "."],
    { timeoutMs: 300_000 },
  );
  await mustRun(["mv", `${tar}.part`, tar]);
  rmSync(folder, { recursive: true, force: true });
  return tar;
}

function passProxy(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => /proxy|_CA_|CERT/i.test(entry[0]) && entry[1] !== undefined),
  );
}
