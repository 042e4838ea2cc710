import * as manifests from "#metadata/manifests.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { PageRequest } from "./repository.ts";
import { cutPage, getRepository } from "./repository.ts";

/**
 * One page of the repository's tags in byte order, beginning after `after`, whether that is a tag or not; `next` is the `after` of the
 * next page. A limit of 0 gives an empty page and no next one. Throws `repository-not-found`. OCI distribution specification, end-8.
 */
export async function listTags(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  page: PageRequest<string>,
): Promise<{ readonly tags: readonly string[]; readonly next?: string }> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const { after, limit } = page;
  if (limit === 0) return { tags: [] };
  const query = { ...(after !== undefined && { after }), limit: limit + 1 };
  const { items, last } = cutPage(await manifests.listTags(ctx.core.metadata, repositoryId, query), limit);
  return { tags: items, ...(last !== undefined && { next: last }) };
}
