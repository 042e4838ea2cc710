import { identityArn } from "#identity/arn.ts";
import { createRole, deleteRole, getRole, listRoles, roleArnOf, updateRole, updateTrust } from "#identity/role.ts";
import type { RoleDetails } from "#identity/role.ts";
import { findTags, listTags, tagIdentity, untagIdentity } from "#identity/tag.ts";
import type { IdentityTag } from "#identity/tag.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { identityContext, identityTags, resourceTagKeys, tagShapes, wholeSeconds } from "./identity-shape.ts";
import type { CreateRoleRequest, Role } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { encodePolicyDocument } from "./policy-text.ts";
import type { IamRow, IamRows } from "./table.ts";

interface RoleInput {
  readonly RoleName: string;
}

const roleArn = (call: ApiCall, input: RoleInput): Promise<string> => roleArnOf(identityContext(call), input.RoleName);

/** The columns of operations on a role that is there. */
const onRole = {
  resource: roleArn,
  conditionKeys: async (call: ApiCall, input: RoleInput) => resourceTagKeys(await findTags(identityContext(call), "role", input.RoleName)),
};

const createRoleRow: IamRow<"CreateRole"> = {
  action: "iam:CreateRole",
  resource: (call, input) => identityArn("role", call.principal.accountId, input.Path ?? "/", input.RoleName),
  alsoNeeds: (input) => (input.Tags === undefined || input.Tags.length === 0 ? [] : ["iam:TagRole"]),
  conditionKeys: (_call, input) => newRoleKeys(input),
  handle: async (call, input) => {
    const tags = identityTags(input.Tags);
    const role = await createRole(identityContext(call), {
      name: input.RoleName,
      path: input.Path ?? "/",
      trustDocument: input.AssumeRolePolicyDocument,
      description: input.Description,
      maxSessionSeconds: input.MaxSessionDuration,
      boundaryArn: input.PermissionsBoundary,
      tags,
    });
    return { Role: roleShapeInFull(role, tags) };
  },
};

/** Roles, who may take them on, and their tags. */
export const roleOperations: IamRows<
  | "CreateRole"
  | "GetRole"
  | "UpdateRole"
  | "UpdateRoleDescription"
  | "UpdateAssumeRolePolicy"
  | "DeleteRole"
  | "ListRoles"
  | "TagRole"
  | "UntagRole"
  | "ListRoleTags"
> = {
  CreateRole: createRoleRow,

  GetRole: {
    action: "iam:GetRole",
    ...onRole,
    handle: async (call, input) => {
      const { role, tags } = await getRole(identityContext(call), input.RoleName);
      return { Role: roleShapeInFull(role, tags) };
    },
  },

  UpdateRole: {
    action: "iam:UpdateRole",
    ...onRole,
    handle: async (call, { RoleName, Description, MaxSessionDuration }) => {
      await updateRole(identityContext(call), RoleName, { description: Description, maxSessionSeconds: MaxSessionDuration });
      return {};
    },
  },

  UpdateRoleDescription: {
    action: "iam:UpdateRoleDescription",
    ...onRole,
    handle: async (call, input) => {
      const role = await updateRole(identityContext(call), input.RoleName, { description: input.Description });
      return { Role: roleShape(role) };
    },
  },

  UpdateAssumeRolePolicy: {
    action: "iam:UpdateAssumeRolePolicy",
    ...onRole,
    handle: async (call, input) => {
      await updateTrust(identityContext(call), input.RoleName, input.PolicyDocument);
      return {};
    },
  },

  DeleteRole: {
    action: "iam:DeleteRole",
    ...onRole,
    handle: async (call, input) => {
      await deleteRole(identityContext(call), input.RoleName);
      return {};
    },
  },

  ListRoles: {
    action: "iam:ListRoles",
    resource: (call, input) => identityArn("role", call.principal.accountId, input.PathPrefix ?? "/", ""),
    handle: async (call, input) => {
      const pathPrefix = input.PathPrefix ?? "/";
      const listing = ["ListRoles", call.principal.accountId, pathPrefix];
      const { roles, next } = await listRoles(identityContext(call), { pathPrefix, ...openIamPage(call, listing, input) });
      return { Roles: roles.map(roleShape), ...closeIamPage(call, listing, next) };
    },
  },

  TagRole: {
    action: "iam:TagRole",
    resource: roleArn,
    conditionKeys: async (call, input) => ({ ...(await onRole.conditionKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, input) => {
      await tagIdentity(identityContext(call), "role", input.RoleName, identityTags(input.Tags));
      return {};
    },
  },

  UntagRole: {
    action: "iam:UntagRole",
    resource: roleArn,
    conditionKeys: async (call, input) => ({ ...(await onRole.conditionKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await untagIdentity(identityContext(call), "role", input.RoleName, input.TagKeys);
      return {};
    },
  },

  ListRoleTags: {
    action: "iam:ListRoleTags",
    ...onRole,
    handle: async (call, input) => {
      const listing = ["ListRoleTags", call.principal.accountId, input.RoleName];
      const { tags, next } = await listTags(identityContext(call), "role", input.RoleName, openIamPage(call, listing, input));
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

function newRoleKeys({ Tags, PermissionsBoundary }: CreateRoleRequest): Readonly<Record<string, string | readonly string[]>> {
  return { ...requestTagKeys(Tags), ...(PermissionsBoundary !== undefined && { "iam:PermissionsBoundary": PermissionsBoundary }) };
}

/** A role as listings show it: without tags, boundary and last use. */
export function roleShape(role: RoleDetails): Role {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.uniqueId,
    Arn: role.arn,
    CreateDate: wholeSeconds(role.createdAt),
    AssumeRolePolicyDocument: encodePolicyDocument(role.trustDocument),
    ...(role.description !== undefined && { Description: role.description }),
    MaxSessionDuration: role.maxSessionSeconds,
  };
}

function roleShapeInFull(role: RoleDetails, tags: readonly IdentityTag[]): Role {
  const { boundaryArn, lastUsedAt, lastUsedRegion } = role;
  return {
    ...roleShape(role),
    ...(boundaryArn !== undefined && {
      PermissionsBoundary: { PermissionsBoundaryType: "PermissionsBoundaryPolicy", PermissionsBoundaryArn: boundaryArn },
    }),
    ...(tags.length > 0 && { Tags: tagShapes(tags) }),
    RoleLastUsed: {
      ...(lastUsedAt !== undefined && { LastUsedDate: wholeSeconds(lastUsedAt) }),
      ...(lastUsedRegion !== undefined && { Region: lastUsedRegion }),
    },
  };
}
