/** Joins the rooms by hand: the only place that names a concrete driver and a concrete database. */
import { createAccess } from "#access/access.ts";
import type { Access } from "#access/access.ts";
import { createOpenIdKeys } from "#identity/openid-keys.ts";
import type { FetchJson, OpenIdKeys } from "#identity/openid-keys.ts";
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
import type { StorageDriver } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { dataFolderAt, holdsRegistry, loadInstanceKeys } from "./data-folder.ts";
import type { DataFolder } from "./data-folder.ts";
import { createKeyService } from "./key-service.ts";
import { guardDevMark, matchFolder, readRegistryId, wrongFolder } from "./instance-marks.ts";
import { SettingsError } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Everything below the two planes, opened. */
export interface Foundation {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly openIdKeys: OpenIdKeys;
  readonly paths: DataFolder;
  close(): Promise<void>;
}

const dayMs = 86_400_000;

/**
 * Opens the data folder (which must be there), database, storage and access. A command may work on what a server of either mode has made;
 * a server only on its own. Throws SettingsError for what the operator can mend.
 */
export async function openFoundation(settings: Settings, log: Log, purpose: "serve" | "command"): Promise<Foundation> {
  const paths = dataFolderAt(settings.data);
  const isSqlite = settings.databaseUrl === undefined;
  const isNew = !isSqlite || !holdsRegistry(paths);
  if (isSqlite && isNew && (await readRegistryId(paths)) !== undefined) throw wrongFolder(paths);
  const random = systemRandom;
  const clock = systemClock;
  const whenMissing = !isSqlite ? "was-never-made" : isNew ? "make" : "was-lost";
  const sealer = createSealer(await loadInstanceKeys(settings.keyFile ?? paths.keyFile, whenMissing, random), random);
  const metadata = await openFacts(settings, paths, log);
  try {
    if (purpose === "serve") await guardDevMark(metadata, settings, isNew);
    await matchFolder(metadata, paths, settings, random);
    const core: RegistryCore = {
      metadata,
      storage: await openBytes(paths),
      clock,
      random,
      sealer,
      log,
      limits: { ...defaultLimits, undoMs: settings.undoDays * dayMs, allowSparseIndexes: settings.sparseIndexes },
      manifests: createManifestCache(settings.manifestCacheMb * 1_048_576),
      uploads: createUploadHashes(),
      keys: createKeyService({ metadata, clock, random, sealer }),
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
    const openIdKeys = createOpenIdKeys(guardedFetch(settings.trustedHosts), clock, log);
    return { core, access, openIdKeys, paths, close: () => metadata.close() };
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

/** Node's client for other servers takes megabytes, so it is loaded by the first question to an identity provider. */
function guardedFetch(trustedHosts: readonly string[]): FetchJson {
  let fetchJson: Promise<FetchJson> | undefined;
  return async (url) => {
    fetchJson ??= import("#upstream/guarded-fetch.ts").then(({ createGuardedFetch }) => createGuardedFetch({ trustedHosts }));
    return (await fetchJson)(url);
  };
}

async function openFacts(settings: Settings, paths: DataFolder, log: Log): Promise<Database> {
  const url = settings.databaseUrl;
  try {
    return await openDatabase(url === undefined ? { kind: "sqlite", file: paths.databaseFile } : { kind: "postgres", url }, { log });
  } catch (error) {
    // Of the URL only the place: it carries a password.
    const place = url === undefined ? paths.databaseFile : `at ${URL.parse(url)?.host || "SUPERCARGO_DATABASE_URL"}`;
    throw new SettingsError(`the database ${place} cannot be opened: ${causesOf(error)}`, { cause: error });
  }
}

async function openBytes(paths: DataFolder): Promise<StorageDriver> {
  try {
    return await createFilesystemDriver({ folder: paths.storageFolder, random: systemRandom });
  } catch (error) {
    throw new SettingsError(`the storage folder ${paths.storageFolder} cannot be used: ${causesOf(error)}`, { cause: error });
  }
}

/** A failed connection is often several errors, one an address, under an empty message. */
function causesOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(causesOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
