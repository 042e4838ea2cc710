import type { ColumnTypes } from "../dialect.ts";

/**
 * The first schema. Three rules run through it:
 * - uniqueness of names is over live rows (partial indexes on `deleted_at is null`), so a name can be used again beside its tombstone;
 * - every foreign key has an index on the child's side that serves deletes of the parent;
 * - every listing and every garbage collection step has an index range of its own, so no cost grows with the table.
 */
export function initialSchema(types: ColumnTypes): readonly string[] {
  return [...accessTables(types), ...repositoryTables(types), ...manifestTables(types), ...blobTables(types), ...logTables(types)];
}

function accessTables({ integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table instance (
      key ${text} primary key,
      value ${text} not null
    )${tableSuffix}`,
    `create table account (
      account_id ${text} primary key,
      created_at ${integer} not null
    )${tableSuffix}`,
    `create table access_key (
      access_key_id ${text} primary key,
      account_id ${text} not null references account (account_id),
      principal_id ${text} not null,
      principal_arn ${text} not null,
      secret_sealed ${text} not null,
      status ${text} not null check (status in ('Active', 'Inactive')),
      kind ${text} not null check (kind in ('root')),
      created_at ${integer} not null
    )${tableSuffix}`,
    `create index access_key_account on access_key (account_id, kind)`,
    `create table epoch (
      name ${text} primary key,
      value ${integer} not null
    )${tableSuffix}`,
    `insert into epoch (name, value) values ('identity', 1)`,
  ];
}

function repositoryTables({ id, integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table registry (
      account_id ${text} not null,
      region ${text} not null,
      repository_count ${integer} not null,
      primary key (account_id, region)
    )${tableSuffix}`,
    `create table repository (
      repository_id ${id},
      account_id ${text} not null,
      region ${text} not null,
      name ${text} not null,
      created_at ${integer} not null,
      deleted_at ${integer},
      tag_mutability ${text} not null check (tag_mutability in ('MUTABLE', 'IMMUTABLE', 'MUTABLE_WITH_EXCLUSION', 'IMMUTABLE_WITH_EXCLUSION')),
      mutability_filters ${text} not null,
      scan_on_push ${integer} not null check (scan_on_push in (0, 1)),
      encryption_type ${text} not null check (encryption_type in ('AES256', 'KMS', 'KMS_DSSE')),
      protection_domain ${text} not null,
      revision ${integer} not null default 1
    )${tableSuffix}`,
    `create unique index repository_live_name on repository (account_id, region, name) where deleted_at is null`,
    `create index repository_deleted_name on repository (account_id, region, name, deleted_at) where deleted_at is not null`,
    `create index repository_deleted on repository (deleted_at) where deleted_at is not null`,
    `create table repository_usage (
      repository_id ${integer} primary key references repository (repository_id),
      manifest_count ${integer} not null
    )${tableSuffix}`,
    `create table resource_tag (
      repository_id ${integer} not null references repository (repository_id),
      key ${text} not null,
      value ${text} not null,
      primary key (repository_id, key)
    )${tableSuffix}`,
  ];
}

