/** Manifests and the tags on them: what the names mean, and the hot reads. Writing, deleting and listing have files of their own. */
import type { Reference } from "#oci/reference.ts";
import { LRUCache } from "lru-cache";
import type { Database } from "./database.ts";
import { manifestColumns, manifestOf } from "./manifest-rows.ts";
import type { Manifest, ManifestFacts, ManifestStatus } from "./manifest-rows.ts";
import { preparedStatement } from "./prepared.ts";
import { repositoryColumns, repositoryOf } from "./repositories.ts";
import type { EncryptionType, Repository, RepositoryFacts, RepositoryKey } from "./repositories.ts";

export type { Manifest, ManifestStatus, TaggedManifest } from "./manifest-rows.ts";
export { putManifest } from "./manifest-put.ts";
export type { ContentReference, MovedTag, PutAlongside, PutManifest, PutManifestOutcome } from "./manifest-put.ts";
export { deleteManifest, deleteTag } from "./manifest-delete.ts";
export type { DeleteManifest, DeleteManifestOutcome, DeleteTag, DeleteTagOutcome } from "./manifest-delete.ts";
export { findManifestsWithTags, listManifests, listManifestTags, listReferrers, listTags } from "./manifest-listings.ts";
export type { ManifestSelector, ManifestTag, StatusFilter, TagStatus } from "./manifest-listings.ts";

// The manifest's columns carry a prefix, as both tables have a repository_id.
const prefixedManifestColumns = manifestColumns.replaceAll(/m\.(\w+)/g, "m.$1 as m_$1");

