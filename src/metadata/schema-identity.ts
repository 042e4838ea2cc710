/** The tables of identities, policies and temporary credentials, as `schema.ts` takes them in. */
import type { Generated } from "kysely";

/** What users, groups, roles, managed policies and instance profiles have in common. */
export interface IdentityTable {
  identity_id: Generated<number>;
  account_id: string;
  kind: "user" | "group" | "role" | "policy" | "instance-profile";
  name: string;
  /** The name in lower case: names are unique without regard to case. */
  name_key: string;
  /** `AIDA…`, `AROA…`: never used again, stands for the identity in tokens, sessions and stored policies. */
  unique_id: string;
  path: string;
  description: string | null;
  boundary_arn: string | null;
  created_at: number;
  updated_at: number;
}

/** A tag of an identity; keys are one without regard to case. */
export interface IdentityTagTable {
  identity_id: number;
  key_folded: string;
  key: string;
  value: string;
}

/** Who is in which group. */
export interface GroupMemberTable {
  group_id: number;
  user_id: number;
}

/** A user's console password. */
export interface UserLoginTable {
  identity_id: number;
  password_hash: string;
  reset_required: number;
  created_at: number;
  last_used_at: number | null;
}

/** What only roles have. */
export interface RoleTable {
  identity_id: number;
  trust_document: string;
  /** JSON object: principals as the document names them → unique ids as of when it was stored. */
  trust_principals: string;
  max_session_seconds: number;
  /** The service of a service-linked role. */
  linked_service: string | null;
  last_used_at: number | null;
  last_used_region: string | null;
}

/** The one role of an instance profile. */
export interface InstanceProfileRoleTable {
  profile_id: number;
  role_id: number;
}

/** An OpenID Connect or SAML provider; `name` is the last part of its ARN. */
export interface IdentityProviderTable {
  provider_id: Generated<number>;
  account_id: string;
  kind: "oidc" | "saml";
  name: string;
  /** JSON. */
  settings: string;
  /** JSON object of strings. */
  tags: string;
  created_at: number;
}

/** What only managed policies have. */
export interface ManagedPolicyTable {
  identity_id: number;
  default_version: number;
  /** The highest number ever given: numbers are not used again. */
  last_version: number;
}

/** One version of a managed policy; the document exactly as it was given. */
export interface PolicyVersionTable {
  identity_id: number;
  version: number;
  document: string;
  created_at: number;
}

/** A policy inside a user, group or role. */
export interface InlinePolicyTable {
  identity_id: number;
  name: string;
  document: string;
  /** As quotas count it: without white space. */
  size_characters: number;
}

/** A managed policy attached to a user, group or role. */
export interface PolicyAttachmentTable {
  identity_id: number;
  policy_arn: string;
}

/** Temporary credentials. `context` and `policies` are JSON; `policies` is null when the session is not limited by any. */
export interface SessionTable {
  access_key_id: string;
  account_id: string;
  kind: "role" | "federated" | "user" | "root";
  /** The role, or the user who asked; null when root asked. */
  identity_id: number | null;
  session_name: string;
  secret_sealed: string;
  token_hash: string;
  policies: string | null;
  tags: string;
  transitive_keys: string;
  source_identity: string | null;
  context: string;
  issued_at: number;
  expires_at: number;
}

/** The policy of a repository, exactly as it was given. */
export interface RepositoryPolicyTable {
  repository_id: number;
  document: string;
  /** As in {@link RoleTable}. */
  principals: string;
  updated_at: number;
}

/** The policy of a registry. */
export interface RegistryPolicyTable {
  account_id: string;
  region: string;
  document: string;
  principals: string;
  updated_at: number;
}

/** A machine that was enrolled for an instance profile. */
export interface MachineTable {
  /** `i-` and 17 hexadecimal digits; the name of its sessions. */
  machine_id: string;
  account_id: string;
  profile_id: number;
  name: string;
  token_hash: string;
  created_at: number;
  last_used_at: number | null;
}
