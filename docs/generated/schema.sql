-- Made by tools/generate-schema.ts from src/metadata/migrations; do not edit. Schema version 14, as SQLite has it.

CREATE TABLE schema_version (version integer primary key, name text not null);

CREATE TABLE instance (
  key text primary key,
  value text not null
) strict;

CREATE TABLE account (
  account_id text primary key,
  created_at integer not null
, name text, alias text, password_policy text) strict;

CREATE UNIQUE INDEX account_alias on account (alias) where alias is not null;

CREATE TABLE session (
  access_key_id text primary key,
  account_id text not null references account (account_id),
  kind text not null check (kind in ('role', 'federated', 'user', 'root')),
  identity_id integer references identity (identity_id),
  session_name text not null,
  secret_sealed text not null,
  token_hash text not null,
  policies text,
  tags text not null,
  transitive_keys text not null,
  source_identity text,
  context text not null,
  issued_at integer not null,
  expires_at integer not null
) strict;

CREATE INDEX session_expiry on session (expires_at);

CREATE INDEX session_identity on session (identity_id, access_key_id) where identity_id is not null;

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
  encryption_type text not null check (encryption_type in ('AES256', 'KMS', 'KMS_DSSE')),
  protection_domain text not null,
  revision integer not null default 1
, kms_key_arn text) strict;

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
  tag_count integer not null default 0 check (tag_count >= 0),
  deleted_at integer
, status text not null default 'ACTIVE' check (status in ('ACTIVE', 'ARCHIVED', 'ACTIVATING')), last_archived_at integer, last_activated_at integer, is_copy integer not null default 0 check (is_copy in (0, 1))) strict;

CREATE INDEX manifest_activating on manifest (manifest_id) where deleted_at is null and status = 'ACTIVATING';

CREATE INDEX manifest_deleted on manifest (deleted_at) where deleted_at is not null;

CREATE INDEX manifest_digest on manifest (repository_id, digest, deleted_at);

CREATE INDEX manifest_inactive on manifest (status, repository_id) where status <> 'ACTIVE';

CREATE INDEX manifest_live on manifest (repository_id, manifest_id) where deleted_at is null;

CREATE UNIQUE INDEX manifest_live_digest on manifest (repository_id, digest) where deleted_at is null;

CREATE INDEX manifest_status on manifest (repository_id, status, manifest_id) where deleted_at is null;

CREATE INDEX manifest_subject on manifest (repository_id, subject_digest, digest) where deleted_at is null and subject_digest is not null;

CREATE INDEX manifest_tagged on manifest (repository_id, status, manifest_id) where deleted_at is null and tag_count > 0;

CREATE INDEX manifest_tombstone on manifest (repository_id, manifest_id) where deleted_at is not null;

CREATE INDEX manifest_untagged on manifest (repository_id, status, manifest_id) where deleted_at is null and tag_count = 0;

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
, validated_at integer) strict;

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
, sealed_key text, tier text not null default 'standard' check (tier in ('standard', 'cold'))) strict;

CREATE INDEX blob_cold on blob (blob_id) where tier = 'cold';

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

CREATE TABLE identity (
  identity_id integer primary key autoincrement,
  account_id text not null references account (account_id),
  kind text not null check (kind in ('user', 'group', 'role', 'policy', 'instance-profile')),
  name text not null,
  name_key text not null,
  unique_id text not null unique,
  path text not null,
  description text,
  boundary_arn text,
  created_at integer not null,
  updated_at integer not null
) strict;

CREATE INDEX identity_boundary on identity (boundary_arn, identity_id) where boundary_arn is not null;

CREATE UNIQUE INDEX identity_name on identity (account_id, kind, name_key);

CREATE TABLE identity_tag (
  identity_id integer not null references identity (identity_id),
  key_folded text not null,
  key text not null,
  value text not null,
  primary key (identity_id, key_folded)
) strict;

CREATE TABLE group_member (
  group_id integer not null references identity (identity_id),
  user_id integer not null references identity (identity_id),
  primary key (group_id, user_id)
) strict;

CREATE INDEX group_member_user on group_member (user_id, group_id);

CREATE TABLE user_login (
  identity_id integer primary key references identity (identity_id),
  password_hash text not null,
  reset_required integer not null check (reset_required in (0, 1)),
  created_at integer not null,
  last_used_at integer
) strict;

CREATE TABLE role (
  identity_id integer primary key references identity (identity_id),
  trust_document text not null,
  trust_principals text not null,
  max_session_seconds integer not null,
  linked_service text,
  last_used_at integer,
  last_used_region text
) strict;

