/** Joins the rooms by hand: the only place that names a concrete driver and a concrete database. */
import { createAccess } from "#access/access.ts";
import type { Access } from "#access/access.ts";
import { ensureRootKey } from "#access/root-key.ts";
import { ensureAccount, readInstanceSetting, writeInstanceSetting } from "#metadata/accounts.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import type { RegistryCore } from "#registry/context.ts";
import { defaultLimits } from "#registry/limits.ts";
import { createManifestCache } from "#registry/manifest-cache.ts";
import { createUploadHashes } from "#registry/upload-hashes.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemClock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { dataFolderAt, holdsRegistry, loadInstanceKeys, prepareDataFolder } from "./data-folder.ts";
import type { DataFolder } from "./data-folder.ts";
import { SettingsError } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Everything below the two planes, opened. */
export interface Foundation {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly paths: DataFolder;
  /** A root key that this start made; shown once and nowhere kept in the clear. */
  readonly createdRootKey: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  close(): Promise<void>;
}

const devMark = "dev";
const dayMs = 86_400_000;

/** Opens the data folder, database, storage and access. Throws SettingsError for what the operator can mend. */
export async function openFoundation(settings: Settings, log: Log): Promise<Foundation> {
  const paths = dataFolderAt(settings.data);
  const isNew = settings.databaseUrl !== undefined || !holdsRegistry(paths);
  await prepareDataFolder(paths);
  const random = systemRandom;
  const clock = systemClock;
  const keys = await loadInstanceKeys(settings.keyFile ?? paths.keyFile, settings.databaseUrl === undefined && isNew, random);
  const sealer = createSealer(keys, random);
  const metadata = await openDatabase(
    settings.databaseUrl === undefined ? { kind: "sqlite", file: paths.databaseFile } : { kind: "postgres", url: settings.databaseUrl },
    { log },
  );
  try {
    await guardDevMark(metadata, settings, isNew);
    const storage = await createFilesystemDriver({ folder: paths.storageFolder, random });
    await ensureAccount(metadata, { accountId: settings.account, now: clock.now() });
    const given =
      settings.rootAccessKeyId !== undefined && settings.rootSecretAccessKey !== undefined
        ? { accessKeyId: settings.rootAccessKeyId, secretAccessKey: settings.rootSecretAccessKey }
        : undefined;
    const rootKey = await ensureRootKey({ metadata, sealer, clock, random, accountId: settings.account }, { given });
    const core: RegistryCore = {
      metadata,
      storage,
      clock,
      random,
      sealer,
      log,
      limits: { ...defaultLimits, undoMs: settings.undoDays * dayMs, allowSparseIndexes: settings.sparseIndexes },
      manifests: createManifestCache(settings.manifestCacheMb * 1_048_576),
      uploads: createUploadHashes(),
    };
    const access = createAccess({
      metadata,
      sealer,
      clock,
      random,
      log,
      dev: settings.dev,
      defaultAccountId: settings.account,
      regions: settings.regions,
    });
    return { core, access, paths, createdRootKey: rootKey.created, close: () => metadata.close() };
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

/** `--dev` checks no signature, so it may only ever see data that it made itself, and strict mode must not serve what anyone could have written. */
async function guardDevMark(metadata: Database, settings: Settings, isNew: boolean): Promise<void> {
  const mark = await readInstanceSetting(metadata, devMark);
  if (mark === undefined && (isNew || settings.databaseUrl !== undefined)) {
    await writeInstanceSetting(metadata, devMark, settings.dev ? "1" : "0");
    return;
  }
  if (settings.dev && mark !== "1")
    throw new SettingsError(
      `--dev runs only on a data folder that --dev created; ${settings.data} belongs to a strict registry. Choose another folder with SUPERCARGO_DATA`,
    );
  if (!settings.dev && mark === "1")
    throw new SettingsError(
      `${settings.data} was created by --dev, where anyone may write; it cannot become a strict registry. Choose another folder with SUPERCARGO_DATA`,
    );
}
