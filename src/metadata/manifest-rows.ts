/** What a manifest is in the answers of this room, and how its row becomes it. */
import { readJson } from "#std/json.ts";
import type { ManifestRow } from "./schema.ts";

/** A live manifest, without its bytes. */
export interface Manifest {
  /** Never given out twice. */
  readonly manifestId: number;
  readonly repositoryId: number;
  readonly digest: string;
  readonly mediaType: string;
  readonly kind: "image" | "index";
  readonly artifactType?: string;
  readonly configMediaType?: string;
  /** Of the manifest itself. */
  readonly sizeBytes: number;
  /** Of a single image: config and layers as stated; of an index: its largest child's. */
  readonly contentSizeBytes: number;
  readonly subjectDigest?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of the first push of this digest since it was last deleted. */
  readonly pushedAt: number;
  readonly status: ManifestStatus;
  /** When it last went to the archive, and when it last came back; absent when it never did. */
  readonly lastArchivedAt?: number;
  readonly lastActivatedAt?: number;
}

/** The storage class of a manifest, and whether it is on its way back. Only what is `ACTIVE` can be pulled. */
export type ManifestStatus = "ACTIVE" | "ARCHIVED" | "ACTIVATING";

/** A manifest with its live tags in byte order. */
export type TaggedManifest = Manifest & { readonly tags: readonly string[] };

/** The columns that {@link manifestOf} needs. */
export type ManifestFacts = Omit<ManifestRow, "tag_count" | "deleted_at" | "is_copy">;

/** The same columns in SQL; the table's alias must be `m`. */
export const manifestColumns = `m.manifest_id, m.repository_id, m.digest, m.media_type, m.kind, m.artifact_type, m.config_media_type,
  m.size_bytes, m.content_size_bytes, m.subject_digest, m.annotations, m.pushed_at, m.status, m.last_archived_at, m.last_activated_at`;

/** A row as callers see it. */
export function manifestOf(row: ManifestFacts): Manifest {
  return {
    manifestId: row.manifest_id,
    repositoryId: row.repository_id,
    digest: row.digest,
    mediaType: row.media_type,
    kind: row.kind,
    ...(row.artifact_type === null ? {} : { artifactType: row.artifact_type }),
    ...(row.config_media_type === null ? {} : { configMediaType: row.config_media_type }),
    sizeBytes: row.size_bytes,
    contentSizeBytes: row.content_size_bytes,
    ...(row.subject_digest === null ? {} : { subjectDigest: row.subject_digest }),
    ...(row.annotations === null ? {} : { annotations: readJson(row.annotations) as Record<string, string> }),
    pushedAt: row.pushed_at,
    status: row.status,
    ...(row.last_archived_at === null ? {} : { lastArchivedAt: row.last_archived_at }),
    ...(row.last_activated_at === null ? {} : { lastActivatedAt: row.last_activated_at }),
  };
}
