/**
 * The content size of an index is that of its largest child. An index may be stored before its children (those of a pull-through cache are, and
 * sparse ones), so a child that arrives makes its indexes as large as it is, and the indexes above them.
 */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { ManifestRow, Schema } from "./schema.ts";

/** Indexes of one level that a manifest is counted in; who has more of them around one child made them to be many. */
const maxParents = 1_000;
/** Indexes in indexes; real ones are two deep. */
const maxDepth = 8;

/**
 * Sets the sizes that follow from a manifest that has just been inserted; `isSparse`: it is an index whose children need not be there. Answers
 * the row as it is then. Under the lock of the repository's usage, where new manifests stand in line: so of an index and its child that are
 * pushed at the same time the later one sees the other. It locks indexes out of the usual order; where that makes a circle with a tag that
 * moves, Postgres ends one of the transactions, and it runs again.
 */
export async function settleContentSizes(
  db: Database,
  tx: Transaction<Schema>,
  inserted: ManifestRow,
  isSparse: boolean,
): Promise<ManifestRow> {
  const row = isSparse ? await measureChildren(tx, inserted) : inserted;
  const { repository_id: repositoryId, content_size_bytes: sizeBytes } = row;
  let children: readonly string[] = sizeBytes > 0 ? [row.digest] : [];
  for (let depth = 0; depth < maxDepth && children.length > 0; depth += 1) {
    const smaller = await tx
      .selectFrom("manifest_child as c")
      .innerJoin("manifest as m", "m.manifest_id", "c.manifest_id")
      .select("m.manifest_id")
      .where("c.repository_id", "=", repositoryId)
      .where(db.dialect.textIn("c.digest", children))
      .where("m.content_size_bytes", "<", sizeBytes)
      .limit(maxParents)
      .execute();
    if (smaller.length === 0) break;
    const ids = smaller.map(({ manifest_id: id }) => id);
    const raised = await tx
      .updateTable("manifest")
      .set({ content_size_bytes: sizeBytes })
      .where(db.dialect.integerIn("manifest_id", ids))
      .where("content_size_bytes", "<", sizeBytes)
      .returning("digest")
      .execute();
    children = raised.map(({ digest }) => digest);
  }
  return row;
}

/** Looks again which children are there: when the index was inserted, another push of one was not to be seen yet. */
async function measureChildren(tx: Transaction<Schema>, { manifest_id: manifestId }: ManifestRow): Promise<ManifestRow> {
  const largest = sql<number>`(select coalesce(max(m.content_size_bytes), 0) from manifest_child c
    join manifest m on m.repository_id = c.repository_id and m.digest = c.digest and m.deleted_at is null
    where c.manifest_id = ${manifestId})`;
  return tx
    .updateTable("manifest")
    .set({ content_size_bytes: largest })
    .where("manifest_id", "=", manifestId)
    .returningAll()
    .executeTakeFirstOrThrow();
}
