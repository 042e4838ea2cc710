/** Groups: users who share policies. A group is nobody's principal (IAM User Guide, "IAM user groups"). */
import {
  addGroupMember,
  createGroup as insertGroup,
  deleteGroup as removeGroup,
  listGroupMembers,
  listGroupsOfUser as readGroupsOfUser,
  removeGroupMember,
} from "#metadata/groups.ts";
import type { MembershipOutcome } from "#metadata/groups.ts";
import { findIdentity, listIdentities, updateIdentity } from "#metadata/identities.ts";
import type { Identity } from "#metadata/identity-rows.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { identityQuotas } from "./quota.ts";
import { makeUniqueId } from "./unique-id.ts";
import { getUser } from "./user.ts";
import type { IdentityPage } from "./user.ts";

/** Part of a listing of memberships: what comes after a row, and how many at most. */
export interface MembershipPage {
  readonly after: number | undefined;
  readonly limit: number;
}

/** Makes a group. Throws IdentityError `exists` or `limit`. */
export async function createGroup(ctx: IdentityContext, input: { readonly name: string; readonly path: string }): Promise<Identity> {
  const { metadata, clock, random } = ctx.core;
  const made = await insertGroup(metadata, {
    accountId: ctx.accountId,
    name: input.name,
    path: input.path,
    uniqueId: makeUniqueId(random, "AGPA"),
    tags: [],
    now: clock.now(),
    limit: identityQuotas.GroupsPerAccount,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "group", name: input.name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "GroupsPerAccount", limit: identityQuotas.GroupsPerAccount });
  return made.identity;
}

/** The group of that name, or undefined. */
export async function findGroup(ctx: IdentityContext, name: string): Promise<Identity | undefined> {
  return findIdentity(ctx.core.metadata, { accountId: ctx.accountId, kind: "group", name });
}

/** A group and a page of its users, the oldest first; `next` when there are more. Throws IdentityError `not-found`. */
export async function getGroup(
  ctx: IdentityContext,
  name: string,
  page: MembershipPage,
): Promise<{ readonly group: Identity; readonly users: readonly Identity[]; readonly next: number | undefined }> {
  const group = await findGroup(ctx, name);
  if (group === undefined) throw refuse("not-found", { noun: "group", name });
  return { group, ...(await listGroupMembers(ctx.core.metadata, { groupId: group.identityId, ...page })) };
}

/** Renames a group or moves it to another path; members and policies stay. Throws IdentityError `not-found` or `exists`. */
export async function updateGroup(
  ctx: IdentityContext,
  name: string,
  changes: { readonly newName: string | undefined; readonly newPath: string | undefined },
): Promise<void> {
  const key = { accountId: ctx.accountId, kind: "group" as const, name };
  const { outcome } = await updateIdentity(ctx.core.metadata, { ...key, ...changes, now: ctx.core.clock.now() });
  if (outcome === "not-found") throw refuse("not-found", { noun: "group", name });
  if (outcome === "exists") throw refuse("exists", { noun: "group", name: changes.newName ?? name });
}

/** Deletes a group without members and policies. Throws IdentityError `not-found` or `delete-conflict`. */
export async function deleteGroup(ctx: IdentityContext, name: string): Promise<void> {
  const result = await removeGroup(ctx.core.metadata, { accountId: ctx.accountId, name });
  if (result.outcome === "not-found") throw refuse("not-found", { noun: "group", name });
  if (result.outcome === "conflict") throw refuse("delete-conflict", { conflict: result.conflict });
}

/** A page of groups by name; `next` is the last name when there are more. */
export async function listGroups(
  ctx: IdentityContext,
  page: IdentityPage,
): Promise<{ readonly groups: readonly Identity[]; readonly next: string | undefined }> {
  const { identities, next } = await listIdentities(ctx.core.metadata, { ...page, accountId: ctx.accountId, kind: "group" });
  return { groups: identities, next };
}

/** Puts a user into a group; no error when it is there already. Throws IdentityError `not-found` or `limit`. */
export async function addUserToGroup(ctx: IdentityContext, groupName: string, userName: string): Promise<void> {
  const membership = { accountId: ctx.accountId, groupName, userName };
  const outcome = await addGroupMember(ctx.core.metadata, { ...membership, limit: identityQuotas.GroupsPerUser });
  checkMembership(outcome, groupName, userName);
}

/** Takes a user out of a group. Throws IdentityError `not-found` for the group, the user or the membership. */
export async function removeUserFromGroup(ctx: IdentityContext, groupName: string, userName: string): Promise<void> {
  checkMembership(await removeGroupMember(ctx.core.metadata, { accountId: ctx.accountId, groupName, userName }), groupName, userName);
}

/** A page of the groups that a user is in, the oldest group first. Throws IdentityError `not-found`. */
export async function listGroupsOfUser(
  ctx: IdentityContext,
  userName: string,
  page: MembershipPage,
): Promise<{ readonly groups: readonly Identity[]; readonly next: number | undefined }> {
  const user = await getUser(ctx, userName);
  return readGroupsOfUser(ctx.core.metadata, { userId: user.identityId, ...page });
}

function checkMembership(outcome: MembershipOutcome, groupName: string, userName: string): void {
  switch (outcome) {
    case "changed":
      return;
    case "group-not-found":
      throw refuse("not-found", { noun: "group", name: groupName });
    case "user-not-found":
      throw refuse("not-found", { noun: "user", name: userName });
    case "not-member":
      throw refuse("not-found", { noun: "membership", name: groupName });
    case "limit":
      throw refuse("limit", { quota: "GroupsPerUser", limit: identityQuotas.GroupsPerUser });
  }
}
