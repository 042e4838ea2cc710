import { sql } from "kysely";
import type { Transaction } from "kysely";
import { lockBlobs, putLink, readableBlobs } from "./blob-links.ts";
import type { Blob } from "./blobs.ts";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { lockRepository, lockRepositoryById } from "./repositories.ts";
import type { Repository, RepositoryKey } from "./repositories.ts";
import type { BlobRow, Schema, UploadSessionTable } from "./schema.ts";
import { checkTier, retireCopy } from "./storage-class-tier.ts";

/** A committed append of an upload session. */
export interface UploadSegment {
  readonly segmentKey: string;
  readonly ordinal: number;
  readonly sizeBytes: number;
  readonly offset: number;
}

/** An open upload session of a live repository. */
export interface UploadSession {
  readonly uploadId: string;
  readonly repositoryId: number;
  readonly repositoryName: string;
  readonly accountId: string;
  readonly region: string;
  readonly principalId: string;
  readonly protectionDomain: string;
  readonly algorithm: "sha256" | "sha512";
  readonly receivedBytes: number;
  /** Hexadecimal; of all received bytes, after the last append. */
  readonly digestSoFar?: string;
  readonly parts: number;
  /** The smallest append but the last; absent with fewer than two. */
  readonly smallestNonLastPartBytes?: number;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Committed ones, in order. */
  readonly segments: readonly UploadSegment[];
}

/** What `beginSegment` answers; `moved`: the session stands elsewhere than the caller saw. */
export type BeginSegmentOutcome =
  | { readonly outcome: "begun" }
  | { readonly outcome: "moved"; readonly receivedBytes: number }
  | { readonly outcome: "not-found" };

/** What `commitSegment` answers; `moved`: another append was faster, this one's bytes do not count. */
export type CommitSegmentOutcome =
  | { readonly outcome: "committed" }
  | { readonly outcome: "moved"; readonly receivedBytes: number }
  | { readonly outcome: "not-found" };

/** What `completeUpload` answers. */
export type CompleteUploadOutcome =
  | {
      /** `joined`: the same content was there already, in (account, protection domain). */
      readonly outcome: "stored" | "joined";
      readonly blob: Blob;
      /** The new copy's storage key when it is not needed; its row is in state gone, so garbage collection deletes it at the latest. */
      readonly discard?: string;
      /** The repository could read the digest before. */
      readonly wasLinked: boolean;
    }
  | { readonly outcome: "not-found" };

/** What `completeUpload` takes. */
export interface CompleteUpload {
  readonly uploadId: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Of the durable copy that the driver has made. */
  readonly storageKey: string;
  /** Its data keys; absent in the plain domain. */
  readonly sealedKey?: string | undefined;
  readonly graceUntil: number;
  readonly author: Author;
}

/** Opens an upload session. Undefined: no such repository. */
export async function createUploadSession(
  db: Database,
  input: {
    readonly uploadId: string;
    readonly key: RepositoryKey;
    readonly principalId: string;
    readonly algorithm: "sha256" | "sha512";
    readonly expiresAt: number;
    readonly author: Author;
  },
): Promise<Repository | undefined> {
  return db.transaction(async (tx) => {
    const repository = await lockRepository(db, tx, input.key, "share");
    if (repository === undefined) return undefined;
    await tx
      .insertInto("upload_session")
      .values({
        upload_id: input.uploadId,
        repository_id: repository.repositoryId,
        principal_id: input.principalId,
        algorithm: input.algorithm,
        received_bytes: 0,
        digest_so_far: null,
        parts: 0,
        smallest_part_bytes: null,
        last_part_bytes: null,
        created_at: input.author.now,
        expires_at: input.expiresAt,
      })
      .execute();
    return repository;
  });
}

/** An open session with its committed segments. Expiry is the caller's to judge. */
export async function findUploadSession(db: Database, uploadId: string): Promise<UploadSession | undefined> {
  // One statement, so that the state and the segments belong together.
  const { rows } = await sql<SessionRow>`
    select s.*, r.name, r.account_id, r.region, r.protection_domain, g.segment_key, g.ordinal, g.size_bytes, g.offset_bytes
    from upload_session s
    join repository r on r.repository_id = s.repository_id and r.deleted_at is null
    left join upload_segment g on g.upload_id = s.upload_id and g.state = 'committed'
    where s.upload_id = ${uploadId} order by g.ordinal`.execute(db.read);
  const first = rows[0];
  if (first === undefined) return undefined;
  return {
    uploadId: first.upload_id,
    repositoryId: first.repository_id,
    repositoryName: first.name,
    accountId: first.account_id,
    region: first.region,
    principalId: first.principal_id,
    protectionDomain: first.protection_domain,
    algorithm: first.algorithm,
    receivedBytes: first.received_bytes,
    ...(first.digest_so_far === null ? {} : { digestSoFar: first.digest_so_far }),
    parts: first.parts,
    ...(first.smallest_part_bytes === null ? {} : { smallestNonLastPartBytes: first.smallest_part_bytes }),
    createdAt: first.created_at,
    expiresAt: first.expires_at,
    segments: rows.flatMap(segmentsOf),
  };
}

