/** What a repository holds already: look-ups that answer undefined where the registry room refuses. */
import type { Digest } from "#oci/digest.ts";
import type { Reference } from "#oci/reference.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { getBlob } from "#registry/blob.ts";
import type { ReadableBlob } from "#registry/blob.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import type { RegistryErrorKind } from "#registry/errors.ts";
import { getManifest } from "#registry/manifest.ts";
import type { StoredManifest } from "#registry/manifest.ts";

const missing: readonly RegistryErrorKind[] = ["repository-not-found", "manifest-not-found", "blob-not-found"];

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof RegistryError && missing.includes(error.refusal.kind)) return undefined;
    throw error;
  }
}

/** The blob, if the repository holds it. */
export function findBlobFacts(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digest: Digest,
): Promise<ReadableBlob | undefined> {
  return orUndefined(getBlob(ctx, registry, name, digest));
}

/** The manifest, if the repository holds it. */
export function findManifest(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  reference: Reference,
): Promise<StoredManifest | undefined> {
  return orUndefined(getManifest(ctx, registry, name, reference));
}
