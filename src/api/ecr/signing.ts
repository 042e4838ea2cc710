import type { RegistryRef } from "#registry/context.ts";
import type { SigningConfiguration } from "#registry/signing-rule.ts";
import { deleteSigningConfiguration, describeSigning, findSigningConfiguration, putSigningConfiguration } from "#registry/signing.ts";
import { ownRegistry, registryOf } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { checkImageId, imageIdShape, manifestName, namedTags } from "./image.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** Managed signing: which profiles sign what is pushed, and how the signatures of an image stand. */
export const signingOperations: EcrRows<
  "PutSigningConfiguration" | "GetSigningConfiguration" | "DeleteSigningConfiguration" | "DescribeImageSigningStatus"
> = {
  PutSigningConfiguration: {
    action: "ecr:PutSigningConfiguration",
    resource: () => "*",
    handle: async (call, input) => {
      const { signingConfiguration } = input;
      checkRegions(call.region, signingConfiguration);
      await putSigningConfiguration(call.context, ownRegistry(call), signingConfiguration);
      return { signingConfiguration };
    },
  },

  GetSigningConfiguration: {
    action: "ecr:GetSigningConfiguration",
    resource: () => "*",
    handle: async (call) => configurationShape(ownRegistry(call), await findSigningConfiguration(call.context, ownRegistry(call))),
  },

  DeleteSigningConfiguration: {
    action: "ecr:DeleteSigningConfiguration",
    resource: () => "*",
    handle: async (call) => configurationShape(ownRegistry(call), await deleteSigningConfiguration(call.context, ownRegistry(call))),
  },

  DescribeImageSigningStatus: {
    action: "ecr:DescribeImageSigningStatus",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input.imageId]),
    check: (input) => checkImageId(input.imageId, "imageId"),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { digest, states } = await describeSigning(call.context, registry, name, manifestName(input.imageId));
      return {
        repositoryName: name,
        imageId: imageIdShape(digest, input.imageId.imageTag),
        registryId: registry.accountId,
        signingStatuses: states.map(({ profileArn, state, code, reason }) => ({
          signingProfileArn: profileArn,
          status: state,
          ...(code !== undefined && { failureCode: code }),
          ...(reason !== undefined && { failureReason: reason }),
        })),
      };
    },
  },
};

/** Profiles of other accounts may sign, those of other regions may not. */
function checkRegions(region: string, { rules }: SigningConfiguration): void {
  for (const { signingProfileArn } of rules)
    if (signingProfileArn.split(":")[3] !== region)
      throw new ApiFault(
        "ValidationException",
        `The signing profile '${signingProfileArn}' is not in the region of the registry, ${region}`,
      );
}

function configurationShape({ accountId }: RegistryRef, signingConfiguration: SigningConfiguration | undefined) {
  if (signingConfiguration !== undefined) return { registryId: accountId, signingConfiguration };
  const message = `Signing configuration does not exist in the registry with id '${accountId}'`;
  throw new ApiFault("SigningConfigurationNotFoundException", message);
}
