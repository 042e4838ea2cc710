/** What the commands do. Commands that write go to the running server; they open the database themselves only when none runs. */
import { existsSync } from "node:fs";
import { parseDigest } from "#oci/digest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { parseTag } from "#oci/tag.ts";
import { runFsck } from "#registry/fsck.ts";
import { formatInstanceKey, makeInstanceKey } from "#sealing/instance-key.ts";
import type { Parsed } from "#std/parsed.ts";
import { announce, rootKeyExports } from "#server/announce.ts";
import { openFoundation } from "#server/assemble.ts";
import type { Foundation } from "#server/assemble.ts";
import { runCommand } from "#server/commands.ts";
import { callControl, nobodyListens } from "#server/control.ts";
import { FolderInUse, dataFolderAt, holdsRegistry, ownDataFolder, prepareDataFolder, writeSecretFile } from "#server/data-folder.ts";
import { createLog } from "#server/log.ts";
import { openAuditLog, startServer } from "#server/serve.ts";
import type { RunningServer } from "#server/serve.ts";
import type { Settings } from "#server/settings.ts";
import { SettingsError } from "#server/settings.ts";
import { systemClock } from "#std/clock.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { findAuditRecords } from "./audit.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

/** The command line cannot mean anything; the message says why. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Signals that come closer together are one: on a terminal both npm and the system send one for a single Ctrl-C. */
const sameSignalMs = 1_000;

/** `supercargo serve`: runs until SIGINT or SIGTERM; a later second signal ends it at once. */
export async function serve(flags: Flags, version: string): Promise<void> {
  const settings = settingsFrom(flags);
  const log = createLog(settings.logLevel);
  const server = await startServer(settings, log, version);
  process.once("exit", () => log.flush());
  stopOnSignals(server, settings, log);
  try {
    await announce(server, settings, version, { write: (text) => process.stdout.write(text), isTerminal: process.stdout.isTTY });
  } catch (error) {
    // Nobody would ever see the root key.
    await server.stop();
    throw error;
  }
  log.info({ listen: `${server.host}:${server.port}`, version, dev: settings.dev }, "started");
  if (settings.dev) log.warn({}, "running with --dev: any access key is accepted, signatures are not verified");
}

function stopOnSignals(server: RunningServer, settings: Settings, log: ReturnType<typeof createLog>): void {
  let stoppingSince: number | undefined;
  const stop = (): void => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > sameSignalMs) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    log.info({ seconds: settings.shutdownSeconds }, "stopping: running transfers may finish; a second signal ends them");
    log.flush();
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
  // A closed terminal ends the server, unless SIGHUP has its other meaning: read the certificate again.
  if (settings.tlsCert === undefined) process.on("SIGHUP", stop);
}

/** Opens what the server would open. To write to SQLite, the command must own the data folder. */
export async function withFoundation<T>(
  settings: Settings,
  purpose: "read" | "write",
  work: (foundation: Foundation) => Promise<T>,
): Promise<T> {
  const paths = dataFolderAt(settings.data);
  const isSqlite = settings.databaseUrl === undefined;
  if (isSqlite && !holdsRegistry(paths))
    throw new SettingsError(`there is no registry in ${settings.data}; SUPERCARGO_DATA or --data says where it is`);
  await prepareDataFolder(paths);
  const lock = isSqlite && purpose === "write" ? ownDataFolder(paths) : undefined;
  try {
    const foundation = await openFoundation(settings, silentLog, "command");
    try {
      return await work(foundation);
    } finally {
      await foundation.close();
    }
  } finally {
    lock?.release();
  }
}

/** Runs a command in the server that owns the data folder, or here when none runs. */
export async function runAnywhere(settings: Settings, name: string, input: unknown): Promise<unknown> {
  if (settings.databaseUrl === undefined) {
    try {
      return await callControl(dataFolderAt(settings.data).controlSocket, name, input);
    } catch (error) {
      // A socket may be left behind by a server that was killed. Any other failure is one of a server that runs.
      if (!nobodyListens(error)) throw error;
    }
  }
  try {
    return await withFoundation(settings, "write", async (foundation) => {
      const { paths, core } = foundation;
      // What goes to standard output is the command's own answer.
      const auditLog = openAuditLog(settings, { paths, core, log: silentLog, standardOutput: process.stderr, node: "command" });
      try {
        return await runCommand({ foundation, settings, auditLog }, name, input);
      } finally {
        await auditLog.close();
      }
    });
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error;
    throw new Error(`${settings.data} is in use by a server that is just starting or stopping, or by another command; try again`, {
      cause: error,
    });
  }
}

