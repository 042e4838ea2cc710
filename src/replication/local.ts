/**
 * Replication inside a deployment. In the same account and protection domain no byte is copied: the destination's repository gets links.
 * Into other accounts and domains bytes are streamed through an upload, as if the destination had been pushed to.
 */
import type { Access } from "#access/access.ts";
import { authorize } from "#access/authorize.ts";
import { namedTagKey } from "#access/condition-keys.ts";
import { rootPrincipal } from "#access/principal.ts";
import { mountBlob } from "#metadata/blobs.ts";
import type { Repository } from "#metadata/repositories.ts";
import { findRepository } from "#metadata/repositories.ts";
import type { Tag } from "#oci/tag.ts";
import type { Descriptor } from "#oci/manifest.ts";
import type { Digest } from "#oci/digest.ts";
import { checkBlobs } from "#registry/blob.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { refuse } from "#registry/errors.ts";
import { putManifest } from "#registry/manifest.ts";
import { createByService } from "#registry/repository-creation.ts";
import { authorOf, repositoryDetail, repositoryKey } from "#registry/scope.ts";
import { uploadWhole } from "#registry/upload.ts";
import { openSourceBlob } from "./copy.ts";
import type { CopyRequest, CopySink } from "./copy.ts";
import { ReplicationFailure } from "./failure.ts";

/** The way into a registry of this deployment. */
export function localSink(access: Access, request: CopyRequest, destination: RegistryRef): CopySink {
  const { ctx, source, name } = request;
  const { metadata } = ctx.core;
  const target = repositoryKey(destination, name);
  let canLink = false;

  async function mustAllow(action: string): Promise<void> {
    if (destination.accountId === source.accountId) return;
    const decision = await authorize(access, rootPrincipal(source.accountId, ""), {
      action,
      resource: `arn:aws:ecr:${destination.region}:${destination.accountId}:repository/${name}`,
      region: destination.region,
      origin: { host: undefined, scheme: "https", sourceIp: "127.0.0.1", userAgent: "ecr.amazonaws.com", referer: undefined },
      keys: request.tags.length === 0 ? undefined : { [namedTagKey]: request.tags.map(({ tag }) => tag) },
    });
    if (!decision.allowed) throw new ReplicationFailure("AccessDenied", decision.message, true);
  }

  return {
    async prepare() {
      await mustAllow("ecr:ReplicateImage");
      const [own, existing] = await Promise.all([findRepository(metadata, repositoryKey(source, name)), findRepository(metadata, target)]);
      if (own === undefined) refuse("repository-not-found", repositoryDetail(source, name));
      if (existing === undefined) await mustAllow("ecr:CreateRepository");
      const repository = existing ?? (await createByService(ctx, destination, name, "REPLICATION"));
      canLink = shareBlobs(own, repository);
    },

    async putBlobs(blobs) {
      const held = await checkBlobs(
        ctx,
        destination,
        name,
        blobs.map(({ digest }) => digest),
      );
      for (const blob of blobs) {
        request.signal.throwIfAborted();
        if (held.has(blob.digest) || (canLink && (await link(blob.digest)))) continue;
        await stream(blob);
      }
    },

    async putManifest({ bytes, mediaType, digest }, tags) {
      const versions = new Map(tags.map(({ tag, version }) => [tag as Tag, version]));
      const names = [...versions.keys()];
      await putManifest(ctx, destination, name, { bytes, mediaType, digest, tags: names, plane: "oci", tagVersions: versions });
    },
  };

  /** False when the source's link went away in between. */
  async function link(digest: Digest): Promise<boolean> {
    const { clock, limits } = ctx.core;
    const graceUntil = clock.now() + limits.linkGraceMs;
    const sourceKeys = [repositoryKey(source, name)];
    return (await mountBlob(metadata, { sourceKeys, targetKey: target, digest, graceUntil, author: authorOf(ctx) })) !== undefined;
  }

  async function stream({ digest, sizeBytes }: Descriptor): Promise<void> {
    const bytes = await openSourceBlob(request, digest);
    try {
      const incoming = { chunks: ownChunks(bytes, request.signal), announcedBytes: sizeBytes };
      await uploadWhole(ctx, destination, name, { digest, incoming });
    } finally {
      bytes.destroy();
    }
  }
}

function shareBlobs(source: Repository, destination: Repository): boolean {
  return source.accountId === destination.accountId && source.protectionDomain === destination.protectionDomain;
}

/** Small chunks share their memory with others; the upload may detach what it is given. */
async function* ownChunks(stream: AsyncIterable<unknown>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    signal.throwIfAborted();
    const bytes = chunk as Uint8Array;
    yield bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  }
}

/** As whom replication acts for an account: by its service-linked role. Its uploads are bound to nobody else. */
export function replicationContext(core: RegistryContext["core"], accountId: string): RegistryContext {
  const arn = `arn:aws:iam::${accountId}:role/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication`;
  return { core, actor: { accountId, principalId: "replication.ecr.amazonaws.com", arn }, requestId: core.random.uuid() };
}