function manifestTables({ id, integer, text, bytes, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table manifest (
      manifest_id ${id},
      repository_id ${integer} not null references repository (repository_id),
      digest ${text} not null,
      media_type ${text} not null,
      kind ${text} not null check (kind in ('image', 'index')),
      artifact_type ${text},
      config_media_type ${text},
      size_bytes ${integer} not null,
      content_size_bytes ${integer} not null,
      subject_digest ${text},
      annotations ${text},
      pushed_at ${integer} not null,
      scan_failure ${text},
      tag_count ${integer} not null default 0 check (tag_count >= 0),
      deleted_at ${integer}
    )${tableSuffix}`,
    `create unique index manifest_live_digest on manifest (repository_id, digest) where deleted_at is null`,
    `create index manifest_digest on manifest (repository_id, digest, deleted_at)`,
    `create index manifest_live on manifest (repository_id, manifest_id) where deleted_at is null`,
    `create index manifest_tagged on manifest (repository_id, manifest_id) where deleted_at is null and tag_count > 0`,
    `create index manifest_untagged on manifest (repository_id, manifest_id) where deleted_at is null and tag_count = 0`,
    `create index manifest_subject on manifest (repository_id, subject_digest, digest) where deleted_at is null and subject_digest is not null`,
    `create index manifest_tombstone on manifest (repository_id, manifest_id) where deleted_at is not null`,
    `create index manifest_deleted on manifest (deleted_at) where deleted_at is not null`,
    `create table manifest_bytes (
      manifest_id ${integer} primary key references manifest (manifest_id),
      bytes ${bytes} not null
    )${tableSuffix}`,
    `create table manifest_child (
      manifest_id ${integer} not null references manifest (manifest_id),
      repository_id ${integer} not null,
      digest ${text} not null,
      media_type ${text} not null,
      size_bytes ${integer} not null,
      live ${integer} not null check (live in (0, 1)),
      primary key (manifest_id, digest)
    )${tableSuffix}`,
    `create index manifest_child_parents on manifest_child (repository_id, digest, live, manifest_id)`,
    `create table tag (
      tag_id ${id},
      repository_id ${integer} not null references repository (repository_id),
      name ${text} not null,
      manifest_id ${integer} not null references manifest (manifest_id),
      revision ${integer} not null default 1,
      tagged_at ${integer} not null,
      deleted_at ${integer}
    )${tableSuffix}`,
    `create unique index tag_live_name on tag (repository_id, name) where deleted_at is null`,
    `create index tag_name on tag (repository_id, name, deleted_at)`,
    `create index tag_manifest on tag (manifest_id, deleted_at, name)`,
    `create index tag_tombstone on tag (repository_id, tag_id) where deleted_at is not null`,
    `create index tag_deleted on tag (deleted_at) where deleted_at is not null`,
  ];
}

function blobTables({ id, integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table blob (
      blob_id ${id},
      account_id ${text} not null,
      protection_domain ${text} not null,
      digest ${text} not null,
      size_bytes ${integer} not null,
      storage_key ${text} not null unique,
      state ${text} not null check (state in ('live', 'condemned', 'gone')),
      unlinked_at ${integer},
      condemned_at ${integer},
      created_at ${integer} not null
    )${tableSuffix}`,
    `create unique index blob_current on blob (account_id, protection_domain, digest) where state <> 'gone'`,
    `create index blob_unlinked on blob (unlinked_at) where state = 'live' and unlinked_at is not null`,
    `create index blob_condemned on blob (condemned_at) where state = 'condemned'`,
    `create index blob_gone on blob (blob_id) where state = 'gone'`,
    `create table blob_link (
      repository_id ${integer} not null references repository (repository_id),
      blob_id ${integer} not null references blob (blob_id),
      grace_until ${integer},
      primary key (repository_id, blob_id)
    )${tableSuffix}`,
    `create index blob_link_blob on blob_link (blob_id, repository_id)`,
    `create index blob_link_grace on blob_link (grace_until) where grace_until is not null`,
    `create table manifest_blob (
      manifest_id ${integer} not null references manifest (manifest_id),
      repository_id ${integer} not null,
      blob_id ${integer} not null references blob (blob_id),
      digest ${text} not null,
      media_type ${text} not null,
      size_bytes ${integer} not null,
      role ${text} not null check (role in ('config', 'layer')),
      live ${integer} not null check (live in (0, 1)),
      primary key (manifest_id, blob_id)
    )${tableSuffix}`,
    `create index manifest_blob_references on manifest_blob (blob_id, repository_id, live, manifest_id)`,
    `create table upload_session (
      upload_id ${text} primary key,
      repository_id ${integer} not null references repository (repository_id),
      principal_id ${text} not null,
      algorithm ${text} not null check (algorithm in ('sha256', 'sha512')),
      received_bytes ${integer} not null,
      digest_so_far ${text},
      parts ${integer} not null,
      smallest_part_bytes ${integer},
      last_part_bytes ${integer},
      created_at ${integer} not null,
      expires_at ${integer} not null
    )${tableSuffix}`,
    `create index upload_session_repository on upload_session (repository_id)`,
    `create index upload_session_expiry on upload_session (expires_at)`,
    `create table upload_segment (
      segment_key ${text} primary key,
      upload_id ${text} not null references upload_session (upload_id),
      state ${text} not null check (state in ('writing', 'committed')),
      ordinal ${integer},
      offset_bytes ${integer},
      size_bytes ${integer}
    )${tableSuffix}`,
    `create index upload_segment_session on upload_segment (upload_id, ordinal)`,
  ];
}

function logTables({ id, integer, text, transactionIdDefault, tableSuffix }: ColumnTypes): string[] {
  return [
    // No foreign key to repository: the log outlives what it tells of.
    `create table change (
      change_id ${id},
      transaction_id ${integer} not null default ${transactionIdDefault},
      account_id ${text} not null,
      region ${text} not null,
      repository_id ${integer},
      repository_name ${text} not null,
      at ${integer} not null,
      principal_arn ${text} not null,
      request_id ${text} not null,
      kind ${text} not null,
      subject ${text} not null,
      before ${text},
      after ${text}
    )${tableSuffix}`,
    `create index change_order on change (transaction_id, change_id)`,
    `create index change_repository on change (repository_id, transaction_id, change_id)`,
    `create table job (
      job_id ${id},
      kind ${text} not null,
      payload ${text} not null,
      state ${text} not null check (state in ('waiting', 'running', 'dead')),
      due_at ${integer} not null,
      attempts ${integer} not null default 0,
      dedupe_key ${text},
      last_error ${text}
    )${tableSuffix}`,
    `create unique index job_dedupe on job (kind, dedupe_key) where state = 'waiting' and dedupe_key is not null`,
    `create index job_due on job (due_at, job_id) where state <> 'dead'`,
    `create index job_dead on job (job_id) where state = 'dead'`,
  ];
}