function print(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

/** `supercargo gc` */
export async function garbageCollect(flags: Flags): Promise<void> {
  const { grace } = flags;
  if (grace !== undefined && !/^\d{1,9}$/.test(grace)) throw new UsageError("--grace takes a whole number of seconds");
  print(await runAnywhere(settingsFrom(flags), "gc", grace === undefined ? {} : { graceMs: Number(grace) * 1000 }));
}

/** `supercargo fsck`: exit code 1 when something is missing or damaged. */
export async function fsck(flags: Flags): Promise<void> {
  const report = await withFoundation(settingsFrom(flags), "read", ({ core }) =>
    runFsck(core, { readBytes: flags["readBytes"] !== undefined }),
  );
  print(report);
  if (report.problemCount > 0) process.exitCode = 1;
}

/** `supercargo restore` and `supercargo purge` */
export async function undo(name: "restore" | "purge", repository: string, flags: Flags): Promise<void> {
  const { tag, digest, account, region } = flags;
  const given = (what: string, parsed: Parsed<unknown>): void => {
    if (!parsed.ok) throw new UsageError(`${what}: ${parsed.problem}`);
  };
  given(`'${repository}' is not the name of a repository`, parseRepositoryName(repository));
  if (tag !== undefined) given(`'${tag}' is not a tag`, parseTag(tag));
  if (digest !== undefined) given(`'${digest}' is not a digest`, parseDigest(digest));
  if (tag !== undefined && digest !== undefined) throw new UsageError("--tag and --digest cannot be given together");
  if (name === "purge" && tag === undefined && digest === undefined) throw new UsageError("purge needs --tag or --digest");
  const settings = settingsFrom(flags);
  print(
    await runAnywhere(settings, name, {
      repository,
      ...(tag !== undefined && { tag }),
      ...(digest !== undefined && { digest }),
      // The server has its own defaults; only what was typed is passed on.
      ...(account !== undefined && { account: settings.account }),
      ...(region !== undefined && { region: settings.region }),
    }),
  );
}

/** `supercargo root reset` */
export async function rootReset(flags: Flags): Promise<void> {
  const settings = settingsFrom(flags);
  // The server knows its own account; only what was typed is passed on.
  const key = (await runAnywhere(settings, "root-reset", accountTyped(flags, settings))) as {
    accessKeyId: string;
    secretAccessKey: string;
  };
  const lines = rootKeyExports(key);
  if (process.stdout.isTTY) process.stdout.write(`The new root access key, shown this once:\n${lines.join("\n")}\n`);
  else {
    const { rootKeyFile } = dataFolderAt(settings.data);
    await writeSecretFile(rootKeyFile, `${lines.join("\n")}\n`);
    process.stdout.write(`The new root access key was written to ${rootKeyFile}\n`);
  }
  if (settings.rootAccessKeyId !== undefined)
    process.stderr.write("Note: SUPERCARGO_ROOT_ACCESS_KEY_ID is set; the key given there comes back at the server's next start.\n");
}

/** `supercargo account create` */
export async function accountCreate(flags: Flags): Promise<void> {
  const { id, name } = flags;
  if (id !== undefined && !/^\d{12}$/.test(id)) throw new UsageError("--id takes 12 digits");
  const settings = settingsFrom(flags);
  const made = (await runAnywhere(settings, "account-create", {
    ...(id !== undefined && { accountId: id }),
    ...(name !== undefined && { name }),
  })) as { accountId: string; accessKeyId: string; secretAccessKey: string };
  const lines = rootKeyExports(made);
  process.stdout.write(`The account ${made.accountId} was made.\n`);
  if (process.stdout.isTTY) process.stdout.write(`Its root access key, shown this once:\n${lines.join("\n")}\n`);
  else {
    const file = `${dataFolderAt(settings.data).rootKeyFile}.${made.accountId}`;
    await writeSecretFile(file, `${lines.join("\n")}\n`);
    process.stdout.write(`Its root access key was written to ${file}\n`);
  }
}

/** `supercargo account list` */
export async function accountList(flags: Flags): Promise<void> {
  const settings = settingsFrom(flags);
  for (let after: string | undefined; ;) {
    const page = (await runAnywhere(settings, "account-list", after === undefined ? {} : { after })) as readonly { accountId: string }[];
    for (const account of page) process.stdout.write(`${JSON.stringify(account)}\n`);
    after = page.at(-1)?.accountId;
    if (after === undefined) return;
  }
}

/** `supercargo audit` */
export async function audit(flags: Flags): Promise<void> {
  const { since, until, event, principal, resource, errors, limit } = flags;
  if (limit !== undefined && !/^[1-9]\d{0,8}$/.test(limit)) throw new UsageError("--limit takes a whole number, 1 or more");
  const filter = {
    ...(since !== undefined && { since: momentOf("--since", since) }),
    ...(until !== undefined && { until: momentOf("--until", until) }),
    ...(event !== undefined && { eventName: event }),
    ...(principal !== undefined && { principal }),
    ...(resource !== undefined && { resource }),
    errorsOnly: errors !== undefined,
  };
  let left = Number(limit ?? Infinity);
  for await (const line of findAuditRecords(dataFolderAt(settingsFrom(flags).data).auditFolder, filter)) {
    process.stdout.write(`${line}\n`);
    if (--left <= 0) return;
  }
}

/** `2026-11-21`, `2026-11-21T08:00:00Z`, or how long ago: `90m`, `24h`, `7d`. */
export function momentOf(option: string, text: string): number {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (unit !== undefined) return systemClock.now() - Number(count) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as "m" | "h" | "d"];
  const moment = Date.parse(text);
  if (Number.isNaN(moment)) throw new UsageError(`${option} takes a moment such as 2026-11-21T08:00:00Z, or how long ago: 90m, 24h, 7d`);
  return moment;
}

/** The account of a command, where one was typed: the server knows its own. */
export function accountTyped(flags: Flags, settings: Settings): { readonly account?: string } {
  return flags["account"] === undefined ? {} : { account: settings.account };
}

/** `supercargo key make` */
export async function keyMake(file: string): Promise<void> {
  if (existsSync(file)) throw new UsageError(`${file} exists already and is left alone`);
  try {
    await writeSecretFile(file, `${formatInstanceKey(makeInstanceKey(systemRandom))}\n`);
  } catch (error) {
    throw new UsageError(`${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
  process.stdout.write(`wrote ${file}\n`);
}
