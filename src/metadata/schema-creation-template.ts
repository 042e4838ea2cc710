/** The table of repository creation templates as Kysely sees it. */
import type { RepositoryTable } from "./schema.ts";

/** The settings of repositories that the registry itself creates under a prefix. */
export interface CreationTemplateTable {
  account_id: string;
  region: string;
  /** Without a trailing slash; `ROOT` for what nothing else covers. */
  prefix: string;
  /** As it was written. */
  given_prefix: string;
  description: string | null;
  encryption_type: RepositoryTable["encryption_type"];
  /** Null with `AES256`, and where the account's default key is meant. */
  kms_key: string | null;
  /** JSON array of [key, value]. */
  resource_tags: string;
  tag_mutability: RepositoryTable["tag_mutability"];
  /** JSON array of wildcard patterns. */
  mutability_filters: string;
  repository_policy: string | null;
  /** JSON object: the unique ids that the principals of the policy had when it was stored. */
  policy_principals: string | null;
  lifecycle_policy: string | null;
  /** JSON array of occasions. */
  applied_for: string;
  role_arn: string | null;
  created_at: number;
  updated_at: number;
  /** Counts changes, for who changes what they have read. */
  revision: number;
}
