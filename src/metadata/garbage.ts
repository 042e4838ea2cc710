/**
 * What garbage collection asks of the facts. It never locks out pushes. A blob goes `live → condemned → gone`:
 *
 * - a link is dropped when it is past its grace and no manifest row of its repository, live or tombstoned, references the blob;
 * - a blob without links is condemned after the unreferenced grace, and gone after the condemned time;
 * - `gone` is the intent to delete that one storage key; the row goes when the delete is confirmed (`forgetGone`).
 *
 * Invariant: every step locks its rows first (leaving out those that somebody else has locked) and checks again in a new
 * statement, and whoever adds a reference locks the blob's row before, or revives it by update. So a blob that somebody
 * is about to reference is never condemned under him, and a blob that is gone is never referenced.
 */
import { sql } from "kysely";
import type { RawBuilder, Transaction } from "kysely";
import type { Database } from "./database.ts";
import { removeManifests } from "./manifest-purge.ts";
import { removeEncryptions } from "./repository-encryption.ts";
import type { Schema } from "./schema.ts";

/** An upload session past its expiry. */
export interface ExpiredUpload {
  readonly uploadId: string;
  /** Committed or not; for the driver to delete before the session's rows go. */
  readonly segmentKeys: readonly string[];
}

/** One page of upload sessions that expired by `now`, longest expired first. */
export async function listExpiredUploads(db: Database, input: { readonly now: number; readonly limit: number }): Promise<ExpiredUpload[]> {
  const { rows } = await sql<{ upload_id: string; segment_key: string | null }>`
    select s.upload_id, g.segment_key
    from (select upload_id, expires_at from upload_session where expires_at <= ${input.now}
      order by expires_at, upload_id limit ${input.limit}) s
    left join upload_segment g on g.upload_id = s.upload_id
    order by s.expires_at, s.upload_id, g.ordinal, g.segment_key`.execute(db.read);
  const uploads = new Map<string, string[]>();
  for (const row of rows) {
    const keys = uploads.get(row.upload_id) ?? [];
    if (row.segment_key !== null) keys.push(row.segment_key);
    uploads.set(row.upload_id, keys);
  }
  return [...uploads].map(([uploadId, segmentKeys]) => ({ uploadId, segmentKeys }));
}

