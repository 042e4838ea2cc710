-- Made by tools/generate-schema.ts from src/metadata/migrations; do not edit. Schema version 1, as SQLite has it.

CREATE TABLE schema_version (version integer primary key, name text not null);

CREATE TABLE instance (
  key text primary key,
  value text not null
) strict;

CREATE TABLE account (
  account_id text primary key,
  created_at integer not null
) strict;

CREATE TABLE access_key (
  access_key_id text primary key,
  account_id text not null references account (account_id),
  principal_id text not null,
  principal_arn text not null,
  secret_sealed text not null,
  status text not null check (status in ('Active', 'Inactive')),
  kind text not null check (kind in ('root')),
  created_at integer not null
) strict;

CREATE INDEX access_key_account on access_key (account_id, kind);

CREATE TABLE epoch (
  name text primary key,
  value integer not null
) strict;

CREATE TABLE registry (
  account_id text not null,
  region text not null,
  repository_count integer not null,
  primary key (account_id, region)
) strict;

CREATE TABLE repository (
  repository_id integer primary key autoincrement,
  account_id text not null,
  region text not null,
  name text not null,
  created_at integer not null,
  deleted_at integer,
  tag_mutability text not null check (tag_mutability in ('MUTABLE', 'IMMUTABLE', 'MUTABLE_WITH_EXCLUSION', 'IMMUTABLE_WITH_EXCLUSION')),
  mutability_filters text not null,
  scan_on_push integer not null check (scan_on_push in (0, 1)),
  encryption_type text not null check (encryption_type in ('AES256')),
  protection_domain text not null,
  revision integer not null default 1
) strict;

CREATE INDEX repository_deleted on repository (deleted_at) where deleted_at is not null;

CREATE INDEX repository_deleted_name on repository (account_id, region, name, deleted_at) where deleted_at is not null;

CREATE UNIQUE INDEX repository_live_name on repository (account_id, region, name) where deleted_at is null;

CREATE TABLE repository_usage (
  repository_id integer primary key references repository (repository_id),
  manifest_count integer not null
) strict;

CREATE TABLE resource_tag (
  repository_id integer not null references repository (repository_id),
  key text not null,
  value text not null,
  primary key (repository_id, key)
) strict;

CREATE TABLE manifest (
  manifest_id integer primary key autoincrement,
  repository_id integer not null references repository (repository_id),
  digest text not null,
  media_type text not null,
  kind text not null check (kind in ('image', 'index')),
  artifact_type text,
  config_media_type text,
  size_bytes integer not null,
  content_size_bytes integer not null,
  subject_digest text,
  annotations text,
  pushed_at integer not null,
  scan_failure text,
  tag_count integer not null default 0 check (tag_count >= 0),
  deleted_at integer
) strict;

CREATE INDEX manifest_deleted on manifest (deleted_at) where deleted_at is not null;

CREATE INDEX manifest_digest on manifest (repository_id, digest, deleted_at);

CREATE INDEX manifest_live on manifest (repository_id, manifest_id) where deleted_at is null;

CREATE UNIQUE INDEX manifest_live_digest on manifest (repository_id, digest) where deleted_at is null;

CREATE INDEX manifest_subject on manifest (repository_id, subject_digest, digest) where deleted_at is null and subject_digest is not null;

CREATE INDEX manifest_tagged on manifest (repository_id, manifest_id) where deleted_at is null and tag_count > 0;

CREATE INDEX manifest_tombstone on manifest (repository_id, manifest_id) where deleted_at is not null;

CREATE INDEX manifest_untagged on manifest (repository_id, manifest_id) where deleted_at is null and tag_count = 0;

CREATE TABLE manifest_bytes (
  manifest_id integer primary key references manifest (manifest_id),
  bytes blob not null
) strict;

CREATE TABLE manifest_child (
  manifest_id integer not null references manifest (manifest_id),
  repository_id integer not null,
  digest text not null,
  media_type text not null,
  size_bytes integer not null,
  live integer not null check (live in (0, 1)),
  primary key (manifest_id, digest)
) strict;

CREATE INDEX manifest_child_parents on manifest_child (repository_id, digest, live, manifest_id);

