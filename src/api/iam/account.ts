import {
  createAccountAlias,
  deleteAccountAlias,
  deletePasswordPolicy,
  findAccount,
  getPasswordPolicy,
  summarizeAccount,
  updatePasswordPolicy,
} from "#identity/account.ts";
import { identityQuotas } from "#identity/quota.ts";
import type { ApiCall } from "../call.ts";
import { identityContext } from "./identity-shape.ts";
import { withPasswordGrant } from "./login.ts";
import type { GetAccountSummaryResponse } from "./model/shapes.ts";
import type { IamRows } from "./table.ts";

type Names =
  | "GetAccountPasswordPolicy"
  | "UpdateAccountPasswordPolicy"
  | "DeleteAccountPasswordPolicy"
  | "CreateAccountAlias"
  | "DeleteAccountAlias"
  | "ListAccountAliases"
  | "GetAccountSummary";

/** The account as a whole. */
export const accountOperations: IamRows<Names> = {
  GetAccountPasswordPolicy: {
    action: "iam:GetAccountPasswordPolicy",
    resource: () => "*",
    identify: withPasswordGrant,
    handle: async (call) => {
      const policy = await getPasswordPolicy(identityContext(call));
      return {
        PasswordPolicy: {
          MinimumPasswordLength: policy.minimumLength,
          RequireSymbols: policy.requireSymbols,
          RequireNumbers: policy.requireNumbers,
          RequireUppercaseCharacters: policy.requireUppercase,
          RequireLowercaseCharacters: policy.requireLowercase,
          AllowUsersToChangePassword: policy.allowUsersToChangePassword,
          ExpirePasswords: false,
        },
      };
    },
  },

  UpdateAccountPasswordPolicy: {
    action: "iam:UpdateAccountPasswordPolicy",
    resource: () => "*",
    handle: async (call, input) => {
      await updatePasswordPolicy(identityContext(call), {
        minimumLength: input.MinimumPasswordLength,
        requireSymbols: input.RequireSymbols,
        requireNumbers: input.RequireNumbers,
        requireUppercase: input.RequireUppercaseCharacters,
        requireLowercase: input.RequireLowercaseCharacters,
        allowUsersToChangePassword: input.AllowUsersToChangePassword,
        maxAgeDays: input.MaxPasswordAge,
        reusePrevention: input.PasswordReusePrevention,
        hardExpiry: input.HardExpiry,
      });
      return {};
    },
  },

  DeleteAccountPasswordPolicy: {
    action: "iam:DeleteAccountPasswordPolicy",
    resource: () => "*",
    handle: async (call) => {
      await deletePasswordPolicy(identityContext(call));
      return {};
    },
  },

  CreateAccountAlias: {
    action: "iam:CreateAccountAlias",
    resource: () => "*",
    handle: async (call, input) => {
      await createAccountAlias(identityContext(call), input.AccountAlias);
      return {};
    },
  },

  DeleteAccountAlias: {
    action: "iam:DeleteAccountAlias",
    resource: () => "*",
    handle: async (call, input) => {
      await deleteAccountAlias(identityContext(call), input.AccountAlias);
      return {};
    },
  },

  ListAccountAliases: {
    action: "iam:ListAccountAliases",
    resource: () => "*",
    handle: async (call) => {
      const alias = (await findAccount(identityContext(call)))?.alias;
      return { AccountAliases: alias === undefined ? [] : [alias], IsTruncated: false };
    },
  },

  GetAccountSummary: {
    action: "iam:GetAccountSummary",
    resource: () => "*",
    handle: async (call) => ({ SummaryMap: await summaryOf(call) }),
  },
};

/** Counts, and AWS's quotas beside them. What this registry has none of (MFA devices, certificates) counts as nothing. */
async function summaryOf(call: ApiCall): Promise<NonNullable<GetAccountSummaryResponse["SummaryMap"]>> {
  const { identities, policyVersions, identityProviders, rootKeys } = await summarizeAccount(identityContext(call));
  return {
    Users: identities.user,
    UsersQuota: identityQuotas.UsersPerAccount,
    Groups: identities.group,
    GroupsQuota: identityQuotas.GroupsPerAccount,
    GroupsPerUserQuota: identityQuotas.GroupsPerUser,
    Roles: identities.role,
    RolesQuota: 1000,
    InstanceProfiles: identities["instance-profile"],
    InstanceProfilesQuota: 1000,
    Policies: identities.policy,
    PoliciesQuota: 1500,
    PolicyVersionsInUse: policyVersions,
    PolicyVersionsInUseQuota: 10_000,
    VersionsPerPolicyQuota: 5,
    PolicySizeQuota: 6144,
    UserPolicySizeQuota: 2048,
    GroupPolicySizeQuota: 5120,
    RolePolicySizeQuota: 10_240,
    AssumeRolePolicySizeQuota: 2048,
    AttachedPoliciesPerUserQuota: 10,
    AttachedPoliciesPerGroupQuota: 10,
    AttachedPoliciesPerRoleQuota: 10,
    AccessKeysPerUserQuota: identityQuotas.AccessKeysPerUser,
    AccountAccessKeysPresent: rootKeys > 0 ? 1 : 0,
    AccountPasswordPresent: 0,
    AccountMFAEnabled: 0,
    AccountSigningCertificatesPresent: 0,
    MFADevices: 0,
    MFADevicesInUse: 0,
    ServerCertificates: 0,
    ServerCertificatesQuota: 0,
    SigningCertificatesPerUserQuota: 0,
    Providers: identityProviders,
    GlobalEndpointTokenVersion: 2,
  };
}
