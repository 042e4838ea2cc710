/** May they: one decision, with AWS's sentence for a refusal. For now a principal may do everything in its own account and nothing in another's. */
import type { Access } from "./access.ts";
import type { Principal } from "./principal.ts";

/** What was decided. The message is what the caller may read. */
export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly message: string };

const allowed: Decision = { allowed: true };
/** AWS lets nobody be forbidden to ask who they are. */
const openAction = "sts:GetCallerIdentity";

/**
 * Decides whether the principal may perform the action on the resource: an ARN, or `*` for what concerns the caller's own account.
 * Anything that is not plainly in the caller's account is another's.
 */
export function authorize(_access: Access, principal: Principal, action: string, resourceArn: string): Decision {
  if (action === openAction || resourceArn === "*" || accountOfArn(resourceArn) === principal.accountId) return allowed;
  return {
    allowed: false,
    message: `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resourceArn} because no resource-based policy allows the ${action} action`,
  };
}

/** `arn:<partition>:<service>:<region>:<account>:<resource>` */
function accountOfArn(arn: string): string | undefined {
  const parts = arn.split(":", 6);
  return parts.length === 6 && parts[0] === "arn" ? parts[4] : undefined;
}