CREATE TABLE tag (
  tag_id integer primary key autoincrement,
  repository_id integer not null references repository (repository_id),
  name text not null,
  manifest_id integer not null references manifest (manifest_id),
  revision integer not null default 1,
  tagged_at integer not null,
  deleted_at integer
) strict;

CREATE INDEX tag_deleted on tag (deleted_at) where deleted_at is not null;

CREATE UNIQUE INDEX tag_live_name on tag (repository_id, name) where deleted_at is null;

CREATE INDEX tag_manifest on tag (manifest_id, deleted_at, name);

CREATE INDEX tag_name on tag (repository_id, name, deleted_at);

CREATE INDEX tag_tombstone on tag (repository_id, tag_id) where deleted_at is not null;

CREATE TABLE blob (
  blob_id integer primary key autoincrement,
  account_id text not null,
  protection_domain text not null,
  digest text not null,
  size_bytes integer not null,
  storage_key text not null unique,
  state text not null check (state in ('live', 'condemned', 'gone')),
  unlinked_at integer,
  condemned_at integer,
  created_at integer not null
) strict;

CREATE INDEX blob_condemned on blob (condemned_at) where state = 'condemned';

CREATE UNIQUE INDEX blob_current on blob (account_id, protection_domain, digest) where state <> 'gone';

CREATE INDEX blob_gone on blob (blob_id) where state = 'gone';

CREATE INDEX blob_unlinked on blob (unlinked_at) where state = 'live' and unlinked_at is not null;

CREATE TABLE blob_link (
  repository_id integer not null references repository (repository_id),
  blob_id integer not null references blob (blob_id),
  grace_until integer,
  primary key (repository_id, blob_id)
) strict;

CREATE INDEX blob_link_blob on blob_link (blob_id, repository_id);

CREATE INDEX blob_link_grace on blob_link (grace_until) where grace_until is not null;

CREATE TABLE manifest_blob (
  manifest_id integer not null references manifest (manifest_id),
  repository_id integer not null,
  blob_id integer not null references blob (blob_id),
  digest text not null,
  media_type text not null,
  size_bytes integer not null,
  role text not null check (role in ('config', 'layer')),
  live integer not null check (live in (0, 1)),
  primary key (manifest_id, blob_id)
) strict;

CREATE INDEX manifest_blob_references on manifest_blob (blob_id, repository_id, live, manifest_id);

CREATE TABLE upload_session (
  upload_id text primary key,
  repository_id integer not null references repository (repository_id),
  principal_id text not null,
  algorithm text not null check (algorithm in ('sha256', 'sha512')),
  received_bytes integer not null,
  digest_so_far text,
  parts integer not null,
  smallest_part_bytes integer,
  last_part_bytes integer,
  created_at integer not null,
  expires_at integer not null
) strict;

CREATE INDEX upload_session_expiry on upload_session (expires_at);

CREATE INDEX upload_session_repository on upload_session (repository_id);

CREATE TABLE upload_segment (
  segment_key text primary key,
  upload_id text not null references upload_session (upload_id),
  state text not null check (state in ('writing', 'committed')),
  ordinal integer,
  offset_bytes integer,
  size_bytes integer
) strict;

CREATE INDEX upload_segment_session on upload_segment (upload_id, ordinal);

CREATE TABLE change (
  change_id integer primary key autoincrement,
  transaction_id integer not null default 0,
  account_id text not null,
  region text not null,
  repository_id integer,
  repository_name text not null,
  at integer not null,
  principal_arn text not null,
  request_id text not null,
  kind text not null,
  subject text not null,
  before text,
  after text
) strict;

CREATE INDEX change_order on change (transaction_id, change_id);

CREATE INDEX change_repository on change (repository_id, transaction_id, change_id);

CREATE TABLE job (
  job_id integer primary key autoincrement,
  kind text not null,
  payload text not null,
  state text not null check (state in ('waiting', 'running', 'dead')),
  due_at integer not null,
  attempts integer not null default 0,
  dedupe_key text,
  last_error text
) strict;

CREATE INDEX job_dead on job (job_id) where state = 'dead';

CREATE UNIQUE INDEX job_dedupe on job (kind, dedupe_key) where state = 'waiting' and dedupe_key is not null;

CREATE INDEX job_due on job (due_at, job_id) where state <> 'dead';
