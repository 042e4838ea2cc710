import type { Blob } from "#metadata/blobs.ts";
import * as blobs from "#metadata/blobs.ts";
import type { Repository } from "#metadata/repositories.ts";
import { findArchivedBlobs } from "#metadata/storage-class-tier.ts";
import type { Digest } from "#oci/digest.ts";
import { parseDigest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { parseJson } from "#std/json.ts";
import type { ByteSpan, StoredBytes } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { getAccountSetting } from "./account-setting.ts";
import type { Actor, RegistryContext, RegistryCore, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import type { RepositoryDetail } from "./errors.ts";
import { openProtectedCopy } from "./protected-bytes.ts";
import { openBlobKeys, openProtection } from "./protection.ts";
import { getRepository } from "./repository.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** What is known of a blob in one repository. */
export interface BlobFacts {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The type that a live manifest of the repository gives it. */
  readonly mediaType?: string;
  /** Whether a live manifest of the repository references it. */
  readonly referenced: boolean;
}

/** A blob whose bytes can be opened, whole or in part. */
export interface ReadableBlob extends BlobFacts {
  /** Resolves when the key lets it be opened as of now, without a look at the bytes. Throws `key-unusable`. */
  checkKey(): Promise<void>;
  open(span?: ByteSpan): Promise<StoredBytes>;
}

/** A blob as the repository sees it. Nothing is read from storage before `open`, which also throws `key-unusable`. Throws `repository-not-found`, `blob-not-found`. */
export async function getBlob(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<ReadableBlob> {
  const { repository, blob } = await requireBlob(ctx, registry, name, digest);
  const detail = repositoryDetail(registry, name);
  return {
    ...factsOf(digest, blob),
    checkKey: () => checkKey(ctx, repository, detail),
    open: (span) => openCopy(ctx, { detail, registry, name, repository }, blob, span),
  };
}

/** Where a blob is looked for. */
interface BlobPlace {
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly detail: RepositoryDetail;
  readonly repository: Repository;
}

/**
 * Opens the stored copy. Between reading the row and opening the bytes the blob can have been collected and pushed again; then
 * the row names another copy. When the row still names a copy that is not there, bytes were lost: that is our fault and stays an error.
 */
async function openCopy(ctx: RegistryContext, where: BlobPlace, blob: Blob, span: ByteSpan | undefined): Promise<StoredBytes> {
  const digest = blob.digest as Digest;
  try {
    return await readCopy(ctx, where, blob, span);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "not-found") throw error;
    const { blob: current } = await requireBlob(ctx, where.registry, where.name, digest);
    if (current.storageKey !== blob.storageKey) return readCopy(ctx, where, current, span);
    ctx.core.log.error({ digest, storageKey: blob.storageKey, requestId: ctx.requestId }, "the bytes of a blob are missing");
    throw error;
  }
}

/** In plain repositories what the driver has; in others what is in it, once the key allows. */
async function readCopy(ctx: RegistryContext, where: BlobPlace, blob: Blob, span: ByteSpan | undefined): Promise<StoredBytes> {
  const { core } = ctx;
  const { repository } = where;
  if (repository.encryptionType === "AES256") return core.storage.read(blob.storageKey, blob.sizeBytes, span);
  const protection = await openProtection(core, repository.repositoryId, where.detail);
  const keys = openBlobKeys(core, protection, blob.digest, blob.sealedKey ?? "");
  if (keys === undefined) throw new StorageError("corrupt", `the keys of the stored copy ${blob.storageKey} do not open`);
  return openProtectedCopy(core, { storageKey: blob.storageKey, sizeBytes: blob.sizeBytes, keys }, span);
}

/**
 * Says whether the repository holds a blob that can be had. A yes is a promise: the caller may reference the blob for as long as the link's
 * grace lasts. Throws `repository-not-found`, `blob-not-found`, `key-unusable`.
 */
export async function checkBlob(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<BlobFacts> {
  const { blob, repository } = await requireBlob(ctx, registry, name, digest);
  await checkKey(ctx, repository, repositoryDetail(registry, name));
  if (!(await promise(ctx, repository.repositoryId, blob))) return refuseMissing(registry, name, digest);
  return factsOf(digest, blob);
}

async function checkKey({ core }: RegistryContext, { encryptionType, repositoryId }: Repository, detail: RepositoryDetail): Promise<void> {
  if (encryptionType !== "AES256") await openProtection(core, repositoryId, detail);
}

/** Those of the digests that the repository holds, with the same promise as {@link checkBlob}. Throws `repository-not-found`. */
export async function checkBlobs(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, BlobFacts>> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const unique = [...new Set(digests)];
  const found = await blobs.findBlobs(ctx.core.metadata, repositoryId, unique, ctx.core.clock.now());
  const facts = new Map<Digest, BlobFacts>();
  for (const digest of unique) {
    const blob = found.get(digest);
    if (blob !== undefined && (await promise(ctx, repositoryId, blob))) facts.set(digest, factsOf(digest, blob));
  }
  return facts;
}

/** A promise that was written down this recently is not written again: clients ask for the same blob many times in a row. */
const promiseIntervalMs = 10_000;

/**
 * Writes the promise down as the link's grace, also for a blob that a live manifest holds: the manifest may be deleted before the one
 * that is about to be pushed arrives. False when the blob was collected or deleted meanwhile.
 */
async function promise(ctx: RegistryContext, repositoryId: number, blob: Blob): Promise<boolean> {
  const { clock, limits } = ctx.core;
  const now = clock.now();
  const graceUntil = now + limits.linkGraceMs;
  if (graceUntil - blob.graceUntil < promiseIntervalMs) return true;
  return blobs.extendLink(ctx.core.metadata, { repositoryId, blobId: blob.blobId, graceUntil });
}

/** What a mount asks for. */
export interface MountRequest {
  readonly digest: Digest;
  /** The source; absent means any repository of the registry that `mayRead` allows. */
  readonly from?: RepositoryName | undefined;
  readonly mayRead: (name: RepositoryName) => boolean | Promise<boolean>;
}

/**
 * Links a blob that the caller may read elsewhere in the registry into the target repository. Undefined when that is not possible,
 * whatever the reason: no such source, no right, no such blob. The same statements run in each of these cases. Where the account has
 * switched mounting off, always.
 * Throws `repository-not-found` for the target.
 */
export async function mountBlob(
  ctx: RegistryContext,
  registry: RegistryRef,
  target: RepositoryName,
  request: MountRequest,
): Promise<BlobFacts | undefined> {
  await getRepository(ctx, registry, target);
  if ((await getAccountSetting(ctx.core, registry, "BLOB_MOUNTING")) === "DISABLED") return undefined;
  const candidates = request.from === undefined ? await mountSources(ctx, registry, target, request.digest) : [request.from];
  const allowed: RepositoryName[] = [];
  for (const candidate of candidates) if (await request.mayRead(candidate)) allowed.push(candidate);
  const blob = await blobs.mountBlob(ctx.core.metadata, {
    sourceKeys: allowed.map((source) => repositoryKey(registry, source)),
    targetKey: repositoryKey(registry, target),
    digest: request.digest,
    graceUntil: ctx.core.clock.now() + ctx.core.limits.linkGraceMs,
    author: authorOf(ctx),
  });
  return blob === undefined ? undefined : factsOf(request.digest, blob);
}

/** Fills up what is asked for. Whether there is a repository of that name makes no difference. */
const filler = "0" as RepositoryName;

/**
 * The repositories of the registry in which a mount without a source could find the digest. Always the same number of them: each costs a
 * decision, and how many have the blob is not for the caller to know.
 */
async function mountSources(
  ctx: RegistryContext,
  registry: RegistryRef,
  target: RepositoryName,
  digest: Digest,
): Promise<readonly RepositoryName[]> {
  const { metadata, limits, clock } = ctx.core;
  const targetKey = repositoryKey(registry, target);
  const keys = await blobs.listBlobRepositories(metadata, { targetKey, digest, now: clock.now(), limit: limits.mountSources });
  return Array.from({ length: limits.mountSources }, (_, index) => (keys[index]?.name ?? filler) as RepositoryName);
}

/** Removes a blob from a repository. Throws `repository-not-found`, `blob-not-found`, and `blob-referenced` while a live manifest needs it. */
export async function deleteBlob(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<void> {
  const result = await blobs.deleteBlob(ctx.core.metadata, { key: repositoryKey(registry, name), digest, author: authorOf(ctx) });
  if (result.outcome === "repository-not-found") refuse("repository-not-found", repositoryDetail(registry, name));
  if (result.outcome === "not-found") refuseMissing(registry, name, digest);
  if (result.outcome === "referenced") refuse("blob-referenced", { ...repositoryDetail(registry, name), digest });
}

/** Who asked for a ticket. The access key is in it so that a disabled key stops its tickets too. */
export interface TicketActor extends Actor {
  readonly accessKeyId?: string;
}

/** A blob that could be read, or whether only archived manifests hold it. Throws `repository-not-found`. */
async function findForDownload(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digest: Digest,
): Promise<{ readonly blob: Blob | undefined; readonly isArchived: boolean }> {
  const { metadata, clock } = ctx.core;
  const { repository, blob } = await blobs.findBlob(metadata, repositoryKey(registry, name), digest, clock.now());
  if (repository === undefined) return refuse("repository-not-found", repositoryDetail(registry, name));
  if (blob?.referenced === true) return { blob, isArchived: false };
  return { blob, isArchived: (await findArchivedBlobs(metadata, repository.repositoryId, [digest])).has(digest) };
}

/** Those of the digests that the repository holds in archived manifests only, if it does not hold them otherwise. Throws `repository-not-found`. */
export async function listArchivedBlobs(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digests: readonly Digest[],
): Promise<ReadonlySet<string>> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  return findArchivedBlobs(ctx.core.metadata, repositoryId, digests);
}

/** What an opened ticket says. It grants nothing by itself: the caller asks again whether that actor may, then reads the blob. */
export interface DownloadTicket {
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly digest: Digest;
  readonly actor: TicketActor;
}

const ticketPurpose = "download";
/** Longer than any ticket made here. */
const ticketLimitChars = 4_096;

/**
 * A sealed permission to try a download, for GetDownloadUrlForLayer. Throws `repository-not-found`, `blob-not-found`, and
 * `blob-unreferenced` while no live manifest of the repository references the blob.
 */
export async function createDownloadTicket(
  ctx: RegistryContext & { readonly actor: TicketActor },
  registry: RegistryRef,
  name: RepositoryName,
  digest: Digest,
): Promise<{ readonly ticket: string; readonly expiresAt: number }> {
  const { clock, limits, sealer } = ctx.core;
  const { blob, isArchived } = await findForDownload(ctx, registry, name, digest);
  if (isArchived || blob?.referenced === false)
    return refuse("blob-unreferenced", { ...repositoryDetail(registry, name), digest, isArchived });
  if (blob === undefined) return refuseMissing(registry, name, digest);
  const expiresAt = clock.now() + limits.downloadTicketMs;
  const { accountId, principalId, arn, accessKeyId = null } = ctx.actor;
  const plain = JSON.stringify([expiresAt, registry.accountId, registry.region, name, digest, accountId, principalId, arn, accessKeyId]);
  return { ticket: sealer.seal(ticketPurpose, Buffer.from(plain, "utf8")), expiresAt };
}

/** What a ticket says, or undefined when it is forged, malformed or expired. */
export function openDownloadTicket(core: RegistryCore, ticket: string): DownloadTicket | undefined {
  const plain = ticket.length <= ticketLimitChars ? core.sealer.open(ticketPurpose, ticket) : undefined;
  const opened = plain === undefined ? undefined : parseJson(plain);
  if (opened?.ok !== true || !Array.isArray(opened.value)) return undefined;
  const [expiresAt, ...texts] = opened.value;
  if (typeof expiresAt !== "number" || expiresAt <= core.clock.now()) return undefined;
  const accessKeyId = texts.pop();
  if (texts.length !== 7 || !texts.every((text) => typeof text === "string")) return undefined;
  const [registryAccount = "", region = "", nameText = "", digestText = "", accountId = "", principalId = "", arn = ""] = texts;
  const name = parseRepositoryName(nameText);
  const digest = parseDigest(digestText);
  if (!name.ok || !digest.ok) return undefined;
  const actor = { accountId, principalId, arn, ...(typeof accessKeyId === "string" && { accessKeyId }) };
  return { registry: { accountId: registryAccount, region }, name: name.value, digest: digest.value, actor };
}

/** What callers learn of a row. */
export function factsOf(digest: Digest, blob: Blob): BlobFacts {
  const { sizeBytes, referenced, mediaType } = blob;
  return { digest, sizeBytes, referenced, ...(mediaType !== undefined && { mediaType }) };
}

async function requireBlob(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  digest: Digest,
): Promise<{ readonly repository: Repository; readonly blob: Blob }> {
  const { metadata, clock } = ctx.core;
  const { repository, blob } = await blobs.findBlob(metadata, repositoryKey(registry, name), digest, clock.now());
  if (repository === undefined) return refuse("repository-not-found", repositoryDetail(registry, name));
  if (blob === undefined) return refuseMissing(registry, name, digest);
  return { repository, blob };
}

function refuseMissing(registry: RegistryRef, name: RepositoryName, digest: Digest): never {
  return refuse("blob-not-found", { ...repositoryDetail(registry, name), digest });
}
