import type { ColumnTypes } from "../dialect.ts";

/**
 * Lifecycle policies and their previews. They go with their repository's row, so a deleted repository comes back with its policy.
 *
 * `waiting_since` is when a policy was last given to somebody to run it (of one that never was, a moment before it was set, so that policies
 * which are set together do not run together). Results of a preview are written by attempts; those of the attempt that the preview names count.
 * `orphaned_referrer` holds the referrers whose subject went and that had to stay because a live index names them.
 */
export function lifecycleSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table lifecycle_policy (
      repository_id ${integer} primary key references repository (repository_id) on delete cascade,
      policy_id ${text} not null,
      version ${integer} not null,
      policy ${text} not null,
      updated_at ${integer} not null,
      waiting_since ${integer} not null,
      last_evaluated_at ${integer}
    )${tableSuffix}`,
    `create index lifecycle_policy_waiting on lifecycle_policy (waiting_since, repository_id)`,
    `create table lifecycle_preview (
      preview_id ${text} primary key,
      repository_id ${integer} not null references repository (repository_id) on delete cascade,
      policy ${text} not null,
      status ${text} not null check (status in ('IN_PROGRESS', 'COMPLETE', 'FAILED')),
      started_at ${integer} not null,
      settled_at ${integer},
      attempt ${integer} not null default 0,
      expiring ${integer} not null default 0,
      archiving ${integer} not null default 0,
      replaced ${integer} not null default 0 check (replaced in (0, 1)),
      results_until ${integer}
    )${tableSuffix}`,
    `create unique index lifecycle_preview_current on lifecycle_preview (repository_id) where replaced = 0`,
    `create index lifecycle_preview_repository on lifecycle_preview (repository_id)`,
    `create index lifecycle_preview_results_until on lifecycle_preview (results_until) where results_until is not null`,
    `create table lifecycle_preview_result (
      preview_id ${text} not null references lifecycle_preview (preview_id) on delete cascade,
      attempt ${integer} not null,
      ordinal ${integer} not null,
      digest ${text} not null,
      tags ${text} not null,
      tag_count ${integer} not null,
      pushed_at ${integer} not null,
      action ${text} not null check (action in ('expire', 'archive')),
      priority ${integer} not null,
      storage_class ${text} not null check (storage_class in ('standard', 'archive')),
      primary key (preview_id, attempt, ordinal)
    )${tableSuffix}`,
    `create index lifecycle_preview_result_digest on lifecycle_preview_result (preview_id, attempt, digest)`,
    `create table orphaned_referrer (
      manifest_id ${integer} primary key references manifest (manifest_id) on delete cascade
    )${tableSuffix}`,
  ];
}
