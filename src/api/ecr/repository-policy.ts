import { authorizeUnder } from "#access/authorize.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import { deleteRepositoryPolicy, findRepositoryPolicy, putRepositoryPolicy } from "#registry/repository-policy.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import type { SetRepositoryPolicyRequest } from "./model/shapes.ts";
import { checkPolicyText } from "./policy-text.ts";
import type { CheckedPolicy } from "./policy-text.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { RepositoryInput } from "./shape.ts";
import type { EcrRows } from "./table.ts";

const setAction = "ecr:SetRepositoryPolicy";

/** Who else may use a repository. Texts come back exactly as they were given. */
export const repositoryPolicyOperations: EcrRows<"SetRepositoryPolicy" | "GetRepositoryPolicy" | "DeleteRepositoryPolicy"> = {
  SetRepositoryPolicy: {
    action: setAction,
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      const policy = await checkPolicyText(call, "repository", input.policyText);
      if (input.force !== true) await refuseLockOut(call, input, policy);
      await putRepositoryPolicy(call.context, registry, name, policy);
      return { registryId: registry.accountId, repositoryName: name, policyText: input.policyText };
    },
  },

  GetRepositoryPolicy: {
    action: "ecr:GetRepositoryPolicy",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      return policyShape(registry, name, await findRepositoryPolicy(call.context, registry, name));
    },
  },

  DeleteRepositoryPolicy: {
    action: "ecr:DeleteRepositoryPolicy",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      return policyShape(registry, name, await deleteRepositoryPolicy(call.context, registry, name));
    },
  },
};

function scopeOf(call: ApiCall, input: RepositoryInput): { readonly registry: RegistryRef; readonly name: RepositoryName } {
  return { registry: registryOf(call, input), name: repositoryNameOf(input.repositoryName) };
}

/** Throws when the caller could not set the policy again once this one stands. */
async function refuseLockOut(call: ApiCall, input: SetRepositoryPolicyRequest, policy: CheckedPolicy): Promise<void> {
  const ask = { action: setAction, resource: repositoryArn(call, input), region: call.region, origin: call.origin };
  const later = await authorizeUnder(call.access, call.principal, ask, policy);
  if (!later.allowed)
    throw invalidParameter(
      "PolicyText",
      "The policy would prevent its caller from setting the repository policy again, and force is not set",
    );
}

function policyShape(registry: RegistryRef, name: RepositoryName, policyText: string | undefined) {
  const { accountId: registryId } = registry;
  if (policyText !== undefined) return { registryId, repositoryName: name, policyText };
  throw new ApiFault(
    "RepositoryPolicyNotFoundException",
    `Repository policy does not exist for the repository with name '${name}' in the registry with id '${registryId}'`,
  );
}
