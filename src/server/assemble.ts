/** Joins the rooms by hand: the only place that names a concrete driver and a concrete database. */
import { createAccess } from "#access/access.ts";
import type { Access } from "#access/access.ts";
import { createOpenIdKeys } from "#identity/openid-keys.ts";
import type { FetchJson, OpenIdKeys } from "#identity/openid-keys.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import { createPullThrough } from "#pullthrough/pull-through.ts";
import type { PullThrough } from "#pullthrough/pull-through.ts";
import { createAddressing } from "#registry/addressing.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { Peers } from "#replication/peers.ts";
import type { RegistryCore } from "#registry/context.ts";
import { defaultLimits } from "#registry/limits.ts";
import { createManifestCache } from "#registry/manifest-cache.ts";
import { createPullNotes } from "#registry/pull-time.ts";
import { createUploadHashes } from "#registry/upload-hashes.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemClock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { createTieredDriver } from "#storage/tiered.ts";
import type { GuardedConnections } from "#upstream/connections.ts";
import { dataFolderAt, holdsRegistry, loadInstanceKeys } from "./data-folder.ts";
import type { DataFolder } from "./data-folder.ts";
import { createAwsKeyService } from "./aws-key-service.ts";
import { createCreationRoles } from "./creation-roles.ts";
import type { TargetSetting } from "./event-target-file.ts";
import { createKeyService } from "./key-service.ts";
import type { OtherKeys } from "./key-service.ts";
import { guardDevMark, matchColdFolder, matchFolder, readRegistryId, wrongFolder } from "./instance-marks.ts";
import { SettingsError } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Everything below the two planes, opened. */
export interface Foundation {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly openIdKeys: OpenIdKeys;
  readonly pullThrough: PullThrough;
  readonly paths: DataFolder;
  /** Other deployments to replicate to. */
  readonly peers: Peers;
  /** Where a server sends events; commands send none. */
  readonly eventTargets: readonly TargetSetting[];
  close(): Promise<void>;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

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
    const access = createAccess({
      metadata,
      sealer,
      clock,
      random,
      log,
      dev: settings.dev,
      defaultAccountId: settings.account,
      regions: settings.regions,
      keysAreElsewhere: settings.kms !== "built-in",
    });
    const core: RegistryCore = {
      metadata,
      storage: await openBytes(paths, settings, metadata),
      clock,
      random,
      sealer,
      log,
      limits: {
        ...defaultLimits,
        undoMs: settings.undoDays * dayMs,
        lifecycleEveryMs: settings.lifecycleHours * hourMs,
        allowSparseIndexes: settings.sparseIndexes,
      },
      manifests: createManifestCache(settings.manifestCacheMb * 1_048_576),
      uploads: createUploadHashes(),
      pulls: createPullNotes({ metadata, clock, log }),
      creationRoles: createCreationRoles(access, metadata),
      keys: createKeyService({ metadata, clock, random, sealer }, otherKeys(settings, log)),
    };
    const peers = purpose === "serve" ? await openPeers(settings) : new Map<string, never>();
    const eventTargets = purpose === "serve" ? await loadEventTargets(settings) : [];
    const openIdKeys = createOpenIdKeys(guardedFetch(settings.trustedHosts), clock, log);
    const others = guardedConnections(settings.trustedHosts);
    const pullThrough = createPullThrough({
      core,
      access,
      addressing: namesOf(settings),
      isOnlyNode: settings.databaseUrl === undefined,
      connect: () => others.open(),
    });
    const close = async (): Promise<void> => {
      await others.close();
      await core.pulls.close();
      await metadata.close();
    };
    return { core, access, openIdKeys, pullThrough, paths, peers, eventTargets, close };
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

/** Of new encrypted repositories, where the operator has named somebody who keeps them. */
function otherKeys({ kms }: Settings, log: Log): OtherKeys | undefined {
  if (kms === "built-in") return undefined;
  return createAwsKeyService({ endpoint: kms === "aws" ? undefined : kms, clock: systemClock, log });
}

async function loadEventTargets({ eventTargets, trustedHosts }: Settings): Promise<readonly TargetSetting[]> {
  if (eventTargets === undefined) return [];
  const { readEventTargets } = await import("./event-target-file.ts");
  return readEventTargets(eventTargets, { environment: process.env, trustedHosts });
}

/** Few deployments have peers; the others need not know what they look like. */
async function openPeers(settings: Settings): Promise<Peers> {
  if (settings.peers === undefined) return new Map();
  const { loadPeers } = await import("./peers-file.ts");
  return loadPeers(settings.peers, settings);
}

/** Node's client for other servers takes megabytes, so it is loaded by the first question to an identity provider. */
function guardedFetch(trustedHosts: readonly string[]): FetchJson {
  let fetchJson: Promise<FetchJson> | undefined;
  return async (url) => {
    fetchJson ??= import("#upstream/guarded-fetch.ts").then(({ createGuardedFetch }) => createGuardedFetch({ trustedHosts }));
    return (await fetchJson)(url);
  };
}

/** The same for other registries: opened by the first who asks. */
function guardedConnections(trustedHosts: readonly string[]): { open(): Promise<GuardedConnections>; close(): Promise<void> } {
  let connections: Promise<GuardedConnections> | undefined;
  return {
    open() {
      connections ??= import("#upstream/connections.ts").then(({ createGuardedConnections }) => createGuardedConnections({ trustedHosts }));
      return connections;
    },
    close: async () => (await connections)?.close(),
  };
}

/** Names and ARNs as they are here whatever a request says; where the server listens plays no part in them. */
function namesOf({ account, region, regions, domain, publicUrl, listen }: Settings): Addressing {
  const defaultRegistry = { accountId: account, region };
  return createAddressing({ defaultRegistry, regions, domain, publicUrl, port: listen.port, scheme: "https" });
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

async function openBytes(paths: DataFolder, settings: Settings, metadata: Database): Promise<StorageDriver> {
  const coldFolder = settings.coldData ?? paths.coldFolder;
  const standard = await openStorageFolder(paths.storageFolder);
  const markCold = await matchColdFolder(metadata, paths, coldFolder);
  const cold = await openStorageFolder(coldFolder);
  await markCold();
  return createTieredDriver({ standard, cold });
}

async function openStorageFolder(folder: string): Promise<StorageDriver> {
  try {
    return await createFilesystemDriver({ folder, random: systemRandom });
  } catch (error) {
    throw new SettingsError(`the storage folder ${folder} cannot be used: ${causesOf(error)}`, { cause: error });
  }
}

/** A failed connection is often several errors, one an address, under an empty message. */
function causesOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(causesOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
