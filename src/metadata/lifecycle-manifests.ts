/** The manifests of a repository as lifecycle policies look at them. */
import { sql } from "kysely";
import type { Database } from "./database.ts";
import type { ManifestStatus } from "./manifest-rows.ts";

/** A live manifest, as far as a policy asks; times are milliseconds since the epoch. */
export interface LifecycleManifest {
  readonly manifestId: number;
  readonly digest: string;
  /** In byte order. */
  readonly tags: readonly string[];
  readonly pushedAt: number;
  readonly status: ManifestStatus;
  readonly lastArchivedAt?: number;
  readonly lastActivatedAt?: number;
  readonly pulledAt?: number;
  readonly subjectDigest?: string;
  /** Its subject went in a way that takes referrers along. */
  readonly isOrphaned: boolean;
  readonly isIndex: boolean;
}

/** A live index names a manifest. */
export interface LifecycleEdge {
  readonly parentId: number;
  readonly childDigest: string;
}

interface ManifestFacts {
  readonly manifest_id: number;
  readonly digest: string;
  readonly pushed_at: number;
  readonly status: ManifestStatus;
  readonly last_archived_at: number | null;
  readonly last_activated_at: number | null;
  readonly pulled_at: number | null;
  readonly subject_digest: string | null;
  readonly orphan: number | null;
  readonly kind: "image" | "index";
  readonly tag: string | null;
}

/** One page of live manifests in the order of their ids, from the first one after `after` on. */
export async function listLifecycleManifests(
  db: Database,
  repositoryId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly LifecycleManifest[]> {
  const { rows } = await sql<ManifestFacts>`
    select m.manifest_id, m.digest, m.pushed_at, m.status, m.last_archived_at, m.last_activated_at, m.subject_digest, m.kind,
      p.pulled_at, o.manifest_id as orphan, t.name as tag
    from (select * from manifest m
      where m.repository_id = ${repositoryId} and m.deleted_at is null and m.manifest_id > ${page.after}
      order by m.manifest_id limit ${page.limit}) m
    left join manifest_pull p on p.manifest_id = m.manifest_id
    left join orphaned_referrer o on o.manifest_id = m.manifest_id
    left join tag t on t.manifest_id = m.manifest_id and t.deleted_at is null
    order by m.manifest_id, t.name`.execute(db.read);
  const manifests: (LifecycleManifest & { readonly tags: string[] })[] = [];
  for (const row of rows) {
    let last = manifests.at(-1);
    if (last?.manifestId !== row.manifest_id) manifests.push((last = manifestOf(row)));
    if (row.tag !== null) last.tags.push(row.tag);
  }
  return manifests;
}

/** One page of what live indexes name, in the order of the indexes' ids and the digests, from the first one after `after` on. */
export async function listLifecycleEdges(
  db: Database,
  page: { readonly parentIds: readonly number[]; readonly after?: LifecycleEdge | undefined; readonly limit: number },
): Promise<readonly LifecycleEdge[]> {
  const { parentId, childDigest } = page.after ?? { parentId: 0, childDigest: "" };
  const rows = await db.read
    .selectFrom("manifest_child")
    .select(["manifest_id", "digest"])
    .where(db.dialect.integerIn("manifest_id", page.parentIds))
    .where(sql<boolean>`(manifest_id, digest) > (${parentId}, ${childDigest})`)
    .orderBy("manifest_id")
    .orderBy("digest")
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({ parentId: row.manifest_id, childDigest: row.digest }));
}

function manifestOf(row: ManifestFacts): LifecycleManifest & { readonly tags: string[] } {
  return {
    manifestId: row.manifest_id,
    digest: row.digest,
    tags: [],
    pushedAt: row.pushed_at,
    status: row.status,
    ...(row.last_archived_at !== null && { lastArchivedAt: row.last_archived_at }),
    ...(row.last_activated_at !== null && { lastActivatedAt: row.last_activated_at }),
    ...(row.pulled_at !== null && { pulledAt: row.pulled_at }),
    ...(row.subject_digest !== null && { subjectDigest: row.subject_digest }),
    isOrphaned: row.orphan !== null,
    isIndex: row.kind === "index",
  };
}
