/** What the commands do. Commands that write go to the running server; they open the database themselves only when none runs. */
import { existsSync, readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { runFsck } from "#registry/fsck.ts";
import { formatInstanceKey, makeInstanceKey } from "#sealing/instance-key.ts";
import { announce, rootKeyExports } from "#server/announce.ts";
import { openFoundation } from "#server/assemble.ts";
import type { Foundation } from "#server/assemble.ts";
import { runCommand } from "#server/commands.ts";
import { ControlRefused, callControl } from "#server/control.ts";
import { dataFolderAt, holdsRegistry, writeSecretFile } from "#server/data-folder.ts";
import { createLog } from "#server/log.ts";
import { startServer } from "#server/serve.ts";
import { SettingsError, readSettings } from "#server/settings.ts";
import type { Settings } from "#server/settings.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";

type Flags = Readonly<Record<string, string | undefined>>;

/** Reads the settings from flags, environment and the optional file. */
function settingsFrom(flags: Flags): Settings {
  const file = flags["config"] ?? process.env["SUPERCARGO_CONFIG"];
  return readSettings({ flags, environment: process.env, file: file === undefined || file === "" ? {} : readSettingsFile(file) });
}

function readSettingsFile(file: string): Record<string, string> {
  let content: unknown;
  try {
    content = parseYaml(readFileSync(file, "utf8"), { maxAliasCount: 0 });
  } catch (error) {
    throw new SettingsError(`the settings file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (content === null || content === undefined) return {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new SettingsError(`the settings file ${file} must hold 'name: value' lines`);
  return Object.fromEntries(
    Object.entries(content).map(([name, value]) => [
      name.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
      Array.isArray(value) ? value.join(",") : String(value),
    ]),
  );
}

/** `supercargo serve`: runs until SIGINT or SIGTERM; a second signal ends it at once. */
export async function serve(flags: Flags, version: string): Promise<void> {
  const settings = settingsFrom(flags);
  const log = createLog(settings.logLevel);
  const server = await startServer(settings, log, version);
  await announce(server, settings, version, { write: (text) => process.stdout.write(text), isTerminal: process.stdout.isTTY });
  log.info({ listen: `${server.host}:${server.port}`, version, dev: settings.dev }, "started");
  if (settings.dev) log.warn({}, "running with --dev: any access key is accepted, signatures are not verified");
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ seconds: settings.shutdownSeconds }, "stopping: running transfers may finish");
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error: String(error) }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

/** Opens what the server would open, for a command while no server runs. */
async function withFoundation<T>(settings: Settings, work: (foundation: Foundation) => Promise<T>): Promise<T> {
  if (settings.databaseUrl === undefined && !holdsRegistry(dataFolderAt(settings.data))) {
    throw new SettingsError(`there is no registry in ${settings.data}; SUPERCARGO_DATA or --data says where it is`);
  }
  const foundation = await openFoundation(settings, silentLog);
  try {
    return await work(foundation);
  } finally {
    await foundation.close();
  }
}

/** Runs a command in the server that owns the data folder, or here when none runs. */
async function runAnywhere(settings: Settings, name: string, input: unknown): Promise<unknown> {
  const socket = dataFolderAt(settings.data).controlSocket;
  if (existsSync(socket)) {
    try {
      return await callControl(socket, name, input);
    } catch (error) {
      if (error instanceof ControlRefused) throw error;
      // Left behind by a server that was killed: nobody listens, so this process may write.
    }
  }
  return withFoundation(settings, (foundation) => runCommand(foundation, settings, name, input));
}

function print(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

/** `supercargo gc` */
export async function garbageCollect(flags: Flags): Promise<void> {
  const { grace } = flags;
  if (grace !== undefined && !/^\d{1,9}$/.test(grace)) throw new SettingsError("--grace takes a whole number of seconds");
  print(await runAnywhere(settingsFrom(flags), "gc", grace === undefined ? {} : { graceMs: Number(grace) * 1000 }));
}

/** `supercargo fsck`: exit code 1 when something is missing or damaged. */
export async function fsck(flags: Flags): Promise<void> {
  const report = await withFoundation(settingsFrom(flags), ({ core }) => runFsck(core, { readBytes: flags["readBytes"] !== undefined }));
  print(report);
  if (report.problems.length > 0) process.exitCode = 1;
}

/** `supercargo restore` and `supercargo purge` */
export async function undo(name: "restore" | "purge", repository: string, flags: Flags): Promise<void> {
  const { tag, digest } = flags;
  print(
    await runAnywhere(settingsFrom(flags), name, {
      repository,
      ...(tag !== undefined && { tag }),
      ...(digest !== undefined && { digest }),
    }),
  );
}

/** `supercargo root reset` */
export async function rootReset(flags: Flags): Promise<void> {
  const settings = settingsFrom(flags);
  const key = (await runAnywhere(settings, "root-reset", {})) as { accessKeyId: string; secretAccessKey: string };
  const lines = rootKeyExports(key);
  if (process.stdout.isTTY) process.stdout.write(`The new root access key, shown this once:\n${lines.join("\n")}\n`);
  else {
    const { rootKeyFile } = dataFolderAt(settings.data);
    await writeSecretFile(rootKeyFile, `${lines.join("\n")}\n`);
    process.stdout.write(`The new root access key was written to ${rootKeyFile}\n`);
  }
}

/** `supercargo key make` */
export async function keyMake(file: string): Promise<void> {
  if (existsSync(file)) throw new SettingsError(`${file} exists already and is left alone`);
  await writeSecretFile(file, `${formatInstanceKey(makeInstanceKey(systemRandom))}\n`);
  process.stdout.write(`wrote ${file}\n`);
}
