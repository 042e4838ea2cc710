import { deleteInlinePolicy, getInlinePolicy, listInlinePolicies, putInlinePolicy } from "#identity/inline-policy.ts";
import type { OperationRow } from "../call.ts";
import { identityContext } from "./identity-shape.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import { changeKeys, holderArn, holderKeys, holderOf, ofGroup, ofRole, ofUser } from "./policy-holder.ts";
import type { HolderColumn } from "./policy-holder.ts";
import { encodePolicyDocument } from "./policy-text.ts";
import type { IamRows } from "./table.ts";

interface NameInput {
  readonly PolicyName: string;
}

interface DocumentInput extends NameInput {
  readonly PolicyDocument: string;
}

interface ListInput {
  readonly Marker?: string;
  readonly MaxItems?: number;
}

interface ListOutput {
  readonly PolicyNames: readonly string[];
  readonly IsTruncated: boolean;
  readonly Marker?: string;
}

type Nothing = Readonly<Record<string, never>>;

function putRow<Named>(column: HolderColumn<Named>): OperationRow<Named & DocumentInput, Nothing> {
  return {
    action: `iam:Put${column.noun}Policy`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => changeKeys(call, column, input),
    handle: async (call, input) => {
      const { PolicyName: name, PolicyDocument: document } = input;
      await putInlinePolicy(identityContext(call), holderOf(column, input), { name, document });
      return {};
    },
  };
}

function getRow<Named>(column: HolderColumn<Named>): OperationRow<Named & NameInput, Named & DocumentInput> {
  return {
    action: `iam:Get${column.noun}Policy`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => holderKeys(call, column, input),
    handle: async (call, input) => {
      const { PolicyName } = input;
      const document = await getInlinePolicy(identityContext(call), holderOf(column, input), PolicyName);
      return { ...column.named(column.nameOf(input)), PolicyName, PolicyDocument: encodePolicyDocument(document) };
    },
  };
}

function deleteRow<Named>(column: HolderColumn<Named>): OperationRow<Named & NameInput, Nothing> {
  return {
    action: `iam:Delete${column.noun}Policy`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => changeKeys(call, column, input),
    handle: async (call, input) => {
      await deleteInlinePolicy(identityContext(call), holderOf(column, input), input.PolicyName);
      return {};
    },
  };
}

function listRow<Named>(column: HolderColumn<Named>): OperationRow<Named & ListInput, ListOutput> {
  const operation = `List${column.noun}Policies`;
  return {
    action: `iam:${operation}`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => holderKeys(call, column, input),
    handle: async (call, input) => {
      const listing = [operation, column.nameOf(input)];
      const page = openIamPage(call, listing, input);
      const { names, next } = await listInlinePolicies(identityContext(call), holderOf(column, input), page);
      return { PolicyNames: names, ...closeIamPage(call, listing, next) };
    },
  };
}

/** Policies inside users, groups and roles. */
export const inlinePolicyOperations: IamRows<
  | "PutUserPolicy"
  | "PutGroupPolicy"
  | "PutRolePolicy"
  | "GetUserPolicy"
  | "GetGroupPolicy"
  | "GetRolePolicy"
  | "DeleteUserPolicy"
  | "DeleteGroupPolicy"
  | "DeleteRolePolicy"
  | "ListUserPolicies"
  | "ListGroupPolicies"
  | "ListRolePolicies"
> = {
  PutUserPolicy: putRow(ofUser),
  PutGroupPolicy: putRow(ofGroup),
  PutRolePolicy: putRow(ofRole),
  GetUserPolicy: getRow(ofUser),
  GetGroupPolicy: getRow(ofGroup),
  GetRolePolicy: getRow(ofRole),
  DeleteUserPolicy: deleteRow(ofUser),
  DeleteGroupPolicy: deleteRow(ofGroup),
  DeleteRolePolicy: deleteRow(ofRole),
  ListUserPolicies: listRow(ofUser),
  ListGroupPolicies: listRow(ofGroup),
  ListRolePolicies: listRow(ofRole),
};
