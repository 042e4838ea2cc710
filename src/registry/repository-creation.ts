/**
 * Repositories that nobody creates by CreateRepository: those that the registry makes when it fetches, replicates or is pushed to. What they
 * are like is said by the creation template that covers their name (Amazon ECR User Guide, "Repository creation templates").
 */
import type { CreationOccasion, CreationTemplate } from "#metadata/creation-templates.ts";
import { findCreationTemplates } from "#metadata/creation-templates.ts";
import type { Repository } from "#metadata/repositories.ts";
import { findRepository } from "#metadata/repositories.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { coveringPrefixes, selectTemplate } from "./creation-template-match.ts";
import { RegistryError, refuse } from "./errors.ts";
import { createRepository } from "./repository.ts";
import { repositoryDetail, repositoryKey } from "./scope.ts";

export type { CreationOccasion } from "#metadata/creation-templates.ts";

/** The template by which a repository of this name would be created on this occasion: the longest prefix of those that are applied for it. */
export async function findTemplateFor(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  occasion: CreationOccasion,
): Promise<CreationTemplate | undefined> {
  return selectTemplate(await findCreationTemplates(ctx.core.metadata, registry, coveringPrefixes(name)), name, occasion);
}

/**
 * The repository of that name, created if it is not there, by the template for the occasion or, without one, with ECR's defaults. Whoever
 * comes second while it is being created gets the same repository. The caller's permission is the caller's matter.
 * Throws `repository-not-found` where nothing is created without a template (on a push), `creation-refused` with the reason when the
 * template cannot be followed, `limit-exceeded`.
 */
export async function createByService(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  occasion: CreationOccasion,
): Promise<Repository> {
  const existing = await findRepository(ctx.core.metadata, repositoryKey(registry, name));
  if (existing !== undefined) return existing;
  const template = await findTemplateFor(ctx, registry, name, occasion);
  if (template === undefined && occasion === "CREATE_ON_PUSH") return refuse("repository-not-found", repositoryDetail(registry, name));
  try {
    if (template === undefined) return await createRepository(ctx, registry, name);
    return await createFrom(ctx, registry, name, template);
  } catch (error) {
    return await settle(ctx, registry, name, error);
  }
}

async function createFrom(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  template: CreationTemplate,
): Promise<Repository> {
  const { encryptionType: type, kmsKey, tagMutability, mutabilityFilters, repositoryPolicy, lifecyclePolicy } = template;
  const resourceTags = Object.fromEntries(template.resourceTags);
  await checkRole(ctx, registry, name, template);
  return await createRepository(ctx, registry, name, {
    tagMutability,
    mutabilityFilters,
    resourceTags,
    encryption: type === "AES256" ? undefined : { type, kmsKey },
    policy: repositoryPolicy,
    lifecyclePolicy,
  });
}

/** Tags and keys are given away only by a role that may do so itself: who wrote the template had to be allowed to pass it. */
async function checkRole(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, template: CreationTemplate): Promise<void> {
  const { roleArn, resourceTags, encryptionType, kmsKey } = template;
  const needsRole = resourceTags.length > 0 || encryptionType !== "AES256";
  if (!needsRole) return;
  const problem =
    roleArn === undefined
      ? `the repository creation template '${template.givenPrefix}' sets resource tags or a KMS key and has no customRoleArn`
      : await ctx.core.creationRoles.findProblem({
          roleArn,
          registry,
          name,
          resourceTags: Object.fromEntries(resourceTags),
          ...(encryptionType !== "AES256" && { encryption: { kmsKey } }),
        });
  if (problem !== undefined) refuse("creation-refused", { ...repositoryDetail(registry, name), reason: problem });
}

/** Another request may have created it meanwhile; and what is wrong with a template is for its owner, in the log, not for who pulls or pushes. */
async function settle(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, error: unknown): Promise<Repository> {
  if (!(error instanceof RegistryError)) throw error;
  const { refusal } = error;
  if (refusal.kind === "limit-exceeded" || refusal.kind === "storage-full") throw error;
  if (refusal.kind === "repository-exists") {
    const made = await findRepository(ctx.core.metadata, repositoryKey(registry, name));
    // Deleted again in this moment: then it does not exist.
    return made ?? refuse("repository-not-found", repositoryDetail(registry, name));
  }
  const reason = refusal.kind === "creation-refused" ? refusal.detail.reason : reasonOf(refusal);
  ctx.core.log.warn({ registry: registry.accountId, repository: name, reason }, "a repository could not be created by its template");
  return refuse("creation-refused", { ...repositoryDetail(registry, name), reason });
}

function reasonOf(refusal: RegistryError["refusal"]): string {
  if (refusal.kind !== "key-unusable") return refusal.kind;
  const { kmsError, reason } = refusal.detail;
  return `the KMS key of the template cannot be used: ${kmsError}: ${reason}`;
}
