import type { RegistryRef } from "#registry/context.ts";
import { deleteRegistryPolicy, findRegistryPolicy, putRegistryPolicy } from "#registry/registry-policy.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { checkPolicyText } from "./policy-text.ts";
import type { EcrRows } from "./table.ts";

/** What others may do in the caller's registry: make repositories by pulling through or by replication. Texts come back exactly as they were given. */
export const registryPolicyOperations: EcrRows<"PutRegistryPolicy" | "GetRegistryPolicy" | "DeleteRegistryPolicy"> = {
  PutRegistryPolicy: {
    action: "ecr:PutRegistryPolicy",
    resource: () => "*",
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      await putRegistryPolicy(call.context, registry, await checkPolicyText(call, "registry", input.policyText));
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

function ownRegistry(call: ApiCall): RegistryRef {
  return { accountId: call.principal.accountId, region: call.region };
}

function policyShape({ accountId }: RegistryRef, policyText: string | undefined) {
  if (policyText !== undefined) return { registryId: accountId, policyText };
  throw new ApiFault("RegistryPolicyNotFoundException", `Registry policy does not exist in the registry with id '${accountId}'`);
}
