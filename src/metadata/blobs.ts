import { sql } from "kysely";
import type { RawBuilder, Transaction } from "kysely";
import { blobOf, isReadable, lockBlobs, putLink, readableBlobs, referencedMediaType, reviveBlobs } from "./blob-links.ts";
import type { LinkedBlobRow } from "./blob-links.ts";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import { lockRepository, repositoryColumns, repositoryOf } from "./repositories.ts";
import type { Repository, RepositoryFacts, RepositoryKey } from "./repositories.ts";
import type { Schema } from "./schema.ts";

/** A blob as one repository sees it. */
export interface Blob {
  readonly blobId: number;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly storageKey: string;
  /** The data keys of the stored copy; absent in the plain domain. */
  readonly sealedKey?: string;
  /** As a live manifest of the repository states it. */
  readonly mediaType?: string;
  /** By a live manifest of this repository. */
  readonly referenced: boolean;
  /** Until when the link is readable even unreferenced; 0 when it has no grace. */
  readonly graceUntil: number;
}

/** What `deleteBlob` answers. */
export type DeleteBlobOutcome =
  | { readonly outcome: "deleted" }
  | { readonly outcome: "referenced" }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "repository-not-found" };

const findByDigest = preparedStatement(
  "find_blob",
  `select ${repositoryColumns}, b.blob_id, b.digest, b.size_bytes, b.storage_key, b.sealed_key, l.grace_until,
     l.blob_id as linked_blob_id, ${referencedMediaType("r")} as media_type
   from repository r
   left join blob b on b.account_id = r.account_id and b.protection_domain = r.protection_domain
     and b.digest = ?4 and b.state <> 'gone'
   left join blob_link l on l.repository_id = r.repository_id and l.blob_id = b.blob_id
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

/** More sources than this are not asked at once. */
const maxMountSources = 100;
const noSource: RepositoryKey = { accountId: "", region: "", name: "" };

/** No blob has this id; statements that run for the sake of an equal number of statements use it. */
const noBlobId = -1;

/**
 * The blob, if the repository may read it at `now`: it is linked there, and a live manifest of the repository
 * references it or the link is within its grace. No `repository`: there is none of that name.
 */
export async function findBlob(
  db: Database,
  key: RepositoryKey,
  digest: string,
  now: number,
): Promise<{ readonly repository?: Repository; readonly blob?: Blob }> {
  const [row] = await db.prepared.all<RepositoryFacts & LinkedBlobRow & { readonly linked_blob_id: number | null }>(findByDigest, [
    key.accountId,
    key.region,
    key.name,
    digest,
  ]);
  if (row === undefined) return {};
  const repository = repositoryOf(row);
  return row.linked_blob_id === null || !isReadable(row, now) ? { repository } : { repository, blob: blobOf(row) };
}

/** Those of the digests that the repository may read at `now`. */
export async function findBlobs(db: Database, repositoryId: number, digests: readonly string[], now: number): Promise<Map<string, Blob>> {
  return readableBlobs(db, db.read, repositoryId, digests, now);
}

/**
 * Lengthens the grace of a link that was found readable, and revives the blob if garbage collection has condemned it.
 * False: the blob is gone, or what made it readable was deleted meanwhile.
 */
export async function extendLink(
  db: Database,
  input: { readonly repositoryId: number; readonly blobId: number; readonly graceUntil: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const locked = await lockBlobs(db, tx, [input.blobId]);
    if (!locked.has(input.blobId)) return false;
    // A grace of 0 was ended by a delete and must not begin again.
    const { numAffectedRows } = await sql`
      update blob_link set grace_until = case when coalesce(grace_until, 0) < ${input.graceUntil} then ${input.graceUntil} else grace_until end
      where repository_id = ${input.repositoryId} and blob_id = ${input.blobId}
        and (grace_until > 0 or exists (select 1 from manifest_blob mb
          where mb.blob_id = ${input.blobId} and mb.repository_id = ${input.repositoryId} and mb.live = 1))`.execute(tx);
    return (numAffectedRows ?? 0n) > 0n;
  });
}

/**
 * One page of the repositories of the target's registry (same protection domain, not the target itself) that may read a
 * blob, in byte order of their names, from the first one after `after` on: the sources from which it could be mounted.
 */
export async function listBlobRepositories(
  db: Database,
  input: {
    readonly targetKey: RepositoryKey;
    readonly digest: string;
    readonly now: number;
    readonly after?: string;
    readonly limit: number;
  },
): Promise<RepositoryKey[]> {
  const { targetKey, now } = input;
  const { rows } = await sql<{ name: string }>`
    select r.name from repository target
    join blob b on b.account_id = target.account_id and b.protection_domain = target.protection_domain
      and b.digest = ${input.digest} and b.state <> 'gone' and b.tier = 'standard'
    join blob_link l on l.blob_id = b.blob_id
    join repository r on r.repository_id = l.repository_id
    where target.account_id = ${targetKey.accountId} and target.region = ${targetKey.region} and target.name = ${targetKey.name}
      and target.deleted_at is null and r.deleted_at is null and r.repository_id <> target.repository_id
      and r.account_id = ${targetKey.accountId} and r.region = ${targetKey.region} and r.name > ${input.after ?? ""}
      and (l.grace_until > ${now} or exists (select 1 from manifest_blob mb
        where mb.blob_id = b.blob_id and mb.repository_id = r.repository_id and mb.live = 1))
    order by r.name limit ${input.limit}`.execute(db.read);
  return rows.map((row) => ({ accountId: targetKey.accountId, region: targetKey.region, name: row.name }));
}

/**
 * Links a blob that is readable in one of the sources to the target repository. Sources of another account or
 * protection domain do not count. Undefined when there is none; the statements are then the same in number and form
 * whatever the reason, so that nobody can measure which blobs exist.
 */
export async function mountBlob(
  db: Database,
  input: {
    readonly sourceKeys: readonly RepositoryKey[] | "any-in-account";
    readonly targetKey: RepositoryKey;
    readonly digest: string;
    readonly graceUntil: number;
    readonly author: Author;
  },
): Promise<Blob | undefined> {
  const { sourceKeys, targetKey, author } = input;
  if (sourceKeys !== "any-in-account" && sourceKeys.length > maxMountSources) throw new RangeError("too many mount sources");
  return db.transaction(async (tx) => {
    const target = await lockRepository(db, tx, targetKey, "share");
    const findSource = () => findMountSource(tx, target, sourcesMatch(sourceKeys), input.digest, author.now);
    const candidate = await findSource();
    const blobId = candidate?.blob_id ?? noBlobId;
    await reviveBlobs(db, tx, [blobId]);
    const lock = await tx
      .selectFrom("blob")
      .select("blob_id")
      .where("blob_id", "=", blobId)
      .where("state", "=", "live")
      .where("tier", "=", "standard")
      .$call(db.dialect.lockForShare)
      .execute();
    // Looked at again under the lock: the source's link may have gone in between.
    const source = await findSource();
    if (target === undefined || source === undefined || source.blob_id !== blobId || lock.length === 0) return undefined;
    await putLink(tx, target.repositoryId, blobId, input.graceUntil);
    await appendChanges(tx, target, author, [{ kind: "blob-mounted", subject: input.digest, after: { sizeBytes: source.size_bytes } }]);
    const blob = (await readableBlobs(db, tx, target.repositoryId, [input.digest], author.now)).get(input.digest);
    return blob;
  });
}

function sourcesMatch(sourceKeys: readonly RepositoryKey[] | "any-in-account"): RawBuilder<boolean> {
  if (sourceKeys === "any-in-account") return sql<boolean>`1 = 1`;
  const one = (key: RepositoryKey) => sql`(r.account_id = ${key.accountId} and r.region = ${key.region} and r.name = ${key.name})`;
  // Without a source the same question is asked about one that there is not: it takes as long.
  return sql<boolean>`(${sql.join((sourceKeys.length === 0 ? [noSource] : sourceKeys).map(one), sql` or `)})`;
}

async function findMountSource(
  tx: Transaction<Schema>,
  target: Repository | undefined,
  sources: RawBuilder<boolean>,
  digest: string,
  now: number,
): Promise<{ readonly blob_id: number; readonly size_bytes: number } | undefined> {
  const { rows } = await sql<{ blob_id: number; size_bytes: number }>`
    select b.blob_id, b.size_bytes from blob b
    join blob_link l on l.blob_id = b.blob_id
    join repository r on r.repository_id = l.repository_id
    where b.account_id = ${target?.accountId ?? ""} and b.protection_domain = ${target?.protectionDomain ?? ""}
      and b.digest = ${digest} and b.state <> 'gone' and b.tier = 'standard' and r.deleted_at is null and ${sources}
      and (l.grace_until > ${now} or exists (select 1 from manifest_blob mb
        where mb.blob_id = b.blob_id and mb.repository_id = r.repository_id and mb.live = 1))
    limit 1`.execute(tx);
  return rows[0];
}

/** Takes a blob out of a repository unless a live manifest there references it. Other repositories keep it. */
export async function deleteBlob(
  db: Database,
  input: { readonly key: RepositoryKey; readonly digest: string; readonly author: Author },
): Promise<DeleteBlobOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<DeleteBlobOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const blob = (await readableBlobs(db, tx, repository.repositoryId, [digest], author.now)).get(digest);
    if (blob === undefined) return { outcome: "not-found" };
    if (blob.referenced) return { outcome: "referenced" };
    // The link itself goes with garbage collection, or stays for a tombstoned manifest that can still come back.
    await tx
      .updateTable("blob_link")
      .set({ grace_until: 0 })
      .where("repository_id", "=", repository.repositoryId)
      .where("blob_id", "=", blob.blobId)
      .execute();
    await appendChanges(tx, repository, author, [{ kind: "blob-deleted", subject: digest, before: { sizeBytes: blob.sizeBytes } }]);
    return { outcome: "deleted" };
  });
}