interface SessionRow extends UploadSessionTable {
  readonly name: string;
  readonly account_id: string;
  readonly region: string;
  readonly protection_domain: string;
  readonly segment_key: string | null;
  readonly ordinal: number | null;
  readonly size_bytes: number | null;
  readonly offset_bytes: number | null;
}

function segmentsOf(row: SessionRow): UploadSegment[] {
  if (row.segment_key === null) return [];
  return [{ segmentKey: row.segment_key, ordinal: row.ordinal ?? 0, sizeBytes: row.size_bytes ?? 0, offset: row.offset_bytes ?? 0 }];
}

/** Records a segment before its first byte, if the session still stands at `expectedBytes`; also puts the expiry off. */
export async function beginSegment(
  db: Database,
  input: {
    readonly uploadId: string;
    readonly segmentKey: string;
    readonly expectedBytes: number;
    readonly expiresAt: number;
    readonly now: number;
  },
): Promise<BeginSegmentOutcome> {
  return db.transaction(async (tx): Promise<BeginSegmentOutcome> => {
    const session = await lockOpenSession(db, tx, input.uploadId, input.now);
    if (session === undefined) return { outcome: "not-found" };
    if (session.received_bytes !== input.expectedBytes) return { outcome: "moved", receivedBytes: session.received_bytes };
    await tx
      .insertInto("upload_segment")
      .values({
        segment_key: input.segmentKey,
        upload_id: input.uploadId,
        state: "writing",
        ordinal: null,
        offset_bytes: null,
        size_bytes: null,
      })
      .execute();
    await tx.updateTable("upload_session").set({ expires_at: input.expiresAt }).where("upload_id", "=", input.uploadId).execute();
    return { outcome: "begun" };
  });
}

/** Counts a durable segment, by compare-and-set on the received bytes: of two appends at one offset, one wins whole. */
export async function commitSegment(
  db: Database,
  input: {
    readonly uploadId: string;
    readonly segmentKey: string;
    readonly offset: number;
    readonly sizeBytes: number;
    readonly digestSoFar: string;
    readonly expiresAt: number;
    readonly now: number;
  },
): Promise<CommitSegmentOutcome> {
  return db.transaction(async (tx): Promise<CommitSegmentOutcome> => {
    // An append that began in time may end after the expiry; only the row's absence ends the session.
    const session = await lockOpenSession(db, tx, input.uploadId, undefined);
    if (session === undefined) return { outcome: "not-found" };
    if (session.received_bytes !== input.offset) return { outcome: "moved", receivedBytes: session.received_bytes };
    const segment = await tx
      .updateTable("upload_segment")
      .set({ state: "committed", ordinal: session.parts, offset_bytes: input.offset, size_bytes: input.sizeBytes })
      .where("segment_key", "=", input.segmentKey)
      .where("upload_id", "=", input.uploadId)
      .where("state", "=", "writing")
      .executeTakeFirst();
    if (segment.numUpdatedRows !== 1n) return { outcome: "not-found" };
    const smallest =
      session.last_part_bytes === null ? null : Math.min(session.last_part_bytes, session.smallest_part_bytes ?? session.last_part_bytes);
    await tx
      .updateTable("upload_session")
      .set({
        received_bytes: input.offset + input.sizeBytes,
        digest_so_far: input.digestSoFar,
        parts: session.parts + 1,
        smallest_part_bytes: smallest,
        last_part_bytes: input.sizeBytes,
        expires_at: input.expiresAt,
      })
      .where("upload_id", "=", input.uploadId)
      .execute();
    return { outcome: "committed" };
  });
}

/** Forgets a segment that was begun and will not be committed. A committed one stays. */
export async function dropSegment(db: Database, input: { readonly uploadId: string; readonly segmentKey: string }): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .deleteFrom("upload_segment")
      .where("segment_key", "=", input.segmentKey)
      .where("upload_id", "=", input.uploadId)
      .where("state", "=", "writing")
      .execute();
  });
}

/**
 * Ends a session with a durable copy: its rows go, and the repository is linked to the blob with grace. Where the same
 * content is there already, live or condemned, that blob is revived and the new copy is recorded as gone; where it is there only in
 * the cold tier, the new copy takes the place of the cold one.
 */
export async function completeUpload(db: Database, input: CompleteUpload): Promise<CompleteUploadOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<CompleteUploadOutcome> => {
    const session = await lockOpenSession(db, tx, input.uploadId, undefined);
    if (session === undefined) return { outcome: "not-found" };
    const repository = await lockRepositoryById(db, tx, session.repository_id, "share");
    if (repository === undefined) return { outcome: "not-found" };
    const wasLinked = (await readableBlobs(db, tx, repository.repositoryId, [digest], author.now)).has(digest);
    const { blobId, storageKey, wasCold } = await insertOrReviveBlob(db, tx, repository, input);
    const joined = storageKey !== input.storageKey;
    if (joined) await recordDiscarded(tx, repository, input);
    await putLink(tx, repository.repositoryId, blobId, input.graceUntil);
    // Without a manifest in time it is cold again.
    if (wasCold) await checkTier(tx, blobId, input.graceUntil);
    await tx.deleteFrom("upload_segment").where("upload_id", "=", input.uploadId).execute();
    await tx.deleteFrom("upload_session").where("upload_id", "=", input.uploadId).execute();
    await appendChanges(tx, repository, author, [{ kind: "blob-uploaded", subject: digest, after: { sizeBytes: input.sizeBytes } }]);
    const blob = (await readableBlobs(db, tx, repository.repositoryId, [digest], author.now)).get(digest);
    if (blob === undefined) throw new RangeError("graceUntil must lie in the future");
    return { outcome: joined ? "joined" : "stored", blob, ...(joined ? { discard: input.storageKey } : {}), wasLinked };
  });
}

