/** Instance profiles (IAM User Guide, "Use instance profiles"): the name under which machines are given one role. */
import { findIdentity } from "#metadata/identities.ts";
import { listIdentityTags } from "#metadata/identity-tags.ts";
import {
  addInstanceProfileRole,
  createInstanceProfile as createRow,
  deleteInstanceProfile as deleteRow,
  findInstanceProfile,
  listInstanceProfiles as listRows,
  listInstanceProfilesOfRole,
  removeInstanceProfileRole,
} from "#metadata/instance-profiles.ts";
import type { InstanceProfile, InstanceProfilePage } from "#metadata/instance-profiles.ts";
import { identityArn } from "./arn.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import type { IdentityError } from "./errors.ts";
import { showRoles, unmodifiable } from "./role.ts";
import type { RoleDetails } from "./role.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";
import { makeUniqueId } from "./unique-id.ts";

/** An instance profile as it is shown. The time is milliseconds since the epoch. */
export interface InstanceProfileDetails {
  readonly arn: string;
  readonly name: string;
  readonly path: string;
  readonly uniqueId: string;
  readonly createdAt: number;
  readonly role: RoleDetails | undefined;
}

/** A page of instance profiles by name; `next` is the last name when there are more. */
export interface InstanceProfileListing {
  readonly profiles: readonly InstanceProfileDetails[];
  readonly next: string | undefined;
}

const maxProfiles = 1_000;

/** Makes an instance profile without a role. Throws IdentityError. */
export async function createInstanceProfile(
  ctx: IdentityContext,
  request: { readonly name: string; readonly path: string; readonly tags: readonly IdentityTag[] },
): Promise<InstanceProfileDetails> {
  const { metadata, random, clock } = ctx.core;
  const { name, path } = request;
  const made = await createRow(metadata, {
    accountId: ctx.accountId,
    name,
    path,
    uniqueId: makeUniqueId(random, "AIPA"),
    tags: checkTags(request.tags),
    now: clock.now(),
    limit: maxProfiles,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "instance-profile", name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "InstanceProfilesPerAccount", limit: maxProfiles });
  return detailsOf({ identity: made.identity, role: undefined }, undefined);
}

/** The instance profile of that name with its tags. Throws IdentityError `not-found`. */
export async function getInstanceProfile(
  ctx: IdentityContext,
  name: string,
): Promise<{ readonly profile: InstanceProfileDetails; readonly tags: readonly IdentityTag[] }> {
  const found = await findInstanceProfile(ctx.core.metadata, { accountId: ctx.accountId, name });
  if (found === undefined) throw noProfile(name);
  const roles = await showRoles(ctx, found.role === undefined ? [] : [found.role]);
  return { profile: detailsOf(found, roles[0]), tags: await listIdentityTags(ctx.core.metadata, found.identity.identityId) };
}

/** The ARN of an instance profile; one that does not exist has the path `/`. */
export async function instanceProfileArnOf({ core, accountId }: IdentityContext, name: string): Promise<string> {
  const identity = await findIdentity(core.metadata, { accountId, kind: "instance-profile", name });
  return identityArn("instance-profile", accountId, identity?.path ?? "/", identity?.name ?? name);
}

/** A page of the account's instance profiles. */
export async function listInstanceProfiles(
  ctx: IdentityContext,
  page: { readonly pathPrefix: string; readonly after: string | undefined; readonly limit: number },
): Promise<InstanceProfileListing> {
  return showPage(ctx, await listRows(ctx.core.metadata, { accountId: ctx.accountId, ...page }));
}

/** A page of the instance profiles that a role is in. Throws IdentityError `not-found`. */
export async function listInstanceProfilesForRole(
  ctx: IdentityContext,
  roleName: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<InstanceProfileListing> {
  const { metadata } = ctx.core;
  const role = await findIdentity(metadata, { accountId: ctx.accountId, kind: "role", name: roleName });
  if (role === undefined) throw refuse("not-found", { noun: "role", name: roleName });
  return showPage(ctx, await listInstanceProfilesOfRole(metadata, { roleId: role.identityId, ...page }));
}

/** Deletes an instance profile without a role. Throws IdentityError. */
export async function deleteInstanceProfile({ core, accountId }: IdentityContext, name: string): Promise<void> {
  const outcome = await deleteRow(core.metadata, { accountId, name });
  if (outcome === "not-found") throw noProfile(name);
  if (outcome === "occupied") throw refuse("delete-conflict", { conflict: "instance-profile-roles" });
}

/** Puts a role into an instance profile that has none. Throws IdentityError. */
export async function addRoleToInstanceProfile({ core, accountId }: IdentityContext, name: string, roleName: string): Promise<void> {
  const outcome = await addInstanceProfileRole(core.metadata, { accountId, name, roleName });
  switch (outcome) {
    case "profile-not-found":
      throw noProfile(name);
    case "role-not-found":
      throw refuse("not-found", { noun: "role", name: roleName });
    case "linked":
      throw unmodifiable(roleName);
    case "occupied":
      // AWS's name of the quota, however odd.
      throw refuse("limit", { quota: "InstanceSessionsPerInstanceProfile", limit: 1 });
    case "added":
    default:
  }
}

/** Takes a role out of an instance profile. Throws IdentityError `not-found`. */
export async function removeRoleFromInstanceProfile({ core, accountId }: IdentityContext, name: string, roleName: string): Promise<void> {
  const outcome = await removeInstanceProfileRole(core.metadata, { accountId, name, roleName });
  if (outcome === "profile-not-found") throw noProfile(name);
  if (outcome === "role-not-found") throw refuse("not-found", { noun: "role", name: roleName });
}

async function showPage(ctx: IdentityContext, { profiles, next }: InstanceProfilePage): Promise<InstanceProfileListing> {
  const roles = await showRoles(
    ctx,
    profiles.flatMap(({ role }) => role ?? []),
  );
  const byId = new Map(roles.map((role) => [role.identityId, role]));
  return { profiles: profiles.map((profile) => detailsOf(profile, byId.get(profile.role?.identity.identityId ?? -1))), next };
}

function detailsOf({ identity }: InstanceProfile, role: RoleDetails | undefined): InstanceProfileDetails {
  const { accountId, name, path, uniqueId, createdAt } = identity;
  return { arn: identityArn("instance-profile", accountId, path, name), name, path, uniqueId, createdAt, role };
}

function noProfile(name: string): IdentityError {
  return refuse("not-found", { noun: "instance-profile", name });
}
