import { createAccessKey, deleteAccessKey, getAccessKeyUse, listAccessKeys, updateAccessKey } from "#identity/access-key.ts";
import { rootArn } from "#identity/arn.ts";
import { IdentityError } from "#identity/errors.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, wholeSeconds } from "./identity-shape.ts";
import type { AccessKey, statusType } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamRows } from "./table.ts";
import { onUser, userArn, userKeys, userNameOf } from "./user-target.ts";
import type { TargetKeys } from "./user-target.ts";

type Names = "CreateAccessKey" | "UpdateAccessKey" | "DeleteAccessKey" | "ListAccessKeys" | "GetAccessKeyLastUsed";

/** Long-term access keys; without a user name the caller's own. */
export const accessKeyOperations: IamRows<Names> = {
  CreateAccessKey: {
    action: "iam:CreateAccessKey",
    ...onUser,
    handle: async (call, input) => {
      const { userName, accessKeyId, secretAccessKey, createdAt } = await createAccessKey(identityContext(call), userNameOf(call, input));
      const key: Omit<AccessKey, "UserName"> = {
        AccessKeyId: accessKeyId,
        Status: "Active",
        SecretAccessKey: secretAccessKey,
        CreateDate: wholeSeconds(createdAt),
      };
      // A root key has no user, whatever the model requires.
      return { AccessKey: { ...key, ...(userName !== undefined && { UserName: userName }) } as AccessKey };
    },
  },

  UpdateAccessKey: {
    action: "iam:UpdateAccessKey",
    ...onUser,
    check: (input) => void keyStatus(input.Status),
    handle: async (call, input) => {
      await updateAccessKey(identityContext(call), userNameOf(call, input), input.AccessKeyId, keyStatus(input.Status));
      return {};
    },
  },

  DeleteAccessKey: {
    action: "iam:DeleteAccessKey",
    ...onUser,
    handle: async (call, input) => {
      await deleteAccessKey(identityContext(call), userNameOf(call, input), input.AccessKeyId);
      return {};
    },
  },

  ListAccessKeys: {
    action: "iam:ListAccessKeys",
    ...onUser,
    handle: async (call, input) => {
      const asked = userNameOf(call, input);
      const listing = ["ListAccessKeys", ...(asked === undefined ? [] : [asked])];
      const { userName, keys, next } = await listAccessKeys(identityContext(call), asked, openIamPage(call, listing, input));
      const member = userName === undefined ? {} : { UserName: userName };
      return {
        AccessKeyMetadata: keys.map(({ accessKeyId, status, createdAt }) => ({
          ...member,
          AccessKeyId: accessKeyId,
          Status: status,
          CreateDate: wholeSeconds(createdAt),
        })),
        ...closeIamPage(call, listing, next),
      };
    },
  },

  GetAccessKeyLastUsed: {
    action: "iam:GetAccessKeyLastUsed",
    resource: async (call, { AccessKeyId }) => (await holderOf(call, AccessKeyId)).arn,
    conditionKeys: async (call, { AccessKeyId }) => (await holderOf(call, AccessKeyId)).keys,
    handle: async (call, input) => {
      const { userName, last } = await getAccessKeyUse(identityContext(call), input.AccessKeyId);
      return {
        ...(userName !== undefined && { UserName: userName }),
        AccessKeyLastUsed:
          last === undefined
            ? { ServiceName: "N/A", Region: "N/A" }
            : { LastUsedDate: wholeSeconds(last.at), ServiceName: last.service, Region: last.region },
      };
    },
  },
};

/** The model knows a status that no key here can have: only service-specific credentials expire. */
function keyStatus(status: statusType): "Active" | "Inactive" {
  if (status === "Expired") throw new ApiFault("InvalidInput", "The status of an access key must be Active or Inactive.");
  return status;
}

/** The user of a key; for a key that is not there, a permission on everything is what it takes to learn that. */
async function holderOf(call: ApiCall, accessKeyId: string): Promise<{ readonly arn: string; readonly keys: TargetKeys }> {
  try {
    const { userName } = await getAccessKeyUse(identityContext(call), accessKeyId);
    if (userName === undefined) return { arn: rootArn(call.principal.accountId), keys: {} };
    const user = { UserName: userName };
    return { arn: await userArn(call, user), keys: await userKeys(call, user) };
  } catch (error) {
    if (error instanceof IdentityError) return { arn: "*", keys: {} };
    throw error;
  }
}
