/** Users (IAM User Guide, "IAM users", and "IAM and AWS STS quotas"). */
import { findIdentity, findIdentityByUniqueId, listIdentities, updateIdentity } from "#metadata/identities.ts";
import type { Identity } from "#metadata/identity-rows.ts";
import { createUser as insertUser, deleteUser as removeUser } from "#metadata/users.ts";
import { policyReference } from "./attachment.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { identityQuotas } from "./quota.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";
import { makeUniqueId } from "./unique-id.ts";

/** What a user is made from. */
export interface NewUser {
  readonly name: string;
  readonly path: string;
  /** The ARN of the managed policy beyond which no policy of the user reaches. */
  readonly boundaryArn: string | undefined;
  readonly tags: readonly IdentityTag[];
}

/** Part of a listing: whose path begins with `pathPrefix`, by name after `after`, and how many at most. */
export interface IdentityPage {
  readonly pathPrefix: string;
  readonly after: string | undefined;
  readonly limit: number;
}

/** Makes a user. Throws IdentityError `exists`, `limit`, `invalid-input`, and `not-found` or `not-attachable` for the boundary. */
export async function createUser(ctx: IdentityContext, input: NewUser): Promise<Identity> {
  const { metadata, clock, random } = ctx.core;
  const { name, path, boundaryArn } = input;
  const made = await insertUser(metadata, {
    accountId: ctx.accountId,
    name,
    path,
    uniqueId: makeUniqueId(random, "AIDA"),
    boundary: boundaryArn === undefined ? undefined : policyReference(ctx, boundaryArn),
    tags: checkTags(input.tags),
    now: clock.now(),
    limit: identityQuotas.UsersPerAccount,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "user", name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "UsersPerAccount", limit: identityQuotas.UsersPerAccount });
  if (made.outcome === "no-policy") throw refuse("not-found", { noun: "attachable-policy", name: boundaryArn ?? "" });
  return made.identity;
}

/** The user of that name, or undefined. */
export async function findUser(ctx: IdentityContext, name: string): Promise<Identity | undefined> {
  return findIdentity(ctx.core.metadata, { accountId: ctx.accountId, kind: "user", name });
}

/** The user of that name. Throws IdentityError `not-found`. */
export async function getUser(ctx: IdentityContext, name: string): Promise<Identity> {
  const user = await findUser(ctx, name);
  if (user === undefined) throw refuse("not-found", { noun: "user", name });
  return user;
}

/** The user of that unique id (`AIDA…`), or undefined when it is gone or not of this account. */
export async function findUserByUniqueId(ctx: IdentityContext, uniqueId: string): Promise<Identity | undefined> {
  const found = await findIdentityByUniqueId(ctx.core.metadata, uniqueId);
  return found?.kind === "user" && found.accountId === ctx.accountId ? found : undefined;
}

/** Renames a user or moves it to another path; its unique id, keys, groups and policies stay. Throws IdentityError `not-found` or `exists`. */
export async function updateUser(
  ctx: IdentityContext,
  name: string,
  changes: { readonly newName: string | undefined; readonly newPath: string | undefined },
): Promise<void> {
  const key = { accountId: ctx.accountId, kind: "user" as const, name };
  const { outcome } = await updateIdentity(ctx.core.metadata, { ...key, ...changes, now: ctx.core.clock.now() });
  if (outcome === "not-found") throw refuse("not-found", { noun: "user", name });
  if (outcome === "exists") throw refuse("exists", { noun: "user", name: changes.newName ?? name });
}

/** Deletes a user on whom nothing hangs any more, and its temporary credentials. Throws IdentityError `not-found` or `delete-conflict`. */
export async function deleteUser(ctx: IdentityContext, name: string): Promise<void> {
  const result = await removeUser(ctx.core.metadata, { accountId: ctx.accountId, name });
  if (result.outcome === "not-found") throw refuse("not-found", { noun: "user", name });
  if (result.outcome === "conflict") throw refuse("delete-conflict", { conflict: result.conflict });
}

/** A page of users by name; `next` is the last name when there are more. */
export async function listUsers(
  ctx: IdentityContext,
  page: IdentityPage,
): Promise<{ readonly users: readonly Identity[]; readonly next: string | undefined }> {
  const { identities, next } = await listIdentities(ctx.core.metadata, { ...page, accountId: ctx.accountId, kind: "user" });
  return { users: identities, next };
}
