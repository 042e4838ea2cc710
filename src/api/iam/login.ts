import { findAccount } from "#identity/account.ts";
import { changePassword, createLoginProfile, deleteLoginProfile, getLoginProfile, updateLoginProfile } from "#identity/login.ts";
import type { LoginProfile as Profile } from "#identity/login.ts";
import type { Principal } from "#access/principal.ts";
import { compilePolicy } from "#iam/compile.ts";
import { parsePolicy } from "#iam/document.ts";
import { assert } from "#std/assert.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, wholeSeconds } from "./identity-shape.ts";
import type { LoginProfile } from "./model/shapes.ts";
import type { IamRows } from "./table.ts";
import { onUser, userNameOf } from "./user-target.ts";

type Names = "CreateLoginProfile" | "GetLoginProfile" | "UpdateLoginProfile" | "DeleteLoginProfile" | "ChangePassword";

/** Console passwords of users. */
export const loginOperations: IamRows<Names> = {
  CreateLoginProfile: {
    action: "iam:CreateLoginProfile",
    ...onUser,
    handle: async (call, input) => {
      const { Password: password, PasswordResetRequired: resetRequired = false } = input;
      if (password === undefined) throw missing("password");
      const profile = await createLoginProfile(identityContext(call), loginNameOf(call, input), { password, resetRequired });
      return { LoginProfile: profileShape(profile) };
    },
  },

  GetLoginProfile: {
    action: "iam:GetLoginProfile",
    ...onUser,
    handle: async (call, input) => ({
      LoginProfile: profileShape(await getLoginProfile(identityContext(call), loginNameOf(call, input))),
    }),
  },

  UpdateLoginProfile: {
    action: "iam:UpdateLoginProfile",
    ...onUser,
    handle: async (call, input) => {
      const changes = { password: input.Password, resetRequired: input.PasswordResetRequired };
      await updateLoginProfile(identityContext(call), input.UserName, changes);
      return {};
    },
  },

  DeleteLoginProfile: {
    action: "iam:DeleteLoginProfile",
    ...onUser,
    handle: async (call, input) => {
      await deleteLoginProfile(identityContext(call), loginNameOf(call, input));
      return {};
    },
  },

  ChangePassword: {
    action: "iam:ChangePassword",
    resource: (call) => call.principal.arn,
    identify: withPasswordGrant,
    handle: async (call, { OldPassword: oldPassword, NewPassword: newPassword }) => {
      if (call.principal.kind !== "user") throw new ApiFault("InvalidUserType", "Only IAM Users can change their own password");
      await changePassword(identityContext(call), loginNameOf(call, {}), { oldPassword, newPassword });
      return {};
    },
  },
};

const grantDocument = {
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Action: ["iam:ChangePassword", "iam:GetAccountPasswordPolicy"], Resource: "*" },
};
const passwordGrant = makePasswordGrant();

/**
 * With `AllowUsersToChangePassword` every user of the account is granted to change its own password and to read the password policy, as by
 * one more policy of its own: a Deny, a boundary or a session policy still holds.
 */
export async function withPasswordGrant(call: ApiCall): Promise<Principal> {
  const { principal } = call;
  if (principal.kind !== "user") return principal;
  const account = await findAccount(identityContext(call));
  if (account?.passwordPolicy?.allowUsersToChangePassword !== true) return principal;
  return { ...principal, grants: { ...principal.grants, identity: [...principal.grants.identity, passwordGrant] } };
}

function makePasswordGrant(): ReturnType<typeof compilePolicy> {
  const read = parsePolicy(JSON.stringify(grantDocument), "inline");
  assert(read.ok, "our own document is a policy");
  return compilePolicy(read.value, { name: "account password policy" });
}

/** Root has no password here: it signs with its key. */
function loginNameOf(call: ApiCall, input: { readonly UserName?: string | undefined }): string {
  const name = userNameOf(call, input);
  if (name === undefined) throw missing("userName");
  return name;
}

function missing(member: string): ApiFault {
  return new ApiFault(
    "ValidationError",
    `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null`,
  );
}

function profileShape({ userName, createdAt, resetRequired }: Profile): LoginProfile {
  return { UserName: userName, CreateDate: wholeSeconds(createdAt), PasswordResetRequired: resetRequired };
}
