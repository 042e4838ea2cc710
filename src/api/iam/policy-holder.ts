/** What the operations on users, groups and roles have in common where policies are concerned: one row per verb is written, for three kinds. */
import { readHolderStanding } from "#identity/policy-holder.ts";
import type { Holder, HolderKind } from "#identity/policy-holder.ts";
import { findTags } from "#identity/tag.ts";
import type { ApiCall } from "../call.ts";
import { identityContext, resourceTagKeys } from "./identity-shape.ts";

/** How one kind of holder is written in IAM's API; `Named` is the member that names it. */
export interface HolderColumn<Named> {
  readonly kind: HolderKind;
  /** As operations name the kind. */
  readonly noun: "User" | "Group" | "Role";
  readonly nameOf: (input: Named) => string;
  readonly named: (name: string) => Named;
}

/** Users. */
export const ofUser: HolderColumn<{ readonly UserName: string }> = {
  kind: "user",
  noun: "User",
  nameOf: (input) => input.UserName,
  named: (UserName) => ({ UserName }),
};

/** Groups. */
export const ofGroup: HolderColumn<{ readonly GroupName: string }> = {
  kind: "group",
  noun: "Group",
  nameOf: (input) => input.GroupName,
  named: (GroupName) => ({ GroupName }),
};

/** Roles. */
export const ofRole: HolderColumn<{ readonly RoleName: string }> = {
  kind: "role",
  noun: "Role",
  nameOf: (input) => input.RoleName,
  named: (RoleName) => ({ RoleName }),
};

/** The holder that an input names. */
export function holderOf<Named>(column: HolderColumn<Named>, input: Named): Holder {
  return { kind: column.kind, name: column.nameOf(input) };
}

/** The ARN of the holder that an input names. */
export async function holderArn<Named>(call: ApiCall, column: HolderColumn<Named>, input: Named): Promise<string> {
  return (await readHolderStanding(identityContext(call), holderOf(column, input))).arn;
}

/** Condition keys of a change to a holder's policies: its tags, and the boundary that it has, by which administrators are kept inside their own. */
export async function changeKeys<Named>(call: ApiCall, column: HolderColumn<Named>, input: Named): Promise<Record<string, string>> {
  const { boundaryArn } = await readHolderStanding(identityContext(call), holderOf(column, input));
  return { ...(await holderKeys(call, column, input)), ...(boundaryArn !== undefined && { "iam:PermissionsBoundary": boundaryArn }) };
}

/** Condition keys of an operation on a holder: its tags. */
export async function holderKeys<Named>(
  call: ApiCall,
  column: HolderColumn<Named>,
  input: Named,
): Promise<Readonly<Record<string, string>>> {
  const { kind, name } = holderOf(column, input);
  return resourceTagKeys(await findTags(identityContext(call), kind, name));
}
