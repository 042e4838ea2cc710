import { readManifestBytes } from "#metadata/manifests.ts";
import type { RegistryContext } from "./context.ts";

/** The bytes of a manifest whose row was just read; undefined when it was purged in between. */
export async function manifestBytes(ctx: RegistryContext, manifestId: number): Promise<Uint8Array | undefined> {
  const cached = ctx.core.manifests.get(manifestId);
  if (cached !== undefined) return cached;
  const bytes = await readManifestBytes(ctx.core.metadata, manifestId);
  if (bytes !== undefined) ctx.core.manifests.set(manifestId, bytes);
  return bytes;
}
