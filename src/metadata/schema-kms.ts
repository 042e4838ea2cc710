/** The tables of the key management service, as `schema.ts` takes them in. */
import type { Generated } from "kysely";

/** A key; `material` is the number of the one that encrypts now. */
export interface KmsKeyTable {
  key_id: string;
  account_id: string;
  region: string;
  description: string;
  manager: "CUSTOMER" | "AWS";
  state: "Enabled" | "Disabled" | "PendingDeletion";
  policy: string;
  /** JSON object: principals as the policy names them → unique ids as of when it was stored. */
  policy_principals: string;
  created_at: number;
  deletion_at: number | null;
  rotation_period_days: number | null;
  next_rotation_at: number | null;
  on_demand_rotations: number;
  material: number;
  material_id: string;
}

/** One secret of a key; all of a key's materials decrypt, the newest encrypts. */
export interface KmsMaterialTable {
  key_id: string;
  material: number;
  material_id: string;
  sealed: string;
  /** What made it; null for the first. */
  rotation: "AUTOMATIC" | "ON_DEMAND" | null;
  created_at: number;
}

/** A tag of a key. */
export interface KmsKeyTagTable {
  key_id: string;
  key: string;
  value: string;
}

/** A name of a key, `alias/…`, unique in its account and region. */
export interface KmsAliasTable {
  account_id: string;
  region: string;
  name: string;
  key_id: string;
  created_at: number;
  updated_at: number;
}

/** A permission to use a key that stands beside its policy. */
export interface KmsGrantTable {
  grant_row_id: Generated<number>;
  grant_id: string;
  key_id: string;
  name: string | null;
  /** Of a grant with a name: the same request again finds it by this. */
  fingerprint: string | null;
  grantee: string;
  /** The grantee's unique id as of when the grant was made, else `grantee` itself. */
  grantee_key: string;
  retiring: string | null;
  retiring_key: string | null;
  issuing_account: string;
  /** JSON list. */
  operations: string;
  constraint_kind: "equals" | "subset" | null;
  /** JSON object of strings. */
  constraint_context: string | null;
  created_at: number;
}
