import { identityArn } from "#identity/arn.ts";
import { listPolicyHolders } from "#identity/attachment.ts";
import {
  createPolicy,
  createPolicyVersion,
  deletePolicy,
  deletePolicyVersion,
  findPolicyTags,
  getPolicy,
  getPolicyVersion,
  isOfAws,
  listPolicies,
  listPolicyVersions,
  ownPolicyName,
  setDefaultPolicyVersion,
} from "#identity/managed-policy.ts";
import type { PolicySummary, PolicyVersionSummary } from "#identity/managed-policy.ts";
import type { HolderKind } from "#identity/policy-holder.ts";
import { listTags, tagIdentity, untagIdentity } from "#identity/tag.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { identityContext, identityTags, resourceTagKeys, tagShapes, wholeSeconds } from "./identity-shape.ts";
import type { EntityType, Policy, PolicyUsageType, PolicyVersion } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { encodePolicyDocument } from "./policy-text.ts";
import type { IamRows } from "./table.ts";

const scopes = { All: "all", Local: "own", AWS: "aws" } as const;
const uses = { PermissionsPolicy: "permissions", PermissionsBoundary: "boundary" } as const;
/** Policies do not use policies: a filter on them finds nothing. */
const holderKinds: Readonly<Record<EntityType, HolderKind | undefined>> = {
  User: "user",
  Group: "group",
  Role: "role",
  LocalManagedPolicy: undefined,
  AWSManagedPolicy: undefined,
};

interface PolicyInput {
  readonly PolicyArn: string;
}

/** What conditions may ask about the policy that is meant: its tags. */
async function policyKeys(call: ApiCall, { PolicyArn }: PolicyInput): Promise<Readonly<Record<string, string>>> {
  return resourceTagKeys(await findPolicyTags(identityContext(call), PolicyArn));
}

/** The columns of operations on a policy that is there. */
const onPolicy = { resource: (_call: ApiCall, { PolicyArn }: PolicyInput) => PolicyArn, conditionKeys: policyKeys };

/** The policies themselves. */
const policyOperations: IamRows<"CreatePolicy" | "GetPolicy" | "DeletePolicy" | "ListPolicies" | "ListEntitiesForPolicy"> = {
  CreatePolicy: {
    action: "iam:CreatePolicy",
    resource: (call, input) => identityArn("policy", call.principal.accountId, input.Path ?? "/", input.PolicyName),
    alsoNeeds: (input) => ((input.Tags ?? []).length > 0 ? ["iam:TagPolicy"] : []),
    conditionKeys: (_call, input) => requestTagKeys(input.Tags),
    handle: async (call, { PolicyName: name, Path: path = "/", Description: description, PolicyDocument: document, Tags = [] }) => {
      const policy = await createPolicy(identityContext(call), { name, path, description, document, tags: identityTags(Tags) });
      return { Policy: { ...policyShape(policy), ...(Tags.length > 0 && { Tags }) } };
    },
  },

  GetPolicy: {
    action: "iam:GetPolicy",
    ...onPolicy,
    handle: async (call, { PolicyArn }) => {
      const ctx = identityContext(call);
      const policy = await getPolicy(ctx, PolicyArn);
      const tags = await findPolicyTags(ctx, PolicyArn);
      const { description } = policy;
      return { Policy: { ...policyShape(policy), ...(description !== undefined && { Description: description }), Tags: tagShapes(tags) } };
    },
  },

  DeletePolicy: {
    action: "iam:DeletePolicy",
    ...onPolicy,
    handle: async (call, { PolicyArn }) => {
      await deletePolicy(identityContext(call), PolicyArn);
      return {};
    },
  },

  ListPolicies: {
    action: "iam:ListPolicies",
    resource: () => "*",
    handle: async (call, input) => {
      const { Scope = "All", PathPrefix: pathPrefix = "/", OnlyAttached = false, PolicyUsageFilter } = input;
      const usage = PolicyUsageFilter ?? (OnlyAttached ? "PermissionsPolicy" : undefined);
      const listing = ["ListPolicies", Scope, pathPrefix, usage ?? ""];
      const page = openIamPage(call, listing, input);
      const { policies, next } = await listPolicies(identityContext(call), {
        ...page,
        scope: scopes[Scope],
        pathPrefix,
        use: useOf(usage),
      });
      return { Policies: policies.map(policyShape), ...closeIamPage(call, listing, next) };
    },
  },

  ListEntitiesForPolicy: {
    action: "iam:ListEntitiesForPolicy",
    ...onPolicy,
    handle: async (call, input) => {
      const { PolicyArn: arn, EntityFilter, PathPrefix: pathPrefix = "/", PolicyUsageFilter } = input;
      const listing = ["ListEntitiesForPolicy", arn, EntityFilter ?? "", pathPrefix, PolicyUsageFilter ?? ""];
      const page = openIamPage(call, listing, input);
      const kind = EntityFilter === undefined ? undefined : holderKinds[EntityFilter];
      const asked = { ...page, arn, kind, pathPrefix, use: useOf(PolicyUsageFilter) };
      const { holders, next } = await listPolicyHolders(identityContext(call), asked);
      const isAboutPolicies = EntityFilter !== undefined && kind === undefined;
      const of = (wanted: HolderKind) => (isAboutPolicies ? [] : holders.filter((holder) => holder.kind === wanted));
      return {
        PolicyGroups: of("group").map(({ name, uniqueId }) => ({ GroupName: name, GroupId: uniqueId })),
        PolicyUsers: of("user").map(({ name, uniqueId }) => ({ UserName: name, UserId: uniqueId })),
        PolicyRoles: of("role").map(({ name, uniqueId }) => ({ RoleName: name, RoleId: uniqueId })),
        ...closeIamPage(call, listing, isAboutPolicies ? undefined : next),
      };
    },
  },
};

