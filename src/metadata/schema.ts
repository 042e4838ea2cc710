/**
 * The tables as Kysely sees them; `migrations/` makes them. Times are milliseconds since the epoch, booleans 0 or 1,
 * JSON is text. Invariant: rows of `repository`, `manifest` and `tag` are live while `deleted_at` is null, and what
 * belongs to a tombstoned repository is hidden by the repository's tombstone alone.
 */
import type { Generated, Selectable } from "kysely";
import type { CreationTemplateTable } from "./schema-creation-template.ts";
import type { EventCursorTable, EventRefusalTable } from "./schema-event.ts";
import type {
  GroupMemberTable,
  IdentityProviderTable,
  IdentityTable,
  IdentityTagTable,
  InlinePolicyTable,
  InstanceProfileRoleTable,
  MachineTable,
  ManagedPolicyTable,
  PolicyAttachmentTable,
  PolicyVersionTable,
  RegistryPolicyTable,
  RepositoryPolicyTable,
  RoleTable,
  SessionTable,
  UserLoginTable,
} from "./schema-identity.ts";
import type { KmsAliasTable, KmsGrantTable, KmsKeyTable, KmsKeyTagTable, KmsMaterialTable } from "./schema-kms.ts";
import type {
  LifecyclePolicyTable,
  LifecyclePreviewResultTable,
  LifecyclePreviewTable,
  OrphanedReferrerTable,
} from "./schema-lifecycle.ts";
import type { ManifestPullTable, PullTimeExclusionTable } from "./schema-pull-time.ts";
import type { ReplicationUploadTable } from "./schema-replication.ts";
import type { FollowUpTable, RegistrySettingTable } from "./schema-registry.ts";
import type { BlobMoveTable, BlobTierCheckTable } from "./schema-storage-class.ts";
import type { PullThroughRuleTable, UpstreamFetchTable } from "./schema-pull-through.ts";
import type { ScanFindingTable, SigningCertificateTable } from "./schema-scanning.ts";
import type { SecretStageTable, SecretTable, SecretTagTable, SecretVersionTable } from "./schema-secrets.ts";

/** One key and value of the instance itself, such as the mark of a development data folder. */
export interface InstanceTable {
  key: string;
  value: string;
}

/** An account that this deployment knows. */
export interface AccountTable {
  account_id: string;
  created_at: number;
  /** For people: what the operator called it. */
  name: string | null;
  /** Unique in the deployment. */
  alias: string | null;
  /** JSON; null while the account has none. */
  password_policy: string | null;
}

/** A long-term access key; the secret is sealed before it comes here. */
export interface AccessKeyTable {
  access_key_id: string;
  account_id: string;
  /** The user whose key it is; null for a root key. */
  identity_id: number | null;
  secret_sealed: string;
  status: "Active" | "Inactive";
  created_at: number;
  last_used_at: number | null;
  last_used_service: string | null;
  last_used_region: string | null;
}

/** Counters that caches compare: `identity` moves with every identity or policy write. */
export interface EpochTable {
  name: string;
  value: number;
}

/** One registry (account and region) with the number of its live repositories; locking the row serialises creation. */
export interface RegistryTable {
  account_id: string;
  region: string;
  repository_count: number;
}

/** A repository, live or tombstoned. */
export interface RepositoryTable {
  repository_id: Generated<number>;
  account_id: string;
  region: string;
  name: string;
  created_at: number;
  deleted_at: number | null;
  tag_mutability: "MUTABLE" | "IMMUTABLE" | "MUTABLE_WITH_EXCLUSION" | "IMMUTABLE_WITH_EXCLUSION";
  /** JSON array of wildcard patterns. */
  mutability_filters: string;
  scan_on_push: number;
  encryption_type: "AES256" | "KMS" | "KMS_DSSE";
  protection_domain: string;
  /** Counts changes of settings. */
  revision: Generated<number>;
  /** Null with `AES256`. */
  kms_key_arn: string | null;
}

/** What a repository that is encrypted under a key needs to be read; see the migration. */
export interface RepositoryEncryptionTable {
  repository_id: number;
  account_id: string;
  protection_domain: string;
  key_arn: string;
  encryption_type: "KMS" | "KMS_DSSE";
  content_grant_id: string;
  manage_grant_id: string;
  /** Base64: the repository's own key, encrypted under the key of `key_arn`. */
  wrapped_key: string;
  /** The domain's secret, sealed under the repository's own key. */
  sealed_secret: string;
  /** Under the instance key; only with `KMS_DSSE`. */
  sealed_inner_secret: string | null;
}

