import { getKey } from "#kms/key-lookup.ts";
import { getKeyPolicy, policyName, putKeyPolicy } from "#kms/key-policy.ts";
import { lockOutCheck, lockOutConditions } from "./key.ts";
import type { PutKeyPolicyRequest } from "./model/shapes.ts";
import { keyConditions, kmsOf, onKey, ownKeys } from "./scope.ts";
import type { KmsRows } from "./table.ts";

/** Who may use and manage a key. Texts come back exactly as they were given. */
export const keyPolicyOperations: KmsRows<"PutKeyPolicy" | "GetKeyPolicy" | "ListKeyPolicies"> = {
  PutKeyPolicy: {
    action: "kms:PutKeyPolicy",
    ...onKey(ownKeys, (input: PutKeyPolicyRequest) => lockOutConditions(input)),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, ownKeys);
      const check = lockOutCheck(call, input, await keyConditions(call, input.KeyId, key));
      await putKeyPolicy(ctx, key, input.PolicyName ?? policyName, input.Policy, check);
      return {};
    },
  },

  GetKeyPolicy: {
    action: "kms:GetKeyPolicy",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const name = input.PolicyName ?? policyName;
      return { Policy: await getKeyPolicy(ctx, await getKey(ctx, input.KeyId, ownKeys), name), PolicyName: name };
    },
  },

  ListKeyPolicies: {
    action: "kms:ListKeyPolicies",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      await getKey(kmsOf(call), input.KeyId, ownKeys);
      return { PolicyNames: [policyName], Truncated: false };
    },
  },
};
