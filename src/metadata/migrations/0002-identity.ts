import type { ColumnTypes } from "../dialect.ts";

/**
 * Identities: users, groups, roles, managed policies and instance profiles share one table, because names, paths, unique ids, tags and
 * listings are the same for all of them; what only one kind has stands in a table of its own beside it. Names are unique per account
 * and kind without regard to case. Deleting an identity deletes its rows: unique ids are never used again, and the audit log remembers.
 */
export function identitySchema(types: ColumnTypes): readonly string[] {
  return [
    ...accountColumns(types),
    ...identityTables(types),
    ...policyTables(types),
    ...credentialTables(types),
    ...resourcePolicyTables(types),
  ];
}

function accountColumns({ text }: ColumnTypes): string[] {
  return [
    `alter table account add column name ${text}`,
    `alter table account add column alias ${text}`,
    `alter table account add column password_policy ${text}`,
    `create unique index account_alias on account (alias) where alias is not null`,
  ];
}

function identityTables({ id, integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table identity (
      identity_id ${id},
      account_id ${text} not null references account (account_id),
      kind ${text} not null check (kind in ('user', 'group', 'role', 'policy', 'instance-profile')),
      name ${text} not null,
      name_key ${text} not null,
      unique_id ${text} not null unique,
      path ${text} not null,
      description ${text},
      boundary_arn ${text},
      created_at ${integer} not null,
      updated_at ${integer} not null
    )${tableSuffix}`,
    `create unique index identity_name on identity (account_id, kind, name_key)`,
    `create index identity_boundary on identity (boundary_arn, identity_id) where boundary_arn is not null`,
    `create table identity_tag (
      identity_id ${integer} not null references identity (identity_id),
      key_folded ${text} not null,
      key ${text} not null,
      value ${text} not null,
      primary key (identity_id, key_folded)
    )${tableSuffix}`,
    `create table group_member (
      group_id ${integer} not null references identity (identity_id),
      user_id ${integer} not null references identity (identity_id),
      primary key (group_id, user_id)
    )${tableSuffix}`,
    `create index group_member_user on group_member (user_id, group_id)`,
    `create table user_login (
      identity_id ${integer} primary key references identity (identity_id),
      password_hash ${text} not null,
      reset_required ${integer} not null check (reset_required in (0, 1)),
      created_at ${integer} not null,
      last_used_at ${integer}
    )${tableSuffix}`,
    `create table role (
      identity_id ${integer} primary key references identity (identity_id),
      trust_document ${text} not null,
      trust_principals ${text} not null,
      max_session_seconds ${integer} not null,
      linked_service ${text},
      last_used_at ${integer},
      last_used_region ${text}
    )${tableSuffix}`,
    `create table instance_profile_role (
      profile_id ${integer} primary key references identity (identity_id),
      role_id ${integer} not null references identity (identity_id)
    )${tableSuffix}`,
    `create index instance_profile_role_role on instance_profile_role (role_id, profile_id)`,
    `create table identity_provider (
      provider_id ${id},
      account_id ${text} not null references account (account_id),
      kind ${text} not null check (kind in ('oidc', 'saml')),
      name ${text} not null,
      settings ${text} not null,
      tags ${text} not null,
      created_at ${integer} not null
    )${tableSuffix}`,
    `create unique index identity_provider_name on identity_provider (account_id, kind, name)`,
  ];
}

function policyTables({ integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table managed_policy (
      identity_id ${integer} primary key references identity (identity_id),
      default_version ${integer} not null,
      last_version ${integer} not null
    )${tableSuffix}`,
    `create table policy_version (
      identity_id ${integer} not null references identity (identity_id),
      version ${integer} not null,
      document ${text} not null,
      created_at ${integer} not null,
      primary key (identity_id, version)
    )${tableSuffix}`,
    `create table inline_policy (
      identity_id ${integer} not null references identity (identity_id),
      name ${text} not null,
      document ${text} not null,
      size_characters ${integer} not null,
      primary key (identity_id, name)
    )${tableSuffix}`,
    // By ARN and not by row: the policies that AWS manages are part of the program.
    `create table policy_attachment (
      identity_id ${integer} not null references identity (identity_id),
      policy_arn ${text} not null,
      primary key (identity_id, policy_arn)
    )${tableSuffix}`,
    `create index policy_attachment_policy on policy_attachment (policy_arn, identity_id)`,
  ];
}

function credentialTables({ integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    // A root key belongs to no identity; every other key is a user's.
    `create table access_key_new (
      access_key_id ${text} primary key,
      account_id ${text} not null references account (account_id),
      identity_id ${integer} references identity (identity_id),
      secret_sealed ${text} not null,
      status ${text} not null check (status in ('Active', 'Inactive')),
      created_at ${integer} not null,
      last_used_at ${integer},
      last_used_service ${text},
      last_used_region ${text}
    )${tableSuffix}`,
    `insert into access_key_new (access_key_id, account_id, secret_sealed, status, created_at)
      select access_key_id, account_id, secret_sealed, status, created_at from access_key`,
    `drop table access_key`,
    `alter table access_key_new rename to access_key`,
    `create index access_key_identity on access_key (identity_id, access_key_id) where identity_id is not null`,
    `create index access_key_root on access_key (account_id, access_key_id) where identity_id is null`,
    `create table session (
      access_key_id ${text} primary key,
      account_id ${text} not null references account (account_id),
      kind ${text} not null check (kind in ('role', 'federated', 'user', 'root')),
      identity_id ${integer} references identity (identity_id),
      session_name ${text} not null,
      secret_sealed ${text} not null,
      token_hash ${text} not null,
      policies ${text},
      tags ${text} not null,
      transitive_keys ${text} not null,
      source_identity ${text},
      context ${text} not null,
      issued_at ${integer} not null,
      expires_at ${integer} not null
    )${tableSuffix}`,
    `create index session_identity on session (identity_id, access_key_id) where identity_id is not null`,
    `create index session_expiry on session (expires_at)`,
  ];
}

function resourcePolicyTables({ integer, text, tableSuffix }: ColumnTypes): string[] {
  return [
    `create table repository_policy (
      repository_id ${integer} primary key references repository (repository_id),
      document ${text} not null,
      principals ${text} not null,
      updated_at ${integer} not null
    )${tableSuffix}`,
    `create table registry_policy (
      account_id ${text} not null,
      region ${text} not null,
      document ${text} not null,
      principals ${text} not null,
      updated_at ${integer} not null,
      primary key (account_id, region)
    )${tableSuffix}`,
  ];
}
