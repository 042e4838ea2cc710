/** The data folder: where things are in it, who may read it and who owns it now, the instance key, and files that hold secrets. */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { takeFileLock } from "#metadata/file-lock.ts";
import type { FileLock } from "#metadata/file-lock.ts";
import { formatInstanceKey, makeInstanceKey, parseInstanceKeys } from "#sealing/instance-key.ts";
import type { InstanceKey } from "#sealing/instance-key.ts";
import type { Random } from "#std/random.ts";
import { SettingsError } from "./settings.ts";

/** Where things are inside the data folder. */
export interface DataFolder {
  readonly folder: string;
  readonly databaseFile: string;
  readonly storageFolder: string;
  /** Of the cold tier, unless the settings put it elsewhere. */
  readonly coldFolder: string;
  readonly keyFile: string;
  readonly rootKeyFile: string;
  /** A file of audit records a day. */
  readonly auditFolder: string;
  /** Says whose blobs these are; see instance-marks.ts. */
  readonly registryIdFile: string;
  readonly controlSocket: string;
  readonly lockFile: string;
}

/** Another process owns the data folder now; the message says what to do. */
export class FolderInUse extends Error {
  override readonly name = "FolderInUse";
}

/** Names the places in a data folder without touching it. */
export function dataFolderAt(folder: string): DataFolder {
  return {
    folder,
    databaseFile: join(folder, "registry.sqlite"),
    storageFolder: join(folder, "storage"),
    coldFolder: join(folder, "cold"),
    keyFile: join(folder, "instance.key"),
    rootKeyFile: join(folder, "root-access-key.env"),
    auditFolder: join(folder, "audit"),
    registryIdFile: join(folder, "registry.id"),
    controlSocket: join(folder, "control.sock"),
    lockFile: join(folder, "in-use.lock"),
  };
}

/** Makes the folder, readable by its owner only. An existing folder keeps its mode. Throws {@link SettingsError}. */
export async function prepareDataFolder(paths: DataFolder): Promise<void> {
  try {
    await mkdir(paths.folder, { recursive: true, mode: 0o700 });
    if (!(await stat(paths.folder)).isDirectory()) throw new Error("it is not a folder");
  } catch (error) {
    throw new SettingsError(`the data folder ${paths.folder} cannot be made: ${messageOf(error)}. SUPERCARGO_DATA chooses another one`);
  }
}

/**
 * Makes this process the owner of the folder until it releases the lock or dies. SQLite has one writer, and only an owner may replace
 * the control socket. Throws {@link FolderInUse} when a live process owns it.
 */
export function ownDataFolder(paths: DataFolder): FileLock {
  let lock: FileLock | undefined;
  try {
    lock = takeFileLock(paths.lockFile);
  } catch (error) {
    throw new SettingsError(`the data folder ${paths.folder} cannot be used: ${messageOf(error)}`);
  }
  if (lock === undefined)
    throw new FolderInUse(
      `the data folder ${paths.folder} is in use by another supercargo process: wait for it or stop it, or choose another folder with SUPERCARGO_DATA`,
    );
  return lock;
}

/** Is there a SQLite registry in this folder already? */
export function holdsRegistry(paths: DataFolder): boolean {
  return existsSync(paths.databaseFile);
}

/** What to do when there is no key file: make one (a new registry), or say what its absence means. */
export type MissingKey = "make" | "was-lost" | "was-never-made";

/**
 * Reads the instance key, or makes it (0600, durable before it is used).
 * Throws {@link SettingsError} when it is missing and may not be made, unusable, or readable by others.
 */
export async function loadInstanceKeys(file: string, whenMissing: MissingKey, random: Random): Promise<readonly InstanceKey[]> {
  try {
    if (!existsSync(file)) {
      if (whenMissing === "was-lost")
        throw new SettingsError(
          `the instance key ${file} is missing, and without it no secret in the database can be opened: restore it from your backup`,
        );
      if (whenMissing === "was-never-made")
        throw new SettingsError(
          `the instance key ${file} is missing: copy it from a node that works, or for a new registry make it with: supercargo key make ${file}`,
        );
      await writeSecretFile(file, `${formatInstanceKey(makeInstanceKey(random))}\n`);
    }
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0)
      throw new SettingsError(
        `the instance key ${file} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${file}`,
      );
    const keys = parseInstanceKeys(await readFile(file, "utf8"));
    if (!keys.ok) throw new SettingsError(`the instance key ${file} is not usable: ${keys.problem}`);
    return keys.value;
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw new SettingsError(`the instance key ${file} cannot be read or made: ${messageOf(error)}`);
  }
}

/** Writes a file that only its owner can read, durably. An existing one is replaced at once and never seen half-written. */
export async function writeSecretFile(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.new`;
  await rm(draft, { force: true });
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
