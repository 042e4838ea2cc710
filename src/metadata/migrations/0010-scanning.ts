import type { ColumnTypes } from "../dialect.ts";

/**
 * What scans found, row by row so that it is read in pages, and the certificates of signing profiles. How a scan or a signature ended is in
 * `follow_up`; the column that said so for scans before is gone. Of a certificate's private key only the data key it is derived from is
 * kept, encrypted under a key of the profile's account.
 */
export function scanningSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `alter table manifest drop column scan_failure`,
    `create table scan_finding (
      manifest_id ${integer} not null references manifest (manifest_id) on delete cascade,
      target ${text} not null,
      ordinal ${integer} not null,
      finding ${text} not null,
      primary key (manifest_id, target, ordinal)
    )${tableSuffix}`,
    `create index follow_up_scan on follow_up (started_at) where kind = 'scan'`,
    `create table signing_certificate (
      profile_arn ${text} not null,
      key_arn ${text} not null,
      content_grant_id ${text} not null,
      manage_grant_id ${text} not null,
      wrapped_key ${text} not null,
      certificate ${text} not null,
      created_at ${integer} not null,
      primary key (profile_arn, key_arn)
    )${tableSuffix}`,
  ];
}
