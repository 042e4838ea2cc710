/** The table of replication, as Kysely sees it. */

/** An upload to another deployment that was begun and has not ended. */
export interface ReplicationUploadTable {
  /** `<account>/<region>` of the destination. */
  target: string;
  repository_name: string;
  digest: string;
  /** Path and query of the upload session there. */
  location: string;
  updated_at: number;
}
