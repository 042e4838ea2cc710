import { attachPolicy, detachPolicy, listAttachedPolicies } from "#identity/attachment.ts";
import type { OperationRow } from "../call.ts";
import { identityContext } from "./identity-shape.ts";
import type { AttachedPolicy } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { changeKeys, holderArn, holderKeys, holderOf, ofGroup, ofRole, ofUser } from "./policy-holder.ts";
import type { HolderColumn } from "./policy-holder.ts";
import type { IamRows } from "./table.ts";

interface PolicyInput {
  readonly PolicyArn: string;
}

interface ListInput {
  readonly PathPrefix?: string;
  readonly Marker?: string;
  readonly MaxItems?: number;
}

interface ListOutput {
  readonly AttachedPolicies: readonly AttachedPolicy[];
  readonly IsTruncated: boolean;
  readonly Marker?: string;
}

type Nothing = Readonly<Record<string, never>>;

/** What attaching and detaching have in common; `change` is what they do. */
function changeRow<Named>(
  column: HolderColumn<Named>,
  verb: "Attach" | "Detach",
  change: typeof attachPolicy,
): OperationRow<Named & PolicyInput, Nothing> {
  return {
    action: `iam:${verb}${column.noun}Policy`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: async (call, input) => ({ ...(await changeKeys(call, column, input)), "iam:PolicyARN": input.PolicyArn }),
    handle: async (call, input) => {
      await change(identityContext(call), holderOf(column, input), input.PolicyArn);
      return {};
    },
  };
}

function listRow<Named>(column: HolderColumn<Named>): OperationRow<Named & ListInput, ListOutput> {
  const operation = `ListAttached${column.noun}Policies`;
  return {
    action: `iam:${operation}`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => holderKeys(call, column, input),
    handle: async (call, input) => {
      const { PathPrefix: pathPrefix = "/" } = input;
      const listing = [operation, column.nameOf(input), pathPrefix];
      const page = openIamPage(call, listing, input);
      const { arns, next } = await listAttachedPolicies(identityContext(call), holderOf(column, input), { ...page, pathPrefix });
      return { AttachedPolicies: arns.map(attachedShape), ...closeIamPage(call, listing, next) };
    },
  };
}

/** A policy as it is listed where it is attached. */
export function attachedShape(arn: string): AttachedPolicy {
  return { PolicyName: arn.slice(arn.lastIndexOf("/") + 1), PolicyArn: arn };
}

/** Managed policies on users, groups and roles. */
export const attachmentOperations: IamRows<
  | "AttachUserPolicy"
  | "AttachGroupPolicy"
  | "AttachRolePolicy"
  | "DetachUserPolicy"
  | "DetachGroupPolicy"
  | "DetachRolePolicy"
  | "ListAttachedUserPolicies"
  | "ListAttachedGroupPolicies"
  | "ListAttachedRolePolicies"
> = {
  AttachUserPolicy: changeRow(ofUser, "Attach", attachPolicy),
  AttachGroupPolicy: changeRow(ofGroup, "Attach", attachPolicy),
  AttachRolePolicy: changeRow(ofRole, "Attach", attachPolicy),
  DetachUserPolicy: changeRow(ofUser, "Detach", detachPolicy),
  DetachGroupPolicy: changeRow(ofGroup, "Detach", detachPolicy),
  DetachRolePolicy: changeRow(ofRole, "Detach", detachPolicy),
  ListAttachedUserPolicies: listRow(ofUser),
  ListAttachedGroupPolicies: listRow(ofGroup),
  ListAttachedRolePolicies: listRow(ofRole),
};
