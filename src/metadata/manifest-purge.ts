/** The end of tombstoned manifests: the step that `purgeTombstones` and `purgeManifest` share. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";
import { checkTiers } from "./storage-class-tier.ts";

/**
 * Removes locked manifests with everything that hangs on them. Links that only they held get a grace of 0, so that
 * `dropStaleLinks` finds them. Invariant: links are locked before the references go, because `dropStaleLinks` takes a
 * link out of its queue when it sees a reference.
 */
export async function removeManifests(db: Database, tx: Transaction<Schema>, manifestIds: readonly number[]): Promise<void> {
  if (manifestIds.length === 0) return;
  const pairs = await tx
    .selectFrom("manifest_blob")
    .select(["repository_id", "blob_id"])
    .distinct()
    .where(db.dialect.integerIn("manifest_id", manifestIds))
    .orderBy("repository_id")
    .execute();
  const byRepository = new Map<number, number[]>();
  for (const pair of pairs) byRepository.set(pair.repository_id, [...(byRepository.get(pair.repository_id) ?? []), pair.blob_id]);
  for (const [repositoryId, blobIds] of byRepository) {
    await tx
      .selectFrom("blob_link")
      .select("blob_id")
      .where("repository_id", "=", repositoryId)
      .where(db.dialect.integerIn("blob_id", blobIds))
      .orderBy("blob_id")
      .$call(db.dialect.lockForUpdate)
      .execute();
  }
  // What they kept in the standard tier may go to the archive with the manifests that are left.
  await checkTiers(db, tx, manifestIds);
  await tx.deleteFrom("manifest_blob").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  await tx.deleteFrom("manifest_child").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  await tx.deleteFrom("manifest_bytes").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  await tx.deleteFrom("follow_up").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  await tx.deleteFrom("tag").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  await tx.deleteFrom("manifest").where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  for (const [repositoryId, blobIds] of byRepository) {
    await sql`
      update blob_link set grace_until = 0
      where repository_id = ${repositoryId} and ${db.dialect.integerIn("blob_id", blobIds)} and grace_until is null
        and not exists (select 1 from manifest_blob mb
          where mb.blob_id = blob_link.blob_id and mb.repository_id = ${repositoryId})`.execute(tx);
  }
}
