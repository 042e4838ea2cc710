import { identityArn } from "#identity/arn.ts";
import {
  addRoleToInstanceProfile,
  createInstanceProfile,
  deleteInstanceProfile,
  getInstanceProfile,
  instanceProfileArnOf,
  listInstanceProfiles,
  listInstanceProfilesForRole,
  removeRoleFromInstanceProfile,
} from "#identity/instance-profile.ts";
import type { InstanceProfileDetails } from "#identity/instance-profile.ts";
import { roleArnOf } from "#identity/role.ts";
import { findTags, listTags, tagIdentity, untagIdentity } from "#identity/tag.ts";
import type { IdentityTag } from "#identity/tag.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { identityContext, identityTags, resourceTagKeys, tagShapes, wholeSeconds } from "./identity-shape.ts";
import type { InstanceProfile } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { roleShape } from "./role.ts";
import type { IamRows } from "./table.ts";

interface ProfileInput {
  readonly InstanceProfileName: string;
}

const profileArn = (call: ApiCall, input: ProfileInput): Promise<string> =>
  instanceProfileArnOf(identityContext(call), input.InstanceProfileName);

/** The columns of operations on a profile that is there. */
const onProfile = {
  resource: profileArn,
  conditionKeys: async (call: ApiCall, input: ProfileInput) =>
    resourceTagKeys(await findTags(identityContext(call), "instance-profile", input.InstanceProfileName)),
};

/** Instance profiles and the roles in them. */
export const instanceProfileOperations: IamRows<
  | "CreateInstanceProfile"
  | "GetInstanceProfile"
  | "DeleteInstanceProfile"
  | "ListInstanceProfiles"
  | "ListInstanceProfilesForRole"
  | "AddRoleToInstanceProfile"
  | "RemoveRoleFromInstanceProfile"
  | "TagInstanceProfile"
  | "UntagInstanceProfile"
  | "ListInstanceProfileTags"
> = {
  CreateInstanceProfile: {
    action: "iam:CreateInstanceProfile",
    resource: (call, input) => identityArn("instance-profile", call.principal.accountId, input.Path ?? "/", input.InstanceProfileName),
    alsoNeeds: (input) => (input.Tags === undefined || input.Tags.length === 0 ? [] : ["iam:TagInstanceProfile"]),
    conditionKeys: (_call, input) => requestTagKeys(input.Tags),
    handle: async (call, input) => {
      const tags = identityTags(input.Tags);
      const request = { name: input.InstanceProfileName, path: input.Path ?? "/", tags };
      return { InstanceProfile: profileShape(await createInstanceProfile(identityContext(call), request), tags) };
    },
  },

  GetInstanceProfile: {
    action: "iam:GetInstanceProfile",
    ...onProfile,
    handle: async (call, input) => {
      const { profile, tags } = await getInstanceProfile(identityContext(call), input.InstanceProfileName);
      return { InstanceProfile: profileShape(profile, tags) };
    },
  },

  DeleteInstanceProfile: {
    action: "iam:DeleteInstanceProfile",
    ...onProfile,
    handle: async (call, input) => {
      await deleteInstanceProfile(identityContext(call), input.InstanceProfileName);
      return {};
    },
  },

  ListInstanceProfiles: {
    action: "iam:ListInstanceProfiles",
    resource: (call, input) => identityArn("instance-profile", call.principal.accountId, input.PathPrefix ?? "/", ""),
    handle: async (call, input) => {
      const pathPrefix = input.PathPrefix ?? "/";
      const listing = ["ListInstanceProfiles", call.principal.accountId, pathPrefix];
      const page = await listInstanceProfiles(identityContext(call), { pathPrefix, ...openIamPage(call, listing, input) });
      return { InstanceProfiles: page.profiles.map((profile) => profileShape(profile)), ...closeIamPage(call, listing, page.next) };
    },
  },

  ListInstanceProfilesForRole: {
    action: "iam:ListInstanceProfilesForRole",
    resource: (call, input) => roleArnOf(identityContext(call), input.RoleName),
    handle: async (call, input) => {
      const listing = ["ListInstanceProfilesForRole", call.principal.accountId, input.RoleName];
      const page = await listInstanceProfilesForRole(identityContext(call), input.RoleName, openIamPage(call, listing, input));
      return { InstanceProfiles: page.profiles.map((profile) => profileShape(profile)), ...closeIamPage(call, listing, page.next) };
    },
  },

  // The tags of profile and role would mix, so conditions are told of neither.
  AddRoleToInstanceProfile: {
    action: "iam:AddRoleToInstanceProfile",
    resource: profileArn,
    alsoAsks: async (call, input) => [{ action: "iam:PassRole", resource: await roleArnOf(identityContext(call), input.RoleName) }],
    conditionKeys: () => ({ "iam:PassedToService": "ec2.amazonaws.com" }),
    handle: async (call, input) => {
      await addRoleToInstanceProfile(identityContext(call), input.InstanceProfileName, input.RoleName);
      return {};
    },
  },

  RemoveRoleFromInstanceProfile: {
    action: "iam:RemoveRoleFromInstanceProfile",
    ...onProfile,
    handle: async (call, input) => {
      await removeRoleFromInstanceProfile(identityContext(call), input.InstanceProfileName, input.RoleName);
      return {};
    },
  },

  TagInstanceProfile: {
    action: "iam:TagInstanceProfile",
    resource: profileArn,
    conditionKeys: async (call, input) => ({ ...(await onProfile.conditionKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, input) => {
      await tagIdentity(identityContext(call), "instance-profile", input.InstanceProfileName, identityTags(input.Tags));
      return {};
    },
  },

  UntagInstanceProfile: {
    action: "iam:UntagInstanceProfile",
    resource: profileArn,
    conditionKeys: async (call, input) => ({ ...(await onProfile.conditionKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await untagIdentity(identityContext(call), "instance-profile", input.InstanceProfileName, input.TagKeys);
      return {};
    },
  },

  ListInstanceProfileTags: {
    action: "iam:ListInstanceProfileTags",
    ...onProfile,
    handle: async (call, input) => {
      const listing = ["ListInstanceProfileTags", call.principal.accountId, input.InstanceProfileName];
      const page = openIamPage(call, listing, input);
      const { tags, next } = await listTags(identityContext(call), "instance-profile", input.InstanceProfileName, page);
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

/** An instance profile as IAM shows it; listings leave its tags out. */
export function profileShape(profile: InstanceProfileDetails, tags: readonly IdentityTag[] = []): InstanceProfile {
  return {
    Path: profile.path,
    InstanceProfileName: profile.name,
    InstanceProfileId: profile.uniqueId,
    Arn: profile.arn,
    CreateDate: wholeSeconds(profile.createdAt),
    Roles: profile.role === undefined ? [] : [roleShape(profile.role)],
    ...(tags.length > 0 && { Tags: tagShapes(tags) }),
  };
}
