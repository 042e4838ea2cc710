/** Keeping the templates by which a registry creates repositories itself; `repository-creation.ts` follows them. */
import type { CreationSettings, CreationTemplate, CreationTemplateKey } from "#metadata/creation-templates.ts";
import * as templates from "#metadata/creation-templates.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { barePrefix } from "./creation-template-match.ts";
import { refuse } from "./errors.ts";
import type { PageRequest } from "./repository.ts";
import { cutPage } from "./repository.ts";
import { checkResourceTags } from "./resource-tag.ts";
import { authorOf } from "./scope.ts";
import { checkMutabilityFilters } from "./tag-mutability.ts";

/** What a caller says of a template; what is left out stays as it is, or has ECR's default in a new one. */
export interface TemplateWishes extends Partial<Omit<CreationSettings, "repositoryPolicy" | "lifecyclePolicy">> {
  /** `none` takes the policy away. */
  readonly repositoryPolicy?: CreationSettings["repositoryPolicy"] | "none";
  /** `none` takes the policy away. */
  readonly lifecyclePolicy?: string;
}

const defaults: CreationSettings = {
  description: undefined,
  encryptionType: "AES256",
  kmsKey: undefined,
  resourceTags: [],
  tagMutability: "MUTABLE",
  mutabilityFilters: [],
  repositoryPolicy: undefined,
  lifecyclePolicy: undefined,
  appliedFor: [],
  roleArn: undefined,
};

/** Makes a template. Throws `template-exists`, `limit-exceeded`, `parameter-invalid`, `resource-tag-invalid`, `resource-tags-too-many`. */
export async function createTemplate(
  ctx: RegistryContext,
  registry: RegistryRef,
  givenPrefix: string,
  wishes: TemplateWishes,
): Promise<CreationTemplate> {
  const { limits, metadata } = ctx.core;
  const settings = settingsFrom(ctx, defaults, wishes);
  const key = keyOf(registry, givenPrefix);
  const result = await templates.createCreationTemplate(metadata, {
    key,
    givenPrefix,
    settings,
    maxTemplates: limits.creationTemplatesPerRegistry,
    author: authorOf(ctx),
  });
  if (result.outcome === "created") return result.template;
  if (result.outcome === "exists") return refuse("template-exists", { registryId: registry.accountId, prefix: givenPrefix });
  return refuse("limit-exceeded", {
    message: `The registry with id '${registry.accountId}' already has the maximum allowed number of repository creation templates which is '${limits.creationTemplatesPerRegistry}'`,
  });
}

/** A template that others change all the time is not changed any more after so many tries. */
const maxTries = 10;

/** Changes what is said of a template. Repositories that exist are not touched. Throws `template-not-found`, and what {@link createTemplate} throws. */
export async function updateTemplate(
  ctx: RegistryContext,
  registry: RegistryRef,
  givenPrefix: string,
  wishes: TemplateWishes,
): Promise<CreationTemplate> {
  const key = keyOf(registry, givenPrefix);
  for (let tries = 0; tries < maxTries; tries += 1) {
    const [template] = await templates.findCreationTemplates(ctx.core.metadata, registry, [key.prefix]);
    if (template === undefined) return refuseMissing(registry, givenPrefix);
    const settings = settingsFrom(ctx, template, wishes);
    const replace = { key, revision: template.revision, settings, author: authorOf(ctx) };
    const replaced = await templates.replaceCreationTemplate(ctx.core.metadata, replace);
    if (replaced !== undefined) return replaced;
  }
  throw new Error(`the creation template ${key.prefix} changes too fast`);
}

/** Removes a template and answers it; repositories that were made by it stay. Throws `template-not-found`. */
export async function deleteTemplate(ctx: RegistryContext, registry: RegistryRef, givenPrefix: string): Promise<CreationTemplate> {
  const key = keyOf(registry, givenPrefix);
  const template = await templates.deleteCreationTemplate(ctx.core.metadata, { key, author: authorOf(ctx) });
  return template ?? refuseMissing(registry, givenPrefix);
}

/** Those of the prefixes that have a template, one page in byte order of the prefixes; of all templates without `prefixes`. */
export async function listTemplates(
  ctx: RegistryContext,
  registry: RegistryRef,
  page: PageRequest<string> & { readonly prefixes?: readonly string[] | undefined },
): Promise<{ readonly templates: readonly CreationTemplate[]; readonly next?: string }> {
  const { after, limit, prefixes } = page;
  const { metadata } = ctx.core;
  // There are so few that all of the named ones can be read.
  const found =
    prefixes === undefined
      ? await templates.listCreationTemplates(metadata, registry, { after, limit: limit + 1 })
      : (await templates.findCreationTemplates(metadata, registry, prefixes.map(barePrefix))).filter(
          ({ prefix }) => prefix > (after ?? ""),
        );
  const { items, last } = cutPage(found, limit);
  return { templates: items, ...(last !== undefined && { next: last.prefix }) };
}

function keyOf({ accountId, region }: RegistryRef, givenPrefix: string): CreationTemplateKey {
  return { accountId, region, prefix: barePrefix(givenPrefix) };
}

function refuseMissing(registry: RegistryRef, prefix: string): never {
  return refuse("template-not-found", { registryId: registry.accountId, prefix });
}

/** What holds after the wishes, checked as a whole: mode and filters, type and key belong together. */
function settingsFrom(ctx: RegistryContext, before: CreationSettings, wishes: TemplateWishes): CreationSettings {
  const tagMutability = wishes.tagMutability ?? before.tagMutability;
  // A mode without exclusion clears the filters, as PutImageTagMutability does it.
  const kept = tagMutability.endsWith("_WITH_EXCLUSION") ? before.mutabilityFilters : [];
  const mutabilityFilters = wishes.mutabilityFilters ?? kept;
  const encryptionType = wishes.encryptionType ?? before.encryptionType;
  const resourceTags = wishes.resourceTags ?? before.resourceTags;
  const appliedFor = [...new Set(wishes.appliedFor ?? before.appliedFor)];
  checkMutabilityFilters(tagMutability, mutabilityFilters);
  const tags = Object.fromEntries(resourceTags);
  if (Object.keys(tags).length < resourceTags.length) refuse("resource-tag-invalid", { problem: "A tag key may be given only once" });
  checkResourceTags(ctx.core.limits, tags);
  if (appliedFor.length === 0)
    refuse("parameter-invalid", { parameter: "appliedFor", constraint: "Member must have length greater than or equal to 1" });
  const policy = wishes.repositoryPolicy ?? before.repositoryPolicy;
  const lifecyclePolicy = wishes.lifecyclePolicy ?? before.lifecyclePolicy;
  return {
    description: emptyIsNone(wishes.description ?? before.description),
    encryptionType,
    // The type and its key are said together.
    kmsKey: wishes.encryptionType === undefined ? before.kmsKey : wishes.kmsKey,
    resourceTags,
    tagMutability,
    mutabilityFilters,
    repositoryPolicy: policy === "none" ? undefined : policy,
    lifecyclePolicy: lifecyclePolicy === "none" ? undefined : lifecyclePolicy,
    appliedFor,
    roleArn: emptyIsNone(wishes.roleArn ?? before.roleArn),
  };
}

function emptyIsNone(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
