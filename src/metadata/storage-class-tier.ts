/**
 * Where the bytes of blobs are. A blob is cold while only archived manifests hold it. A blob that may have to go there has a row in
 * `blob_tier_check`; whoever takes a reason to stay away from a blob puts one in ({@link checkTiers}).
 *
 * Invariant: bytes move under the rules of garbage collection. A move is a row before its first byte (its id is the new copy's incarnation,
 * so the copy is never taken for an orphan), and it ends in the transaction that switches the blob's row to the new copy, or not. That
 * transaction locks the blob's row and looks again in a new statement, and whoever adds a reference locks the row and then needs a standard
 * copy: so no reference is ever added to a blob that is going cold.
 *
 * Locks: blobs, links, tier checks, moves, in this order.
 */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { BlobRow, Schema } from "./schema.ts";

/** Where a stored copy is. */
export type Tier = BlobRow["tier"];

/** The stored copy that is to be moved. */
export interface MovableCopy {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly storageKey: string;
  /** Absent in the plain domain. */
  readonly sealedKey?: string;
}

/** What `beginMove` answers. */
export type BeginMoveOutcome =
  | { readonly outcome: "begun"; readonly copy: MovableCopy }
  /** The blob is there already, has to stay where it is, or is no more. */
  | { readonly outcome: "unneeded" }
  /** Somebody else is moving it. */
  | { readonly outcome: "busy" };

/** Which move is meant. */
export interface MoveInput {
  readonly moveId: string;
  readonly blobId: number;
  readonly to: Tier;
  readonly now: number;
}

/**
 * Asks for a look at those blobs of these manifests that an archived manifest references too, inside the transaction that gives the reason:
 * after what it changes, and before references go.
 */
export async function checkTiers(db: Database, tx: Transaction<Schema>, manifestIds: readonly number[]): Promise<void> {
  // In the order of their ids, so that two of these do not wait for each other in a circle.
  await sql`
    insert into blob_tier_check (blob_id, due_at)
    select distinct mb.blob_id, 0 from manifest_blob mb
    where ${db.dialect.integerIn("mb.manifest_id", manifestIds)}
      and exists (select 1 from manifest i where i.status <> 'ACTIVE' and i.status = 'ARCHIVED')
      and exists (select 1 from manifest_blob a join manifest m on m.manifest_id = a.manifest_id
        where a.blob_id = mb.blob_id and m.status = 'ARCHIVED')
    order by mb.blob_id
    on conflict (blob_id) do update set due_at = 0`.execute(tx);
}

/** Whether any blob is cold. */
export async function hasColdBlobs(db: Database): Promise<boolean> {
  const row = await db.read
    .selectFrom("blob")
    .select("blob_id")
    .where("tier", "=", sql.lit("cold" as const))
    .where("blob_id", ">", 0)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Asks for a look at one blob, not before `dueAt`; an earlier one stays. */
export async function checkTier(tx: Transaction<Schema>, blobId: number, dueAt: number): Promise<void> {
  await tx
    .insertInto("blob_tier_check")
    .values({ blob_id: blobId, due_at: dueAt })
    .onConflict((conflict) => conflict.column("blob_id").doUpdateSet({ due_at: dueAt }).where("blob_tier_check.due_at", ">", dueAt))
    .execute();
}

/** Blobs whose tier is to be looked at by `now`, due longest first. */
export async function listTierChecks(db: Database, input: { readonly now: number; readonly limit: number }): Promise<number[]> {
  const rows = await db.read
    .selectFrom("blob_tier_check")
    .select("blob_id")
    .where("due_at", "<=", input.now)
    .orderBy("due_at")
    .orderBy("blob_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => row.blob_id);
}

/** Puts a look off: the blob could not be moved now. */
export async function postponeTierCheck(db: Database, input: { readonly blobId: number; readonly until: number }): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.updateTable("blob_tier_check").set({ due_at: input.until }).where("blob_id", "=", input.blobId).execute();
  });
}

/** One page of the blobs of a manifest that are cold, in the order of their ids. */
export async function listColdBlobs(
  db: Database,
  input: { readonly manifestId: number; readonly after: number; readonly limit: number },
): Promise<number[]> {
  const rows = await db.read
    .selectFrom("manifest_blob as mb")
    .innerJoin("blob as b", "b.blob_id", "mb.blob_id")
    .select("b.blob_id")
    .where("mb.manifest_id", "=", input.manifestId)
    .where("mb.blob_id", ">", input.after)
    .where("b.tier", "=", "cold")
    .where("b.state", "<>", "gone")
    .orderBy("mb.blob_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => row.blob_id);
}

/** Those of the digests that live manifests outside the active class reference in a repository. */
export async function findArchivedBlobs(db: Database, repositoryId: number, digests: readonly string[]): Promise<Set<string>> {
  if (digests.length === 0) return new Set();
  const { rows } = await sql<{ digest: string }>`
    select distinct b.digest from repository r
    join blob b on b.account_id = r.account_id and b.protection_domain = r.protection_domain
      and ${db.dialect.textIn("b.digest", digests)} and b.state <> 'gone'
    join manifest_blob mb on mb.blob_id = b.blob_id and mb.repository_id = r.repository_id and mb.live = 0
    join manifest m on m.manifest_id = mb.manifest_id and m.deleted_at is null and m.status <> 'ACTIVE'
    where r.repository_id = ${repositoryId}`.execute(db.read);
  return new Set(rows.map((row) => row.digest));
}

/** Begins to move a blob if it has to be moved. Unless the move is renewed it is given up at `expiresAt`. */
export async function beginMove(db: Database, input: MoveInput & { readonly expiresAt: number }): Promise<BeginMoveOutcome> {
  const { moveId, blobId, now, expiresAt } = input;
  return db.transaction(async (tx): Promise<BeginMoveOutcome> => {
    const blob = await lockMovable(db, tx, input);
    if (blob === undefined) return { outcome: "unneeded" };
    const other = await tx.selectFrom("blob_move").select("expires_at").where("blob_id", "=", blobId).executeTakeFirst();
    if (other !== undefined && other.expires_at > now) return { outcome: "busy" };
    await tx.deleteFrom("blob_move").where("blob_id", "=", blobId).execute();
    await tx.insertInto("blob_move").values({ move_id: moveId, blob_id: blobId, expires_at: expiresAt }).execute();
    const { digest, size_bytes: sizeBytes, storage_key: storageKey, sealed_key: sealedKey } = blob;
    return { outcome: "begun", copy: { digest, sizeBytes, storageKey, ...(sealedKey !== null && { sealedKey }) } };
  });
}

/** Puts the expiry of a move off. False: it was given up, and its copy will not count. */
export async function renewMove(db: Database, input: { readonly moveId: string; readonly expiresAt: number }): Promise<boolean> {
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("blob_move")
      .set({ expires_at: input.expiresAt })
      .where("move_id", "=", input.moveId)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  });
}

