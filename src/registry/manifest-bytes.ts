import { readManifestBytes } from "#metadata/manifests.ts";
import { openWhole, sealWhole } from "#sealing/nested-frames.ts";
import { StorageError } from "#storage/driver.ts";
import { FrameError } from "#sealing/frames.ts";
import type { RegistryContext, RegistryCore } from "./context.ts";
import type { RepositoryDetail } from "./errors.ts";
import type { Protection } from "./protection.ts";
import { manifestKeys, openProtection } from "./protection.ts";

/** Which bytes are meant. */
export interface ManifestPlace {
  readonly manifestId: number;
  readonly repositoryId: number;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly isPlain: boolean;
}

/**
 * The bytes of a manifest whose row was just read; undefined when it was purged in between. Those of encrypted repositories are never kept:
 * the key is asked each time. Throws `key-unusable`.
 */
export async function manifestBytes(ctx: RegistryContext, place: ManifestPlace, detail: RepositoryDetail): Promise<Uint8Array | undefined> {
  const { core } = ctx;
  if (!place.isPlain) return openManifest(core, place, await openProtection(core, place.repositoryId, detail));
  const cached = core.manifests.get(place.manifestId);
  if (cached !== undefined) return cached;
  const bytes = await readManifestBytes(core.metadata, place.manifestId);
  if (bytes !== undefined) core.manifests.set(place.manifestId, bytes);
  return bytes;
}

/** Reads and opens sealed bytes. Throws StorageError("corrupt") when they are not what was sealed for this digest. */
export async function openManifest(
  { metadata }: RegistryCore,
  { manifestId, digest, sizeBytes }: Omit<ManifestPlace, "repositoryId" | "isPlain">,
  protection: Protection,
): Promise<Uint8Array | undefined> {
  const sealed = await readManifestBytes(metadata, manifestId);
  if (sealed === undefined) return undefined;
  try {
    return await openWhole(manifestKeys(protection, digest), sizeBytes, sealed);
  } catch (error) {
    if (error instanceof FrameError) throw new StorageError("corrupt", `the manifest ${digest}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Seals the bytes of a manifest for a repository. Throws `key-unusable`. */
export async function sealManifest(
  ctx: RegistryContext,
  place: { readonly repositoryId: number; readonly digest: string },
  detail: RepositoryDetail,
  bytes: Uint8Array,
): Promise<{ readonly repositoryId: number; readonly bytes: Uint8Array }> {
  const protection = await openProtection(ctx.core, place.repositoryId, detail);
  return { repositoryId: place.repositoryId, bytes: sealWhole(manifestKeys(protection, place.digest), bytes, ctx.core.random) };
}
