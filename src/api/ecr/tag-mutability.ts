import { putTagMutability } from "#registry/repository.ts";
import { checkMutabilityFilters } from "#registry/tag-mutability.ts";
import { registryOf } from "../call.ts";
import type { ImageTagMutability, ImageTagMutabilityExclusionFilter } from "./model/shapes.ts";
import { mutabilityFilterShapes, repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** Whether tags may be moved. */
export const tagMutabilityOperations: EcrRows<"PutImageTagMutability"> = {
  PutImageTagMutability: {
    action: "ecr:PutImageTagMutability",
    resource: repositoryArn,
    check: (input) => checkTagMutability(input),
    // Mode and filters are replaced together; a mode without exclusion clears the filters.
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const repository = await putTagMutability(call.context, registry, repositoryNameOf(input.repositoryName), {
        tagMutability: input.imageTagMutability,
        mutabilityFilters: mutabilityFilters(input),
      });
      return {
        registryId: registry.accountId,
        repositoryName: repository.name,
        imageTagMutability: repository.tagMutability,
        ...mutabilityFilterShapes(repository.mutabilityFilters),
      };
    },
  },
};

interface MutabilityInput {
  readonly imageTagMutability?: ImageTagMutability | undefined;
  readonly imageTagMutabilityExclusionFilters?: readonly ImageTagMutabilityExclusionFilter[] | undefined;
}

/** The filters of an input as the registry keeps them. */
export function mutabilityFilters(input: MutabilityInput): readonly string[] {
  return input.imageTagMutabilityExclusionFilters?.map((filter) => filter.filter) ?? [];
}

/** ECR's rules between the mode and its filters. Throws `parameter-invalid`. */
export function checkTagMutability(input: MutabilityInput): void {
  checkMutabilityFilters(input.imageTagMutability ?? "MUTABLE", mutabilityFilters(input));
}
