/** How things of the registry look on ECR's wire: one shape function per noun, and the ARNs that permissions are asked on. */
import type { RepositoryName } from "#oci/repository-name.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import type { getRepository } from "#registry/repository.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import type { ImageTagMutabilityExclusionFilter, Repository as RepositoryShape } from "./model/shapes.ts";

/** A repository as the registry room hands it out. */
type Repository = Awaited<ReturnType<typeof getRepository>>;

/** What the inputs of operations on one repository have in common. */
export interface RepositoryInput {
  readonly registryId?: string | undefined;
  readonly repositoryName: string;
}

/** The ARN of the repository that an input names: the column `resource` of operations on one repository. */
export function repositoryArn(call: ApiCall, input: RepositoryInput): string {
  return call.addressing.repositoryArn(registryOf(call, input), repositoryNameOf(input.repositoryName));
}

/** The resource of a listing: every repository of the registry. */
export function everyRepositoryArn(call: ApiCall, input: { readonly registryId?: string | undefined }): string {
  // `*` is not a name; in this one place it stands where ARNs have the name.
  return call.addressing.repositoryArn(registryOf(call, input), "*" as RepositoryName);
}

/** The name in an input as a value. The model has checked it; the parser is what makes it more than text. */
export function repositoryNameOf(text: string): RepositoryName {
  const name = parseRepositoryName(text);
  if (!name.ok) throw invalidParameter("repositoryName", name.problem);
  return name.value;
}

/** ECR's `Repository`. */
export function repositoryShape(call: ApiCall, registry: RegistryRef, repository: Repository): RepositoryShape {
  const name = repository.name as RepositoryName;
  return {
    repositoryArn: call.addressing.repositoryArn(registry, name),
    registryId: registry.accountId,
    repositoryName: name,
    repositoryUri: call.addressing.repositoryUri(registry, name, call.origin),
    createdAt: repository.createdAt,
    imageTagMutability: repository.tagMutability,
    ...mutabilityFilterShapes(repository.mutabilityFilters),
    imageScanningConfiguration: { scanOnPush: repository.scanOnPush },
    encryptionConfiguration: {
      encryptionType: repository.encryptionType,
      ...(repository.kmsKeyArn !== undefined && { kmsKey: repository.kmsKeyArn }),
    },
  };
}

/** The member with the exclusion filters; absent when there are none. */
export function mutabilityFilterShapes(filters: readonly string[]): {
  readonly imageTagMutabilityExclusionFilters?: readonly ImageTagMutabilityExclusionFilter[];
} {
  if (filters.length === 0) return {};
  return { imageTagMutabilityExclusionFilters: filters.map((filter) => ({ filterType: "WILDCARD", filter })) };
}
