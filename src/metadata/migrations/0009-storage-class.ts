import type { ColumnTypes } from "../dialect.ts";

/**
 * Storage classes of manifests and tiers of blobs. A blob whose tier may have to change has a row in `blob_tier_check` until somebody has
 * looked; while its bytes are copied, `blob_move` claims the new copy. Neither refers to `blob`: its rows go without asking them.
 *
 * Listings show one status unless they are told otherwise, so the indexes that serve them begin with it.
 */
export function storageClassSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `alter table manifest add column status ${text} not null default 'ACTIVE' check (status in ('ACTIVE', 'ARCHIVED', 'ACTIVATING'))`,
    `alter table manifest add column last_archived_at ${integer}`,
    `alter table manifest add column last_activated_at ${integer}`,
    `create index manifest_status on manifest (repository_id, status, manifest_id) where deleted_at is null`,
    `drop index manifest_tagged`,
    `drop index manifest_untagged`,
    `create index manifest_tagged on manifest (repository_id, status, manifest_id) where deleted_at is null and tag_count > 0`,
    `create index manifest_untagged on manifest (repository_id, status, manifest_id) where deleted_at is null and tag_count = 0`,
    `create index manifest_activating on manifest (manifest_id) where deleted_at is null and status = 'ACTIVATING'`,
    `create index manifest_inactive on manifest (status, repository_id) where status <> 'ACTIVE'`,
    `alter table blob add column tier ${text} not null default 'standard' check (tier in ('standard', 'cold'))`,
    `create index blob_cold on blob (blob_id) where tier = 'cold'`,
    `create table blob_tier_check (
      blob_id ${integer} primary key,
      due_at ${integer} not null
    )${tableSuffix}`,
    `create index blob_tier_check_due on blob_tier_check (due_at, blob_id)`,
    `create table blob_move (
      move_id ${text} primary key,
      blob_id ${integer} not null unique,
      expires_at ${integer} not null
    )${tableSuffix}`,
    `create index blob_move_expiry on blob_move (expires_at)`,
  ];
}
