import type { ColumnTypes } from "../dialect.ts";

/** Machines that were enrolled for an instance profile: they get the short-lived credentials of its role for a token of their own. */
export function machineSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table machine (
      machine_id ${text} primary key,
      account_id ${text} not null references account (account_id),
      profile_id ${integer} not null references identity (identity_id) on delete cascade,
      name ${text} not null,
      token_hash ${text} not null unique,
      created_at ${integer} not null,
      last_used_at ${integer}
    )${tableSuffix}`,
    `create unique index machine_name on machine (account_id, name)`,
    `create index machine_profile on machine (profile_id)`,
  ];
}
