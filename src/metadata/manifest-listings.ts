import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import type { Database } from "./database.ts";
import { manifestColumns, manifestOf } from "./manifest-rows.ts";
import type { Manifest, ManifestFacts, ManifestStatus, TaggedManifest } from "./manifest-rows.ts";
import { preparedStatement } from "./prepared.ts";
import type { Schema } from "./schema.ts";

/** Which manifests a listing shows. */
export type TagStatus = "ANY" | "TAGGED" | "UNTAGGED";

/** Which storage class a listing shows. */
export type StatusFilter = ManifestStatus | "ANY";

/** Names a manifest by digest or by tag; with both, the digest counts and the caller compares the tags. */
export interface ManifestSelector {
  readonly digest?: string;
  readonly tag?: string;
}

/** One (digest, tag) pair; without `tag` for an untagged manifest. */
export interface ManifestTag {
  readonly manifestId: number;
  readonly digest: string;
  readonly tag?: string;
}

/** Whether there is anything to hide is asked once; only then is the manifest of each tag looked at. */
const listTagNames = preparedStatement(
  "list_tags",
  `select name from tag where repository_id = ?1 and deleted_at is null and name > ?2
     and (not exists (select 1 from manifest i where i.repository_id = ?1 and i.status <> 'ACTIVE' and i.status in ('ARCHIVED', 'ACTIVATING'))
       or exists (select 1 from manifest m where m.manifest_id = tag.manifest_id and m.status = 'ACTIVE'))
   order by name limit ?3`,
);

/** A refusal names parents; more than this help nobody. */
const maxParents = 100;

/** Literal, not bound: a partial index is only used when its condition stands in the query. */
const statusConditions: Readonly<Record<TagStatus, RawBuilder<boolean>>> = {
  ANY: sql<boolean>`1 = 1`,
  TAGGED: sql<boolean>`m.tag_count > 0`,
  UNTAGGED: sql<boolean>`m.tag_count = 0`,
};

/** Also literal; one storage class is the beginning of an index range. */
const classConditions: Readonly<Record<StatusFilter, RawBuilder<boolean>>> = {
  ANY: sql<boolean>`1 = 1`,
  ACTIVE: sql<boolean>`m.status = 'ACTIVE'`,
  ARCHIVED: sql<boolean>`m.status = 'ARCHIVED'`,
  ACTIVATING: sql<boolean>`m.status = 'ACTIVATING'`,
};

/** One page of live tags on manifests that can be pulled, in byte order, from the first one after `after` on. */
export async function listTags(
  db: Database,
  repositoryId: number,
  page: { readonly after?: string; readonly limit: number },
): Promise<string[]> {
  const rows = await db.prepared.all<{ name: string }>(listTagNames, [repositoryId, page.after ?? "", page.limit]);
  return rows.map((row) => row.name);
}

/** One page of live manifests with their tags, in the order of their ids (first pushed first), from the first one after `after` on. */
export async function listManifests(
  db: Database,
  repositoryId: number,
  page: { readonly tagStatus: TagStatus; readonly status?: StatusFilter; readonly after?: number; readonly limit: number },
): Promise<TaggedManifest[]> {
  const { rows } = await sql<TaggedRow>`
    select ${sql.raw(manifestColumns)}, t.name as tag
    from (select * from manifest m
      where m.repository_id = ${repositoryId} and m.deleted_at is null and ${statusConditions[page.tagStatus]}
        and ${classConditions[page.status ?? "ANY"]} and m.manifest_id > ${page.after ?? 0}
      order by m.manifest_id limit ${page.limit}) m
    left join tag t on t.manifest_id = m.manifest_id and t.deleted_at is null
    order by m.manifest_id, t.name`.execute(db.read);
  return [...withTags(rows).values()];
}

/**
 * One page of (digest, tag) pairs in the order of manifest ids and tag names, an untagged manifest once, from the first
 * pair after `after` on (whose tag is empty for an untagged one).
 */
