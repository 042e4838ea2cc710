/** Repositories under a key of the key management service: which key an input means, and what its maker needs on that key. */
import { KmsError } from "#kms/errors.ts";
import { lookUpKey } from "#kms/key-lookup.ts";
import type { NamedKey } from "#kms/key-lookup.ts";
import { KeyRefusal } from "#registry/key-service.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import { registryOf } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { kmsFault } from "../kms/errors.ts";
import { contextConditions, keyConditions, kmsOf, namedKeys } from "../kms/scope.ts";
import type { CreateRepositoryRequest } from "./model/shapes.ts";
import { repositoryArn } from "./shape.ts";

/** The alias of the key that is meant when none is named. */
const defaultKey = "alias/aws/ecr";

/** The encryption of a new repository; undefined where it has no key of its own. */
export function keyOf({
  encryptionConfiguration: encryption,
}: CreateRepositoryRequest): { readonly type: "KMS" | "KMS_DSSE"; readonly kmsKey: string | undefined } | undefined {
  if (encryption === undefined || encryption.encryptionType === "AES256") return undefined;
  return { type: encryption.encryptionType, kmsKey: encryption.kmsKey };
}

/**
 * Whoever makes a repository under a key must be allowed to look at the key and to grant it (Amazon ECR User Guide, "Encryption at rest");
 * the default key's own policy allows both to everybody in the account who comes by way of ECR.
 */
export async function encryptionPermissions(call: ApiCall, input: CreateRepositoryRequest): Promise<readonly AskedPermission[]> {
  const wanted = keyOf(input);
  if (wanted === undefined) return [];
  const reference = wanted.kmsKey ?? defaultKey;
  const isElsewhere = call.context.core.keys.keeper === "elsewhere";
  // There is no policy here to read that would say so, and it is the key that the operator's credentials stand for.
  if (isElsewhere && reference === defaultKey) return [];
  const { arn, key } = isElsewhere ? await findElsewhere(call, input, reference) : await findKey(call, input, reference);
  const conditions = {
    ...(await keyConditions(call, reference, key)),
    "kms:ViaService": `ecr.${call.region}.amazonaws.com`,
  };
  return [
    { action: "kms:DescribeKey", resource: arn, keys: conditions },
    {
      action: "kms:CreateGrant",
      resource: arn,
      keys: { ...conditions, ...contextConditions({ "aws:ecr:arn": repositoryArn(call, input) }), "kms:GrantIsForAWSResource": "true" },
    },
  ];
}

/** Of such a key nothing but its ARN is known here. */
async function findElsewhere(call: ApiCall, input: CreateRepositoryRequest, reference: string): Promise<NamedKey> {
  try {
    return { arn: await call.context.core.keys.resolve(registryOf(call, input), reference), key: undefined };
  } catch (error) {
    if (!(error instanceof KeyRefusal)) throw error;
    throw new ApiFault("KmsException", error.message, 400, { kmsError: error.kmsError });
  }
}

async function findKey(call: ApiCall, input: CreateRepositoryRequest, reference: string): Promise<NamedKey> {
  try {
    return await lookUpKey({ ...kmsOf(call), accountId: registryOf(call, input).accountId }, reference, namedKeys);
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    const { code, message } = kmsFault(error.refusal);
    throw new ApiFault("KmsException", message, 400, { kmsError: code });
  }
}
