/**
 * Service-linked roles: what the registry itself does for an account it does as one of these (Amazon ECR User Guide, "Using service-linked
 * roles for Amazon ECR"). Only the service says who may take one on and what it may do.
 */
import { createRole, deleteRole, findRoleTrust } from "#metadata/roles.ts";
import { identityArn } from "./arn.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { deleteRefusal, maxRoles, serviceRolePath, showRole, usualSessionSeconds } from "./role.ts";
import type { RoleDetails } from "./role.ts";
import { makeUniqueId } from "./unique-id.ts";

interface LinkedRole {
  readonly name: string;
  readonly policyName: string;
}

const linkedRoles: ReadonlyMap<string, LinkedRole> = new Map([
  ["replication.ecr.amazonaws.com", { name: "AWSServiceRoleForECRReplication", policyName: "ECRReplicationServiceRolePolicy" }],
  [
    "pullthroughcache.ecr.amazonaws.com",
    { name: "AWSServiceRoleForECRPullThroughCache", policyName: "AWSECRPullThroughCache_ServiceRolePolicy" },
  ],
  ["ecr.amazonaws.com", { name: "AWSServiceRoleForECRTemplate", policyName: "ECRTemplateServiceRolePolicy" }],
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

function trustOf(service: string): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }],
  });
}

/** Deletes a service-linked role at once, and answers the id of that task. Throws IdentityError `not-found`, also for other roles. */
export async function deleteServiceLinkedRole({ core, accountId }: IdentityContext, name: string): Promise<string> {
  const role = await findRoleTrust(core.metadata, accountId, name);
  const outcome = role?.linkedService === undefined ? "not-found" : await deleteRole(core.metadata, { accountId, name, isLinked: true });
  if (outcome !== "deleted") throw deleteRefusal(outcome, name);
  return `task${serviceRolePath}${role?.linkedService ?? ""}/${role?.identity.name ?? name}/${core.random.uuid()}`;
}
