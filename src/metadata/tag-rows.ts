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
 * Puts tags on a manifest, in byte order, each row locked. `beforeMove` is asked before a tag leaves another manifest
 * and may throw. Called under the repository's shared lock, so no tag disappears meanwhile; the counts are for {@link countTags}.
 */
export async function putTags(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestId: number,
  tags: readonly string[],
  now: number,
  beforeMove: (tag: string) => void,
): Promise<PlacedTags> {
  const changed: { tag: string; fromDigest?: string }[] = [];
  const deltas = new Map<number, number>();
  const count = (id: number, by: number) => deltas.set(id, (deltas.get(id) ?? 0) + by);
  for (const tag of [...new Set(tags)].toSorted()) {
    const row = (await lockTag(db, tx, repositoryId, tag)) ?? (await insertTag(db, tx, repositoryId, manifestId, tag, now));
    if (row === "inserted") {
      count(manifestId, 1);
      changed.push({ tag });
      continue;
    }
    if (row.manifest_id === manifestId) continue;
    beforeMove(tag);
    const from = await tx.selectFrom("manifest").select("digest").where("manifest_id", "=", row.manifest_id).executeTakeFirstOrThrow();
    await tx
      .updateTable("tag")
      .set({ manifest_id: manifestId, tagged_at: now, revision: sql`revision + 1` })
      .where("tag_id", "=", row.tag_id)
      .execute();
    count(row.manifest_id, -1);
    count(manifestId, 1);
    changed.push({ tag, fromDigest: from.digest });
  }
  return { changed, deltas };
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
}

async function lockTag(db: Database, tx: Transaction<Schema>, repositoryId: number, tag: string): Promise<LockedTag | undefined> {
  return tx
    .selectFrom("tag")
    .select(["tag_id", "manifest_id"])
    .where("repository_id", "=", repositoryId)
    .where("name", "=", tag)
    .where("deleted_at", "is", null)
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
}

async function insertTag(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestId: number,
  tag: string,
  now: number,
): Promise<LockedTag | "inserted"> {
  const inserted = await tx
    .insertInto("tag")
    .values({ repository_id: repositoryId, name: tag, manifest_id: manifestId, tagged_at: now, deleted_at: null })
    .onConflict((conflict) => conflict.columns(["repository_id", "name"]).where("deleted_at", "is", null).doNothing())
    .returning("tag_id")
    .executeTakeFirst();
  if (inserted !== undefined) return "inserted";
  // Another push has created the tag between our two statements; it is there to be locked now.
  const row = await lockTag(db, tx, repositoryId, tag);
  assert(row !== undefined, "under the repository's shared lock no tag disappears");
  return row;
}
