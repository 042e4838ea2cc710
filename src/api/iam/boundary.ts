import { deleteBoundary, putBoundary } from "#identity/boundary.ts";
import type { OperationRow } from "../call.ts";
import { identityContext } from "./identity-shape.ts";
import { changeKeys, holderArn, holderKeys, holderOf, ofRole, ofUser } from "./policy-holder.ts";
import type { HolderColumn } from "./policy-holder.ts";
import type { IamRows } from "./table.ts";

interface BoundaryInput {
  readonly PermissionsBoundary: string;
}

type Nothing = Readonly<Record<string, never>>;

function putRow<Named>(column: HolderColumn<Named>): OperationRow<Named & BoundaryInput, Nothing> {
  return {
    action: `iam:Put${column.noun}PermissionsBoundary`,
    resource: (call, input) => holderArn(call, column, input),
    // The boundary that is asked for: who may set only a certain one must not set another.
    conditionKeys: async (call, input) => ({
      ...(await holderKeys(call, column, input)),
      "iam:PermissionsBoundary": input.PermissionsBoundary,
    }),
    handle: async (call, input) => {
      await putBoundary(identityContext(call), holderOf(column, input), input.PermissionsBoundary);
      return {};
    },
  };
}

function deleteRow<Named>(column: HolderColumn<Named>): OperationRow<Named, Nothing> {
  return {
    action: `iam:Delete${column.noun}PermissionsBoundary`,
    resource: (call, input) => holderArn(call, column, input),
    conditionKeys: (call, input) => changeKeys(call, column, input),
    handle: async (call, input) => {
      await deleteBoundary(identityContext(call), holderOf(column, input));
      return {};
    },
  };
}

/** Permissions boundaries of users and roles. */
export const boundaryOperations: IamRows<
  "PutUserPermissionsBoundary" | "PutRolePermissionsBoundary" | "DeleteUserPermissionsBoundary" | "DeleteRolePermissionsBoundary"
> = {
  PutUserPermissionsBoundary: putRow(ofUser),
  PutRolePermissionsBoundary: putRow(ofRole),
  DeleteUserPermissionsBoundary: deleteRow(ofUser),
  DeleteRolePermissionsBoundary: deleteRow(ofRole),
};