CREATE TABLE instance_profile_role (
  profile_id integer primary key references identity (identity_id),
  role_id integer not null references identity (identity_id)
) strict;

CREATE INDEX instance_profile_role_role on instance_profile_role (role_id, profile_id);

CREATE TABLE identity_provider (
  provider_id integer primary key autoincrement,
  account_id text not null references account (account_id),
  kind text not null check (kind in ('oidc', 'saml')),
  name text not null,
  settings text not null,
  tags text not null,
  created_at integer not null
) strict;

CREATE UNIQUE INDEX identity_provider_name on identity_provider (account_id, kind, name);

CREATE TABLE managed_policy (
  identity_id integer primary key references identity (identity_id),
  default_version integer not null,
  last_version integer not null
) strict;

CREATE TABLE policy_version (
  identity_id integer not null references identity (identity_id),
  version integer not null,
  document text not null,
  created_at integer not null,
  primary key (identity_id, version)
) strict;

CREATE TABLE inline_policy (
  identity_id integer not null references identity (identity_id),
  name text not null,
  document text not null,
  size_characters integer not null,
  primary key (identity_id, name)
) strict;

CREATE TABLE policy_attachment (
  identity_id integer not null references identity (identity_id),
  policy_arn text not null,
  primary key (identity_id, policy_arn)
) strict;

CREATE INDEX policy_attachment_policy on policy_attachment (policy_arn, identity_id);

CREATE TABLE "access_key" (
  access_key_id text primary key,
  account_id text not null references account (account_id),
  identity_id integer references identity (identity_id),
  secret_sealed text not null,
  status text not null check (status in ('Active', 'Inactive')),
  created_at integer not null,
  last_used_at integer,
  last_used_service text,
  last_used_region text
) strict;

CREATE INDEX access_key_identity on access_key (identity_id, access_key_id) where identity_id is not null;

CREATE INDEX access_key_root on access_key (account_id, access_key_id) where identity_id is null;

CREATE TABLE repository_policy (
  repository_id integer primary key references repository (repository_id),
  document text not null,
  principals text not null,
  updated_at integer not null
) strict;

CREATE TABLE registry_policy (
  account_id text not null,
  region text not null,
  document text not null,
  principals text not null,
  updated_at integer not null,
  primary key (account_id, region)
) strict;

CREATE TABLE kms_key (
  key_id text primary key,
  account_id text not null,
  region text not null,
  description text not null,
  manager text not null check (manager in ('CUSTOMER', 'AWS')),
  state text not null check (state in ('Enabled', 'Disabled', 'PendingDeletion')),
  policy text not null,
  policy_principals text not null,
  created_at integer not null,
  deletion_at integer check ((deletion_at is not null) = (state = 'PendingDeletion')),
  rotation_period_days integer,
  next_rotation_at integer check ((next_rotation_at is null) = (rotation_period_days is null)),
  on_demand_rotations integer not null,
  material integer not null,
  material_id text not null
) strict;

CREATE INDEX kms_key_deletion on kms_key (deletion_at, key_id) where deletion_at is not null;

CREATE UNIQUE INDEX kms_key_registry on kms_key (account_id, region, key_id);

CREATE INDEX kms_key_rotation on kms_key (next_rotation_at, key_id) where next_rotation_at is not null and state = 'Enabled';

CREATE TABLE kms_material (
  key_id text not null references kms_key (key_id),
  material integer not null,
  material_id text not null,
  sealed text not null,
  rotation text check (rotation in ('AUTOMATIC', 'ON_DEMAND')),
  created_at integer not null,
  primary key (key_id, material)
) strict;

CREATE TABLE kms_key_tag (
  key_id text not null references kms_key (key_id),
  key text not null,
  value text not null,
  primary key (key_id, key)
) strict;

CREATE TABLE kms_alias (
  account_id text not null,
  region text not null,
  name text not null,
  key_id text not null references kms_key (key_id),
  created_at integer not null,
  updated_at integer not null,
  primary key (account_id, region, name)
) strict;

CREATE INDEX kms_alias_key on kms_alias (key_id, name);

CREATE TABLE kms_grant (
  grant_row_id integer primary key autoincrement,
  grant_id text not null unique,
  key_id text not null references kms_key (key_id),
  name text,
  fingerprint text,
  grantee text not null,
  grantee_key text not null,
  retiring text,
  retiring_key text,
  issuing_account text not null,
  operations text not null,
  constraint_kind text check (constraint_kind in ('equals', 'subset')),
  constraint_context text,
  created_at integer not null
) strict;

CREATE INDEX kms_grant_grantee on kms_grant (key_id, grantee_key, grant_row_id);

