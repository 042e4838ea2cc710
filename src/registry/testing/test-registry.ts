/** A whole registry for tests: real metadata over SQLite, a real driver, a clock that stands still until it is moved. */
import { openDatabase } from "#metadata/database.ts";
import type { Digest } from "#oci/digest.ts";
import { digestOf } from "#oci/digest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { StorageDriver } from "#storage/driver.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "../context.ts";
import { noCreationRoles } from "../creation-role.ts";
import type { RegistryErrorKind } from "../errors.ts";
import { RegistryError } from "../errors.ts";
import { KeyRefusal } from "../key-service.ts";
import type { KeyService } from "../key-service.ts";
import type { Limits } from "../limits.ts";
import { defaultLimits } from "../limits.ts";
import { createManifestCache } from "../manifest-cache.ts";
import { putManifest } from "../manifest.ts";
import { createPullNotes } from "../pull-time.ts";
import type { IncomingBytes } from "../upload-bytes.ts";
import { createUploadHashes } from "../upload-hashes.ts";
import { uploadWhole } from "../upload.ts";

/** The registry that tests use. */
export const registry: RegistryRef = { accountId: "111111111111", region: "eu-central-1" };

/** A time in 2026 where tests begin. */
const beginning = 1_790_000_000_000;

/** A clock that is moved by hand. */
export interface ManualClock {
  now(): number;
  advance(ms: number): void;
}

const refuseUse = async (): Promise<never> => {
  throw new KeyRefusal("NotFoundException", "there are no keys in this test");
};
const noKeys: KeyService = {
  keeper: "here",
  resolve: refuseUse,
  grant: refuseUse,
  retire: refuseUse,
  wrap: refuseUse,
  unwrap: refuseUse,
};

/** A clock at the beginning. */
export function createManualClock(): ManualClock {
  let now = beginning;
  return {
    now: () => now,
    advance(ms) {
      now += ms;
    },
  };
}

/** A registry with somebody who acts in it. */
export interface TestRegistry {
  readonly core: RegistryCore;
  readonly ctx: RegistryContext;
  readonly clock: ManualClock;
  /** The same process' view for somebody else. */
  actAs(principalId: string): RegistryContext;
  /** The same bytes and facts in a process that has just started. */
  restart(): RegistryContext;
  close(): Promise<void>;
}

/** Opens a registry over `databaseFile`, made if it is not there. */
export async function openTestRegistry(settings: {
  readonly databaseFile: string;
  readonly storage: StorageDriver;
  readonly clock: ManualClock;
  readonly limits?: Partial<Limits>;
  /** Without it there is no key. */
  readonly keys?: (core: Omit<RegistryCore, "keys">) => KeyService;
}): Promise<TestRegistry> {
  const { databaseFile, storage, clock } = settings;
  const metadata = await openDatabase({ kind: "sqlite", file: databaseFile }, { log: silentLog });
  const fresh = () => ({ manifests: createManifestCache(1_000_000), uploads: createUploadHashes() });
  const keyless: Omit<RegistryCore, "keys"> = {
    metadata,
    storage,
    clock,
    random: systemRandom,
    sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom),
    limits: { ...defaultLimits, ...settings.limits },
    log: silentLog,
    creationRoles: noCreationRoles,
    pulls: createPullNotes({ metadata, clock, log: silentLog }),
    ...fresh(),
  };
  const core: RegistryCore = { ...keyless, keys: settings.keys?.(keyless) ?? noKeys };
  const contextOf = (use: RegistryCore, principalId: string): RegistryContext => ({
    core: use,
    actor: { accountId: registry.accountId, principalId, arn: `arn:aws:iam::${registry.accountId}:user/${principalId}` },
    requestId: systemRandom.uuid(),
  });
  return {
    core,
    clock,
    ctx: contextOf(core, "AIDAONE"),
    actAs: (principalId) => contextOf(core, principalId),
    restart: () => contextOf({ ...core, ...fresh() }, "AIDAONE"),
    async close() {
      await core.pulls.close();
      await metadata.close();
    },
  };
}

/** Text as bytes of their own: a driver may detach what it is given. */
export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "utf8"));
}

/** The SHA-256 digest of text or bytes. */
export function sha256(content: string | Uint8Array): Digest {
  return digestOf("sha256", typeof content === "string" ? bytesOf(content) : content);
}

/** A body that arrives in these chunks. */
export function incoming(...chunks: readonly (string | Uint8Array)[]): IncomingBytes {
  return {
    chunks: (async function* () {
      for (const chunk of chunks) yield typeof chunk === "string" ? bytesOf(chunk) : Uint8Array.from(chunk);
    })(),
  };
}

/** Everything a stream holds. */
export async function readAll(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString("utf8");
}

/** Pushes a blob in one go. */
export async function pushBlob(ctx: RegistryContext, name: RepositoryName, content: string): Promise<Digest> {
  const digest = sha256(content);
  await uploadWhole(ctx, registry, name, { digest, incoming: incoming(content) });
  return digest;
}

/** A manifest of one config and some layers, given by their contents. */
export function manifestOf(config: string, layers: readonly string[], more: Readonly<Record<string, unknown>> = {}): Uint8Array {
  const descriptor = (mediaType: string, content: string) => ({ mediaType, digest: sha256(content), size: bytesOf(content).byteLength });
  return bytesOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(mediaTypes.ociConfig, config),
      layers: layers.map((layer) => descriptor("application/vnd.oci.image.layer.v1.tar", layer)),
      ...more,
    }),
  );
}

/** An index over manifests given by their bytes. */
export function indexOf(children: readonly Uint8Array[], more: Readonly<Record<string, unknown>> = {}): Uint8Array {
  const manifests = children.map((child) => ({ mediaType: mediaTypes.ociManifest, digest: sha256(child), size: child.byteLength }));
  return bytesOf(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...more }));
}

/** Pushes blobs and then the manifest over them; answers its digest. */
export async function pushManifest(
  ctx: RegistryContext,
  name: RepositoryName,
  content: { readonly config: string; readonly layers?: readonly string[]; readonly tags?: readonly string[] },
): Promise<Digest> {
  const { config, layers = [], tags = [] } = content;
  for (const blob of [config, ...layers]) await pushBlob(ctx, name, blob);
  const result = await putManifest(ctx, registry, name, { bytes: manifestOf(config, layers), tags: tags as readonly Tag[], plane: "oci" });
  return result.digest;
}

/** For `assert.rejects`: a refusal of this kind. */
export function refusal(kind: RegistryErrorKind): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof RegistryError && error.refusal.kind === kind) return true;
    throw error;
  };
}
