/** Counts and listings for reports and for fsck; none of them is on a request's path. */
import { sql } from "kysely";
import type { Database } from "./database.ts";

/** How much there is of what garbage collection deals with. */
export interface GarbageCounts {
  readonly live: number;
  readonly condemned: number;
  readonly gone: number;
  readonly tombstonedManifests: number;
  readonly tombstonedTags: number;
  readonly tombstonedRepositories: number;
  readonly openUploads: number;
}

/** A blob row as fsck sees it. */
export interface BlobFact {
  readonly blobId: number;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly storageKey: string;
  readonly accountId: string;
  readonly protectionDomain: string;
  /** The data keys of the stored copy; absent in the plain domain. */
  readonly sealedKey?: string;
  readonly state: "live" | "condemned" | "gone";
  readonly tier: "standard" | "cold";
}

/** A manifest row as fsck sees it. */
export interface ManifestFact {
  readonly manifestId: number;
  readonly repositoryId: number;
  readonly repositoryName: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** It, or its repository. */
  readonly tombstoned: boolean;
  /** Digests that it references and that its repository does not link, or whose blob is gone: always empty in a sound database. */
  readonly unlinkedBlobs: readonly string[];
  /** Digests that it references and that are in the cold tier although it is active: always empty in a sound database. */
  readonly coldBlobs: readonly string[];
}

/** Counts everything; costs a pass over the indexes. */
export async function gcCounts(db: Database): Promise<GarbageCounts> {
  const { rows } = await sql<{ name: keyof GarbageCounts; count: number }>`
    select state as name, count(*) as count from blob group by state
    union all select 'tombstonedManifests', count(*) from manifest where deleted_at is not null
    union all select 'tombstonedTags', count(*) from tag where deleted_at is not null
    union all select 'tombstonedRepositories', count(*) from repository where deleted_at is not null
    union all select 'openUploads', count(*) from upload_session`.execute(db.read);
  const counted = new Map(rows.map((row) => [row.name, row.count]));
  const countOf = (name: keyof GarbageCounts) => counted.get(name) ?? 0;
  return {
    live: countOf("live"),
    condemned: countOf("condemned"),
    gone: countOf("gone"),
    tombstonedManifests: countOf("tombstonedManifests"),
    tombstonedTags: countOf("tombstonedTags"),
    tombstonedRepositories: countOf("tombstonedRepositories"),
    openUploads: countOf("openUploads"),
  };
}

/** One page of all blobs in the order of their ids, from the first one after `after` on. */
export async function listBlobsForFsck(db: Database, page: { readonly after?: number; readonly limit: number }): Promise<BlobFact[]> {
  const rows = await db.read
    .selectFrom("blob")
    .select(["blob_id", "digest", "size_bytes", "storage_key", "state", "account_id", "protection_domain", "sealed_key", "tier"])
    .where("blob_id", ">", page.after ?? 0)
    .orderBy("blob_id")
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({
    blobId: row.blob_id,
    digest: row.digest,
    sizeBytes: row.size_bytes,
    storageKey: row.storage_key,
    accountId: row.account_id,
    protectionDomain: row.protection_domain,
    ...(row.sealed_key !== null && { sealedKey: row.sealed_key }),
    state: row.state,
    tier: row.tier,
  }));
}

/** One page of all manifests, tombstoned ones included, in the order of their ids, from the first one after `after` on. */
export async function listManifestsForFsck(
  db: Database,
  page: { readonly after?: number; readonly limit: number },
): Promise<ManifestFact[]> {
  const { rows } = await sql<{
    manifest_id: number;
    repository_id: number;
    name: string;
    digest: string;
    size_bytes: number;
    tombstoned: number;
    unlinked: string | null;
    is_cold: number;
  }>`
    select m.manifest_id, m.repository_id, r.name, m.digest, m.size_bytes,
      case when m.deleted_at is null and r.deleted_at is null then 0 else 1 end as tombstoned, mb.digest as unlinked,
      case when mb.live = 1 and exists (select 1 from blob c where c.blob_id = mb.blob_id and c.tier = 'cold') then 1 else 0 end as is_cold
    from (select * from manifest where manifest_id > ${page.after ?? 0} order by manifest_id limit ${page.limit}) m
    join repository r on r.repository_id = m.repository_id
    left join manifest_blob mb on mb.manifest_id = m.manifest_id and (not exists (
      select 1 from blob_link l join blob b on b.blob_id = l.blob_id
      where l.repository_id = m.repository_id and l.blob_id = mb.blob_id and b.state <> 'gone')
      or (mb.live = 1 and exists (select 1 from blob c where c.blob_id = mb.blob_id and c.tier = 'cold')))
    order by m.manifest_id, mb.digest`.execute(db.read);
  const facts = new Map<number, ManifestFact & { readonly unlinkedBlobs: string[]; readonly coldBlobs: string[] }>();
  for (const row of rows) {
    const fact = facts.get(row.manifest_id) ?? {
      manifestId: row.manifest_id,
      repositoryId: row.repository_id,
      repositoryName: row.name,
      digest: row.digest,
      sizeBytes: row.size_bytes,
      tombstoned: row.tombstoned === 1,
      unlinkedBlobs: [],
      coldBlobs: [],
    };
    facts.set(row.manifest_id, fact);
    if (row.unlinked !== null) (row.is_cold === 1 ? fact.coldBlobs : fact.unlinkedBlobs).push(row.unlinked);
  }
  return [...facts.values()];
}
