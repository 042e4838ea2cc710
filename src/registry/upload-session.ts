/** What every operation on an upload session stands on: whose session it is, one writer at a time, and where the next byte belongs. */
import type { UploadSession } from "#metadata/upload-sessions.ts";
import * as sessions from "#metadata/upload-sessions.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { FrameKey } from "#sealing/frames.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { openProtection, plainDomain, sealBlobKeys, uploadKeys } from "./protection.ts";
import { getRepository } from "./repository.ts";
import { repositoryDetail } from "./scope.ts";
import type { IncomingBytes, SegmentPlan } from "./upload-bytes.ts";

/** Which session an operation is about. */
export interface UploadScope {
  readonly ctx: RegistryContext;
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly uploadId: string;
}

/** A session as it stood when the operation began. */
export interface FoundUpload extends UploadScope {
  readonly session: UploadSession;
}

/** What encrypts an upload's bytes, and seals the keys of the blob that comes of them. */
export interface UploadProtection {
  readonly keys: readonly FrameKey[];
  sealKeys(digest: Digest): string;
}

/** A session whose bytes can be read and added to. Undefined protection: the repository is a plain one. */
export interface OpenUpload extends FoundUpload {
  readonly protection: UploadProtection | undefined;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The caller's own session. A session of somebody else, of another repository or past its end is answered exactly like one that
 * never was. Throws `repository-not-found`, `upload-not-found`.
 */
export async function requireUpload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  uploadId: string,
): Promise<FoundUpload> {
  const { metadata, clock } = ctx.core;
  const session = uuid.test(uploadId) ? await sessions.findUploadSession(metadata, uploadId) : undefined;
  const isOwn =
    session?.principalId === ctx.actor.principalId &&
    session.accountId === registry.accountId &&
    session.region === registry.region &&
    session.repositoryName === name;
  if (session !== undefined && isOwn && session.expiresAt > clock.now()) return { ctx, registry, name, uploadId, session };
  await getRepository(ctx, registry, name);
  return refuseUnknown(registry, name, uploadId);
}

/** As {@link requireUpload}, for what reads and writes bytes. Throws also `key-unusable`. */
export async function openUpload(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, uploadId: string): Promise<OpenUpload> {
  const found = await requireUpload(ctx, registry, name, uploadId);
  const { repositoryId, protectionDomain } = found.session;
  if (protectionDomain === plainDomain) return { ...found, protection: undefined };
  return { ...found, protection: await protectUpload(found, repositoryId) };
}

/** Opens the keys of an upload into an encrypted repository. Throws `key-unusable`. */
export async function protectUpload({ ctx, registry, name, uploadId }: UploadScope, repositoryId: number): Promise<UploadProtection> {
  const { core } = ctx;
  const protection = await openProtection(core, repositoryId, repositoryDetail(registry, name));
  const keys = uploadKeys(protection, uploadId);
  return { keys, sealKeys: (digest) => sealBlobKeys(core, protection, digest, keys) };
}

/** Throws `upload-not-found`. */
export function refuseUnknown(registry: RegistryRef, name: RepositoryName, uploadId: string): never {
  return refuse("upload-not-found", { ...repositoryDetail(registry, name), uploadId });
}

/** Runs `work` as the only writer of the session in this process. Throws `upload-busy`. Other processes are told apart by compare-and-set. */
export async function exclusively<T>({ ctx, registry, name, uploadId }: UploadScope, work: () => Promise<T>): Promise<T> {
  const release = ctx.core.uploads.reserve(uploadId);
  if (release === undefined) return refuse("upload-busy", { ...repositoryDetail(registry, name), uploadId });
  try {
    return await work();
  } finally {
    release();
  }
}

/** Throws `upload-range` when the bytes do not begin where the session stands. */
export function checkFirstByte(upload: FoundUpload, { firstByte }: IncomingBytes): void {
  const { registry, name, uploadId } = upload;
  const { receivedBytes } = upload.session;
  if (firstByte === undefined || firstByte === receivedBytes) return;
  refuse("upload-range", { ...repositoryDetail(registry, name), uploadId, firstByte, receivedBytes });
}