CREATE INDEX kms_grant_key on kms_grant (key_id, grant_row_id);

CREATE UNIQUE INDEX kms_grant_name on kms_grant (key_id, fingerprint) where fingerprint is not null;

CREATE INDEX kms_grant_retiring on kms_grant (retiring_key, grant_row_id) where retiring_key is not null;

CREATE TABLE secret (
  secret_id integer primary key autoincrement,
  account_id text not null,
  region text not null,
  name text not null,
  suffix text not null,
  description text,
  policy text,
  policy_principals text,
  created_at integer not null,
  changed_at integer not null,
  accessed_at integer,
  remove_at integer
) strict;

CREATE INDEX secret_created on secret (account_id, region, created_at, secret_id);

CREATE UNIQUE INDEX secret_name on secret (account_id, region, name);

CREATE INDEX secret_removal on secret (remove_at, secret_id) where remove_at is not null;

CREATE TABLE secret_version (
  secret_version_id integer primary key autoincrement,
  secret_id integer not null references secret (secret_id),
  version_id text not null,
  kind text not null check (kind in ('string', 'binary')),
  value_sealed text not null,
  created_at integer not null,
  accessed_at integer
) strict;

CREATE UNIQUE INDEX secret_version_name on secret_version (secret_id, version_id);

CREATE INDEX secret_version_order on secret_version (secret_id, secret_version_id);

CREATE TABLE secret_stage (
  secret_id integer not null references secret (secret_id),
  stage text not null,
  version_id text not null,
  primary key (secret_id, stage)
) strict;

CREATE TABLE secret_tag (
  secret_id integer not null references secret (secret_id),
  key text not null,
  value text not null,
  primary key (secret_id, key)
) strict;

CREATE TABLE machine (
  machine_id text primary key,
  account_id text not null references account (account_id),
  profile_id integer not null references identity (identity_id) on delete cascade,
  name text not null,
  token_hash text not null unique,
  created_at integer not null,
  last_used_at integer
) strict;

CREATE UNIQUE INDEX machine_name on machine (account_id, name);

CREATE INDEX machine_profile on machine (profile_id);

CREATE TABLE repository_encryption (
  repository_id integer primary key references repository (repository_id),
  account_id text not null,
  protection_domain text not null,
  key_arn text not null,
  encryption_type text not null check (encryption_type in ('KMS', 'KMS_DSSE')),
  content_grant_id text not null,
  manage_grant_id text not null,
  wrapped_key text not null,
  sealed_secret text not null,
  sealed_inner_secret text check ((sealed_inner_secret is not null) = (encryption_type = 'KMS_DSSE'))
) strict;

CREATE INDEX repository_encryption_domain on repository_encryption (account_id, protection_domain, repository_id);

CREATE INDEX repository_encryption_key on repository_encryption (account_id, key_arn, encryption_type, repository_id);

CREATE TABLE registry_setting (
  account_id text not null,
  region text not null,
  name text not null,
  value text not null,
  updated_at integer not null,
  primary key (account_id, region, name)
) strict;

CREATE TABLE follow_up (
  manifest_id integer not null references manifest (manifest_id),
  kind text not null check (kind in ('scan', 'sign', 'replicate')),
  target text not null,
  state text not null check (state in ('IN_PROGRESS', 'COMPLETE', 'FAILED')),
  code text,
  reason text,
  detail text,
  started_at integer not null,
  settled_at integer,
  primary key (manifest_id, kind, target)
) strict;

CREATE INDEX follow_up_open on follow_up (kind, target, started_at) where state = 'IN_PROGRESS';

CREATE INDEX follow_up_scan on follow_up (started_at) where kind = 'scan';

CREATE TABLE lifecycle_policy (
  repository_id integer primary key references repository (repository_id) on delete cascade,
  policy_id text not null,
  version integer not null,
  policy text not null,
  updated_at integer not null,
  waiting_since integer not null,
  last_evaluated_at integer
) strict;

CREATE INDEX lifecycle_policy_waiting on lifecycle_policy (waiting_since, repository_id);

CREATE TABLE lifecycle_preview (
  preview_id text primary key,
  repository_id integer not null references repository (repository_id) on delete cascade,
  policy text not null,
  status text not null check (status in ('IN_PROGRESS', 'COMPLETE', 'FAILED')),
  started_at integer not null,
  settled_at integer,
  attempt integer not null default 0,
  expiring integer not null default 0,
  archiving integer not null default 0,
  replaced integer not null default 0 check (replaced in (0, 1)),
  results_until integer
) strict;

CREATE UNIQUE INDEX lifecycle_preview_current on lifecycle_preview (repository_id) where replaced = 0;

