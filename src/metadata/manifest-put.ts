import { sql } from "kysely";
import type { Transaction } from "kysely";
import { assert } from "#std/assert.ts";
import { lockBlobs, readableBlobs } from "./blob-links.ts";
import type { Blob } from "./blobs.ts";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { beginFollowUps, failedFollowUps, neededFollowUps } from "./follow-ups.ts";
import type { PushFollowUp } from "./follow-ups.ts";
import { insertJob } from "./jobs.ts";
import type { NewJob } from "./jobs.ts";
import { settleContentSizes } from "./index-sizes.ts";
import { manifestOf } from "./manifest-rows.ts";
import type { Manifest } from "./manifest-rows.ts";
import { lockRepository } from "./repositories.ts";
import type { Repository, RepositoryKey } from "./repositories.ts";
import type { ManifestRow, Schema } from "./schema.ts";
import { activationOf, markActive, typesOf } from "./storage-class.ts";
import { countTags, isImmutableTag, putTags } from "./tag-rows.ts";

/** A blob or child as a manifest names it. */
export interface ContentReference {
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
}

/** What `putManifest` takes. */
export interface PutManifest {
  readonly key: RepositoryKey;
  readonly digest: string;
  readonly mediaType: string;
  readonly kind: "image" | "index";
  readonly bytes: Uint8Array;
  /** For a repository that is encrypted under a key: what is stored in place of the bytes. Needed there, ignored elsewhere. */
  readonly sealed?: { readonly repositoryId: number; readonly bytes: Uint8Array } | undefined;
  readonly config?: ContentReference;
  /** Distributable ones only. */
  readonly layers: readonly ContentReference[];
  readonly children: readonly ContentReference[];
  readonly subjectDigest?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Config and layers; of an index the database computes it from the children it has. */
  readonly contentSizeBytes: number;
  readonly tags: readonly string[];
  /** Present for a copy of what another registry holds: the versions of its tags. A tag that is newer here, or immutable, stays where it is. */
  readonly tagVersions?: ReadonlyMap<string, number> | undefined;
  /** Present for what a pull-through cache rule fetched: when the upstream was asked. A tag that was pushed here, or is immutable, stays where it is. */
  readonly upstreamSeenAt?: number | undefined;
  readonly allowMissingChildren: boolean;
  /** Pushing what is there already: OCI accepts it, ECR refuses it. */
  readonly whenSame: "accept" | "refuse";
  readonly maxManifests: number;
  readonly maxTagsPerManifest: number;
  /** What is to be done with it afterwards, as far as this push turns out to need it. */
  readonly followUps?: readonly PushFollowUp[];
  readonly alongside?: PutAlongside | undefined;
  readonly author: Author;
}

/** What belongs to a push and is written with it, also where nothing changes: entries of the change log, and jobs. */
export interface PutAlongside {
  readonly changes: readonly NewChange[];
  readonly jobs: readonly NewJob[];
}

/** A tag that was on another manifest before. */
export interface MovedTag {
  readonly tag: string;
  readonly fromDigest: string;
}

/** Why `putManifest` stored nothing. */
export type PutManifestRefusal =
  | { readonly outcome: "repository-not-found" }
  /** The repository is encrypted under a key, and the bytes did not come sealed for it. */
  | { readonly outcome: "unsealed"; readonly repositoryId: number }
  | { readonly outcome: "blobs-missing"; readonly digests: readonly string[] }
  | { readonly outcome: "children-missing"; readonly digests: readonly string[] }
  /** A descriptor states another size than the blob, or the child that is there, has: nobody could pull what it describes. */
  | {
      readonly outcome: "blob-size-wrong" | "child-size-wrong";
      readonly digest: string;
      readonly statedBytes: number;
      readonly actualBytes: number;
    }
  | { readonly outcome: "tag-immutable"; readonly tag: string }
  /** Only with `whenSame: "refuse"`: the digest is there, and every given tag is on it. */
  | { readonly outcome: "same" }
  | { readonly outcome: "limit"; readonly which: "manifests" | "tags-per-manifest" };

/** What `putManifest` answers. */
export type PutManifestOutcome =
  | PutManifestRefusal
  | {
      readonly outcome: "stored";
      readonly repository: Repository;
      readonly manifest: Manifest;
      /** False: the digest was there already; it keeps its time of push. */
      readonly created: boolean;
      readonly movedTags: readonly MovedTag[];
    };

