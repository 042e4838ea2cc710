import { roleArnOf } from "#identity/role.ts";
import {
  createServiceLinkedRole,
  deleteServiceLinkedRole,
  findDeletionFailure,
  serviceLinkedRoleArn,
} from "#identity/service-linked-role.ts";
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
    // When DeleteServiceLinkedRole has answered, the role is gone or stays; no task is still running.
    handle: async (call, input) => {
      const failure = await findDeletionFailure(identityContext(call), input.DeletionTaskId);
      if (failure === undefined) return { Status: "SUCCEEDED" };
      const { reason: Reason, regions } = failure;
      const usage = regions.map((Region) => ({ Region, Resources: [everyRepositoryIn(call.principal.accountId, Region)] }));
      return { Status: "FAILED", Reason: { Reason, ...(usage.length > 0 && { RoleUsageList: usage }) } };
    },
  },
};

function everyRepositoryIn(accountId: string, region: string): string {
  return `arn:aws:ecr:${region}:${accountId}:repository/*`;
}
