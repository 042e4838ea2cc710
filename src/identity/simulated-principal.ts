/** The policies, the boundary and the condition keys that a user, group or role would bring to a request. */
import type { AccountCaller } from "#iam/caller.ts";
import { readIdentityDetails } from "#metadata/identity-details.ts";
import type { IdentityDetail } from "#metadata/identity-details.ts";
import { findPolicyDocument } from "#metadata/principal-policies.ts";
import { identityArn, parseIdentityArn, roleSessionArn } from "./arn.ts";
import { awsManagedPolicy } from "./aws-managed-policies.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { getHolder } from "./policy-holder.ts";
import type { Holder } from "./policy-holder.ts";
import type { Scenario, SimulatedPolicy } from "./simulation.ts";

/** What a principal brings to a simulation. */
export interface SimulatedPrincipal extends Pick<Scenario, "policies" | "boundary" | "context"> {
  /** Undefined for a group: nobody calls as a group. */
  readonly caller: AccountCaller | undefined;
}

/** Reads a user (with its groups), group or role of the account. Throws IdentityError `not-found`, `invalid-input`. */
export async function readSimulatedPrincipal(ctx: IdentityContext, arn: string): Promise<SimulatedPrincipal> {
  const { metadata } = ctx.core;
  const holder = holderOfArn(ctx, arn);
  const identity = await getHolder(ctx, holder);
  if (identityArn(holder.kind, ctx.accountId, identity.path, identity.name) !== arn)
    throw refuse("not-found", { noun: holder.kind, name: holder.name });
  const [detail] = await readIdentityDetails(metadata, [identity]);
  if (detail === undefined) throw refuse("not-found", { noun: holder.kind, name: holder.name });
  const groups = await readIdentityDetails(metadata, detail.groups);
  const policies: SimulatedPolicy[] = [];
  for (const one of [detail, ...groups]) policies.push(...(await policiesOf(ctx, one)));
  const { boundaryArn } = identity;
  const boundary = boundaryArn === undefined ? undefined : await managedPolicy(ctx, boundaryArn);
  const caller = holder.kind === "group" ? undefined : callerOfArn(arn);
  return { policies, boundary, caller, context: contextOf(ctx, detail, arn) };
}

/** The caller that an ARN of a user or role names. Undefined for anything else. */
export function callerOfArn(arn: string): AccountCaller | undefined {
  const parts = parseIdentityArn(arn);
  if (parts === undefined || parts.accountId === "aws") return undefined;
  const { accountId, name } = parts;
  // Principals of the question's policies were never resolved to ids, so they match by ARN.
  const uniqueId = "";
  if (parts.kind === "user") return { kind: "user", accountId, arn, uniqueId };
  if (parts.kind !== "role") return undefined;
  return { kind: "role-session", accountId, arn: roleSessionArn(accountId, name, "simulation"), roleArn: arn, uniqueId };
}

function holderOfArn(ctx: IdentityContext, arn: string): Holder {
  const parts = parseIdentityArn(arn);
  const isHolder = parts?.kind === "user" || parts?.kind === "group" || parts?.kind === "role";
  if (!isHolder || parts.accountId !== ctx.accountId) throw refuse("invalid-input", { message: `Invalid Entity Arn: ${arn}` });
  return { kind: parts.kind, name: parts.name };
}

async function policiesOf(ctx: IdentityContext, { identity, inline, attachedArns }: IdentityDetail): Promise<readonly SimulatedPolicy[]> {
  const { kind, name: holder } = identity as { readonly kind: Holder["kind"]; readonly name: string };
  const policies: SimulatedPolicy[] = inline.map(({ name, document }) => ({
    sourceId: `${kind}_${holder}_${name}`,
    sourceKind: kind,
    document,
  }));
  for (const arn of attachedArns) policies.push(await managedPolicy(ctx, arn));
  return policies;
}

async function managedPolicy({ core, accountId }: IdentityContext, arn: string): Promise<SimulatedPolicy> {
  const sourceId = arn.slice(arn.lastIndexOf("/") + 1);
  const aws = awsManagedPolicy(arn);
  if (aws !== undefined) return { sourceId, sourceKind: "aws-managed", document: aws.document };
  const document = await findPolicyDocument(core.metadata, accountId, sourceId);
  // It was deleted since it was seen attached, which the one who asks may do again.
  if (document === undefined) throw refuse("not-found", { noun: "policy", name: arn });
  return { sourceId, sourceKind: "user-managed", document };
}

/** What is known about a caller before it calls; sessions would bring more. */
function contextOf({ accountId }: IdentityContext, { identity, tags }: IdentityDetail, arn: string): Scenario["context"] {
  const { kind, name, uniqueId } = identity;
  if (kind === "group") return [];
  const own: [string, string][] =
    kind === "user"
      ? [
          ["aws:username", name],
          ["aws:userid", uniqueId],
        ]
      : [];
  return [
    ...tags.map(({ key, value }) => [`aws:PrincipalTag/${key}`, value] as const),
    ["aws:PrincipalArn", arn],
    ["aws:PrincipalAccount", accountId],
    ["aws:PrincipalType", kind === "user" ? "User" : "AssumedRole"],
    ...own,
  ];
}
