import type { ColumnTypes } from "../dialect.ts";

/**
 * Repository creation templates, pull-through cache rules, and what was fetched by them. A template is known by its prefix without the
 * trailing slash; `given_prefix` is how it was written.
 */
export function upstreamSchema({ integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table creation_template (
      account_id ${text} not null,
      region ${text} not null,
      prefix ${text} not null,
      given_prefix ${text} not null,
      description ${text},
      encryption_type ${text} not null check (encryption_type in ('AES256', 'KMS', 'KMS_DSSE')),
      kms_key ${text},
      resource_tags ${text} not null,
      tag_mutability ${text} not null
        check (tag_mutability in ('MUTABLE', 'IMMUTABLE', 'MUTABLE_WITH_EXCLUSION', 'IMMUTABLE_WITH_EXCLUSION')),
      mutability_filters ${text} not null,
      repository_policy ${text},
      policy_principals ${text},
      lifecycle_policy ${text},
      applied_for ${text} not null,
      role_arn ${text},
      created_at ${integer} not null,
      updated_at ${integer} not null,
      revision ${integer} not null,
      primary key (account_id, region, prefix)
    )${tableSuffix}`,
    `create table pull_through_rule (
      account_id ${text} not null,
      region ${text} not null,
      prefix ${text} not null,
      given_prefix ${text} not null,
      upstream_kind ${text},
      upstream_url ${text} not null,
      upstream_prefix ${text},
      credential_arn ${text},
      role_arn ${text},
      created_at ${integer} not null,
      updated_at ${integer},
      primary key (account_id, region, prefix)
    )${tableSuffix}`,
    `create table upstream_fetch (
      account_id ${text} not null,
      region ${text} not null,
      repository_name ${text} not null,
      digest ${text} not null,
      fetch_id ${text} not null unique,
      lease_until ${integer} not null,
      primary key (account_id, region, repository_name, digest)
    )${tableSuffix}`,
    `create index upstream_fetch_lease on upstream_fetch (lease_until)`,
    // When the registry that a tag comes from was last asked about it; null for tags that were only pushed.
    `alter table tag add column validated_at ${integer}`,
  ];
}
