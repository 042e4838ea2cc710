/** Uploads to other deployments that were begun: what goes on where it stood after a broken link or a restart. */
import type { Database } from "./database.ts";

/** Which upload. */
export interface ReplicationUploadKey {
  /** `<account>/<region>` of the destination. */
  readonly target: string;
  readonly repositoryName: string;
  readonly digest: string;
}

/** Where the upload of a blob was begun, if it was. */
export async function findReplicationUpload(db: Database, key: ReplicationUploadKey): Promise<string | undefined> {
  const row = await db.read
    .selectFrom("replication_upload")
    .select("location")
    .where("target", "=", key.target)
    .where("repository_name", "=", key.repositoryName)
    .where("digest", "=", key.digest)
    .executeTakeFirst();
  return row?.location;
}

/** Remembers where an upload was begun, and forgets those that nobody has touched since `staleBefore`. */
export async function keepReplicationUpload(
  db: Database,
  input: ReplicationUploadKey & { readonly location: string; readonly now: number; readonly staleBefore: number },
): Promise<void> {
  const { target, repositoryName, digest, location, now } = input;
  const set = { location, updated_at: now };
  await db.transaction(async (tx) => {
    await tx.deleteFrom("replication_upload").where("updated_at", "<", input.staleBefore).execute();
    await tx
      .insertInto("replication_upload")
      .values({ target, repository_name: repositoryName, digest, ...set })
      .onConflict((conflict) => conflict.columns(["target", "repository_name", "digest"]).doUpdateSet(set))
      .execute();
  });
}

/** Forgets an upload that has ended. */
export async function forgetReplicationUpload(db: Database, key: ReplicationUploadKey): Promise<void> {
  await db.transaction((tx) =>
    tx
      .deleteFrom("replication_upload")
      .where("target", "=", key.target)
      .where("repository_name", "=", key.repositoryName)
      .where("digest", "=", key.digest)
      .execute(),
  );
}
