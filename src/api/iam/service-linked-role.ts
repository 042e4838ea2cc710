import { roleArnOf } from "#identity/role.ts";
import { createServiceLinkedRole, deleteServiceLinkedRole, serviceLinkedRoleArn } from "#identity/service-linked-role.ts";
import { identityContext } from "./identity-shape.ts";
import { roleShape } from "./role.ts";
import type { IamRows } from "./table.ts";

/** The roles as which the registry itself acts for an account. */
export const serviceLinkedRoleOperations: IamRows<
  "CreateServiceLinkedRole" | "DeleteServiceLinkedRole" | "GetServiceLinkedRoleDeletionStatus"
> = {
  CreateServiceLinkedRole: {
    action: "iam:CreateServiceLinkedRole",
    resource: (call, input) => serviceLinkedRoleArn(call.principal.accountId, input.AWSServiceName),
    conditionKeys: (_call, input) => ({ "iam:AWSServiceName": input.AWSServiceName }),
    handle: async (call, input) => {
      const { AWSServiceName: service, Description: description, CustomSuffix: suffix } = input;
      return { Role: roleShape(await createServiceLinkedRole(identityContext(call), { service, description, suffix })) };
    },
  },

  DeleteServiceLinkedRole: {
    action: "iam:DeleteServiceLinkedRole",
    resource: (call, input) => roleArnOf(identityContext(call), input.RoleName),
    handle: async (call, input) => ({ DeletionTaskId: await deleteServiceLinkedRole(identityContext(call), input.RoleName) }),
  },

  GetServiceLinkedRoleDeletionStatus: {
    action: "iam:GetServiceLinkedRoleDeletionStatus",
    resource: () => "*",
    // A role is gone when DeleteServiceLinkedRole has answered; there is no task that could still be running or have failed.
    handle: async () => ({ Status: "SUCCEEDED" }),
  },
};
