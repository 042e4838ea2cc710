import type { ColumnTypes } from "../dialect.ts";

/**
 * When manifests were pulled last, apart from their rows: a pull must not wait for a push. And whose pulls do not count, by registry.
 * A purged manifest takes its pull time with it, also one that is being noted at that moment.
 */
export function pullTimeSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table manifest_pull (
      manifest_id ${integer} primary key references manifest (manifest_id) on delete cascade,
      pulled_at ${integer} not null
    )${tableSuffix}`,
    `create table pull_time_exclusion (
      account_id ${text} not null,
      region ${text} not null,
      principal_arn ${text} not null,
      created_at ${integer} not null,
      primary key (account_id, region, principal_arn)
    )${tableSuffix}`,
  ];
}
