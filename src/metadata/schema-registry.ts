/** The tables of a registry's settings and of what follows a push, as Kysely sees them. */

/** One setting of a registry: JSON under a name of `registry-settings.ts`. */
export interface RegistrySettingTable {
  account_id: string;
  region: string;
  name: string;
  /** JSON. */
  value: string;
  updated_at: number;
}

/** One thing that is done with a manifest after its push, and how far it has come. */
export interface FollowUpTable {
  manifest_id: number;
  kind: "scan" | "sign" | "replicate";
  /** What or whither: empty for a scan, a signing profile, `<account>/<region>`. */
  target: string;
  state: "IN_PROGRESS" | "COMPLETE" | "FAILED";
  code: string | null;
  reason: string | null;
  /** JSON of its kind. */
  detail: string | null;
  started_at: number;
  settled_at: number | null;
}
