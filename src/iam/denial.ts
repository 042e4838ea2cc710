/** What the caller may read about a denial (IAM User Guide, "Troubleshoot access denied error messages"). */
import { callerName } from "./caller.ts";
import type { DenialCause, Evaluation, EvaluationRequest } from "./evaluate.ts";

/** How messages name each kind of policy: where it does not allow, and with its article where it denies. */
const names: Readonly<Record<DenialCause, { readonly silent: string; readonly denying: string }>> = {
  identity: { silent: "identity-based policy", denying: "an identity-based policy" },
  boundary: { silent: "permissions boundary", denying: "a permissions boundary" },
  session: { silent: "session policy", denying: "a session policy" },
  resource: { silent: "resource-based policy", denying: "a resource-based policy" },
  trust: { silent: "role trust policy", denying: "the role trust policy" },
};

/**
 * AWS's sentence, from `User: …` on. It names one kind of policy and no statement. A web identity reads only that it is not authorized,
 * whether the role exists or not.
 */
export function denialMessage(
  request: Pick<EvaluationRequest, "caller" | "action" | "resource">,
  denial: Extract<Evaluation, { allowed: false }>,
): string {
  const { caller, action, resource } = request;
  if (caller.kind === "web-identity") return `Not authorized to perform ${action}`;
  const name = names[denial.cause];
  const reason = denial.explicit ? `with an explicit deny in ${name.denying}` : `because no ${name.silent} allows the ${action} action`;
  return `User: ${callerName(caller)} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
}