/** Another process was faster: who named an offset learns the new one, who named none appended at the same time. */
export function refuseMoved(
  { registry, name, uploadId }: UploadScope,
  { firstByte }: IncomingBytes,
  outcome: { readonly outcome: "moved"; readonly receivedBytes: number } | { readonly outcome: "not-found" },
): never {
  if (outcome.outcome === "not-found") return refuseUnknown(registry, name, uploadId);
  if (firstByte === undefined) return refuse("upload-busy", { ...repositoryDetail(registry, name), uploadId });
  return refuse("upload-range", { ...repositoryDetail(registry, name), uploadId, firstByte, receivedBytes: outcome.receivedBytes });
}

/** Throws `limit-exceeded`. */
export function refuseTooMany({ registry, name, uploadId }: Omit<UploadScope, "ctx">, what: "parts" | "bytes", limit: number): never {
  return refuse("limit-exceeded", {
    message: `The upload with id '${uploadId}' in the repository with name '${name}' in registry with id '${registry.accountId}' exceeds the maximum allowed number of ${what} which is '${limit}'`,
  });
}

/** A segment of this session under a key that was never used; its row is there before its first byte, and goes when the bytes do not arrive. */
export function segmentPlan(upload: OpenUpload, incoming: IncomingBytes, openHash: SegmentPlan["begin"]): SegmentPlan {
  const { ctx, session } = upload;
  const { clock, limits, metadata, random } = ctx.core;
  const segmentKey = `${session.uploadId}/${random.bytes(8).toString("hex")}`;
  return {
    segmentKey,
    keys: upload.protection?.keys,
    roomBytes: limits.blobMaxBytes - session.receivedBytes,
    tooLarge: () => refuseTooMany(upload, "bytes", limits.blobMaxBytes),
    async begin() {
      if (session.parts >= limits.appendsPerUpload) refuseTooMany(upload, "parts", limits.appendsPerUpload);
      const now = clock.now();
      const outcome = await sessions.beginSegment(metadata, {
        uploadId: session.uploadId,
        segmentKey,
        expectedBytes: session.receivedBytes,
        expiresAt: now + limits.uploadTtlMs,
        now,
      });
      if (outcome.outcome !== "begun") refuseMoved(upload, incoming, outcome);
      return openHash();
    },
    abandon: () => dropRow(upload, segmentKey),
    async lost() {
      if ((await sessions.findUploadSession(metadata, session.uploadId)) === undefined)
        refuseUnknown(upload.registry, upload.name, session.uploadId);
    },
  };
}

/** Best effort: a row that stays goes with its session. */
async function dropRow({ ctx, uploadId }: UploadScope, segmentKey: string): Promise<void> {
  try {
    await sessions.dropSegment(ctx.core.metadata, { uploadId, segmentKey });
  } catch (error) {
    ctx.core.log.warn({ error: String(error), requestId: ctx.requestId }, "a segment row could not be dropped");
  }
}

/** Removes the session first and its bytes second: what a crash leaves over has no row, and garbage collection finds it. */
export async function removeUpload({ ctx, uploadId }: UploadScope, moreSegments: readonly string[] = []): Promise<void> {
  const { metadata, storage, uploads } = ctx.core;
  uploads.forget(uploadId);
  const segmentKeys = (await sessions.deleteUploadSession(metadata, uploadId)) ?? [];
  for (const key of [...segmentKeys, ...moreSegments]) await storage.deleteSegment(key);
}

/** Like {@link removeUpload} after a refusal, which matters more than a failure here: what stays of the session expires. */
export async function abandonUpload(upload: UploadScope, moreSegments: readonly string[] = []): Promise<void> {
  try {
    await removeUpload(upload, moreSegments);
  } catch (error) {
    const { core, requestId } = upload.ctx;
    core.log.warn({ error: String(error), uploadId: upload.uploadId, requestId }, "an upload session could not be removed completely");
  }
}
