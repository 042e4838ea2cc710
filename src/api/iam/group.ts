import { identityArn } from "#identity/arn.ts";
import {
  addUserToGroup,
  createGroup,
  deleteGroup,
  findGroup,
  getGroup,
  listGroups,
  listGroupsOfUser,
  removeUserFromGroup,
  updateGroup,
} from "#identity/group.ts";
import type { MembershipPage } from "#identity/group.ts";
import type { ApiCall } from "../call.ts";
import { identityContext, wholeSeconds } from "./identity-shape.ts";
import type { Group } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamPage } from "./page.ts";
import type { IamRows } from "./table.ts";
import { onUser } from "./user-target.ts";
import { userShape } from "./user.ts";

type GroupNames = "CreateGroup" | "GetGroup" | "UpdateGroup" | "DeleteGroup" | "ListGroups";
type MembershipNames = "AddUserToGroup" | "RemoveUserFromGroup" | "ListGroupsForUser";

type GroupFacts = Awaited<ReturnType<typeof createGroup>>;

/** Groups. */
const ownOperations: IamRows<GroupNames> = {
  CreateGroup: {
    action: "iam:CreateGroup",
    resource: (call, input) => identityArn("group", call.principal.accountId, input.Path ?? "/", input.GroupName),
    handle: async (call, input) => {
      const group = await createGroup(identityContext(call), { name: input.GroupName, path: input.Path ?? "/" });
      return { Group: groupShape(call, group) };
    },
  },

  GetGroup: {
    action: "iam:GetGroup",
    resource: groupArn,
    handle: async (call, input) => {
      const listing = ["GetGroup", input.GroupName];
      const page = membershipPage(openIamPage(call, listing, input));
      const { group, users, next } = await getGroup(identityContext(call), input.GroupName, page);
      return {
        Group: groupShape(call, group),
        Users: users.map((user) => userShape(call, user)),
        ...closeIamPage(call, listing, next?.toString()),
      };
    },
  },

  UpdateGroup: {
    action: "iam:UpdateGroup",
    // Both where the group is and where it goes: a permission on one path does not take groups to another.
    resource: async (call, { GroupName, NewGroupName, NewPath }) => {
      const { accountId } = call.principal;
      const group = await findGroup(identityContext(call), GroupName);
      const { path, name } = group ?? { path: "/", name: GroupName };
      const before = identityArn("group", accountId, path, name);
      const after = identityArn("group", accountId, NewPath ?? path, NewGroupName ?? name);
      return before === after ? before : [before, after];
    },
    handle: async (call, { GroupName, NewGroupName, NewPath }) => {
      await updateGroup(identityContext(call), GroupName, { newName: NewGroupName, newPath: NewPath });
      return {};
    },
  },

  DeleteGroup: {
    action: "iam:DeleteGroup",
    resource: groupArn,
    handle: async (call, input) => {
      await deleteGroup(identityContext(call), input.GroupName);
      return {};
    },
  },

  ListGroups: {
    action: "iam:ListGroups",
    resource: (call, input) => identityArn("group", call.principal.accountId, input.PathPrefix ?? "/", ""),
    handle: async (call, input) => {
      const pathPrefix = input.PathPrefix ?? "/";
      const listing = ["ListGroups", pathPrefix];
      const { groups, next } = await listGroups(identityContext(call), { ...openIamPage(call, listing, input), pathPrefix });
      return { Groups: groups.map((group) => groupShape(call, group)), ...closeIamPage(call, listing, next) };
    },
  },
};

/** Who is in which group. */
const membershipOperations: IamRows<MembershipNames> = {
  AddUserToGroup: {
    action: "iam:AddUserToGroup",
    resource: groupArn,
    handle: async (call, input) => {
      await addUserToGroup(identityContext(call), input.GroupName, input.UserName);
      return {};
    },
  },

  RemoveUserFromGroup: {
    action: "iam:RemoveUserFromGroup",
    resource: groupArn,
    handle: async (call, input) => {
      await removeUserFromGroup(identityContext(call), input.GroupName, input.UserName);
      return {};
    },
  },

  ListGroupsForUser: {
    action: "iam:ListGroupsForUser",
    ...onUser,
    handle: async (call, input) => {
      const listing = ["ListGroupsForUser", input.UserName];
      const page = membershipPage(openIamPage(call, listing, input));
      const { groups, next } = await listGroupsOfUser(identityContext(call), input.UserName, page);
      return { Groups: groups.map((group) => groupShape(call, group)), ...closeIamPage(call, listing, next?.toString()) };
    },
  },
};

/** Groups and who is in them. */
export const groupOperations: IamRows<GroupNames | MembershipNames> = { ...ownOperations, ...membershipOperations };

async function groupArn(call: ApiCall, { GroupName }: { readonly GroupName: string }): Promise<string> {
  const group = await findGroup(identityContext(call), GroupName);
  return identityArn("group", call.principal.accountId, group?.path ?? "/", group?.name ?? GroupName);
}

function groupShape(call: ApiCall, { name, path, uniqueId, createdAt }: GroupFacts): Group {
  const Arn = identityArn("group", call.principal.accountId, path, name);
  return { Path: path, GroupName: name, GroupId: uniqueId, Arn, CreateDate: wholeSeconds(createdAt) };
}

/** The positions of these listings are row ids. */
function membershipPage({ after, limit }: IamPage): MembershipPage {
  return { after: after === undefined ? undefined : Number(after), limit };
}
