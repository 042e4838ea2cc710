/** Managed policies on users, groups and roles. */
import type { Identity } from "#metadata/identity-rows.ts";
import type { PolicyUse } from "#metadata/managed-policies.ts";
import {
  attachPolicy as attach,
  detachPolicy as detach,
  listAttachedPolicies as readAttached,
  listPolicyHolders as readHolders,
} from "#metadata/policy-attachments.ts";
import type { PolicyReference } from "#metadata/policy-attachments.ts";
import { parseIdentityArn } from "./arn.ts";
import { awsManagedPolicy, servicePolicyPath } from "./aws-managed-policies.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { getPolicy } from "./managed-policy.ts";
import type { PolicyPage } from "./managed-policy.ts";
import { getHolder, holderKey, holderQuotas, holderRefused } from "./policy-holder.ts";
import type { Holder, HolderKind } from "./policy-holder.ts";

/** Attaches a policy; again is no error. Throws IdentityError `not-found`, `not-attachable`, `limit`, `unmodifiable`, `invalid-input`. */
export async function attachPolicy(ctx: IdentityContext, holder: Holder, arn: string): Promise<void> {
  const { attached, attachedQuota } = holderQuotas[holder.kind];
  const policy = policyReference(ctx, arn);
  const result = await attach(ctx.core.metadata, { holder: holderKey(ctx, holder), policy, limit: attached });
  if (result.outcome === "not-found" || result.outcome === "protected") throw holderRefused(holder, result);
  if (result.outcome === "no-policy") throw refuse("not-found", { noun: "attachable-policy", name: arn });
  if (result.outcome === "limit") throw refuse("limit", { quota: attachedQuota, limit: attached });
}

/** Takes a policy away. Throws IdentityError `not-found` when it is not attached, `unmodifiable`. */
export async function detachPolicy(ctx: IdentityContext, holder: Holder, arn: string): Promise<void> {
  const result = await detach(ctx.core.metadata, { holder: holderKey(ctx, holder), arn });
  if (result.outcome === "not-found" || result.outcome === "protected") throw holderRefused(holder, result);
  if (result.outcome === "not-attached") throw refuse("not-found", { noun: "attachment", name: arn });
}

/** A page of the ARNs of the policies attached to a holder, in order. Throws IdentityError `not-found`. */
export async function listAttachedPolicies(
  ctx: IdentityContext,
  holder: Holder,
  page: PolicyPage & { readonly pathPrefix: string },
): Promise<{ readonly arns: readonly string[]; readonly next: string | undefined }> {
  return readAttached(ctx.core.metadata, { ...page, holder: await getHolder(ctx, holder) });
}

/** A page of the account's users, groups and roles that use a policy. Throws IdentityError `not-found`, `invalid-input`. */
export async function listPolicyHolders(
  ctx: IdentityContext,
  input: PolicyPage & {
    readonly arn: string;
    readonly kind: HolderKind | undefined;
    readonly pathPrefix: string;
    readonly use: PolicyUse | undefined;
  },
): Promise<{ readonly holders: readonly Identity[]; readonly next: string | undefined }> {
  await getPolicy(ctx, input.arn);
  const after = input.after === undefined ? undefined : Number(input.after);
  const { holders, next } = await readHolders(ctx.core.metadata, { ...input, accountId: ctx.accountId, after });
  return { holders, next: next?.toString() };
}

/** The policy that a holder is to refer to. Throws IdentityError `not-found`, `not-attachable`, `invalid-input`. */
export function policyReference(ctx: IdentityContext, arn: string): PolicyReference {
  const parts = parseIdentityArn(arn);
  if (parts?.kind !== "policy") throw refuse("invalid-input", { message: `ARN ${arn} is not valid.` });
  const { accountId, path, name } = parts;
  if (accountId === ctx.accountId) return { arn, own: { accountId, path, name } };
  if (awsManagedPolicy(arn) === undefined) throw refuse("not-found", { noun: "attachable-policy", name: arn });
  if (path.startsWith(servicePolicyPath)) throw refuse("not-attachable", { arn });
  return { arn, own: undefined };
}
