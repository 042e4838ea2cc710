import { accountSettingName, checkAccountSettingValue, getAccountSetting, putAccountSetting } from "#registry/account-setting.ts";
import type { EcrRows } from "./table.ts";

/** Settings of the caller's registry as a whole. */
export const accountSettingOperations: EcrRows<"GetAccountSetting" | "PutAccountSetting"> = {
  GetAccountSetting: {
    action: "ecr:GetAccountSetting",
    resource: () => "*",
    conditionKeys: (_call, input) => ({ "ecr:AccountSetting": input.name }),
    check: (input) => void accountSettingName(input.name),
    handle: async (call, input) => {
      const registry = { accountId: call.principal.accountId, region: call.region };
      return { name: input.name, value: await getAccountSetting(call.context.core, registry, accountSettingName(input.name)) };
    },
  },

  PutAccountSetting: {
    action: "ecr:PutAccountSetting",
    resource: () => "*",
    conditionKeys: (_call, input) => ({ "ecr:AccountSetting": input.name }),
    check: (input) => checkAccountSettingValue(accountSettingName(input.name), input.value),
    handle: async (call, input) => {
      const registry = { accountId: call.principal.accountId, region: call.region };
      await putAccountSetting(call.context, registry, accountSettingName(input.name), input.value);
      return { name: input.name, value: input.value };
    },
  },
};
