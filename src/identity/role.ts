/** Roles (IAM User Guide, "IAM roles"): who may take one on is its trust policy's word, how long is its own. */
import { findIdentity } from "#metadata/identities.ts";
import type { Identity } from "#metadata/identity-rows.ts";
import { listIdentityTags } from "#metadata/identity-tags.ts";
import {
  createRole as createRoleRow,
  deleteRole as deleteRoleRow,
  findRoleTrust,
  listRoles as listRoleRows,
  updateRole as updateRoleRow,
} from "#metadata/roles.ts";
import type { DeleteRoleOutcome, Role, UpdateRoleOutcome } from "#metadata/roles.ts";
import { identityArn } from "./arn.ts";
import { policyReference } from "./attachment.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import type { IdentityError } from "./errors.ts";
import { showPrincipals } from "./principal-resolution.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";
import { checkTrust } from "./trust-policy.ts";
import { makeUniqueId } from "./unique-id.ts";

/** A role as it is shown. Times are milliseconds since the epoch. */
export interface RoleDetails extends Pick<
  Identity,
  "identityId" | "name" | "path" | "uniqueId" | "description" | "boundaryArn" | "createdAt"
> {
  readonly arn: string;
  /** As it was given; a user or role that is gone stands in it as its unique id. */
  readonly trustDocument: string;
  readonly maxSessionSeconds: number;
  readonly lastUsedAt: number | undefined;
  readonly lastUsedRegion: string | undefined;
}

/** What a role is made from. */
export interface RoleRequest {
  readonly name: string;
  /** Begins and ends with a slash. */
  readonly path: string;
  readonly trustDocument: string;
  readonly description: string | undefined;
  readonly maxSessionSeconds: number | undefined;
  readonly boundaryArn: string | undefined;
  readonly tags: readonly IdentityTag[];
}

/** Part of a listing by name: what comes after `after`, and how many at most. */
export interface RolePage {
  readonly pathPrefix: string;
  readonly after: string | undefined;
  readonly limit: number;
}

/** How many roles an account may have. */
export const maxRoles = 1_000;
/** How long a session of a role may be when its maker did not say. */
export const usualSessionSeconds = 3_600;
/** The roles below it belong to services. */
export const serviceRolePath = "/aws-service-role/";

/** Makes a role. Throws IdentityError. */
export async function createRole(ctx: IdentityContext, request: RoleRequest): Promise<RoleDetails> {
  const { name, path, description, maxSessionSeconds = usualSessionSeconds, boundaryArn } = request;
  if (path.startsWith(serviceRolePath))
    throw refuse("invalid-input", { message: `Path prefix '${serviceRolePath}' can only be used for AWS Service linked Roles` });
  const tags = checkTags(request.tags);
  const trust = await checkTrust(ctx, request.trustDocument);
  const { metadata, random, clock } = ctx.core;
  const made = await createRoleRow(metadata, {
    accountId: ctx.accountId,
    name,
    path,
    description,
    boundary: boundaryArn === undefined ? undefined : policyReference(ctx, boundaryArn),
    uniqueId: makeUniqueId(random, "AROA"),
    ...trust,
    maxSessionSeconds,
    tags,
    now: clock.now(),
    limit: maxRoles,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "role", name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "RolesPerAccount", limit: maxRoles });
  if (made.outcome === "no-policy") throw refuse("not-found", { noun: "attachable-policy", name: boundaryArn ?? "" });
  return showRole(ctx, made.role);
}

/** The role of that name with its tags. Throws IdentityError `not-found`. */
export async function getRole(
  ctx: IdentityContext,
  name: string,
): Promise<{ readonly role: RoleDetails; readonly tags: readonly IdentityTag[] }> {
  const found = await findRoleTrust(ctx.core.metadata, ctx.accountId, name);
  if (found === undefined) throw noRole(name);
  const [role, tags] = [await showRole(ctx, found), await listIdentityTags(ctx.core.metadata, found.identity.identityId)];
  return { role, tags };
}

