import type { ColumnTypes } from "../dialect.ts";

/**
 * Replication to other deployments: where the upload of a blob stands that was begun there, so that a broken link or a restart costs no
 * byte that has arrived. A row that is lost costs only those bytes. And the index by which unfinished replications are counted, and which
 * manifests are copies that are not sent on.
 */
export function replicationSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table replication_upload (
      target ${text} not null,
      repository_name ${text} not null,
      digest ${text} not null,
      location ${text} not null,
      updated_at ${integer} not null,
      primary key (target, repository_name, digest)
    )${tableSuffix}`,
    `create index replication_upload_age on replication_upload (updated_at)`,
    `create index follow_up_open on follow_up (kind, target, started_at) where state = 'IN_PROGRESS'`,
    `alter table manifest add column is_copy ${integer} not null default 0 check (is_copy in (0, 1))`,
  ];
}
