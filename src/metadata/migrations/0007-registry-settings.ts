import type { ColumnTypes } from "../dialect.ts";

/**
 * Settings of a registry as one row each, and what follows a push: one row for each thing that is to be done with a manifest (scan it, sign it,
 * copy it to a place), which is also where its state is read. The work itself is a job, inserted with the row.
 */
export function registrySettingSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table registry_setting (
      account_id ${text} not null,
      region ${text} not null,
      name ${text} not null,
      value ${text} not null,
      updated_at ${integer} not null,
      primary key (account_id, region, name)
    )${tableSuffix}`,
    `create table follow_up (
      manifest_id ${integer} not null references manifest (manifest_id),
      kind ${text} not null check (kind in ('scan', 'sign', 'replicate')),
      target ${text} not null,
      state ${text} not null check (state in ('IN_PROGRESS', 'COMPLETE', 'FAILED')),
      code ${text},
      reason ${text},
      detail ${text},
      started_at ${integer} not null,
      settled_at ${integer},
      primary key (manifest_id, kind, target)
    )${tableSuffix}`,
    `create index kms_grant_retiring on kms_grant (retiring_key, grant_row_id) where retiring_key is not null`,
  ];
}
