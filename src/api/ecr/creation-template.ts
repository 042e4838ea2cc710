import { parseIdentityArn } from "#identity/arn.ts";
import { parseLifecyclePolicy } from "#lifecycle/policy.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import { createTemplate, deleteTemplate, listTemplates, updateTemplate } from "#registry/creation-template.ts";
import type { TemplateWishes } from "#registry/creation-template.ts";
import { barePrefix, rootPrefix } from "#registry/creation-template-match.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import { ownRegistry } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import { showPolicy } from "./creation-template-policy.ts";
import { ensureLinkedRole, linkedRolePermissions } from "./linked-role.ts";
import type { RepositoryCreationTemplate, UpdateRepositoryCreationTemplateRequest } from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
import { checkPolicyText } from "./policy-text.ts";
import { mutabilityFilterShapes } from "./shape.ts";
import type { EcrRows } from "./table.ts";
import { mutabilityFilters } from "./tag-mutability.ts";

type Template = Awaited<ReturnType<typeof createTemplate>>;

const defaultPage = 100;
/** As its role the registry creates repositories where a template names none. */
const roleService = "ecr.amazonaws.com";

/** Settings of the repositories that the registry creates itself. */
export const creationTemplateOperations: EcrRows<
  | "CreateRepositoryCreationTemplate"
  | "DescribeRepositoryCreationTemplates"
  | "UpdateRepositoryCreationTemplate"
  | "DeleteRepositoryCreationTemplate"
> = {
  CreateRepositoryCreationTemplate: {
    action: "ecr:CreateRepositoryCreationTemplate",
    resource: () => "*",
    alsoAsks: async (call, input) => {
      const asked = dependentPermissions(call, input);
      return isGiven(input.customRoleArn) ? asked : [...asked, ...(await linkedRolePermissions(call, roleService))];
    },
    check: checkTemplate,
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      const template = await createTemplate(call.context, registry, input.prefix, await wishesOf(call, input));
      if (!isGiven(input.customRoleArn)) await ensureLinkedRole(call, roleService);
      return answer(registry, template);
    },
  },

  DescribeRepositoryCreationTemplates: {
    action: "ecr:DescribeRepositoryCreationTemplates",
    resource: () => "*",
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      const { prefixes } = input;
      const listing = ["DescribeRepositoryCreationTemplates", registry.accountId, registry.region, JSON.stringify(prefixes ?? null)];
      const after = openPage(call, listing, input.nextToken, (position): position is string => typeof position === "string");
      const page = await listTemplates(call.context, registry, { after, limit: input.maxResults ?? defaultPage, prefixes });
      return {
        registryId: registry.accountId,
        repositoryCreationTemplates: page.templates.map(templateShape),
        ...sealPage(call, listing, page.next),
      };
    },
  },

  UpdateRepositoryCreationTemplate: {
    action: "ecr:UpdateRepositoryCreationTemplate",
    resource: () => "*",
    alsoAsks: async (call, input) => [...dependentPermissions(call, input), ...(await keptRole(call, input))],
    check: checkTemplate,
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      return answer(registry, await updateTemplate(call.context, registry, input.prefix, await wishesOf(call, input)));
    },
  },

  DeleteRepositoryCreationTemplate: {
    action: "ecr:DeleteRepositoryCreationTemplate",
    resource: () => "*",
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      return answer(registry, await deleteTemplate(call.context, registry, input.prefix));
    },
  },
};

/** A template does what its author could do by hand under the prefix; and the role does it in the author's name. */
function dependentPermissions(call: ApiCall, input: UpdateRepositoryCreationTemplateRequest): readonly AskedPermission[] {
  const bare = barePrefix(input.prefix);
  // `*` is not a name; here it stands for all names under the prefix.
  const pattern = (bare === rootPrefix ? "*" : `${bare}/*`) as RepositoryName;
  const resource = call.addressing.repositoryArn(ownRegistry(call), pattern);
  const asked: AskedPermission[] = [{ action: "ecr:CreateRepository", resource }];
  if (isGiven(input.lifecyclePolicy)) asked.push({ action: "ecr:PutLifecyclePolicy", resource });
  if (isGiven(input.repositoryPolicy)) asked.push({ action: "ecr:SetRepositoryPolicy", resource });
  if (isGiven(input.customRoleArn)) {
    // Named before the permission is asked: what is no role of the own account cannot be passed at all.
    checkRole(call, input.customRoleArn);
    asked.push(passedRole(input.customRoleArn));
  }
  return asked;
}

