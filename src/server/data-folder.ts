/** The data folder: who may read it, the instance key in it, the mark of `--dev`, and the file that shows a new root key once. */
import { existsSync } from "node:fs";
import { chmod, mkdir, open, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatInstanceKey, makeInstanceKey, parseInstanceKeys } from "#sealing/instance-key.ts";
import type { InstanceKey } from "#sealing/instance-key.ts";
import type { Random } from "#std/random.ts";
import { SettingsError } from "./settings.ts";

/** Where things are inside the data folder. */
export interface DataFolder {
  readonly folder: string;
  readonly databaseFile: string;
  readonly storageFolder: string;
  readonly keyFile: string;
  readonly rootKeyFile: string;
  readonly controlSocket: string;
}

/** Names the places in a data folder without touching it. */
export function dataFolderAt(folder: string): DataFolder {
  return {
    folder,
    databaseFile: join(folder, "registry.sqlite"),
    storageFolder: join(folder, "storage"),
    keyFile: join(folder, "instance.key"),
    rootKeyFile: join(folder, "root-access-key.env"),
    controlSocket: join(folder, "control.sock"),
  };
}

/** Makes the folder, readable by its owner only. An existing folder keeps its mode. */
export async function prepareDataFolder(paths: DataFolder): Promise<void> {
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
}

/** Is this folder one that holds a registry already? */
export function holdsRegistry(paths: DataFolder): boolean {
  return existsSync(paths.databaseFile);
}

/**
 * Reads the instance key, or makes it (0600, durable before it is used) when `mayMake`.
 * Throws {@link SettingsError} when it is missing, unusable, or readable by others.
 */
export async function loadInstanceKeys(file: string, mayMake: boolean, random: Random): Promise<readonly InstanceKey[]> {
  if (!existsSync(file)) {
    if (!mayMake)
      throw new SettingsError(
        `the instance key ${file} is missing; without it no stored secret can be opened. Restore it from your backup, or for a new deployment make one with: supercargo key make ${file}`,
      );
    await writeSecretFile(file, `${formatInstanceKey(makeInstanceKey(random))}\n`);
  }
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0)
    throw new SettingsError(`the instance key ${file} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${file}`);
  const keys = parseInstanceKeys(await readFile(file, "utf8"));
  if (!keys.ok) throw new SettingsError(`the instance key ${file} is not usable: ${keys.problem}`);
  return keys.value;
}

/** Writes a file that only its owner can read, durably; an existing one is replaced in place. */
export async function writeSecretFile(file: string, text: string): Promise<void> {
  const handle = await open(file, "w", 0o600);
  try {
    await chmod(file, 0o600);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