/** Counters of a repository, apart from its row so that pushes need no exclusive lock on it. */
export interface RepositoryUsageTable {
  repository_id: number;
  manifest_count: number;
}

/** A resource tag (key and value) of a repository. */
export interface ResourceTagTable {
  repository_id: number;
  key: string;
  value: string;
}

/** A manifest without its bytes. */
export interface ManifestTable {
  manifest_id: Generated<number>;
  repository_id: number;
  digest: string;
  media_type: string;
  kind: "image" | "index";
  artifact_type: string | null;
  config_media_type: string | null;
  size_bytes: number;
  content_size_bytes: number;
  subject_digest: string | null;
  /** JSON object of strings. */
  annotations: string | null;
  pushed_at: number;
  /** Number of live tags on it; makes tagged and untagged listings index ranges. */
  tag_count: Generated<number>;
  deleted_at: number | null;
  /** Its storage class: only what is `ACTIVE` can be pulled; `ACTIVATING` is on its way back from the archive. */
  status: Generated<"ACTIVE" | "ARCHIVED" | "ACTIVATING">;
  last_archived_at: number | null;
  last_activated_at: number | null;
  /** 1: it came by replication, and nobody has changed anything about it by a push since. Copies are not sent on. */
  is_copy: Generated<number>;
}

/** A manifest's exact bytes, apart from the hot rows. */
export interface ManifestBytesTable {
  manifest_id: number;
  bytes: Uint8Array;
}

/** A blob that a manifest references; one row per digest. */
export interface ManifestBlobTable {
  manifest_id: number;
  repository_id: number;
  blob_id: number;
  digest: string;
  media_type: string;
  size_bytes: number;
  role: "config" | "layer";
  /** 1 while the manifest is `ACTIVE` and not tombstoned, so that "does a manifest that can be pulled reference it" is one index probe. */
  live: number;
}

/** A manifest that an index references, by digest: the child may be absent where sparse indexes are allowed. */
export interface ManifestChildTable {
  manifest_id: number;
  repository_id: number;
  digest: string;
  media_type: string;
  size_bytes: number;
  /** 1 while the index is neither tombstoned nor archived: then it holds its children. */
  live: number;
}

/** A tag. Moving it updates the row; deleting it leaves a tombstone. */
export interface TagTable {
  tag_id: Generated<number>;
  repository_id: number;
  name: string;
  manifest_id: number;
  /** Counts the moves. */
  revision: Generated<number>;
  /** When, and at the same time its version: it grows with every move, whatever clocks say. */
  tagged_at: number;
  deleted_at: number | null;
  /** When the registry that it comes from by pull-through was last asked about it. */
  validated_at: Generated<number | null>;
}

/** One stored copy of a digest inside (account, protection domain). `gone` is the intent to delete exactly `storage_key`. */
export interface BlobTable {
  blob_id: Generated<number>;
  account_id: string;
  protection_domain: string;
  digest: string;
  size_bytes: number;
  storage_key: string;
  state: "live" | "condemned" | "gone";
  /** Since when no repository links it; null while one does. */
  unlinked_at: number | null;
  condemned_at: number | null;
  created_at: number;
  /** The data keys of the stored copy, sealed under the secrets of its protection domain; null in the plain domain. */
  sealed_key: string | null;
  /** Where `storage_key` is. What is cold can be read, but never promised: whoever adds a reference needs a standard copy. */
  tier: Generated<"standard" | "cold">;
}

/** The right of a repository to a blob. */
export interface BlobLinkTable {
  repository_id: number;
  blob_id: number;
  /** Readable until then even unreferenced. Null: held by manifest rows only; the purge that removes the last of them writes 0. */
  grace_until: number | null;
}

/** An open upload session. */
export interface UploadSessionTable {
  upload_id: string;
  repository_id: number;
  principal_id: string;
  algorithm: "sha256" | "sha512";
  received_bytes: number;
  digest_so_far: string | null;
  parts: number;
  smallest_part_bytes: number | null;
  last_part_bytes: number | null;
  created_at: number;
  expires_at: number;
}

