/** What replication reads and writes: what is to be copied, how it ended, what still waits. The work itself is a follow-up of its manifest. */
import type { Transaction } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import type { RegistryKey, RepositoryKey } from "./repositories.ts";
import type { Schema } from "./schema.ts";

/** A manifest that is to be copied. */
export interface ReplicationSource {
  readonly key: RepositoryKey;
  readonly digest: string;
  readonly mediaType: string;
}

/** A tag and its version, which grows with every move of the tag. */
export interface TagVersion {
  readonly tag: string;
  readonly version: number;
}

/** Where the manifest is. Undefined when it, or its repository, was deleted. */
export async function findReplicationSource(db: Database, manifestId: number): Promise<ReplicationSource | undefined> {
  const row = await db.read
    .selectFrom("manifest as m")
    .innerJoin("repository as r", "r.repository_id", "m.repository_id")
    .select(["r.account_id", "r.region", "r.name", "m.digest", "m.media_type"])
    .where("m.manifest_id", "=", manifestId)
    .where("m.deleted_at", "is", null)
    .where("r.deleted_at", "is", null)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { key: { accountId: row.account_id, region: row.region, name: row.name }, digest: row.digest, mediaType: row.media_type };
}

/** The tags that are on a manifest now, in byte order; at most `limit`. */
export async function listTagVersions(db: Database, manifestId: number, limit: number): Promise<readonly TagVersion[]> {
  const rows = await db.read
    .selectFrom("tag")
    .select(["name", "tagged_at"])
    .where("manifest_id", "=", manifestId)
    .where("deleted_at", "is", null)
    .orderBy("name")
    .limit(limit)
    .execute();
  return rows.map((row) => ({ tag: row.name, version: row.tagged_at }));
}

/** When a replication was begun that has not ended; undefined when there is none. */
export async function findOpenReplication(
  db: Database,
  { manifestId, target }: { readonly manifestId: number; readonly target: string },
): Promise<{ readonly startedAt: number } | undefined> {
  const row = await db.read
    .selectFrom("follow_up")
    .select("started_at")
    .where("manifest_id", "=", manifestId)
    .where("kind", "=", "replicate")
    .where("target", "=", target)
    .where("state", "=", "IN_PROGRESS")
    .executeTakeFirst();
  return row === undefined ? undefined : { startedAt: row.started_at };
}

/** What the destination's change log says of a replication. */
export interface ReplicationRecord {
  readonly destination: RepositoryKey;
  readonly source: RegistryKey;
  readonly digest: string;
  /** Why it failed; undefined when it did not. */
  readonly failureCode?: string | undefined;
  readonly author: Author;
}

/** How a replication ended. */
export interface SettledReplication {
  readonly manifestId: number;
  readonly target: string;
  /** Of the replication that ended: one that was begun again since goes on. */
  readonly startedAt: number;
  readonly failure?: { readonly code: string; readonly reason: string } | undefined;
  /** For a destination in this database; undefined when the manifest is gone, or the destination is elsewhere and keeps a log of its own. */
  readonly record?: ReplicationRecord | undefined;
  readonly now: number;
}

/** Writes down how a replication ended, and in the same transaction what the destination's log says. False when it was begun again or has ended before. */
export async function settleReplication(db: Database, input: SettledReplication): Promise<boolean> {
  const { failure, record } = input;
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("follow_up")
      .set({
        state: failure === undefined ? "COMPLETE" : "FAILED",
        code: failure?.code ?? null,
        reason: failure?.reason ?? null,
        settled_at: input.now,
      })
      .where("manifest_id", "=", input.manifestId)
      .where("kind", "=", "replicate")
      .where("target", "=", input.target)
      .where("state", "=", "IN_PROGRESS")
      .where("started_at", "=", input.startedAt)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    if (record !== undefined) await appendRecord(tx, record);
    return true;
  });
}

/** Writes into the destination's change log what arrived from another deployment. */
export async function recordReplication(db: Database, record: ReplicationRecord): Promise<void> {
  await db.transaction((tx) => appendRecord(tx, record));
}

/** More tags than this are not named in one entry. */
const maxRecordedTags = 100;

async function appendRecord(tx: Transaction<Schema>, record: ReplicationRecord): Promise<void> {
  const { destination, source, digest, failureCode, author } = record;
  const repository = await tx
    .selectFrom("repository")
    .select("repository_id")
    .where("account_id", "=", destination.accountId)
    .where("region", "=", destination.region)
    .where("name", "=", destination.name)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  const tags = repository === undefined ? [] : await tagsOf(tx, repository.repository_id, digest);
  const result = failureCode === undefined ? { result: "SUCCESS" } : { result: "FAILED", code: failureCode };
  const after = { ...result, sourceAccountId: source.accountId, sourceRegion: source.region, tags };
  await appendChanges(tx, { ...destination, repositoryId: repository?.repository_id }, author, [
    { kind: "manifest-replicated", subject: digest, after },
  ]);
}

async function tagsOf(tx: Transaction<Schema>, repositoryId: number, digest: string): Promise<readonly string[]> {
  const rows = await tx
    .selectFrom("manifest as m")
    .innerJoin("tag as t", "t.manifest_id", "m.manifest_id")
    .select("t.name")
    .where("m.repository_id", "=", repositoryId)
    .where("m.digest", "=", digest)
    .where("m.deleted_at", "is", null)
    .where("t.deleted_at", "is", null)
    .orderBy("t.name")
    .limit(maxRecordedTags)
    .execute();
  return rows.map((row) => row.name);
}

/** Since when the oldest unfinished replication to each destination waits, longest first; at most `limit` destinations. */
export async function listReplicationLag(
  db: Database,
  limit: number,
): Promise<readonly { readonly target: string; readonly startedAt: number }[]> {
  const rows = await db.read
    .selectFrom("follow_up")
    .select((select) => ["target", select.fn.min("started_at").as("started_at")])
    .where("kind", "=", "replicate")
    .where("state", "=", "IN_PROGRESS")
    .groupBy("target")
    .orderBy("started_at")
    .limit(limit)
    .execute();
  return rows.map((row) => ({ target: row.target, startedAt: row.started_at }));
}

/** One page of the live, active manifests of a registry, or of one of its repositories, in the order of their ids, from the first after `after` on. */
export async function listReplicable(
  db: Database,
  page: { readonly registry: RegistryKey; readonly repositoryName?: string | undefined; readonly after: number; readonly limit: number },
): Promise<readonly { readonly manifestId: number; readonly repositoryName: string }[]> {
  let query = db.read
    .selectFrom("manifest as m")
    .innerJoin("repository as r", "r.repository_id", "m.repository_id")
    .select(["m.manifest_id", "r.name"])
    .where("r.account_id", "=", page.registry.accountId)
    .where("r.region", "=", page.registry.region)
    .where("r.deleted_at", "is", null)
    .where("m.deleted_at", "is", null)
    .where("m.status", "=", "ACTIVE")
    .where("m.manifest_id", ">", page.after);
  if (page.repositoryName !== undefined) query = query.where("r.name", "=", page.repositoryName);
  const rows = await query.orderBy("m.manifest_id").limit(page.limit).execute();
  return rows.map((row) => ({ manifestId: row.manifest_id, repositoryName: row.name }));
}
