/** Copying a manifest with all that it needs: blobs before the manifest that names them, children before their index. */
import type { Descriptor, ParsedManifest } from "#oci/manifest.ts";
import { parseManifest } from "#oci/manifest.ts";
import { isNonDistributable } from "#oci/media-type.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { TagVersion } from "#metadata/replication.ts";
import { getBlob } from "#registry/blob.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { getManifest } from "#registry/manifest.ts";
import type { StoredManifest } from "#registry/manifest.ts";
import type { ByteSpan } from "#storage/driver.ts";
import type { Readable } from "node:stream";
import { ReplicationFailure } from "./failure.ts";

/** A manifest of the source that is to be copied under these tags. */
export interface CopyRequest {
  /** For reading the source. */
  readonly ctx: RegistryContext;
  readonly source: RegistryRef;
  readonly name: RepositoryName;
  readonly digest: Digest;
  readonly tags: readonly TagVersion[];
  readonly signal: AbortSignal;
}

/** Where copies go. All of it may be repeated. */
export interface CopySink {
  /** Checks permission and creates the repository when it is not there. */
  prepare(): Promise<void>;
  /** Puts those of the blobs there that are missing. */
  putBlobs(blobs: readonly Descriptor[]): Promise<void>;
  /** Stores the manifest; its blobs and children are there. */
  putManifest(manifest: StoredManifest, tags: readonly TagVersion[]): Promise<void>;
}

/** An index in an index is rare; deeper ones are nobody's real content. */
const maxDepth = 8;

/** Copies a manifest with its blobs and children. Throws what source and sink throw. */
export async function copyManifest(request: CopyRequest, sink: CopySink): Promise<void> {
  await sink.prepare();
  const seen = new Set<string>();
  const visit = async (digest: Digest, tags: readonly TagVersion[], depth: number): Promise<void> => {
    request.signal.throwIfAborted();
    if (depth > maxDepth) throw new ReplicationFailure("ImageNotReplicable", `indexes are nested more than ${maxDepth} deep`, true);
    seen.add(digest);
    const stored = depth === 0 ? await readManifest(request, digest) : await readChild(request, digest);
    if (stored === undefined) return;
    const manifest = parsedOf(stored);
    for (const child of manifest.children) if (!seen.has(child.digest)) await visit(child.digest, [], depth + 1);
    const blobs = blobsOf(manifest);
    if (blobs.length > 0) await sink.putBlobs(blobs);
    await sink.putManifest(stored, tags);
  };
  await visit(request.digest, request.tags, 0);
}

/** Opens a blob of the source, whole or from a byte on. Chunks belong to the reader. */
export async function openSourceBlob({ ctx, source, name }: CopyRequest, digest: Digest, span?: ByteSpan): Promise<Readable> {
  const blob = await getBlob(ctx, source, name, digest);
  const bytes = await blob.open(span);
  if (bytes.kind !== "bytes") throw new ReplicationFailure("InternalError", "the source's driver does not hand out bytes", true);
  return bytes.stream;
}

function readManifest({ ctx, source, name }: CopyRequest, digest: Digest): Promise<StoredManifest> {
  return getManifest(ctx, source, name, { kind: "digest", digest });
}

/** Undefined for a child that the source does not have itself: its index is a sparse one. */
async function readChild(request: CopyRequest, digest: Digest): Promise<StoredManifest | undefined> {
  try {
    return await readManifest(request, digest);
  } catch (error) {
    if (error instanceof RegistryError && error.refusal.kind === "manifest-not-found") return undefined;
    throw error;
  }
}

function parsedOf({ bytes, mediaType, digest }: StoredManifest): ParsedManifest {
  const result = parseManifest(bytes, mediaType);
  if (result.ok) return result.value;
  throw new ReplicationFailure("ImageNotReplicable", `the stored manifest ${digest} cannot be read: ${result.problem}`, true);
}

/** Each once, and only those that registries keep. */
function blobsOf({ config, layers }: ParsedManifest): readonly Descriptor[] {
  const blobs = [...(config === undefined ? [] : [config]), ...layers.filter(({ mediaType }) => !isNonDistributable(mediaType))];
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}
