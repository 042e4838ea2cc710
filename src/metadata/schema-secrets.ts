/** The tables of secrets, as `schema.ts` takes them in. */
import type { Generated } from "kysely";

/** A secret without its values. */
export interface SecretTable {
  secret_id: Generated<number>;
  account_id: string;
  region: string;
  name: string;
  /** The random letters at the end of its ARN: a secret that gets a deleted one's name is another secret. */
  suffix: string;
  description: string | null;
  /** The resource policy as it was given; null while there is none. */
  policy: string | null;
  /** JSON: principals of the policy as written → unique ids. */
  policy_principals: string | null;
  created_at: number;
  changed_at: number;
  /** The day of the last reading of a value; null before the first. */
  accessed_at: number | null;
  /** When it is removed for good; null while it is not marked deleted. */
  remove_at: number | null;
}

/** One value of a secret, sealed before it comes here. */
export interface SecretVersionTable {
  /** Grows with every version of a secret. */
  secret_version_id: Generated<number>;
  secret_id: number;
  /** What callers know it by; unique within the secret. */
  version_id: string;
  kind: "string" | "binary";
  value_sealed: string;
  created_at: number;
  accessed_at: number | null;
}

/** A staging label: within a secret it is on one version at a time. */
export interface SecretStageTable {
  secret_id: number;
  stage: string;
  version_id: string;
}

/** A tag (key and value) of a secret. */
export interface SecretTagTable {
  secret_id: number;
  key: string;
  value: string;
}
