/** Policies as callers write them, ready to be stored. */
import { parsePolicy, principalsOf } from "#iam/document.ts";
import { resolvePrincipals } from "#identity/principal-resolution.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";

/** A policy that was found to be one, with the unique ids of the users and roles that it names. */
export interface CheckedPolicy {
  readonly document: string;
  readonly principals: Readonly<Record<string, string>>;
}

/** Reads a policy of a repository or a registry. Throws InvalidParameterException in ECR's words, which do not say what is wrong. */
export async function checkPolicyText(
  call: ApiCall,
  kind: "repository" | "registry" | "registry-v1",
  text: string,
): Promise<CheckedPolicy> {
  const read = parsePolicy(text, kind);
  if (!read.ok) throw new ApiFault("InvalidParameterException", read.problem.message);
  const found = await resolvePrincipals({ core: call.context.core }, principalsOf(read.value));
  // Terraform waits and tries again at these words: a role that was made a moment ago may not be known yet.
  if (!found.ok) throw invalidParameter("PolicyText", `Invalid ${kind === "repository" ? kind : "registry"} policy provided`);
  return { document: text, principals: found.resolved };
}
