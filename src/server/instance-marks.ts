/**
 * Marks that keep a database and a data folder from being used for what they are not: garbage collection against the wrong database
 * would take every blob for an orphan, and `--dev` lets anyone write.
 */
import { readFile, realpath } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { claimInstanceSetting, readInstanceSetting } from "#metadata/accounts.ts";
import type { Database } from "#metadata/database.ts";
import { listBlobsForFsck } from "#metadata/garbage.ts";
import { hasColdBlobs } from "#metadata/storage-class-tier.ts";
import type { Random } from "#std/random.ts";
import { writeSecretFile } from "./data-folder.ts";
import type { DataFolder } from "./data-folder.ts";
import { SettingsError } from "./settings.ts";
import type { Settings } from "./settings.ts";

const devMark = "dev";
const registryIdMark = "registry-id";

/** The id of the registry whose blobs are in this folder; undefined for a folder that holds none. */
export async function readRegistryId(paths: Pick<DataFolder, "registryIdFile">): Promise<string | undefined> {
  try {
    return (await readFile(paths.registryIdFile, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Makes sure that the blobs in the folder are those of the database: both carry the registry's id, the database first.
 * Throws {@link SettingsError} when they belong to different registries.
 */
export async function matchFolder(metadata: Database, paths: DataFolder, settings: Settings, random: Random): Promise<void> {
  const found = await readRegistryId(paths);
  const known = await readInstanceSetting(metadata, registryIdMark);
  const isShared = settings.databaseUrl !== undefined;
  if (found === undefined) {
    // A SQLite database lies in the folder itself; one in Postgres may have its blobs somewhere else.
    if (isShared && known !== undefined && (await listBlobsForFsck(metadata, { after: 0, limit: 1 })).length > 0)
      throw new SettingsError(
        `the blobs of this database are not in ${paths.folder}: every node needs the same (shared) data folder. SUPERCARGO_DATA says where it is`,
      );
    const registryId = known ?? (await claimInstanceSetting(metadata, registryIdMark, random.uuid()));
    await writeSecretFile(paths.registryIdFile, `${registryId}\n`);
  } else if (found !== known) throw wrongFolder(paths);
}

/**
 * The same for the folder of the cold tier, which may be somewhere else; answers what puts the mark into it once it is there.
 * Throws {@link SettingsError} also when cold copies should be there and the folder has no mark: a disk that is not mounted.
 */
export async function matchColdFolder(metadata: Database, paths: DataFolder, folder: string): Promise<() => Promise<void>> {
  if (isInside(await realPathOf(folder), await realPathOf(paths.storageFolder)))
    throw new SettingsError(
      `${folder} is the folder of blobs at hand, and cannot be the cold one too. SUPERCARGO_COLD_DATA chooses another one`,
    );
  const registryIdFile = join(folder, "registry.id");
  const found = await readRegistryId({ registryIdFile });
  const known = await readInstanceSetting(metadata, registryIdMark);
  if (found !== undefined && found !== known)
    throw new SettingsError(`${folder} holds archived blobs of another registry. SUPERCARGO_COLD_DATA chooses another folder`);
  if (found === undefined && (await hasColdBlobs(metadata)))
    throw new SettingsError(
      `the archived blobs of this registry are not in ${folder}: mount their disk, or say by SUPERCARGO_COLD_DATA where they are`,
    );
  return async () => {
    if (found === undefined) await writeSecretFile(registryIdFile, `${known}\n`);
  };
}

async function realPathOf(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return resolve(folder);
    throw error;
  }
}

function isInside(folder: string, other: string): boolean {
  return folder === other || folder.startsWith(`${other}${sep}`);
}

/** The folder's blobs are those of another database. */
export function wrongFolder(paths: DataFolder): SettingsError {
  return new SettingsError(
    `${paths.folder} holds the blobs of another registry, whose database is not this one. Restore that database, or choose another folder with SUPERCARGO_DATA`,
  );
}

/** `--dev` checks no signature, so it may only ever see data that it made itself, and strict mode must not serve what anyone could have written. */
export async function guardDevMark(metadata: Database, settings: Settings, isNew: boolean): Promise<void> {
  const mark = isNew
    ? await claimInstanceSetting(metadata, devMark, settings.dev ? "1" : "0")
    : await readInstanceSetting(metadata, devMark);
  const [what, other] =
    settings.databaseUrl === undefined
      ? [`the data folder ${settings.data}`, "Choose another folder with SUPERCARGO_DATA"]
      : ["this database", "Choose another one with SUPERCARGO_DATABASE_URL"];
  if (settings.dev && mark !== "1")
    throw new SettingsError(`--dev uses only what --dev has made, and ${what} belongs to a strict registry. ${other}`);
  if (!settings.dev && mark === "1")
    throw new SettingsError(`${what} was made by --dev, where anyone may write, and cannot become a strict registry. ${other}`);
}