function passedRole(roleArn: string): AskedPermission {
  return { action: "iam:PassRole", resource: roleArn, keys: { "iam:PassedToService": "ecr.amazonaws.com" } };
}

/** Who gives a role that is there already something else to do uses it like who names it. */
async function keptRole(call: ApiCall, input: UpdateRepositoryCreationTemplateRequest): Promise<readonly AskedPermission[]> {
  const { customRoleArn, resourceTags, encryptionConfiguration, appliedFor } = input;
  const isSameWork = resourceTags === undefined && encryptionConfiguration === undefined && appliedFor === undefined;
  if (customRoleArn !== undefined || isSameWork) return [];
  const { templates } = await listTemplates(call.context, ownRegistry(call), { prefixes: [input.prefix], limit: 1 });
  const roleArn = templates[0]?.roleArn;
  return roleArn === undefined ? [] : [passedRole(roleArn)];
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

function checkRole(call: ApiCall, arn: string): void {
  const role = parseIdentityArn(arn);
  if (role?.kind !== "role" || role.accountId !== call.principal.accountId)
    throw invalidParameter("customRoleArn", "Member must be the ARN of a role of the registry's account");
}

function checkTemplate({ encryptionConfiguration: encryption, lifecyclePolicy }: UpdateRepositoryCreationTemplateRequest): void {
  if (encryption?.encryptionType === "AES256" && isGiven(encryption.kmsKey))
    throw invalidParameter("kmsKey", "Member must be null when encryptionType is set as AES256");
  const read = isGiven(lifecyclePolicy) ? parseLifecyclePolicy(lifecyclePolicy) : undefined;
  if (read?.ok === false) throw new ApiFault("InvalidParameterException", read.message);
}

/** What the input says; an empty text takes away what stood there. */
async function wishesOf(call: ApiCall, input: UpdateRepositoryCreationTemplateRequest): Promise<TemplateWishes> {
  const { encryptionConfiguration: encryption, repositoryPolicy: policy, lifecyclePolicy } = input;
  return {
    ...(input.description !== undefined && { description: input.description }),
    ...(encryption !== undefined && {
      encryptionType: encryption.encryptionType,
      ...(isGiven(encryption.kmsKey) && { kmsKey: encryption.kmsKey }),
    }),
    ...(input.resourceTags !== undefined && { resourceTags: input.resourceTags.map(({ Key, Value }) => [Key, Value] as const) }),
    ...(input.imageTagMutability !== undefined && { tagMutability: input.imageTagMutability }),
    ...(input.imageTagMutabilityExclusionFilters !== undefined && { mutabilityFilters: mutabilityFilters(input) }),
    ...(policy !== undefined && { repositoryPolicy: policy === "" ? "none" : await checkPolicyText(call, "repository", policy) }),
    ...(lifecyclePolicy !== undefined && { lifecyclePolicy: lifecyclePolicy === "" ? "none" : lifecyclePolicy }),
    ...(input.appliedFor !== undefined && { appliedFor: input.appliedFor }),
    ...(input.customRoleArn !== undefined && { roleArn: input.customRoleArn }),
  };
}

function answer(registry: RegistryRef, template: Template) {
  return { registryId: registry.accountId, repositoryCreationTemplate: templateShape(template) };
}

/** ECR's `RepositoryCreationTemplate`: the repository policy written anew, the lifecycle policy as it was given. */
function templateShape(template: Template): RepositoryCreationTemplate {
  const { description, kmsKey, resourceTags, repositoryPolicy, lifecyclePolicy, roleArn } = template;
  return {
    prefix: template.givenPrefix,
    ...(description !== undefined && { description }),
    encryptionConfiguration: { encryptionType: template.encryptionType, ...(kmsKey !== undefined && { kmsKey }) },
    ...(resourceTags.length > 0 && { resourceTags: resourceTags.map(([Key, Value]) => ({ Key, Value })) }),
    imageTagMutability: template.tagMutability,
    ...mutabilityFilterShapes(template.mutabilityFilters),
    ...(repositoryPolicy !== undefined && { repositoryPolicy: showPolicy(repositoryPolicy.document) }),
    ...(lifecyclePolicy !== undefined && { lifecyclePolicy }),
    appliedFor: template.appliedFor,
    ...(roleArn !== undefined && { customRoleArn: roleArn }),
    createdAt: template.createdAt,
    updatedAt: template.updatedAt,
  };
}
