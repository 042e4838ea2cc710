import { getAccountSetting } from "#registry/account-setting.ts";
import type { RegistryRef } from "#registry/context.ts";
import { deleteRegistryPolicy, findRegistryPolicy, putRegistryPolicy } from "#registry/registry-policy.ts";
import { ownRegistry } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { checkPolicyText } from "./policy-text.ts";
import type { EcrRows } from "./table.ts";

/** What others may do in the caller's registry: anything, or with the older scope no more than make repositories by pulling through or by replication. Texts come back exactly as they were given. */
export const registryPolicyOperations: EcrRows<"PutRegistryPolicy" | "GetRegistryPolicy" | "DeleteRegistryPolicy"> = {
  PutRegistryPolicy: {
    action: "ecr:PutRegistryPolicy",
    resource: () => "*",
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      const scope = await getAccountSetting(call.context.core, registry, "REGISTRY_POLICY_SCOPE");
      const kind = scope === "V1" ? "registry-v1" : "registry";
      await putRegistryPolicy(call.context, registry, await checkPolicyText(call, kind, input.policyText));
      return { registryId: registry.accountId, policyText: input.policyText };
    },
  },

  GetRegistryPolicy: {
    action: "ecr:GetRegistryPolicy",
    resource: () => "*",
    handle: async (call) => policyShape(ownRegistry(call), await findRegistryPolicy(call.context, ownRegistry(call))),
  },

  DeleteRegistryPolicy: {
    action: "ecr:DeleteRegistryPolicy",
    resource: () => "*",
    handle: async (call) => policyShape(ownRegistry(call), await deleteRegistryPolicy(call.context, ownRegistry(call))),
  },
};

function policyShape({ accountId }: RegistryRef, policyText: string | undefined) {
  if (policyText !== undefined) return { registryId: accountId, policyText };
  throw new ApiFault("RegistryPolicyNotFoundException", `Registry policy does not exist in the registry with id '${accountId}'`);
}