/**
 * Ends a move with a durable new copy: the blob's row names it from now on, and the old one becomes gone, to be deleted when the condemned time
 * is over. False: meanwhile the move was given up, the blob got another copy, or it has to stay where it is; then nobody will name the new copy.
 */
export async function finishMove(db: Database, input: MoveInput & { readonly fromKey: string; readonly toKey: string }): Promise<boolean> {
  const { moveId, blobId, to, now, fromKey, toKey } = input;
  return db.transaction(async (tx) => {
    const blob = await lockMovable(db, tx, input);
    const { numDeletedRows } = await tx.deleteFrom("blob_move").where("move_id", "=", moveId).executeTakeFirst();
    if (blob?.storage_key !== fromKey || numDeletedRows === 0n) return false;
    await tx.updateTable("blob").set({ storage_key: toKey, tier: to }).where("blob_id", "=", blobId).execute();
    await retireCopy(tx, blob, now);
    if (to === "cold") await tx.deleteFrom("blob_tier_check").where("blob_id", "=", blobId).execute();
    // What was archived again meanwhile goes back with the next look.
    else await checkTier(tx, blobId, now);
    return true;
  });
}

/** Forgets a move that came to nothing. */
export async function dropMove(db: Database, moveId: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.deleteFrom("blob_move").where("move_id", "=", moveId).execute();
  });
}

/** Gives up to `limit` moves up that expired by `now`; from then on their copies belong to nobody. Answers how many. */
export async function endExpiredMoves(db: Database, input: { readonly now: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .selectFrom("blob_move")
      .select("move_id")
      .where("expires_at", "<=", input.now)
      .orderBy("expires_at")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    const ids = rows.map((row) => row.move_id);
    await tx.deleteFrom("blob_move").where(db.dialect.textIn("move_id", ids)).execute();
    return ids.length;
  });
}

/** The old copy of a blob that has a new one, as a row in state gone: nobody reads it any more once the condemned time is over. */
export async function retireCopy(tx: Transaction<Schema>, blob: BlobRow, now: number): Promise<void> {
  const { blob_id: _, ...copy } = blob;
  await tx
    .insertInto("blob")
    .values({ ...copy, state: "gone", unlinked_at: null, condemned_at: now })
    .execute();
}

/** The blob's row, locked, if it has to be moved; otherwise the look at it is settled. */
async function lockMovable(db: Database, tx: Transaction<Schema>, { blobId, to, now }: MoveInput): Promise<BlobRow | undefined> {
  const blob = await tx
    .selectFrom("blob")
    .selectAll()
    .where("blob_id", "=", blobId)
    .where("state", "=", "live")
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
  const isThere = blob === undefined || blob.tier === to;
  // Back from the archive it moves also when nobody needs it any more: the next look puts it where it belongs.
  if (!isThere && to === "standard") return blob;
  const dueAt = isThere ? null : await coldFrom(tx, blobId);
  if (dueAt !== null && dueAt <= now) return blob;
  const check = await tx
    .selectFrom("blob_tier_check")
    .select("blob_id")
    .where("blob_id", "=", blobId)
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
  if (check === undefined || to === "standard") return undefined;
  // Looked at again behind the lock: whoever asked for a look before it has been committed is seen by now.
  const again = isThere ? null : await coldFrom(tx, blobId);
  if (again !== null)
    await tx
      .updateTable("blob_tier_check")
      .set({ due_at: Math.max(again, now) })
      .where("blob_id", "=", blobId)
      .execute();
  else await tx.deleteFrom("blob_tier_check").where("blob_id", "=", blobId).execute();
  return undefined;
}

/** From when on a blob belongs in the cold tier; null while a manifest that is not archived holds it, or none does. Tombstones count: they can come back. */
async function coldFrom(tx: Transaction<Schema>, blobId: number): Promise<number | null> {
  const { rows } = await sql<{ archived: number; needed: number; grace_until: number | null }>`
    select
      case when exists (select 1 from manifest_blob mb join manifest m on m.manifest_id = mb.manifest_id
        where mb.blob_id = ${blobId} and m.status = 'ARCHIVED') then 1 else 0 end as archived,
      case when exists (select 1 from manifest_blob mb join manifest m on m.manifest_id = mb.manifest_id
        where mb.blob_id = ${blobId} and m.status <> 'ARCHIVED') then 1 else 0 end as needed,
      (select max(grace_until) from blob_link where blob_id = ${blobId}) as grace_until`.execute(tx);
  const row = rows[0];
  return row === undefined || row.archived === 0 || row.needed === 1 ? null : (row.grace_until ?? 0);
}
