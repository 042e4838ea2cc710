/** The tables of pull times as Kysely sees them. */

/** When a manifest was pulled last; no row while it never was. */
export interface ManifestPullTable {
  manifest_id: number;
  pulled_at: number;
}

/** A user or role whose pulls do not count in a registry. */
export interface PullTimeExclusionTable {
  account_id: string;
  region: string;
  principal_arn: string;
  created_at: number;
}
