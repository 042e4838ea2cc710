/** Policies that stand on repositories. What they mean, and whether they may be written, is decided elsewhere; here they are texts that are kept. */
import * as policies from "#metadata/resource-policies.ts";
import type { StoredPolicy } from "#metadata/resource-policies.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** Sets or replaces the policy of a repository. Throws `repository-not-found`. */
export async function putRepositoryPolicy(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  policy: StoredPolicy,
): Promise<void> {
  const input = { ...policy, key: repositoryKey(registry, name), author: authorOf(ctx) };
  if (!(await policies.putRepositoryPolicy(ctx.core.metadata, input))) refuse("repository-not-found", repositoryDetail(registry, name));
}

/** The text of a repository's policy, exactly as it was given; undefined when it has none. Throws `repository-not-found`. */
export async function findRepositoryPolicy(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName): Promise<string | undefined> {
  const access = await policies.findRepositoryAccess(ctx.core.metadata, repositoryKey(registry, name));
  return access === undefined ? refuse("repository-not-found", repositoryDetail(registry, name)) : access.policy?.document;
}

/** Removes a repository's policy and answers its text; undefined when it had none. Throws `repository-not-found`. */
export async function deleteRepositoryPolicy(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
): Promise<string | undefined> {
  const result = await policies.deleteRepositoryPolicy(ctx.core.metadata, { key: repositoryKey(registry, name), author: authorOf(ctx) });
  if (result.outcome === "not-found") return refuse("repository-not-found", repositoryDetail(registry, name));
  return result.outcome === "deleted" ? result.document : undefined;
}
