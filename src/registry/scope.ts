import type { RepositoryName } from "#oci/repository-name.ts";
import type { Author } from "#metadata/changes.ts";
import type { RepositoryKey } from "#metadata/repositories.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { RepositoryDetail } from "./errors.ts";

/** Who writes, for the change log. */
export function authorOf(ctx: RegistryContext): Author {
  return { principalArn: ctx.actor.arn, requestId: ctx.requestId, now: ctx.core.clock.now() };
}

/** How the metadata names a repository. */
export function repositoryKey(registry: RegistryRef, name: RepositoryName): RepositoryKey {
  return { accountId: registry.accountId, region: registry.region, name };
}

/** How a refusal names a repository. */
export function repositoryDetail(registry: RegistryRef, name: RepositoryName): RepositoryDetail {
  return { registryId: registry.accountId, repositoryName: name };
}
