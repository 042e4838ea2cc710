import type { ColumnTypes } from "../dialect.ts";

/**
 * Keys of the key management service. A key's id is a random UUID that is never used again, so it is the primary key; what belongs to a key
 * goes with its row. A material is sealed before it comes here, and once deleted nobody can open what was encrypted under it.
 */
export function kmsSchema({ id, integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table kms_key (
      key_id ${text} primary key,
      account_id ${text} not null,
      region ${text} not null,
      description ${text} not null,
      manager ${text} not null check (manager in ('CUSTOMER', 'AWS')),
      state ${text} not null check (state in ('Enabled', 'Disabled', 'PendingDeletion')),
      policy ${text} not null,
      policy_principals ${text} not null,
      created_at ${integer} not null,
      deletion_at ${integer} check ((deletion_at is not null) = (state = 'PendingDeletion')),
      rotation_period_days ${integer},
      next_rotation_at ${integer} check ((next_rotation_at is null) = (rotation_period_days is null)),
      on_demand_rotations ${integer} not null,
      material ${integer} not null,
      material_id ${text} not null
    )${tableSuffix}`,
    `create unique index kms_key_registry on kms_key (account_id, region, key_id)`,
    `create index kms_key_deletion on kms_key (deletion_at, key_id) where deletion_at is not null`,
    `create index kms_key_rotation on kms_key (next_rotation_at, key_id) where next_rotation_at is not null and state = 'Enabled'`,
    `create table kms_material (
      key_id ${text} not null references kms_key (key_id),
      material ${integer} not null,
      material_id ${text} not null,
      sealed ${text} not null,
      rotation ${text} check (rotation in ('AUTOMATIC', 'ON_DEMAND')),
      created_at ${integer} not null,
      primary key (key_id, material)
    )${tableSuffix}`,
    `create table kms_key_tag (
      key_id ${text} not null references kms_key (key_id),
      key ${text} not null,
      value ${text} not null,
      primary key (key_id, key)
    )${tableSuffix}`,
    `create table kms_alias (
      account_id ${text} not null,
      region ${text} not null,
      name ${text} not null,
      key_id ${text} not null references kms_key (key_id),
      created_at ${integer} not null,
      updated_at ${integer} not null,
      primary key (account_id, region, name)
    )${tableSuffix}`,
    `create index kms_alias_key on kms_alias (key_id, name)`,
    `create table kms_grant (
      grant_row_id ${id},
      grant_id ${text} not null unique,
      key_id ${text} not null references kms_key (key_id),
      name ${text},
      fingerprint ${text},
      grantee ${text} not null,
      grantee_key ${text} not null,
      retiring ${text},
      retiring_key ${text},
      issuing_account ${text} not null,
      operations ${text} not null,
      constraint_kind ${text} check (constraint_kind in ('equals', 'subset')),
      constraint_context ${text},
      created_at ${integer} not null
    )${tableSuffix}`,
    `create unique index kms_grant_name on kms_grant (key_id, fingerprint) where fingerprint is not null`,
    `create index kms_grant_key on kms_grant (key_id, grant_row_id)`,
    `create index kms_grant_grantee on kms_grant (key_id, grantee_key, grant_row_id)`,
  ];
}
