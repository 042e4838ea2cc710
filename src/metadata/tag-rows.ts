/** Tags as rows: moving them, counting them on their manifests, and whether they may move. Steps of other operations' transactions. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { assert, unreachable } from "#std/assert.ts";
import { matchesWildcard } from "#std/wildcard.ts";
import type { Database } from "./database.ts";
import type { Repository } from "./repositories.ts";
import type { Schema } from "./schema.ts";

/** Tags that are on the manifest now and were not before. */
export interface PlacedTags {
  readonly changed: readonly { readonly tag: string; readonly fromDigest?: string }[];
  /** By how much the number of live tags of each manifest changes. */
  readonly deltas: ReadonlyMap<number, number>;
}

/** Whether a tag of the repository must stay where it is, by mutability and exclusion filters. */
export function isImmutableTag(repository: Repository, tag: string): boolean {
  const excluded = (): boolean => repository.mutabilityFilters.some((filter) => matchesWildcard(filter, tag));
  switch (repository.tagMutability) {
    case "MUTABLE":
      return false;
    case "IMMUTABLE":
      return true;
    case "MUTABLE_WITH_EXCLUSION":
      return excluded();
    case "IMMUTABLE_WITH_EXCLUSION":
      return !excluded();
    default:
      return unreachable(repository.tagMutability);
  }
}

/**
 * Puts tags on a manifest, in byte order, each row locked. `mayMove` is asked before a tag leaves another manifest
 * and may throw. Called under the repository's shared lock, so no tag disappears meanwhile; the counts are for {@link countTags}.
 *
 * A tag's moment is its version: it grows with every move, also where clocks differ. With `versions` (of a copy of another registry's tags)
 * a tag is put only if its version is newer than the one that is here; of two that are equally new both registries take the same one.
 *
 * With `upstreamSeenAt` (of what a pull-through cache rule fetched, when the upstream was asked) a tag that was pushed here, or of which the
 * upstream has said something newer, stays where it is; the others know from then on when their upstream was asked.
 */
export async function putTags(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestId: number,
  tags: readonly string[],
  now: number,
  mayMove: (tag: string) => boolean,
  versions?: ReadonlyMap<string, number>,
  upstreamSeenAt?: number,
): Promise<PlacedTags> {
  const changed: { tag: string; fromDigest?: string }[] = [];
  const deltas = new Map<number, number>();
  const count = (id: number, by: number) => deltas.set(id, (deltas.get(id) ?? 0) + by);
  for (const tag of [...new Set(tags)].toSorted()) {
    const version = versions?.get(tag);
    const insert = { repositoryId, manifestId, tag, taggedAt: version ?? now, validatedAt: upstreamSeenAt ?? null };
    const row = (await lockTag(db, tx, repositoryId, tag)) ?? (await insertTag(db, tx, insert));
    if (row === "inserted") {
      count(manifestId, 1);
      changed.push({ tag });
      continue;
    }
    const isUpstreams = row.validated_at !== null && row.validated_at <= (upstreamSeenAt ?? Infinity);
    if (upstreamSeenAt !== undefined && !isUpstreams) continue;
    const taggedAt = version ?? Math.max(now, row.tagged_at + 1);
    if (row.manifest_id === manifestId) {
      // What arrives late must lose against this version too, although nothing moves.
      if (version !== undefined && version > row.tagged_at)
        await tx.updateTable("tag").set({ tagged_at: version }).where("tag_id", "=", row.tag_id).execute();
      if (upstreamSeenAt !== undefined)
        await tx.updateTable("tag").set({ validated_at: upstreamSeenAt }).where("tag_id", "=", row.tag_id).execute();
      continue;
    }
    if (version !== undefined && version < row.tagged_at) continue;
    const from = await digestAt(tx, row.manifest_id);
    if (version === row.tagged_at && (await digestAt(tx, manifestId)) < from) continue;
    if (!mayMove(tag)) continue;
    await tx
      .updateTable("tag")
      // Where nobody fetched it, no upstream has said what it is now.
      .set({ manifest_id: manifestId, tagged_at: taggedAt, revision: sql`revision + 1`, validated_at: upstreamSeenAt ?? null })
      .where("tag_id", "=", row.tag_id)
      .execute();
    count(row.manifest_id, -1);
    count(manifestId, 1);
    changed.push({ tag, fromDigest: from });
  }
  return { changed, deltas };
}

async function digestAt(tx: Transaction<Schema>, manifestId: number): Promise<string> {
  const row = await tx.selectFrom("manifest").select("digest").where("manifest_id", "=", manifestId).executeTakeFirstOrThrow();
  return row.digest;
}

/** Applies the counts, manifests in the order of their ids; answers the count of `manifestId` afterwards. */
export async function countTags(tx: Transaction<Schema>, deltas: ReadonlyMap<number, number>, manifestId: number): Promise<number> {
  let counted = 0;
  for (const [id, by] of [...deltas].toSorted(([a], [b]) => a - b)) {
    const row = await tx
      .updateTable("manifest")
      .set({ tag_count: sql`tag_count + ${by}` })
      .where("manifest_id", "=", id)
      .returning("tag_count")
      .executeTakeFirstOrThrow();
    if (id === manifestId) counted = row.tag_count;
  }
  return counted;
}

interface LockedTag {
  readonly tag_id: number;
  readonly manifest_id: number;
  readonly tagged_at: number;
  readonly validated_at: number | null;
}

interface NewTag {
  readonly repositoryId: number;
  readonly manifestId: number;
  readonly tag: string;
  readonly taggedAt: number;
  readonly validatedAt: number | null;
}

async function lockTag(db: Database, tx: Transaction<Schema>, repositoryId: number, tag: string): Promise<LockedTag | undefined> {
  return tx
    .selectFrom("tag")
    .select(["tag_id", "manifest_id", "tagged_at", "validated_at"])
    .where("repository_id", "=", repositoryId)
    .where("name", "=", tag)
    .where("deleted_at", "is", null)
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
}

async function insertTag(
  db: Database,
  tx: Transaction<Schema>,
  { repositoryId, manifestId, tag, taggedAt, validatedAt }: NewTag,
): Promise<LockedTag | "inserted"> {
  const inserted = await tx
    .insertInto("tag")
    .values({
      repository_id: repositoryId,
      name: tag,
      manifest_id: manifestId,
      tagged_at: taggedAt,
      validated_at: validatedAt,
      deleted_at: null,
    })
    .onConflict((conflict) => conflict.columns(["repository_id", "name"]).where("deleted_at", "is", null).doNothing())
    .returning("tag_id")
    .executeTakeFirst();
  if (inserted !== undefined) return "inserted";
  // Another push has created the tag between our two statements; it is there to be locked now.
  const row = await lockTag(db, tx, repositoryId, tag);
  assert(row !== undefined, "under the repository's shared lock no tag disappears");
  return row;
}