CREATE INDEX lifecycle_preview_repository on lifecycle_preview (repository_id);

CREATE INDEX lifecycle_preview_results_until on lifecycle_preview (results_until) where results_until is not null;

CREATE TABLE lifecycle_preview_result (
  preview_id text not null references lifecycle_preview (preview_id) on delete cascade,
  attempt integer not null,
  ordinal integer not null,
  digest text not null,
  tags text not null,
  tag_count integer not null,
  pushed_at integer not null,
  action text not null check (action in ('expire', 'archive')),
  priority integer not null,
  storage_class text not null check (storage_class in ('standard', 'archive')),
  primary key (preview_id, attempt, ordinal)
) strict;

CREATE INDEX lifecycle_preview_result_digest on lifecycle_preview_result (preview_id, attempt, digest);

CREATE TABLE orphaned_referrer (
  manifest_id integer primary key references manifest (manifest_id) on delete cascade
) strict;

CREATE TABLE blob_tier_check (
  blob_id integer primary key,
  due_at integer not null
) strict;

CREATE INDEX blob_tier_check_due on blob_tier_check (due_at, blob_id);

CREATE TABLE blob_move (
  move_id text primary key,
  blob_id integer not null unique,
  expires_at integer not null
) strict;

CREATE INDEX blob_move_expiry on blob_move (expires_at);

CREATE TABLE scan_finding (
  manifest_id integer not null references manifest (manifest_id) on delete cascade,
  target text not null,
  ordinal integer not null,
  finding text not null,
  primary key (manifest_id, target, ordinal)
) strict;

CREATE TABLE signing_certificate (
  profile_arn text not null,
  key_arn text not null,
  content_grant_id text not null,
  manage_grant_id text not null,
  wrapped_key text not null,
  certificate text not null,
  created_at integer not null,
  primary key (profile_arn, key_arn)
) strict;

CREATE TABLE creation_template (
  account_id text not null,
  region text not null,
  prefix text not null,
  given_prefix text not null,
  description text,
  encryption_type text not null check (encryption_type in ('AES256', 'KMS', 'KMS_DSSE')),
  kms_key text,
  resource_tags text not null,
  tag_mutability text not null
  check (tag_mutability in ('MUTABLE', 'IMMUTABLE', 'MUTABLE_WITH_EXCLUSION', 'IMMUTABLE_WITH_EXCLUSION')),
  mutability_filters text not null,
  repository_policy text,
  policy_principals text,
  lifecycle_policy text,
  applied_for text not null,
  role_arn text,
  created_at integer not null,
  updated_at integer not null,
  revision integer not null,
  primary key (account_id, region, prefix)
) strict;

CREATE TABLE pull_through_rule (
  account_id text not null,
  region text not null,
  prefix text not null,
  given_prefix text not null,
  upstream_kind text,
  upstream_url text not null,
  upstream_prefix text,
  credential_arn text,
  role_arn text,
  created_at integer not null,
  updated_at integer,
  primary key (account_id, region, prefix)
) strict;

CREATE TABLE upstream_fetch (
  account_id text not null,
  region text not null,
  repository_name text not null,
  digest text not null,
  fetch_id text not null unique,
  lease_until integer not null,
  primary key (account_id, region, repository_name, digest)
) strict;

CREATE INDEX upstream_fetch_lease on upstream_fetch (lease_until);

CREATE TABLE replication_upload (
  target text not null,
  repository_name text not null,
  digest text not null,
  location text not null,
  updated_at integer not null,
  primary key (target, repository_name, digest)
) strict;

CREATE INDEX replication_upload_age on replication_upload (updated_at);

CREATE TABLE event_cursor (
  name text primary key,
  transaction_id integer not null,
  change_id integer not null,
  owner text,
  fence integer not null default 0,
  lease_until integer not null,
  refusals integer not null default 0,
  failing_since integer,
  last_error text
) strict;

CREATE TABLE event_refusal (
  refusal_id integer primary key autoincrement,
  target text not null,
  event_id text not null,
  event text not null,
  reason text not null,
  refused_at integer not null
) strict;

CREATE INDEX event_refusal_age on event_refusal (refused_at);

CREATE INDEX event_refusal_target on event_refusal (target, refusal_id);

CREATE TABLE manifest_pull (
  manifest_id integer primary key references manifest (manifest_id) on delete cascade,
  pulled_at integer not null
) strict;

CREATE TABLE pull_time_exclusion (
  account_id text not null,
  region text not null,
  principal_arn text not null,
  created_at integer not null,
  primary key (account_id, region, principal_arn)
) strict;
