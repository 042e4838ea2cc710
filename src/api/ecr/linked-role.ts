/**
 * The roles as which the registry itself acts for an account (Amazon ECR User Guide, "Using service-linked roles for Amazon ECR"): the first
 * setting that needs one makes it, and its author must be allowed to make it.
 */
import type { ApiCall, AskedPermission } from "../call.ts";
import { identityContext } from "../iam/identity-shape.ts";

/** Loaded by the first of these settings: a registry without any does not carry it. */
const linkedRoles = () => import("#identity/service-linked-role.ts");

/** What the caller needs while the caller's account does not have the role of that service. */
export async function linkedRolePermissions(call: ApiCall, service: string): Promise<readonly AskedPermission[]> {
  const { hasServiceLinkedRole, serviceLinkedRoleArn } = await linkedRoles();
  if (await hasServiceLinkedRole(identityContext(call), service)) return [];
  const resource = serviceLinkedRoleArn(call.principal.accountId, service);
  return [{ action: "iam:CreateServiceLinkedRole", resource, keys: { "iam:AWSServiceName": service } }];
}

/** Makes the role in the caller's account unless it is there. */
export async function ensureLinkedRole(call: ApiCall, service: string): Promise<void> {
  const { createServiceLinkedRole, hasServiceLinkedRole } = await linkedRoles();
  const ctx = identityContext(call);
  if (await hasServiceLinkedRole(ctx, service)) return;
  try {
    await createServiceLinkedRole(ctx, { service, description: undefined, suffix: undefined });
  } catch (error) {
    // Another call was faster.
    if (!(await hasServiceLinkedRole(ctx, service))) throw error;
  }
}