export async function listManifestTags(
  db: Database,
  repositoryId: number,
  page: {
    readonly tagStatus: TagStatus;
    readonly status?: StatusFilter;
    readonly after?: { readonly manifestId: number; readonly tag: string };
    readonly limit: number;
  },
): Promise<ManifestTag[]> {
  const { manifestId, tag } = page.after ?? { manifestId: 0, tag: "" };
  const { rows } = await sql<{ manifest_id: number; digest: string; tag: string | null }>`
    select m.manifest_id, m.digest, t.name as tag
    from manifest m
    left join tag t on t.manifest_id = m.manifest_id and t.deleted_at is null
    where m.repository_id = ${repositoryId} and m.deleted_at is null and ${statusConditions[page.tagStatus]}
      and ${classConditions[page.status ?? "ANY"]} and m.manifest_id >= ${manifestId} and (m.manifest_id > ${manifestId} or t.name > ${tag})
    order by m.manifest_id, t.name limit ${page.limit}`.execute(db.read);
  return rows.map((row) => ({ manifestId: row.manifest_id, digest: row.digest, ...(row.tag === null ? {} : { tag: row.tag }) }));
}

/** The live manifests that the selectors name, in the selectors' order; undefined where there is none. */
export async function findManifestsWithTags(
  db: Database,
  repositoryId: number,
  references: readonly ManifestSelector[],
): Promise<(TaggedManifest | undefined)[]> {
  const digests = references.flatMap(({ digest }) => (digest === undefined ? [] : [digest]));
  const tags = references.flatMap(({ digest, tag }) => (digest === undefined && tag !== undefined ? [tag] : []));
  const { rows } = await sql<TaggedRow>`
    select ${sql.raw(manifestColumns)}, t.name as tag
    from (select distinct manifest_id from (select manifest_id from manifest
        where repository_id = ${repositoryId} and ${db.dialect.textIn("digest", digests)} and deleted_at is null
      union all select manifest_id from tag
        where repository_id = ${repositoryId} and ${db.dialect.textIn("name", tags)} and deleted_at is null) found) wanted
    join manifest m on m.manifest_id = wanted.manifest_id
    left join tag t on t.manifest_id = m.manifest_id and t.deleted_at is null
    order by m.manifest_id, t.name`.execute(db.read);
  const byDigest = new Map<string, TaggedManifest>();
  const byTag = new Map<string, TaggedManifest>();
  for (const manifest of withTags(rows).values()) {
    byDigest.set(manifest.digest, manifest);
    for (const tag of manifest.tags) byTag.set(tag, manifest);
  }
  return references.map(({ digest, tag }) => (digest === undefined ? byTag.get(tag ?? "") : byDigest.get(digest)));
}

/**
 * One page of the live manifests whose subject is the digest (which need not exist), in byte order of their digests,
 * from the first one after `after` on; only those of one of the artifact types, if given.
 */
export async function listReferrers(
  db: Database,
  repositoryId: number,
  subjectDigest: string,
  page: { readonly artifactTypes?: readonly string[]; readonly status?: StatusFilter; readonly after?: string; readonly limit: number },
): Promise<Manifest[]> {
  const ofType = page.artifactTypes === undefined ? sql<boolean>`1 = 1` : db.dialect.textIn("m.artifact_type", page.artifactTypes);
  const { rows } = await sql<ManifestFacts>`
    select ${sql.raw(manifestColumns)} from manifest m
    where m.repository_id = ${repositoryId} and m.subject_digest = ${subjectDigest} and m.deleted_at is null
      and m.digest > ${page.after ?? ""} and ${ofType} and ${classConditions[page.status ?? "ANY"]}
    order by m.digest limit ${page.limit}`.execute(db.read);
  return rows.map(manifestOf);
}

/** Digests of the live indexes outside the archive that name the digest as a child, in the order of their pushes; at most 100. */
export async function listManifestParents(
  db: Database,
  repositoryId: number,
  digest: string,
  executor: Kysely<Schema> = db.read,
): Promise<string[]> {
  const { rows } = await sql<{ digest: string }>`
    select m.digest from manifest_child c join manifest m on m.manifest_id = c.manifest_id
    where c.repository_id = ${repositoryId} and c.digest = ${digest} and c.live = 1
    order by c.manifest_id limit ${maxParents}`.execute(executor);
  return rows.map((row) => row.digest);
}

type TaggedRow = ManifestFacts & { readonly tag: string | null };

/** One entry per manifest from one row per (manifest, tag), in the rows' order. */
function withTags(rows: readonly TaggedRow[]): Map<number, TaggedManifest> {
  const manifests = new Map<number, Manifest & { readonly tags: string[] }>();
  for (const row of rows) {
    let manifest = manifests.get(row.manifest_id);
    if (manifest === undefined) {
      manifest = { ...manifestOf(row), tags: [] };
      manifests.set(row.manifest_id, manifest);
    }
    if (row.tag !== null) manifest.tags.push(row.tag);
  }
  return manifests;
}
