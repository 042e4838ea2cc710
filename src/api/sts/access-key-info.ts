import { decodeAuthorizationMessage } from "#access/authorization-message.ts";
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
    handle: async ({ access, principal }, { EncodedMessage }) => {
      const decoded = decodeAuthorizationMessage(access, EncodedMessage, principal.accountId);
      if (decoded === undefined)
        throw new ApiFault("InvalidAuthorizationMessageException", "The message is not a valid authorization message.");
      return { DecodedMessage: JSON.stringify(decoded) };
    },
  },
};
