import { findAccountOfAccessKey } from "#identity/access-key-account.ts";
import { ApiFault } from "../fault.ts";
import type { StsRows } from "./table.ts";

/** Questions about the caller, about keys and about messages. */
export const callerOperations: StsRows<"GetCallerIdentity" | "GetAccessKeyInfo" | "DecodeAuthorizationMessage"> = {
  GetCallerIdentity: {
    action: "sts:GetCallerIdentity",
    resource: () => "*",
    handle: async ({ principal }) => ({ UserId: principal.principalId, Account: principal.accountId, Arn: principal.arn }),
  },
  GetAccessKeyInfo: {
    action: "sts:GetAccessKeyInfo",
    resource: () => "*",
    handle: async (call, input) => {
      const account = await findAccountOfAccessKey(call.context.core, input.AccessKeyId);
      if (account === undefined) throw new ApiFault("ValidationError", "The access key id names no account.");
      return { Account: account };
    },
  },
  DecodeAuthorizationMessage: {
    action: "sts:DecodeAuthorizationMessage",
    resource: () => "*",
    // No answer of this server carries an encoded message, so none that is sent here can be one.
    handle: async () => {
      throw new ApiFault("InvalidAuthorizationMessageException", "Message is not valid");
    },
  },
};