/** One append of an upload session; the row is there before the first byte. */
export interface UploadSegmentTable {
  segment_key: string;
  upload_id: string;
  state: "writing" | "committed";
  ordinal: number | null;
  offset_bytes: number | null;
  size_bytes: number | null;
}

/** The change log: who, when, what it was, what it became. */
export interface ChangeTable {
  change_id: Generated<number>;
  /** Postgres: the writing transaction, for the readers' watermark. SQLite, with its one writer: 0. */
  transaction_id: Generated<number>;
  account_id: string;
  region: string;
  repository_id: number | null;
  repository_name: string;
  at: number;
  principal_arn: string;
  request_id: string;
  kind: string;
  /** What inside the repository changed: a tag, a digest, or empty for the repository itself. */
  subject: string;
  /** JSON; null when there was nothing before. */
  before: string | null;
  /** JSON; null when nothing is there afterwards. */
  after: string | null;
}

/** Background work. */
export interface JobTable {
  job_id: Generated<number>;
  kind: string;
  payload: string;
  state: "waiting" | "running" | "dead";
  /** Waiting: when it may run. Running: when its lease ends. */
  due_at: number;
  attempts: Generated<number>;
  dedupe_key: string | null;
  last_error: string | null;
}

/** All tables. */
export interface Schema {
  instance: InstanceTable;
  account: AccountTable;
  access_key: AccessKeyTable;
  identity: IdentityTable;
  identity_tag: IdentityTagTable;
  group_member: GroupMemberTable;
  user_login: UserLoginTable;
  role: RoleTable;
  instance_profile_role: InstanceProfileRoleTable;
  identity_provider: IdentityProviderTable;
  managed_policy: ManagedPolicyTable;
  policy_version: PolicyVersionTable;
  inline_policy: InlinePolicyTable;
  policy_attachment: PolicyAttachmentTable;
  session: SessionTable;
  repository_policy: RepositoryPolicyTable;
  registry_policy: RegistryPolicyTable;
  machine: MachineTable;
  kms_key: KmsKeyTable;
  kms_material: KmsMaterialTable;
  kms_key_tag: KmsKeyTagTable;
  kms_alias: KmsAliasTable;
  kms_grant: KmsGrantTable;
  secret: SecretTable;
  secret_version: SecretVersionTable;
  secret_stage: SecretStageTable;
  secret_tag: SecretTagTable;
  epoch: EpochTable;
  registry: RegistryTable;
  registry_setting: RegistrySettingTable;
  lifecycle_policy: LifecyclePolicyTable;
  lifecycle_preview: LifecyclePreviewTable;
  lifecycle_preview_result: LifecyclePreviewResultTable;
  orphaned_referrer: OrphanedReferrerTable;
  pull_through_rule: PullThroughRuleTable;
  upstream_fetch: UpstreamFetchTable;
  follow_up: FollowUpTable;
  scan_finding: ScanFindingTable;
  signing_certificate: SigningCertificateTable;
  replication_upload: ReplicationUploadTable;
  creation_template: CreationTemplateTable;
  manifest_pull: ManifestPullTable;
  pull_time_exclusion: PullTimeExclusionTable;
  repository: RepositoryTable;
  repository_encryption: RepositoryEncryptionTable;
  repository_usage: RepositoryUsageTable;
  resource_tag: ResourceTagTable;
  manifest: ManifestTable;
  manifest_bytes: ManifestBytesTable;
  manifest_blob: ManifestBlobTable;
  manifest_child: ManifestChildTable;
  tag: TagTable;
  blob: BlobTable;
  blob_link: BlobLinkTable;
  blob_tier_check: BlobTierCheckTable;
  blob_move: BlobMoveTable;
  upload_session: UploadSessionTable;
  upload_segment: UploadSegmentTable;
  change: ChangeTable;
  event_cursor: EventCursorTable;
  event_refusal: EventRefusalTable;
  job: JobTable;
}

/** A whole repository row. */
export type RepositoryRow = Selectable<RepositoryTable>;
/** A whole manifest row. */
export type ManifestRow = Selectable<ManifestTable>;
/** A whole blob row. */
export type BlobRow = Selectable<BlobTable>;
