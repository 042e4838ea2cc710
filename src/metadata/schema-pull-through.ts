/** The tables of pull-through cache rules and of what is fetched by them now, as Kysely sees them. */

/** One rule: names under a prefix are fetched from another registry. */
export interface PullThroughRuleTable {
  account_id: string;
  region: string;
  /** Without a trailing slash; `ROOT` covers every name. */
  prefix: string;
  /** As it was written. */
  given_prefix: string;
  /** ECR's name of the upstream; null for one that ECR does not know. */
  upstream_kind: string | null;
  /** `host[:port]` */
  upstream_url: string;
  /** As it was written; null when nothing was, which means what `ROOT` does. */
  upstream_prefix: string | null;
  credential_arn: string | null;
  role_arn: string | null;
  created_at: number;
  updated_at: number | null;
}

/** A blob that a node is fetching. */
export interface UpstreamFetchTable {
  account_id: string;
  region: string;
  repository_name: string;
  digest: string;
  fetch_id: string;
  lease_until: number;
}
