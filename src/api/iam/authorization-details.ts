import { identityArn } from "#identity/arn.ts";
import { reportAuthorization } from "#identity/authorization-details.ts";
import type { AuthorizationReport, ReportedKind, RoleReport } from "#identity/authorization-details.ts";
import { attachedShape } from "./attachment.ts";
import { identityContext, tagShapes, wholeSeconds } from "./identity-shape.ts";
import { profileShape } from "./instance-profile.ts";
import { policyShape, versionShape } from "./managed-policy.ts";
import type {
  AttachedPermissionsBoundary,
  EntityType,
  GroupDetail,
  InstanceProfile,
  ManagedPolicyDetail,
  PolicyDetail,
  RoleDetail,
  UserDetail,
} from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { encodePolicyDocument } from "./policy-text.ts";
import type { IamRows } from "./table.ts";

type Entry = AuthorizationReport["users"][number];

const kindOf: Readonly<Record<EntityType, ReportedKind>> = {
  User: "user",
  Group: "group",
  Role: "role",
  LocalManagedPolicy: "own-policy",
  AWSManagedPolicy: "aws-policy",
};

/** The report of an account. */
export const authorizationDetailOperations: IamRows<"GetAccountAuthorizationDetails"> = {
  GetAccountAuthorizationDetails: {
    action: "iam:GetAccountAuthorizationDetails",
    resource: () => "*",
    handle: async (call, input) => {
      const kinds = new Set((input.Filter?.length ? input.Filter : (Object.keys(kindOf) as EntityType[])).map((type) => kindOf[type]));
      const listing = ["GetAccountAuthorizationDetails", ...[...kinds].toSorted()];
      const page = openIamPage(call, listing, input);
      const report = await reportAuthorization(identityContext(call), { ...page, kinds });
      return {
        UserDetailList: report.users.map(userDetail),
        GroupDetailList: report.groups.map(groupDetail),
        RoleDetailList: report.roles.map(roleDetail),
        Policies: report.policies.map(policyDetail),
        ...closeIamPage(call, listing, report.next),
      };
    },
  },
};

function userDetail(entry: Entry): UserDetail {
  const { name, uniqueId } = entry.identity;
  return {
    ...placeOf(entry),
    UserName: name,
    UserId: uniqueId,
    UserPolicyList: inlineOf(entry),
    GroupList: entry.groups.map((group) => group.name),
    AttachedManagedPolicies: entry.attachedArns.map(attachedShape),
    ...boundaryOf(entry),
    Tags: tagShapes(entry.tags),
  };
}

function groupDetail(entry: Entry): GroupDetail {
  const { name, uniqueId } = entry.identity;
  return {
    ...placeOf(entry),
    GroupName: name,
    GroupId: uniqueId,
    GroupPolicyList: inlineOf(entry),
    AttachedManagedPolicies: entry.attachedArns.map(attachedShape),
  };
}

function roleDetail(entry: RoleReport): RoleDetail {
  const { name, uniqueId } = entry.identity;
  const { trustDocument, lastUsedAt, lastUsedRegion } = entry.role;
  return {
    ...placeOf(entry),
    RoleName: name,
    RoleId: uniqueId,
    AssumeRolePolicyDocument: encodePolicyDocument(trustDocument),
    InstanceProfileList: profilesOf(entry),
    RolePolicyList: inlineOf(entry),
    AttachedManagedPolicies: entry.attachedArns.map(attachedShape),
    ...boundaryOf(entry),
    Tags: tagShapes(entry.tags),
    RoleLastUsed: {
      ...(lastUsedAt !== undefined && { LastUsedDate: wholeSeconds(lastUsedAt) }),
      ...(lastUsedRegion !== undefined && { Region: lastUsedRegion }),
    },
  };
}

function policyDetail({ policy, versions }: AuthorizationReport["policies"][number]): ManagedPolicyDetail {
  return {
    ...policyShape(policy),
    ...(policy.description !== undefined && { Description: policy.description }),
    PolicyVersionList: versions.map((version) => ({ ...versionShape(version), Document: encodePolicyDocument(version.document) })),
  };
}

function placeOf({ identity }: Entry): { readonly Path: string; readonly Arn: string; readonly CreateDate: number } {
  const { kind, accountId, path, name, createdAt } = identity;
  return { Path: path, Arn: identityArn(kind, accountId, path, name), CreateDate: wholeSeconds(createdAt) };
}

function inlineOf({ inline }: Entry): readonly PolicyDetail[] {
  return inline.map(({ name, document }) => ({ PolicyName: name, PolicyDocument: encodePolicyDocument(document) }));
}

function boundaryOf({ identity }: Entry): { readonly PermissionsBoundary?: AttachedPermissionsBoundary } {
  const { boundaryArn } = identity;
  if (boundaryArn === undefined) return {};
  return { PermissionsBoundary: { PermissionsBoundaryType: "PermissionsBoundaryPolicy", PermissionsBoundaryArn: boundaryArn } };
}

function profilesOf({ instanceProfiles, role }: RoleReport): readonly InstanceProfile[] {
  return instanceProfiles.map((profile) => {
    const arn = identityArn(profile.kind, profile.accountId, profile.path, profile.name);
    return profileShape({ ...profile, arn, role });
  });
}
