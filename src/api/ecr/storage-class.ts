import { updateStorageClass } from "#registry/storage-class.ts";
import { registryOf } from "../call.ts";
import { checkImageId, imageIdShape, manifestName, namedTags } from "./image.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** The archive. */
export const storageClassOperations: EcrRows<"UpdateImageStorageClass"> = {
  UpdateImageStorageClass: {
    action: "ecr:UpdateImageStorageClass",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input.imageId]),
    check: (input) => checkImageId(input.imageId, "imageId"),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const change = { id: manifestName(input.imageId), target: input.targetStorageClass };
      const { digest, status } = await updateStorageClass(call.context, registry, name, change);
      const imageId = imageIdShape(digest, input.imageId.imageTag);
      return { registryId: registry.accountId, repositoryName: name, imageId, imageStatus: status };
    },
  },
};
