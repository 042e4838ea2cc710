/** Users, groups and roles as far as policies are concerned: what can hold them, how many, and how large. */
import type { HolderRefusal } from "#metadata/policy-attachments.ts";
import { findIdentity } from "#metadata/identities.ts";
import type { Identity, IdentityKey } from "#metadata/identity-rows.ts";
import { identityArn } from "./arn.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import type { IdentityError } from "./errors.ts";

/** What can hold policies. */
export type HolderKind = "user" | "group" | "role";

/** A user, group or role of the context's account. */
export interface Holder {
  readonly kind: HolderKind;
  readonly name: string;
}

/** Quotas of a kind of holder (IAM User Guide, "IAM and AWS STS quotas"). */
interface HolderQuotas {
  /** AWS's name of the quota of attached policies. */
  readonly attachedQuota: string;
  readonly attached: number;
  /** All inline policies together, without white space. */
  readonly inlineCharacters: number;
}

/** The quotas of each kind. */
export const holderQuotas: Readonly<Record<HolderKind, HolderQuotas>> = {
  user: { attachedQuota: "PoliciesPerUser", attached: 10, inlineCharacters: 2_048 },
  group: { attachedQuota: "PoliciesPerGroup", attached: 10, inlineCharacters: 5_120 },
  role: { attachedQuota: "PoliciesPerRole", attached: 10, inlineCharacters: 10_240 },
};

/** The holder's key in the account. */
export function holderKey(ctx: IdentityContext, { kind, name }: Holder): IdentityKey {
  return { accountId: ctx.accountId, kind, name };
}

/** The holder. Throws IdentityError `not-found`. */
export async function getHolder(ctx: IdentityContext, holder: Holder): Promise<Identity> {
  const found = await findIdentity(ctx.core.metadata, holderKey(ctx, holder));
  if (found === undefined) throw noHolder(holder);
  return found;
}

/** What permissions to change a holder are asked about: its ARN, and the boundary that it has. */
export interface HolderStanding {
  /** With the path `/` when there is no such holder: a permission on all of them is then enough to learn that. */
  readonly arn: string;
  readonly boundaryArn: string | undefined;
}

/** The holder's ARN and boundary, whether or not it exists. */
export async function readHolderStanding(ctx: IdentityContext, holder: Holder): Promise<HolderStanding> {
  const found = await findIdentity(ctx.core.metadata, holderKey(ctx, holder));
  return {
    arn: identityArn(holder.kind, ctx.accountId, found?.path ?? "/", found?.name ?? holder.name),
    boundaryArn: found?.boundaryArn,
  };
}

/** The error for a holder that takes no change. */
export function holderRefused(holder: Holder, refusal: HolderRefusal): IdentityError {
  return refusal.outcome === "not-found" ? noHolder(holder) : refuse("unmodifiable", { name: holder.name, service: refusal.service });
}

function noHolder({ kind, name }: Holder): IdentityError {
  return refuse("not-found", { noun: kind, name });
}