/** Their versions. */
const versionOperations: IamRows<
  "CreatePolicyVersion" | "GetPolicyVersion" | "ListPolicyVersions" | "SetDefaultPolicyVersion" | "DeletePolicyVersion"
> = {
  CreatePolicyVersion: {
    action: "iam:CreatePolicyVersion",
    ...onPolicy,
    handle: async (call, { PolicyArn: arn, PolicyDocument: document, SetAsDefault: setAsDefault = false }) => ({
      PolicyVersion: versionShape(await createPolicyVersion(identityContext(call), { arn, document, setAsDefault })),
    }),
  },

  GetPolicyVersion: {
    action: "iam:GetPolicyVersion",
    ...onPolicy,
    handle: async (call, { PolicyArn, VersionId }) => {
      const version = await getPolicyVersion(identityContext(call), PolicyArn, VersionId);
      return { PolicyVersion: { ...versionShape(version), Document: encodePolicyDocument(version.document) } };
    },
  },

  ListPolicyVersions: {
    action: "iam:ListPolicyVersions",
    ...onPolicy,
    handle: async (call, input) => {
      const listing = ["ListPolicyVersions", input.PolicyArn];
      const page = openIamPage(call, listing, input);
      const { versions, next } = await listPolicyVersions(identityContext(call), input.PolicyArn, page);
      return { Versions: versions.map(versionShape), ...closeIamPage(call, listing, next) };
    },
  },

  SetDefaultPolicyVersion: {
    action: "iam:SetDefaultPolicyVersion",
    ...onPolicy,
    handle: async (call, { PolicyArn, VersionId }) => {
      await setDefaultPolicyVersion(identityContext(call), PolicyArn, VersionId);
      return {};
    },
  },

  DeletePolicyVersion: {
    action: "iam:DeletePolicyVersion",
    ...onPolicy,
    handle: async (call, { PolicyArn, VersionId }) => {
      await deletePolicyVersion(identityContext(call), PolicyArn, VersionId);
      return {};
    },
  },
};

/** Their tags. */
const tagOperations: IamRows<"TagPolicy" | "UntagPolicy" | "ListPolicyTags"> = {
  TagPolicy: {
    action: "iam:TagPolicy",
    resource: onPolicy.resource,
    conditionKeys: async (call, input) => ({ ...(await policyKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, { PolicyArn, Tags }) => {
      const ctx = identityContext(call);
      await tagIdentity(ctx, "policy", await ownPolicyName(ctx, PolicyArn), identityTags(Tags));
      return {};
    },
  },

  UntagPolicy: {
    action: "iam:UntagPolicy",
    resource: onPolicy.resource,
    conditionKeys: async (call, input) => ({ ...(await policyKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, { PolicyArn, TagKeys }) => {
      const ctx = identityContext(call);
      await untagIdentity(ctx, "policy", await ownPolicyName(ctx, PolicyArn), TagKeys);
      return {};
    },
  },

  ListPolicyTags: {
    action: "iam:ListPolicyTags",
    ...onPolicy,
    handle: async (call, input) => {
      const ctx = identityContext(call);
      if (isOfAws(ctx, input.PolicyArn)) return { Tags: [], IsTruncated: false };
      const listing = ["ListPolicyTags", input.PolicyArn];
      const page = openIamPage(call, listing, input);
      const { tags, next } = await listTags(ctx, "policy", await ownPolicyName(ctx, input.PolicyArn), page);
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

/** Managed policies. */
export const managedPolicyOperations = { ...policyOperations, ...versionOperations, ...tagOperations };

/** A managed policy as listings show it: without its description and tags, as AWS does it. */
export function policyShape(policy: PolicySummary): Policy {
  return {
    PolicyName: policy.name,
    PolicyId: policy.policyId,
    Arn: policy.arn,
    Path: policy.path,
    DefaultVersionId: policy.defaultVersionId,
    AttachmentCount: policy.attachmentCount,
    PermissionsBoundaryUsageCount: policy.boundaryCount,
    IsAttachable: true,
    CreateDate: wholeSeconds(policy.createdAt),
    UpdateDate: wholeSeconds(policy.updatedAt),
  };
}

/** A version as listings show it: without its document. */
export function versionShape({ versionId, isDefault, createdAt }: PolicyVersionSummary): PolicyVersion {
  return { VersionId: versionId, IsDefaultVersion: isDefault, CreateDate: wholeSeconds(createdAt) };
}

function useOf(usage: PolicyUsageType | undefined): (typeof uses)[PolicyUsageType] | undefined {
  return usage === undefined ? undefined : uses[usage];
}
