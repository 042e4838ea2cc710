import { identityArn } from "#identity/arn.ts";
import { findAccount } from "#identity/account.ts";
import { createUser, deleteUser, findUserByUniqueId, getUser, listUsers, updateUser } from "#identity/user.ts";
import { findTags, listTags, tagIdentity, untagIdentity } from "#identity/tag.ts";
import type { IdentityTag } from "#identity/tag.ts";
import { refuse } from "#identity/errors.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { identityContext, identityTags, tagShapes, wholeSeconds } from "./identity-shape.ts";
import type { User } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamRows } from "./table.ts";
import { onUser, userArn, userKeys } from "./user-target.ts";

type Names = "CreateUser" | "GetUser" | "UpdateUser" | "DeleteUser" | "ListUsers" | "TagUser" | "UntagUser" | "ListUserTags";

/** What every answer tells of a user. */
type UserFacts = Pick<IdentityOfUser, "name" | "path" | "uniqueId" | "createdAt">;
type IdentityOfUser = Awaited<ReturnType<typeof getUser>>;

/** Users. */
export const userOperations: IamRows<Names> = {
  CreateUser: {
    action: "iam:CreateUser",
    resource: (call, input) => identityArn("user", call.principal.accountId, input.Path ?? "/", input.UserName),
    alsoNeeds: (input) => (input.Tags === undefined || input.Tags.length === 0 ? [] : ["iam:TagUser"]),
    conditionKeys: (_call, input) => ({
      ...requestTagKeys(input.Tags),
      ...(input.PermissionsBoundary !== undefined && { "iam:PermissionsBoundary": input.PermissionsBoundary }),
    }),
    handle: async (call, input) => {
      const tags = identityTags(input.Tags);
      const made = { name: input.UserName, path: input.Path ?? "/", boundaryArn: input.PermissionsBoundary, tags };
      return { User: userDetailShape(call, await createUser(identityContext(call), made), tags) };
    },
  },

  GetUser: {
    action: "iam:GetUser",
    ...onUser,
    handle: async (call, input) => ({ User: await readUser(call, input.UserName) }),
  },

  UpdateUser: {
    action: "iam:UpdateUser",
    // Both where the user is and where it goes: a permission on one path does not take users to another.
    resource: async (call, input) => {
      const before = await userArn(call, input);
      const { UserName, NewUserName, NewPath } = input;
      if (NewUserName === undefined && NewPath === undefined) return before;
      const at = before.indexOf("/");
      const [path, name] = [before.slice(at, before.lastIndexOf("/") + 1), NewUserName ?? UserName];
      return [before, identityArn("user", call.principal.accountId, NewPath ?? path, name)];
    },
    conditionKeys: userKeys,
    handle: async (call, { UserName, NewUserName, NewPath }) => {
      await updateUser(identityContext(call), UserName, { newName: NewUserName, newPath: NewPath });
      return {};
    },
  },

  DeleteUser: {
    action: "iam:DeleteUser",
    ...onUser,
    handle: async (call, input) => {
      await deleteUser(identityContext(call), input.UserName);
      return {};
    },
  },

  ListUsers: {
    action: "iam:ListUsers",
    resource: (call, input) => identityArn("user", call.principal.accountId, input.PathPrefix ?? "/", ""),
    handle: async (call, input) => {
      const pathPrefix = input.PathPrefix ?? "/";
      const listing = ["ListUsers", pathPrefix];
      const { users, next } = await listUsers(identityContext(call), { ...openIamPage(call, listing, input), pathPrefix });
      return { Users: users.map((user) => userShape(call, user)), ...closeIamPage(call, listing, next) };
    },
  },

  TagUser: {
    action: "iam:TagUser",
    resource: userArn,
    conditionKeys: async (call, input) => ({ ...(await userKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, input) => {
      await tagIdentity(identityContext(call), "user", input.UserName, identityTags(input.Tags));
      return {};
    },
  },

  UntagUser: {
    action: "iam:UntagUser",
    resource: userArn,
    conditionKeys: async (call, input) => ({ ...(await userKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await untagIdentity(identityContext(call), "user", input.UserName, input.TagKeys);
      return {};
    },
  },

  ListUserTags: {
    action: "iam:ListUserTags",
    ...onUser,
    handle: async (call, input) => {
      const listing = ["ListUserTags", input.UserName];
      const { tags, next } = await listTags(identityContext(call), "user", input.UserName, openIamPage(call, listing, input));
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

/** A user as listings show it: without tags and boundary. */
export function userShape(call: ApiCall, { name, path, uniqueId, createdAt }: UserFacts): User {
  const Arn = identityArn("user", call.principal.accountId, path, name);
  return { Path: path, UserName: name, UserId: uniqueId, Arn, CreateDate: wholeSeconds(createdAt) };
}

function userDetailShape(call: ApiCall, user: IdentityOfUser, tags: readonly IdentityTag[]): User {
  return {
    ...userShape(call, user),
    ...(user.boundaryArn !== undefined && {
      PermissionsBoundary: { PermissionsBoundaryType: "PermissionsBoundaryPolicy" as const, PermissionsBoundaryArn: user.boundaryArn },
    }),
    ...(tags.length > 0 && { Tags: tagShapes(tags) }),
  };
}

async function readUser(call: ApiCall, name: string | undefined): Promise<User> {
  const ctx = identityContext(call);
  const { principal } = call;
  if (name === undefined && principal.kind === "root") return rootShape(call);
  // The caller itself by its id: a name could be another's by now.
  const user = name === undefined ? await findUserByUniqueId(ctx, principal.principalId) : await getUser(ctx, name);
  if (user === undefined) throw refuse("not-found", { noun: "user", name: principal.principalId });
  return userDetailShape(call, user, await findTags(ctx, "user", user.name));
}

/** Root is no user: AWS tells its id, ARN and age, and leaves out what the model calls required. */
async function rootShape(call: ApiCall): Promise<User> {
  const account = await findAccount(identityContext(call));
  const { accountId, arn } = call.principal;
  const root: Omit<User, "Path" | "UserName"> = { UserId: accountId, Arn: arn, CreateDate: wholeSeconds(account?.createdAt ?? 0) };
  return root as User;
}