/** Takes the transaction back: a refusal must leave nothing behind, however far the work had come. */
class Refused extends Error {
  readonly refusal: PutManifestRefusal;
  constructor(refusal: PutManifestRefusal) {
    super(refusal.outcome);
    this.refusal = refusal;
  }
}

/** Rows of one insert; far below the parameter limits of both databases. */
const insertChunk = 500;

/**
 * Stores a manifest and puts tags on it, all or nothing. Every blob must be readable in the repository, every child a
 * live manifest of it (unless allowed to be missing), and each of the size that its descriptors state. A tag that is already on the same digest never violates
 * immutability. Pushing again what is there changes nothing, unless it is
 * archived: then it is active again.
 */
export async function putManifest(db: Database, input: PutManifest): Promise<PutManifestOutcome> {
  try {
    return await db.transaction(async (tx) => {
      const outcome = await putInTransaction(db, tx, input);
      if (outcome.outcome !== "stored" || input.alongside === undefined) return outcome;
      for (const job of input.alongside.jobs) await insertJob(tx, job);
      await appendChanges(tx, outcome.repository, input.author, input.alongside.changes);
      return outcome;
    });
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

async function putInTransaction(db: Database, tx: Transaction<Schema>, input: PutManifest): Promise<PutManifestOutcome> {
  const repository = await lockRepository(db, tx, input.key, "share");
  if (repository === undefined) throw new Refused({ outcome: "repository-not-found" });
  const isPlain = repository.encryptionType === "AES256";
  if (!isPlain && input.sealed?.repositoryId !== repository.repositoryId)
    throw new Refused({ outcome: "unsealed", repositoryId: repository.repositoryId });
  const known = await findLive(tx, repository.repositoryId, input.digest);
  const isCopy = (input.tagVersions ?? input.upstreamSeenAt) !== undefined && input.tags.length > 0;
  if (known?.status === "ACTIVE" && !isCopy && (await isSame(db, tx, repository.repositoryId, known.manifest_id, input.tags))) {
    if (input.whenSame === "refuse") throw new Refused({ outcome: "same" });
    await beginFollowUps(tx, known.manifest_id, await failedFollowUps(tx, known.manifest_id, input.followUps ?? []), input.author.now);
    return { outcome: "stored", repository, manifest: manifestOf(known), created: false, movedTags: [] };
  }
  const inserted = known === undefined ? await insertManifest(db, tx, repository, input) : undefined;
  // A push of the same digest at the same time was faster: it has checked the same blobs, and its manifest is as good.
  const found = inserted ?? known ?? (await findLive(tx, repository.repositoryId, input.digest));
  // What is pushed again is out of the archive at once, as soon as the client has brought what is not at hand.
  const activated = found === undefined || found.status === "ACTIVE" ? undefined : await activatePushed(db, tx, repository, input, found);
  let row = activated ?? found;
  assert(row !== undefined, "under the repository's shared lock no manifest disappears");
  const mayMove = (tag: string): boolean => {
    if (!isImmutableTag(repository, tag)) return true;
    if (isCopy) return false;
    throw new Refused({ outcome: "tag-immutable", tag });
  };
  const { repositoryId } = repository;
  const { tags, author, tagVersions, upstreamSeenAt } = input;
  const placed = await putTags(db, tx, repositoryId, row.manifest_id, tags, author.now, mayMove, tagVersions, upstreamSeenAt);
  const tagCount = await countTags(tx, placed.deltas, row.manifest_id);
  if (placed.changed.length > 0 && tagCount > input.maxTagsPerManifest) throw new Refused({ outcome: "limit", which: "tags-per-manifest" });
  if (inserted !== undefined) {
    await countManifest(tx, repository.repositoryId, input.maxManifests);
    row = await settleContentSizes(db, tx, inserted, input.kind === "index" && input.allowMissingChildren);
  }
  // What somebody has pushed here too is theirs from now on.
  if (row.is_copy === 1 && input.tagVersions === undefined)
    await tx.updateTable("manifest").set({ is_copy: 0 }).where("manifest_id", "=", row.manifest_id).execute();
  const copied = input.tagVersions === undefined ? {} : { replicated: true };
  const changes: NewChange[] = placed.changed.map(({ tag, fromDigest }) => ({
    kind: "tag-put",
    subject: tag,
    ...(fromDigest === undefined ? {} : { before: { digest: fromDigest } }),
    after: { digest: input.digest, ...typesOf(row), ...copied },
  }));
  if (inserted !== undefined) {
    changes.unshift({
      kind: "manifest-pushed",
      subject: input.digest,
      after: { ...typesOf(row), sizeBytes: input.bytes.length, tags: placed.changed.length, ...copied },
    });
  }
  if (activated !== undefined) changes.unshift(activationOf(activated, "push"));
  await appendChanges(tx, repository, input.author, changes);
  const push = {
    isNew: inserted !== undefined || activated !== undefined,
    isChanged: changes.length > 0,
    scansOnPush: repository.scanOnPush,
  };
  const failed = push.isNew ? [] : await failedFollowUps(tx, row.manifest_id, input.followUps ?? []);
  await beginFollowUps(tx, row.manifest_id, [...failed, ...neededFollowUps(input.followUps ?? [], push)], input.author.now);
  const movedTags = placed.changed.flatMap(({ tag, fromDigest }) => (fromDigest === undefined ? [] : [{ tag, fromDigest }]));
  return { outcome: "stored", repository, manifest: manifestOf(row), created: inserted !== undefined, movedTags };
}

async function findLive(tx: Transaction<Schema>, repositoryId: number, digest: string): Promise<ManifestRow | undefined> {
  return tx
    .selectFrom("manifest")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", digest)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
}

/** Everything that a new manifest needs is needed again. Undefined: another push was faster, and the manifest is as good. */
async function activatePushed(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  input: PutManifest,
  { manifest_id: manifestId }: ManifestRow,
): Promise<ManifestRow | undefined> {
  const blobs = distinctBlobs(input);
  await lockReferencedBlobs(db, tx, repository.repositoryId, [...blobs.keys()], input.author.now);
  await checkChildren(db, tx, repository.repositoryId, input.children, input.allowMissingChildren);
  return markActive(tx, manifestId, input.author.now);
}

/** Whether all the tags are on the manifest already. */
async function isSame(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestId: number,
  tags: readonly string[],
): Promise<boolean> {
  if (tags.length === 0) return true;
  const rows = await tx
    .selectFrom("tag")
    .select("name")
    .where("repository_id", "=", repositoryId)
    .where(db.dialect.textIn("name", tags))
    .where("deleted_at", "is", null)
    .where("manifest_id", "=", manifestId)
    .execute();
  return rows.length === new Set(tags).size;
}

/** Inserts the manifest with everything that belongs to it. Undefined: another transaction has inserted the same digest. */
async function insertManifest(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  input: PutManifest,
): Promise<ManifestRow | undefined> {
  const { repositoryId } = repository;
  const blobs = distinctBlobs(input);
  const locked = await lockReferencedBlobs(db, tx, repositoryId, [...blobs.keys()], input.author.now);
  checkSizes("blob-size-wrong", [...(input.config === undefined ? [] : [input.config]), ...input.layers], locked);
  const children = new Map(input.children.map((child) => [child.digest, child]));
  const largestChild = await checkChildren(db, tx, repositoryId, input.children, input.allowMissingChildren);
  const row = await tx
    .insertInto("manifest")
    .values({
      repository_id: repositoryId,
      digest: input.digest,
      media_type: input.mediaType,
      kind: input.kind,
      artifact_type: input.artifactType ?? null,
      config_media_type: input.config?.mediaType ?? null,
      size_bytes: input.bytes.length,
      content_size_bytes: input.kind === "index" ? largestChild : input.contentSizeBytes,
      subject_digest: input.subjectDigest ?? null,
      annotations: input.annotations === undefined ? null : JSON.stringify(input.annotations),
      pushed_at: input.author.now,
      is_copy: input.tagVersions === undefined ? 0 : 1,
      deleted_at: null,
    })
    .onConflict((conflict) => conflict.columns(["repository_id", "digest"]).where("deleted_at", "is", null).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const owner = { manifest_id: row.manifest_id, repository_id: repositoryId, live: 1 };
  await tx
    .insertInto("manifest_bytes")
    .values({ manifest_id: row.manifest_id, bytes: storedBytes(repository, input) })
    .execute();
  const blobRows = [...blobs.values()].map(({ content, role }) => {
    const blob = locked.get(content.digest);
    assert(blob !== undefined, "every referenced blob is locked");
    return { ...owner, blob_id: blob.blobId, digest: content.digest, media_type: content.mediaType, size_bytes: content.sizeBytes, role };
  });
  for (const rows of chunks(blobRows)) await tx.insertInto("manifest_blob").values(rows).execute();
  const childRows = [...children.values()].map((child) => ({
    ...owner,
    digest: child.digest,
    media_type: child.mediaType,
    size_bytes: child.sizeBytes,
  }));
  for (const rows of chunks(childRows)) await tx.insertInto("manifest_child").values(rows).execute();
  return row;
}

/** Invariant: the plain bytes of a manifest never come into a repository that is encrypted under a key. */
function storedBytes({ encryptionType }: Repository, { bytes, sealed }: PutManifest): Uint8Array {
  if (encryptionType === "AES256") return bytes;
  assert(sealed !== undefined, "the bytes are sealed for this repository");
  return sealed.bytes;
}

/** A manifest may name the same blob more than once; the first mention counts. */
function distinctBlobs(input: PutManifest): Map<string, { readonly content: ContentReference; readonly role: "config" | "layer" }> {
  const blobs = new Map<string, { readonly content: ContentReference; readonly role: "config" | "layer" }>();
  if (input.config !== undefined) blobs.set(input.config.digest, { content: input.config, role: "config" });
  for (const layer of input.layers) {
    if (!blobs.has(layer.digest)) blobs.set(layer.digest, { content: layer, role: "layer" });
  }
  return blobs;
}

/** Locks the blobs against garbage collection, then looks again whether the repository may read every one of them. */
async function lockReferencedBlobs(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
  now: number,
): Promise<Map<string, Blob>> {
  const seen = await readableBlobs(db, tx, repositoryId, digests, now);
  const missing = digests.filter((digest) => !seen.has(digest));
  if (missing.length > 0) throw new Refused({ outcome: "blobs-missing", digests: missing });
  const locked = await lockBlobs(
    db,
    tx,
    [...seen.values()].map((blob) => blob.blobId),
  );
  const confirmed = await readableBlobs(db, tx, repositoryId, digests, now);
  const held = new Map<string, Blob>();
  for (const [digest, blob] of confirmed) {
    if (locked.has(blob.blobId)) held.set(digest, blob);
  }
  const lost = digests.filter((digest) => !held.has(digest));
  if (lost.length > 0) throw new Refused({ outcome: "blobs-missing", digests: lost });
  return held;
}

/** Every mention is compared, for a digest may be named twice with different sizes; what is not there cannot be. */
function checkSizes(
  outcome: "blob-size-wrong" | "child-size-wrong",
  stated: readonly ContentReference[],
  actual: ReadonlyMap<string, { readonly sizeBytes: number }>,
): void {
  for (const { digest, sizeBytes: statedBytes } of stated) {
    const actualBytes = actual.get(digest)?.sizeBytes ?? statedBytes;
    if (actualBytes !== statedBytes) throw new Refused({ outcome, digest, statedBytes, actualBytes });
  }
}

/** Refuses missing children and wrong sizes; answers the content size of the largest one that is there. */
async function checkChildren(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  children: readonly ContentReference[],
  allowMissing: boolean,
): Promise<number> {
  if (children.length === 0) return 0;
  const digests = [...new Set(children.map((child) => child.digest))];
  const rows = await tx
    .selectFrom("manifest")
    .select(["digest", "size_bytes", "content_size_bytes"])
    .where("repository_id", "=", repositoryId)
    .where(db.dialect.textIn("digest", digests))
    .where("deleted_at", "is", null)
    .where("status", "=", "ACTIVE")
    .execute();
  const present = new Map(rows.map((row) => [row.digest, { sizeBytes: row.size_bytes }]));
  const missing = digests.filter((digest) => !present.has(digest));
  if (missing.length > 0 && !allowMissing) throw new Refused({ outcome: "children-missing", digests: missing });
  checkSizes("child-size-wrong", children, present);
  return rows.reduce((largest, row) => Math.max(largest, row.content_size_bytes), 0);
}

/** Last of all locks: pushes of new manifests into one repository stand in line here only for the length of a commit. */
async function countManifest(tx: Transaction<Schema>, repositoryId: number, maxManifests: number): Promise<void> {
  const usage = await tx
    .updateTable("repository_usage")
    .set({ manifest_count: sql`manifest_count + 1` })
    .where("repository_id", "=", repositoryId)
    .returning("manifest_count")
    .executeTakeFirstOrThrow();
  if (usage.manifest_count > maxManifests) throw new Refused({ outcome: "limit", which: "manifests" });
}

function* chunks<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < rows.length; start += insertChunk) yield rows.slice(start, start + insertChunk);
}