/** Ends a session without a result; answers the keys of its segments, committed or not, for the driver to delete. */
export async function deleteUploadSession(db: Database, uploadId: string): Promise<string[] | undefined> {
  return db.transaction(async (tx) => {
    const session = await lockOpenSession(db, tx, uploadId, undefined);
    if (session === undefined) return undefined;
    const segments = await tx.deleteFrom("upload_segment").where("upload_id", "=", uploadId).returning("segment_key").execute();
    await tx.deleteFrom("upload_session").where("upload_id", "=", uploadId).execute();
    return segments.map((segment) => segment.segment_key);
  });
}

async function lockOpenSession(
  db: Database,
  tx: Transaction<Schema>,
  uploadId: string,
  openAt: number | undefined,
): Promise<UploadSessionTable | undefined> {
  let query = tx.selectFrom("upload_session").selectAll().where("upload_id", "=", uploadId);
  if (openAt !== undefined) query = query.where("expires_at", ">", openAt);
  return query.$call(db.dialect.lockForUpdate).executeTakeFirst();
}

/** The current blob of the digest, locked: the one that is there, or a new one over the given copy. */
async function insertOrReviveBlob(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  input: CompleteUpload,
): Promise<{ readonly blobId: number; readonly storageKey: string; readonly wasCold: boolean }> {
  const inserted = await tx
    .insertInto("blob")
    .values({
      account_id: repository.accountId,
      protection_domain: repository.protectionDomain,
      digest: input.digest,
      size_bytes: input.sizeBytes,
      storage_key: input.storageKey,
      state: "live",
      unlinked_at: null,
      condemned_at: null,
      created_at: input.author.now,
      sealed_key: input.sealedKey ?? null,
    })
    .onConflict((conflict) =>
      conflict
        .columns(["account_id", "protection_domain", "digest"])
        .where("state", "<>", sql.lit("gone" as const))
        .doNothing(),
    )
    .returning("blob_id")
    .executeTakeFirst();
  if (inserted !== undefined) return { blobId: inserted.blob_id, storageKey: input.storageKey, wasCold: false };
  const known = await tx
    .selectFrom("blob")
    .selectAll()
    .where("account_id", "=", repository.accountId)
    .where("protection_domain", "=", repository.protectionDomain)
    .where("digest", "=", input.digest)
    .where("state", "<>", "gone")
    .executeTakeFirst();
  // Between the two statements garbage collection may have declared the known blob gone: then ours is the first again.
  if (known === undefined) return insertOrReviveBlob(db, tx, repository, input);
  if (known.tier === "cold" && (await replaceCold(db, tx, known, input)))
    return { blobId: known.blob_id, storageKey: input.storageKey, wasCold: true };
  const locked = await lockBlobs(db, tx, [known.blob_id]);
  if (!locked.has(known.blob_id)) return insertOrReviveBlob(db, tx, repository, input);
  return { blobId: known.blob_id, storageKey: known.storage_key, wasCold: false };
}

/** Puts the new copy in the place of one in the cold tier. False: it came back, got another copy, or is gone; the caller looks again. */
async function replaceCold(db: Database, tx: Transaction<Schema>, known: BlobRow, input: CompleteUpload): Promise<boolean> {
  const locked = await tx
    .selectFrom("blob")
    .select("blob_id")
    .where("blob_id", "=", known.blob_id)
    .where("storage_key", "=", known.storage_key)
    .where("state", "<>", "gone")
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
  if (locked === undefined) return false;
  const fresh = { storage_key: input.storageKey, sealed_key: input.sealedKey ?? null, tier: "standard" as const };
  await tx
    .updateTable("blob")
    .set({ ...fresh, state: "live", unlinked_at: null, condemned_at: null })
    .where("blob_id", "=", known.blob_id)
    .execute();
  await retireCopy(tx, known, input.author.now);
  return true;
}

/** The copy that nobody needs: a row in state gone is the promise that its bytes will be deleted. */
async function recordDiscarded(tx: Transaction<Schema>, repository: Repository, input: CompleteUpload): Promise<void> {
  await tx
    .insertInto("blob")
    .values({
      account_id: repository.accountId,
      protection_domain: repository.protectionDomain,
      digest: input.digest,
      size_bytes: input.sizeBytes,
      storage_key: input.storageKey,
      state: "gone",
      unlinked_at: null,
      condemned_at: null,
      created_at: input.author.now,
      sealed_key: input.sealedKey ?? null,
    })
    .execute();
}
