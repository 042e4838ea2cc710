import { principalsOf } from "#iam/document.ts";
import { resolvePrincipals } from "#identity/principal-resolution.ts";
import { refuse } from "#secrets/errors.ts";
import { deleteSecretPolicy, findSecretPolicy, putSecretPolicy, readSecretPolicy } from "#secrets/secret-policy.ts";
import { namesOf } from "./secret.ts";
import { getTarget, onSecret, secretsContext } from "./target.ts";
import type { SecretsRows } from "./table.ts";

/** Who else may use a secret. Texts come back exactly as they were given. */
export const resourcePolicyOperations: SecretsRows<"PutResourcePolicy" | "GetResourcePolicy" | "DeleteResourcePolicy"> = {
  PutResourcePolicy: {
    action: "secretsmanager:PutResourcePolicy",
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      "secretsmanager:BlockPublicPolicy": String(input.BlockPublicPolicy ?? false),
    }),
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const policy = readSecretPolicy(input.ResourcePolicy, { blockPublic: input.BlockPublicPolicy ?? false });
      const found = await resolvePrincipals({ core: call.context.core }, principalsOf(policy));
      if (!found.ok)
        throw refuse("malformed-policy", { message: "This resource policy contains an unsupported principal.", detail: found.principal });
      await putSecretPolicy(secretsContext(call), secret, { document: input.ResourcePolicy, principals: found.resolved });
      return namesOf(secret);
    },
  },

  GetResourcePolicy: {
    action: "secretsmanager:GetResourcePolicy",
    ...onSecret,
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const document = await findSecretPolicy(secretsContext(call), secret);
      return { ...namesOf(secret), ...(document !== undefined && { ResourcePolicy: document }) };
    },
  },

  DeleteResourcePolicy: {
    action: "secretsmanager:DeleteResourcePolicy",
    ...onSecret,
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      await deleteSecretPolicy(secretsContext(call), secret);
      return namesOf(secret);
    },
  },
};
