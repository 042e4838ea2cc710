/**
 * What every operation that reads or adds references to blobs shares: which blobs a repository may read, and the lock
 * that keeps garbage collection away from them. The protocol is the one of `garbage.ts`: whoever adds a reference
 * locks the blob's row first and looks again afterwards, in a new statement.
 */
import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import type { Blob } from "./blobs.ts";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

/** What {@link blobOf} reads. */
export interface LinkedBlobRow {
  readonly blob_id: number;
  readonly digest: string;
  readonly size_bytes: number;
  readonly storage_key: string;
  readonly sealed_key: string | null;
  readonly grace_until: number | null;
  /** From a live manifest of the repository; null: no live manifest references the blob. */
  readonly media_type: string | null;
}

/** The media type that the oldest live manifest of a repository gives a blob, as a subselect over aliases `b` and `r` or `l`. */
export const referencedMediaType = (repositoryAlias: "r" | "l"): string =>
  `(select mb.media_type from manifest_blob mb
    where mb.blob_id = b.blob_id and mb.repository_id = ${repositoryAlias}.repository_id and mb.live = 1
    order by mb.manifest_id limit 1)`;

/** Whether a link is readable: a live manifest references the blob, or the link is within its grace. */
export function isReadable(row: LinkedBlobRow, now: number): boolean {
  return row.media_type !== null || (row.grace_until !== null && row.grace_until > now);
}

/** A row as callers see it. */
export function blobOf(row: LinkedBlobRow): Blob {
  return {
    blobId: row.blob_id,
    digest: row.digest,
    sizeBytes: row.size_bytes,
    storageKey: row.storage_key,
    ...(row.sealed_key === null ? {} : { sealedKey: row.sealed_key }),
    ...(row.media_type === null ? {} : { mediaType: row.media_type }),
    referenced: row.media_type !== null,
    graceUntil: row.grace_until ?? 0,
  };
}

/** The blobs among `digests` that the repository may read and that can be referenced (which what is cold cannot), by digest. */
export async function readableBlobs(
  db: Database,
  executor: Kysely<Schema>,
  repositoryId: number,
  digests: readonly string[],
  now: number,
): Promise<Map<string, Blob>> {
  if (digests.length === 0) return new Map();
  const { rows } = await sql<LinkedBlobRow>`
    select b.blob_id, b.digest, b.size_bytes, b.storage_key, b.sealed_key, l.grace_until, ${sql.raw(referencedMediaType("l"))} as media_type
    from repository r
    join blob b on b.account_id = r.account_id and b.protection_domain = r.protection_domain
      and ${db.dialect.textIn("b.digest", digests)} and b.state <> 'gone' and b.tier = 'standard'
    join blob_link l on l.repository_id = r.repository_id and l.blob_id = b.blob_id
    where r.repository_id = ${repositoryId}`.execute(executor);
  return new Map(rows.filter((row) => isReadable(row, now)).map((row) => [row.digest, blobOf(row)]));
}

/** A blob that garbage collection condemned in the middle of locking is revived once more; it cannot go on for ever. */
const maxLockRounds = 3;

/**
 * Locks blobs against garbage collection until the end of the transaction, shared and in the order of their digests;
 * condemned and unlinked ones are revived. Answers those that are live and standard now; the others are gone, or cold and count as gone.
 */
export async function lockBlobs(db: Database, tx: Transaction<Schema>, blobIds: readonly number[]): Promise<Set<number>> {
  let locked = new Set<number>();
  for (let round = 0; round < maxLockRounds && locked.size < blobIds.length; round += 1) {
    const asleep = await tx
      .selectFrom("blob")
      .select("blob_id")
      .where(db.dialect.integerIn("blob_id", blobIds))
      .where((or) => or.or([or("state", "=", "condemned"), or.and([or("state", "=", "live"), or("unlinked_at", "is not", null)])]))
      .orderBy("digest")
      .$call(db.dialect.lockForUpdate)
      .execute();
    if (asleep.length > 0) {
      await reviveBlobs(
        db,
        tx,
        asleep.map((row) => row.blob_id),
      );
    }
    const rows = await tx
      .selectFrom("blob")
      .select("blob_id")
      .where(db.dialect.integerIn("blob_id", blobIds))
      .where("state", "=", "live")
      .where("tier", "=", "standard")
      .orderBy("digest")
      .$call(db.dialect.lockForShare)
      .execute();
    locked = new Set(rows.map((row) => row.blob_id));
  }
  return locked;
}

/** Makes blobs live and linked again unless they are gone; the update is the lock. */
export async function reviveBlobs(db: Database, tx: Transaction<Schema>, blobIds: readonly number[]): Promise<void> {
  await tx
    .updateTable("blob")
    .set({ state: "live", unlinked_at: null, condemned_at: null })
    .where(db.dialect.integerIn("blob_id", blobIds))
    .where("state", "<>", "gone")
    .where((or) => or.or([or("state", "=", "condemned"), or("unlinked_at", "is not", null)]))
    .execute();
}

/** Links a locked blob to a repository, or lengthens the grace of the link that is there. Never shortens it. */
export async function putLink(tx: Transaction<Schema>, repositoryId: number, blobId: number, graceUntil: number): Promise<void> {
  await tx
    .insertInto("blob_link")
    .values({ repository_id: repositoryId, blob_id: blobId, grace_until: graceUntil })
    .onConflict((conflict) =>
      conflict
        .columns(["repository_id", "blob_id"])
        .doUpdateSet({ grace_until: graceUntil })
        .where((or) => or.or([or("blob_link.grace_until", "is", null), or("blob_link.grace_until", "<", graceUntil)])),
    )
    .execute();
}

/**
 * Ends the grace of links whose blobs no live manifest of the repository references any more: what was deleted is not
 * readable for the rest of the day. A grace that was promised after the manifests were pushed stays: somebody is about to
 * push another manifest with the same blobs and was told that they are there. Called under the repository's exclusive lock,
 * after the manifests are tombstoned.
 */
export async function endGrace(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestIds: readonly number[],
  linkGraceMs: number,
): Promise<void> {
  const { pushed_at: pushedAt } = await tx
    .selectFrom("manifest")
    .select((select) => select.fn.max("pushed_at").as("pushed_at"))
    .where(db.dialect.integerIn("manifest_id", manifestIds))
    .executeTakeFirstOrThrow();
  await sql`
    update blob_link set grace_until = 0
    where repository_id = ${repositoryId} and grace_until > 0 and grace_until <= ${pushedAt + linkGraceMs}
      and blob_id in (select mb.blob_id from manifest_blob mb where ${db.dialect.integerIn("mb.manifest_id", manifestIds)})
      and not exists (select 1 from manifest_blob kept
        where kept.blob_id = blob_link.blob_id and kept.repository_id = ${repositoryId} and kept.live = 1)`.execute(tx);
}