/** A page of roles by name without regard to case; `next` is the last name when there are more. */
export async function listRoles(
  ctx: IdentityContext,
  page: RolePage,
): Promise<{ readonly roles: readonly RoleDetails[]; readonly next: string | undefined }> {
  const { roles, next } = await listRoleRows(ctx.core.metadata, { accountId: ctx.accountId, ...page });
  return { roles: await showRoles(ctx, roles), next };
}

/** The ARN of a role; a role that does not exist has the path `/`. */
export async function roleArnOf({ core, accountId }: IdentityContext, name: string): Promise<string> {
  const identity = await findIdentity(core.metadata, { accountId, kind: "role", name });
  return identityArn("role", accountId, identity?.path ?? "/", identity?.name ?? name);
}

/** Changes the description or how long sessions may be; what is undefined stays. Throws IdentityError. */
export async function updateRole(
  ctx: IdentityContext,
  name: string,
  change: { readonly description?: string | undefined; readonly maxSessionSeconds?: number | undefined },
): Promise<RoleDetails> {
  const { core, accountId } = ctx;
  return showRole(ctx, updated(name, await updateRoleRow(core.metadata, { ...change, accountId, name, now: core.clock.now() })));
}

/** Sets who may take the role on. Throws IdentityError. */
export async function updateTrust(ctx: IdentityContext, name: string, trustDocument: string): Promise<void> {
  const { core, accountId } = ctx;
  const trust = await checkTrust(ctx, trustDocument);
  updated(name, await updateRoleRow(core.metadata, { trust, accountId, name, now: core.clock.now() }));
}

/** Deletes a role that nothing hangs on any more, and ends its sessions. Throws IdentityError. */
export async function deleteRole({ core, accountId }: IdentityContext, name: string): Promise<void> {
  const outcome = await deleteRoleRow(core.metadata, { accountId, name, isLinked: false });
  if (outcome !== "deleted") throw deleteRefusal(outcome, name);
}

/** Why a role was not deleted, as an error. */
export function deleteRefusal(outcome: Exclude<DeleteRoleOutcome, "deleted">, name: string): IdentityError {
  if (outcome === "not-found") return noRole(name);
  return outcome === "wrong-kind" ? unmodifiable(name) : refuse("delete-conflict", { conflict: outcome });
}

/** Roles as they are shown. */
export async function showRoles(ctx: IdentityContext, roles: readonly Role[]): Promise<readonly RoleDetails[]> {
  const documents = await showPrincipals(
    ctx,
    roles.map(({ trustDocument, trustPrincipals }) => ({ document: trustDocument, principals: trustPrincipals })),
  );
  return roles.map((role, index) => detailsOf(role, documents[index] ?? role.trustDocument));
}

/** One role as it is shown. */
export async function showRole(ctx: IdentityContext, role: Role): Promise<RoleDetails> {
  const [shown] = await showRoles(ctx, [role]);
  return shown ?? detailsOf(role, role.trustDocument);
}

function detailsOf({ identity, maxSessionSeconds, lastUsedAt, lastUsedRegion }: Role, trustDocument: string): RoleDetails {
  const { accountId, identityId, name, path, uniqueId, description, boundaryArn, createdAt } = identity;
  const arn = identityArn("role", accountId, path, name);
  const own = { identityId, name, path, uniqueId, description, boundaryArn, createdAt };
  return { ...own, arn, trustDocument, maxSessionSeconds, lastUsedAt, lastUsedRegion };
}

function updated(name: string, outcome: UpdateRoleOutcome): Role {
  if (outcome.outcome === "not-found") throw noRole(name);
  if (outcome.outcome === "linked") throw unmodifiable(name);
  return outcome.role;
}

function noRole(name: string): IdentityError {
  return refuse("not-found", { noun: "role", name });
}

/** The refusal to change a service-linked role. */
export function unmodifiable(name: string): IdentityError {
  return refuse("unmodifiable", { name, service: "AWS" });
}
