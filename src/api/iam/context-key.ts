import { readSimulatedPrincipal } from "#identity/simulated-principal.ts";
import { contextKeysOfPolicies } from "#identity/simulation.ts";
import { identityContext } from "./identity-shape.ts";
import type { IamRows } from "./table.ts";

/** Which condition keys policies ask for: what a simulation of them is to be given. */
export const contextKeyOperations: IamRows<"GetContextKeysForCustomPolicy" | "GetContextKeysForPrincipalPolicy"> = {
  GetContextKeysForCustomPolicy: {
    action: "iam:GetContextKeysForCustomPolicy",
    resource: () => "*",
    handle: async (_call, input) => ({ ContextKeyNames: contextKeysOfPolicies(given(input.PolicyInputList)) }),
  },

  GetContextKeysForPrincipalPolicy: {
    action: "iam:GetContextKeysForPrincipalPolicy",
    resource: (_call, input) => input.PolicySourceArn,
    handle: async (call, input) => {
      const { policies } = await readSimulatedPrincipal(identityContext(call), input.PolicySourceArn);
      return { ContextKeyNames: contextKeysOfPolicies([...policies, ...given(input.PolicyInputList ?? [])]) };
    },
  },
};

/** Documents of the input, named as AWS names them. */
function given(documents: readonly string[]): readonly { readonly sourceId: string; readonly document: string }[] {
  return documents.map((document, index) => ({ sourceId: `PolicyInputList.${index + 1}`, document }));
}