/** Which of the ids are those of upload sessions, or of copies that are being moved; segments of the others belong to nobody. */
export async function knownUploads(db: Database, uploadIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select upload_id as id from upload_session where ${db.dialect.textIn("upload_id", uploadIds)}
    union all select move_id from blob_move where ${db.dialect.textIn("move_id", uploadIds)}`.execute(db.read);
  return new Set(rows.map((row) => row.id));
}

/** Which of the storage keys have a blob row, gone ones included; stored copies under the others belong to nobody. */
export async function knownStorageKeys(db: Database, storageKeys: readonly string[]): Promise<Set<string>> {
  const rows = await db.read.selectFrom("blob").select("storage_key").where(db.dialect.textIn("storage_key", storageKeys)).execute();
  return new Set(rows.map((row) => row.storage_key));
}

/**
 * Removes one bounded batch of what was deleted at or before `deletedBefore` and can therefore not come back: manifests
 * with their tags, tags, and repositories that hold nothing any more. Answers how many rows of these three went; 0 means done.
 */
export async function purgeTombstones(db: Database, input: { readonly deletedBefore: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const manifestIds = await lockPurgeableManifests(db, tx, input.deletedBefore, input.limit);
    await removeManifests(db, tx, manifestIds);
    const tags = await tx
      .selectFrom("tag")
      .select("tag_id")
      .where("deleted_at", "<=", input.deletedBefore)
      .orderBy("deleted_at")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    await tx
      .deleteFrom("tag")
      .where(
        db.dialect.integerIn(
          "tag_id",
          tags.map((row) => row.tag_id),
        ),
      )
      .execute();
    const repositories = await removeEmptyRepositories(db, tx, input.deletedBefore, input.limit);
    return manifestIds.length + tags.length + repositories;
  });
}

async function lockPurgeableManifests(db: Database, tx: Transaction<Schema>, deletedBefore: number, limit: number): Promise<number[]> {
  const deleted = await tx
    .selectFrom("manifest")
    .select("manifest_id")
    .where("deleted_at", "<=", deletedBefore)
    .orderBy("deleted_at")
    .limit(limit)
    .$call(db.dialect.lockForUpdateSkipLocked)
    .execute();
  const ids = new Set(deleted.map((row) => row.manifest_id));
  // A tombstoned repository hides manifests that have no tombstone of their own.
  const repository = await tx
    .selectFrom("repository")
    .select("repository_id")
    .where("deleted_at", "<=", deletedBefore)
    .where(sql<boolean>`exists (select 1 from manifest m where m.repository_id = repository.repository_id)`)
    .orderBy("deleted_at")
    .limit(1)
    .$call(db.dialect.lockForUpdateSkipLocked)
    .executeTakeFirst();
  if (repository === undefined || ids.size >= limit) return [...ids];
  const hidden = await tx
    .selectFrom("manifest")
    .select("manifest_id")
    .where("repository_id", "=", repository.repository_id)
    .limit(limit - ids.size)
    .$call(db.dialect.lockForUpdateSkipLocked)
    .execute();
  for (const row of hidden) ids.add(row.manifest_id);
  return [...ids];
}

async function removeEmptyRepositories(db: Database, tx: Transaction<Schema>, deletedBefore: number, limit: number): Promise<number> {
  const isEmpty = sql<boolean>`not exists (select 1 from manifest m where m.repository_id = repository.repository_id)
    and not exists (select 1 from blob_link l where l.repository_id = repository.repository_id)
    and not exists (select 1 from upload_session s where s.repository_id = repository.repository_id)`;
  const rows = await tx
    .selectFrom("repository")
    .select("repository_id")
    .where("deleted_at", "<=", deletedBefore)
    .where(isEmpty)
    .limit(limit)
    .$call(db.dialect.lockForUpdateSkipLocked)
    .execute();
  const ids = rows.map((row) => row.repository_id);
  await removeEncryptions(db, tx, ids);
  await tx.deleteFrom("repository_policy").where(db.dialect.integerIn("repository_id", ids)).execute();
  await tx.deleteFrom("resource_tag").where(db.dialect.integerIn("repository_id", ids)).execute();
  await tx.deleteFrom("repository_usage").where(db.dialect.integerIn("repository_id", ids)).execute();
  await tx.deleteFrom("repository").where(db.dialect.integerIn("repository_id", ids)).execute();
  return ids.length;
}

interface LinkRow {
  readonly repository_id: number;
  readonly blob_id: number;
}

/**
 * Drops links past their grace (all that still have one with `ignoreGrace`) that no manifest row of their repository
 * references. Examines batches of `limit` links until one of them gives up something; 0 means done.
 */
export async function dropStaleLinks(
  db: Database,
  input: { readonly now: number; readonly limit: number; readonly ignoreGrace: boolean },
): Promise<number> {
  for (;;) {
    const { dropped, kept } = await db.transaction((tx) => dropLinkBatch(db, tx, input));
    if (dropped > 0 || kept === 0) return dropped;
  }
}

async function dropLinkBatch(
  db: Database,
  tx: Transaction<Schema>,
  input: { readonly now: number; readonly limit: number; readonly ignoreGrace: boolean },
): Promise<{ readonly dropped: number; readonly kept: number }> {
  const links = await tx
    .selectFrom("blob_link")
    .select(["repository_id", "blob_id"])
    .where("grace_until", "<=", input.ignoreGrace ? Number.MAX_SAFE_INTEGER : input.now)
    .orderBy("grace_until")
    .limit(input.limit)
    .$call(db.dialect.lockForUpdateSkipLocked)
    .execute();
  const blobIds = [...new Set(links.map((link) => link.blob_id))];
  const blobs = await tx
    .selectFrom("blob")
    .select("blob_id")
    .where(db.dialect.integerIn("blob_id", blobIds))
    .orderBy("digest")
    .$call(db.dialect.lockForUpdateSkipLocked)
    .execute();
  const locked = new Set(blobs.map((blob) => blob.blob_id));
  const referenced = await findReferenced(db, tx, links);
  const kept: LinkRow[] = [];
  const stale: LinkRow[] = [];
  for (const link of links) {
    if (!locked.has(link.blob_id)) continue;
    (referenced.has(linkKey(link)) ? kept : stale).push(link);
  }
  for (const [repositoryId, ids] of byRepository(kept)) {
    // Held by manifest rows alone from now on, and out of this queue until the last of them is purged.
    await tx
      .updateTable("blob_link")
      .set({ grace_until: null })
      .where("repository_id", "=", repositoryId)
      .where(db.dialect.integerIn("blob_id", ids))
      .execute();
  }
  for (const [repositoryId, ids] of byRepository(stale)) {
    await tx.deleteFrom("blob_link").where("repository_id", "=", repositoryId).where(db.dialect.integerIn("blob_id", ids)).execute();
  }
  const unlinked = [...new Set(stale.map((link) => link.blob_id))];
  await tx
    .updateTable("blob")
    .set({ unlinked_at: input.now })
    .where(db.dialect.integerIn("blob_id", unlinked))
    .where(sql<boolean>`not exists (select 1 from blob_link l where l.blob_id = blob.blob_id)`)
    .execute();
  return { dropped: stale.length, kept: kept.length };
}

/** Which links have a manifest row behind them. A statement of its own, after the locks. */
async function findReferenced(db: Database, tx: Transaction<Schema>, links: readonly LinkRow[]): Promise<Set<string>> {
  const referenced = new Set<string>();
  for (const [repositoryId, ids] of byRepository(links)) {
    const rows = await tx
      .selectFrom("blob_link")
      .select("blob_id")
      .where("repository_id", "=", repositoryId)
      .where(db.dialect.integerIn("blob_id", ids))
      .where(
        sql<boolean>`exists (select 1 from manifest_blob mb where mb.blob_id = blob_link.blob_id and mb.repository_id = ${repositoryId})`,
      )
      .execute();
    for (const row of rows) referenced.add(linkKey({ repository_id: repositoryId, blob_id: row.blob_id }));
  }
  return referenced;
}

function linkKey(link: LinkRow): string {
  return `${link.repository_id}/${link.blob_id}`;
}

function byRepository(links: readonly LinkRow[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const link of links) {
    const group = groups.get(link.repository_id);
    if (group === undefined) groups.set(link.repository_id, [link.blob_id]);
    else group.push(link.blob_id);
  }
  return groups;
}

/** No link and no manifest row anywhere. */
const isUnreferenced: RawBuilder<boolean> = sql<boolean>`
  not exists (select 1 from blob_link l where l.blob_id = blob.blob_id)
  and not exists (select 1 from manifest_blob mb where mb.blob_id = blob.blob_id)`;

/** Condemns up to `limit` blobs that have had no link since `unreferencedSince` or longer. Answers how many. */
export async function condemnBlobs(
  db: Database,
  input: { readonly unreferencedSince: number; readonly now: number; readonly limit: number },
): Promise<number> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .selectFrom("blob")
      .select("blob_id")
      .where("state", "=", sql.lit("live" as const))
      .where("unlinked_at", "<=", input.unreferencedSince)
      .orderBy("unlinked_at")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    const isChosen = db.dialect.integerIn(
      "blob_id",
      rows.map((row) => row.blob_id),
    );
    const condemned = await tx
      .updateTable("blob")
      .set({ state: "condemned", condemned_at: input.now })
      .where(isChosen)
      .where("state", "=", "live")
      .where(isUnreferenced)
      .executeTakeFirst();
    // A mark that turns out wrong leaves the queue, or it would be looked at for ever.
    await tx.updateTable("blob").set({ unlinked_at: null }).where(isChosen).where("state", "=", "live").execute();
    return Number(condemned.numUpdatedRows);
  });
}

/** Declares gone up to `limit` blobs that were condemned at or before `condemnedBefore` and are still unreferenced. Answers how many. */
export async function killBlobs(db: Database, input: { readonly condemnedBefore: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .selectFrom("blob")
      .select("blob_id")
      .where("state", "=", sql.lit("condemned" as const))
      .where("condemned_at", "<=", input.condemnedBefore)
      .orderBy("condemned_at")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    const isChosen = db.dialect.integerIn(
      "blob_id",
      rows.map((row) => row.blob_id),
    );
    const gone = await tx
      .updateTable("blob")
      // It has waited long enough: what still has a time in this state was replaced by another copy.
      .set({ state: "gone", condemned_at: null })
      .where(isChosen)
      .where("state", "=", "condemned")
      .where(isUnreferenced)
      .executeTakeFirst();
    await tx
      .updateTable("blob")
      .set({ state: "live", condemned_at: null, unlinked_at: null })
      .where(isChosen)
      .where("state", "=", "condemned")
      .execute();
    return Number(gone.numUpdatedRows);
  });
}

/** One page of the stored copies to delete, from the first one after `after` on; of those that had been condemned or replaced, what was by `condemnedBefore`. */
export async function listGone(
  db: Database,
  input: { readonly limit: number; readonly after?: number; readonly condemnedBefore?: number },
): Promise<{ readonly blobId: number; readonly storageKey: string }[]> {
  const rows = await db.read
    .selectFrom("blob")
    .select(["blob_id", "storage_key"])
    .where("state", "=", sql.lit("gone" as const))
    .where("blob_id", ">", input.after ?? 0)
    .where((or) => or.or([or("condemned_at", "is", null), or("condemned_at", "<=", input.condemnedBefore ?? Number.MAX_SAFE_INTEGER)]))
    .orderBy("blob_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => ({ blobId: row.blob_id, storageKey: row.storage_key }));
}

/** Forgets a blob whose stored copy has been deleted durably. Only one that is gone. */
export async function forgetGone(db: Database, blobId: number): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.deleteFrom("blob").where("blob_id", "=", blobId).where("state", "=", "gone").execute();
  });
}

export { gcCounts, listBlobsForFsck, listManifestsForFsck } from "./fact-check.ts";
export type { BlobFact, GarbageCounts, ManifestFact } from "./fact-check.ts";