const findByTag = preparedStatement(
  "find_manifest_by_tag",
  `select ${repositoryColumns}, ${prefixedManifestColumns}
   from repository r
   left join tag t on t.repository_id = r.repository_id and t.name = ?4 and t.deleted_at is null
   left join manifest m on m.manifest_id = t.manifest_id and m.deleted_at is null
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

const findByDigest = preparedStatement(
  "find_manifest_by_digest",
  `select ${repositoryColumns}, ${prefixedManifestColumns}
   from repository r
   left join manifest m on m.repository_id = r.repository_id and m.digest = ?4 and m.deleted_at is null
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

const readBytes = preparedStatement("read_manifest_bytes", "select bytes from manifest_bytes where manifest_id = ?1");

type FoundRow = RepositoryFacts & { readonly [K in keyof ManifestFacts as `m_${K}`]: ManifestFacts[K] };
type FoundManifestRow = FoundRow & { readonly m_manifest_id: number };

/**
 * The live manifest that a tag or digest names. No `repository`: there is none of that name; no `manifest`: the
 * repository has nothing under the reference.
 */
export async function findManifest(
  db: Database,
  key: RepositoryKey,
  reference: Reference,
): Promise<{ readonly repository?: Repository; readonly manifest?: Manifest }> {
  const [statement, name] = reference.kind === "tag" ? ([findByTag, reference.tag] as const) : ([findByDigest, reference.digest] as const);
  const [row] = await db.prepared.all<FoundRow>(statement, [key.accountId, key.region, key.name, name]);
  if (row === undefined) return {};
  const repository = repositoryOf(row);
  return isFound(row) ? { repository, manifest: foundManifestOf(row) } : { repository };
}

/** What a pull needs of a manifest. */
export interface ResolvedManifest {
  readonly manifestId: number;
  readonly repositoryId: number;
  /** Its bytes are sealed unless this is `AES256`. */
  readonly encryptionType: EncryptionType;
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Only what is `ACTIVE` can be pulled. */
  readonly status: ManifestStatus;
}

const resolved = "r.repository_id, r.encryption_type, m.manifest_id, m.digest, m.media_type, m.size_bytes, m.status";
const resolveTag = preparedStatement(
  "resolve_tag",
  `select ${resolved}
   from repository r
   left join tag t on t.repository_id = r.repository_id and t.name = ?4 and t.deleted_at is null
   left join manifest m on m.manifest_id = t.manifest_id and m.deleted_at is null
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);
const resolveDigest = preparedStatement(
  "resolve_digest",
  `select ${resolved}
   from repository r
   left join manifest m on m.repository_id = r.repository_id and m.digest = ?4 and m.deleted_at is null
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

interface ResolvedRow {
  readonly repository_id: number;
  readonly encryption_type: EncryptionType;
  readonly manifest_id: number | null;
  readonly digest: string;
  readonly media_type: string;
  readonly size_bytes: number;
  readonly status: ManifestStatus;
}

interface RememberedManifest {
  readonly dataVersion: number;
  readonly manifest: ResolvedManifest;
}

/** Some megabytes. What is missing is not remembered: nobody can fill this with inventions. */
const maxRemembered = 10_000;
const rememberedBy = new WeakMap<Database, LRUCache<string, RememberedManifest>>();

function rememberedIn(db: Database): LRUCache<string, RememberedManifest> {
  let remembered = rememberedBy.get(db);
  if (remembered === undefined) rememberedBy.set(db, (remembered = new LRUCache({ max: maxRemembered })));
  return remembered;
}

/**
 * The hottest read of all: the manifest behind a tag or digest with no more than a pull needs, or which of the two is missing. Where the
 * database says for nothing whether anything was committed, a manifest is read once for as long as nothing was. Its version is read before
 * the row, so that what is remembered is never older than its stamp.
 */
export async function resolveManifest(
  db: Database,
  key: RepositoryKey,
  reference: Reference,
): Promise<ResolvedManifest | "no-repository" | "no-manifest"> {
  const dataVersion = db.readDataVersion();
  if (dataVersion === undefined) return readManifest(db, key, reference);
  const remembered = rememberedIn(db);
  // Neither sign can stand in a repository's name.
  const name = `${key.accountId}/${key.region}/${key.name}${reference.kind === "tag" ? `:${reference.tag}` : `@${reference.digest}`}`;
  const known = remembered.get(name);
  if (known?.dataVersion === dataVersion) return known.manifest;
  const manifest = await readManifest(db, key, reference);
  if (typeof manifest !== "string") remembered.set(name, { dataVersion, manifest });
  return manifest;
}

async function readManifest(
  db: Database,
  key: RepositoryKey,
  reference: Reference,
): Promise<ResolvedManifest | "no-repository" | "no-manifest"> {
  const [statement, name] =
    reference.kind === "tag" ? ([resolveTag, reference.tag] as const) : ([resolveDigest, reference.digest] as const);
  const row = await db.prepared.one<ResolvedRow>(statement, [key.accountId, key.region, key.name, name]);
  if (row === undefined) return "no-repository";
  if (row.manifest_id === null) return "no-manifest";
  return {
    manifestId: row.manifest_id,
    repositoryId: row.repository_id,
    encryptionType: row.encryption_type,
    digest: row.digest,
    mediaType: row.media_type,
    sizeBytes: row.size_bytes,
    status: row.status,
  };
}

/** The bytes of a manifest as they are stored: exact, or sealed in a repository that is encrypted under a key. Undefined when it has been purged meanwhile. */
export async function readManifestBytes(db: Database, manifestId: number): Promise<Uint8Array | undefined> {
  const [row] = await db.prepared.all<{ bytes: Uint8Array }>(readBytes, [manifestId]);
  return row?.bytes;
}

function isFound(row: FoundRow): row is FoundManifestRow {
  // A left join without a partner: null in every column.
  return (row.m_manifest_id as number | null) !== null;
}

function foundManifestOf(row: FoundManifestRow): Manifest {
  return manifestOf({
    manifest_id: row.m_manifest_id,
    repository_id: row.m_repository_id,
    digest: row.m_digest,
    media_type: row.m_media_type,
    kind: row.m_kind,
    artifact_type: row.m_artifact_type,
    config_media_type: row.m_config_media_type,
    size_bytes: row.m_size_bytes,
    content_size_bytes: row.m_content_size_bytes,
    subject_digest: row.m_subject_digest,
    annotations: row.m_annotations,
    pushed_at: row.m_pushed_at,
    status: row.m_status,
    last_archived_at: row.m_last_archived_at,
    last_activated_at: row.m_last_activated_at,
  });
}
