import type { ColumnTypes } from "../dialect.ts";

/**
 * Secrets, their values, staging labels and tags. A name is unique per account and region, also while its secret waits for its removal:
 * until then it can be restored. Removing a secret deletes its rows.
 */
export function secretSchema({ id, integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table secret (
      secret_id ${id},
      account_id ${text} not null,
      region ${text} not null,
      name ${text} not null,
      suffix ${text} not null,
      description ${text},
      policy ${text},
      policy_principals ${text},
      created_at ${integer} not null,
      changed_at ${integer} not null,
      accessed_at ${integer},
      remove_at ${integer}
    )${tableSuffix}`,
    `create unique index secret_name on secret (account_id, region, name)`,
    `create index secret_created on secret (account_id, region, created_at, secret_id)`,
    `create index secret_removal on secret (remove_at, secret_id) where remove_at is not null`,
    `create table secret_version (
      secret_version_id ${id},
      secret_id ${integer} not null references secret (secret_id),
      version_id ${text} not null,
      kind ${text} not null check (kind in ('string', 'binary')),
      value_sealed ${text} not null,
      created_at ${integer} not null,
      accessed_at ${integer}
    )${tableSuffix}`,
    `create unique index secret_version_name on secret_version (secret_id, version_id)`,
    `create index secret_version_order on secret_version (secret_id, secret_version_id)`,
    `create table secret_stage (
      secret_id ${integer} not null references secret (secret_id),
      stage ${text} not null,
      version_id ${text} not null,
      primary key (secret_id, stage)
    )${tableSuffix}`,
    `create table secret_tag (
      secret_id ${integer} not null references secret (secret_id),
      key ${text} not null,
      value ${text} not null,
      primary key (secret_id, key)
    )${tableSuffix}`,
  ];
}
