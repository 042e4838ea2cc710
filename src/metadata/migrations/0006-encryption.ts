import type { ColumnTypes } from "../dialect.ts";

/**
 * Repositories that are encrypted under a key of the key management service. The secret of a protection domain is in here once for each of
 * its repositories, sealed under a key of the repository that the service encrypted by the repository's own grant, so each repository stands and falls with its own. Grants are no
 * foreign keys: whoever owns the key may take them back at any time.
 */
export function encryptionSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `alter table repository add column kms_key_arn ${text}`,
    `alter table blob add column sealed_key ${text}`,
    `create table repository_encryption (
      repository_id ${integer} primary key references repository (repository_id),
      account_id ${text} not null,
      protection_domain ${text} not null,
      key_arn ${text} not null,
      encryption_type ${text} not null check (encryption_type in ('KMS', 'KMS_DSSE')),
      content_grant_id ${text} not null,
      manage_grant_id ${text} not null,
      wrapped_key ${text} not null,
      sealed_secret ${text} not null,
      sealed_inner_secret ${text} check ((sealed_inner_secret is not null) = (encryption_type = 'KMS_DSSE'))
    )${tableSuffix}`,
    `create index repository_encryption_domain on repository_encryption (account_id, protection_domain, repository_id)`,
    `create index repository_encryption_key on repository_encryption (account_id, key_arn, encryption_type, repository_id)`,
  ];
}
