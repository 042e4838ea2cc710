import { authorizeUnder } from "#access/authorize.ts";
import { principalsOf } from "#iam/document.ts";
import type { PolicyDocument } from "#iam/document.ts";
import { resolvePrincipals } from "#identity/principal-resolution.ts";
import { refuse } from "#secrets/errors.ts";
import { deleteSecretPolicy, findSecretPolicy, isPublicPolicy, putSecretPolicy, readSecretPolicy } from "#secrets/secret-policy.ts";
import type { ApiCall } from "../call.ts";
import type { ValidateResourcePolicyRequest, ValidationErrorsEntry } from "./model/shapes.ts";
import { namesOf } from "./secret.ts";
import { checkSecretId, futureArn, getTarget, onSecret, secretsContext } from "./target.ts";
import type { SecretsRows } from "./table.ts";

/** A policy, read, and as it is stored: with the ids of its principals. */
interface CheckedPolicy {
  readonly read: PolicyDocument;
  readonly document: string;
  readonly principals: Readonly<Record<string, string>>;
}

const putAction = "secretsmanager:PutResourcePolicy";
const publicKey = "secretsmanager:BlockPublicPolicy";
/** Stands for the secret of a policy that is judged before it has one. */
const anySecret = "*";

/** Who else may use a secret. Texts come back exactly as they were given. */
export const resourcePolicyOperations: SecretsRows<
  "PutResourcePolicy" | "GetResourcePolicy" | "DeleteResourcePolicy" | "ValidateResourcePolicy"
> = {
  PutResourcePolicy: {
    action: putAction,
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      [publicKey]: String(input.BlockPublicPolicy ?? false),
    }),
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const policy = await checkPolicy(call, input.ResourcePolicy, { blockPublic: input.BlockPublicPolicy ?? false });
      await putSecretPolicy(secretsContext(call), secret, policy);
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

  ValidateResourcePolicy: {
    action: "secretsmanager:ValidateResourcePolicy",
    resource: validatedArn,
    alsoNeeds: () => [putAction],
    conditionKeys: validatedKeys,
    check: ({ SecretId }) => {
      if (SecretId !== undefined) checkSecretId(SecretId);
    },
    handle: async (call, input) => {
      if (input.SecretId !== undefined) await getTarget(call, { SecretId: input.SecretId });
      const policy = await checkPolicy(call, input.ResourcePolicy, { blockPublic: false });
      const ValidationErrors: ValidationErrorsEntry[] = [];
      if (isPublicPolicy(policy.read))
        ValidationErrors.push({ CheckName: "PublicPolicy", ErrorMessage: "The resource policy grants broad access to the secret." });
      if (!(await couldPutAgain(call, input, policy)))
        ValidationErrors.push({ CheckName: "CallerLockout", ErrorMessage: "The resource policy keeps its caller from changing it again." });
      return { PolicyValidationPassed: ValidationErrors.length === 0, ValidationErrors };
    },
  },
};

/** Reads a policy and finds its principals. Throws `malformed-policy`, `public-policy`. */
async function checkPolicy(call: ApiCall, document: string, options: { readonly blockPublic: boolean }): Promise<CheckedPolicy> {
  const read = readSecretPolicy(document, options);
  const found = await resolvePrincipals({ core: call.context.core }, principalsOf(read));
  if (!found.ok)
    throw refuse("malformed-policy", { message: "This resource policy contains an unsupported principal.", detail: found.principal });
  return { read, document, principals: found.resolved };
}

async function couldPutAgain(call: ApiCall, input: ValidateResourcePolicyRequest, policy: CheckedPolicy): Promise<boolean> {
  const [resource, keys] = [await validatedArn(call, input), await validatedKeys(call, input)];
  const ask = { action: putAction, resource, region: call.region, origin: call.origin, keys };
  return (await authorizeUnder(call.access, call.principal, ask, policy)).allowed;
}

async function validatedArn(call: ApiCall, { SecretId }: ValidateResourcePolicyRequest): Promise<string> {
  return SecretId === undefined ? futureArn(call, anySecret) : onSecret.resource(call, { SecretId });
}

/** What is validated could be put with its public access blocked, and so it is asked for that way. */
async function validatedKeys(call: ApiCall, { SecretId }: ValidateResourcePolicyRequest) {
  return { ...(SecretId !== undefined && (await onSecret.conditionKeys(call, { SecretId }))), [publicKey]: "true" };
}
