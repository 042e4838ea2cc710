/**
 * Service-linked roles: what the registry itself does for an account it does as one of these (Amazon ECR User Guide, "Using service-linked
 * roles for Amazon ECR"). Only the service says who may take one on and what it may do.
 */
import { createHash } from "node:crypto";
import { createRole, deleteRole, findRoleTrust } from "#metadata/roles.ts";
import type { Role } from "#metadata/roles.ts";
import { listServiceRoleUses } from "#metadata/service-role-uses.ts";
import type { ServiceRoleUse } from "#metadata/service-role-uses.ts";
import { identityArn } from "./arn.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { deleteRefusal, maxRoles, serviceRolePath, showRole, usualSessionSeconds } from "./role.ts";
import type { RoleDetails } from "./role.ts";
import { makeUniqueId } from "./unique-id.ts";

interface LinkedRole {
  readonly name: string;
  readonly policyName: string;
  readonly use: ServiceRoleUse;
  /** What a registry that uses the role has. */
  readonly useText: string;
}

const linkedRoles: ReadonlyMap<string, LinkedRole> = new Map([
  [
    "replication.ecr.amazonaws.com",
    {
      name: "AWSServiceRoleForECRReplication",
      policyName: "ECRReplicationServiceRolePolicy",
      use: "replication",
      useText: "a replication configuration with rules",
    },
  ],
  [
    "pullthroughcache.ecr.amazonaws.com",
    {
      name: "AWSServiceRoleForECRPullThroughCache",
      policyName: "AWSECRPullThroughCache_ServiceRolePolicy",
      use: "pull-through",
      useText: "pull through cache rules",
    },
  ],
  [
    "ecr.amazonaws.com",
    {
      name: "AWSServiceRoleForECRTemplate",
      policyName: "ECRTemplateServiceRolePolicy",
      use: "creation-template",
      useText: "repository creation templates without a custom role",
    },
  ],
]);

/** The ARN of a service's role, whether or not the role exists; a service without one is asked for by the beginning of such names. */
export function serviceLinkedRoleArn(accountId: string, service: string): string {
  return identityArn("role", accountId, `${serviceRolePath}${service}/`, linkedRoles.get(service)?.name ?? "AWSServiceRoleFor");
}

/** Makes the role of a service. Throws IdentityError: an unknown service, a suffix, or a role that is there already. */
export async function createServiceLinkedRole(
  ctx: IdentityContext,
  request: { readonly service: string; readonly description: string | undefined; readonly suffix: string | undefined },
): Promise<RoleDetails> {
  const { service, description, suffix } = request;
  const linked = linkedRoles.get(service);
  if (linked === undefined) throw refuse("invalid-input", { message: `Service ${service} has no service-linked role in this registry.` });
  if (suffix !== undefined) throw refuse("invalid-input", { message: `Custom suffix is not allowed for ${service}` });
  const { metadata, random, clock } = ctx.core;
  const made = await createRole(metadata, {
    accountId: ctx.accountId,
    name: linked.name,
    path: `${serviceRolePath}${service}/`,
    uniqueId: makeUniqueId(random, "AROA"),
    description,
    trustDocument: trustOf(service),
    trustPrincipals: {},
    maxSessionSeconds: usualSessionSeconds,
    linkedService: service,
    policyArns: [`arn:aws:iam::aws:policy${serviceRolePath}${linked.policyName}`],
    tags: [],
    now: clock.now(),
    limit: maxRoles,
  });
  if (made.outcome === "limit") throw refuse("limit", { quota: "RolesPerAccount", limit: maxRoles });
  if (made.outcome === "created") return showRole(ctx, made.role);
  const message = `Service role name ${linked.name} has been taken in this account, please try a different suffix.`;
  throw refuse("invalid-input", { message });
}

/** Has the account the role of that service? */
export async function hasServiceLinkedRole({ core, accountId }: IdentityContext, service: string): Promise<boolean> {
  const role = await findRoleTrust(core.metadata, accountId, linkedRoles.get(service)?.name ?? "");
  return role?.linkedService === service;
}

function trustOf(service: string): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }],
  });
}

/**
 * Deletes a service-linked role at once, unless a registry of the account uses it, and answers the id of that task; {@link findDeletionFailure}
 * says how it ended. Throws IdentityError `not-found`, also for other roles.
 */
export async function deleteServiceLinkedRole({ core, accountId }: IdentityContext, name: string): Promise<string> {
  const role = await findRoleTrust(core.metadata, accountId, name);
  const linked = linkedRoles.get(role?.linkedService ?? "");
  if (role === undefined || linked === undefined) throw deleteRefusal("not-found", name);
  const regions = await listServiceRoleUses(core.metadata, accountId, linked.use);
  if (regions.length > 0) return taskOf(role);
  const outcome = await deleteRole(core.metadata, { accountId, name, isLinked: true });
  if (outcome !== "deleted") throw deleteRefusal(outcome, name);
  return taskOf(role);
}

/** Why a service-linked role is still there. */
export interface DeletionFailure {
  readonly reason: string;
  /** Where it is used. */
  readonly regions: readonly string[];
}

/** Why the role that a task was to delete is still there; undefined when it is gone. */
export async function findDeletionFailure({ core, accountId }: IdentityContext, taskId: string): Promise<DeletionFailure | undefined> {
  const name = taskId.split("/").at(-2) ?? "";
  const role = await findRoleTrust(core.metadata, accountId, name);
  const linked = linkedRoles.get(role?.linkedService ?? "");
  // A role of that name which was made after the deletion is another one.
  if (role === undefined || linked === undefined || taskOf(role) !== taskId) return undefined;
  const regions = await listServiceRoleUses(core.metadata, accountId, linked.use);
  const where = `the Amazon ECR registry with id '${accountId}' in ${regions.join(", ")}`;
  const reason =
    regions.length > 0
      ? `The role is used by ${where}, which has ${linked.useText}. Delete these first.`
      : `The role was in use when its deletion was asked for. Nothing uses it any more: delete it again.`;
  return { reason, regions };
}

/** The task of deleting this very role: its id is made from the role's, so that what became of it can be seen from whether the role is there. */
function taskOf({ identity: { name, uniqueId }, linkedService = "" }: Role): string {
  const hash = createHash("sha256").update(`deletion of ${uniqueId}`).digest("hex");
  const id = [hash.slice(0, 8), hash.slice(8, 12), `8${hash.slice(13, 16)}`, `8${hash.slice(17, 20)}`, hash.slice(20, 32)].join("-");
  return `task${serviceRolePath}${linkedService}/${name}/${id}`;
}
