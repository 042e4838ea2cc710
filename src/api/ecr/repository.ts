import { createRepository, deleteRepository, findRepositories, listRepositories } from "#registry/repository.ts";
import { registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import type { CreateRepositoryRequest, DescribeRepositoriesRequest } from "./model/shapes.ts";
import { encryptionPermissions, keyOf } from "./encryption.ts";
import { openPage, sealPage } from "./page.ts";
import { everyRepositoryArn, repositoryArn, repositoryNameOf, repositoryShape } from "./shape.ts";
import { checkTagMutability, mutabilityFilters } from "./tag-mutability.ts";
import type { EcrRows } from "./table.ts";
import { requestTagKeys, resourceTags } from "./tagging.ts";

const defaultPage = 100;

/** Making, finding and removing repositories. */
export const repositoryOperations: EcrRows<"CreateRepository" | "DescribeRepositories" | "DeleteRepository"> = {
  CreateRepository: {
    action: "ecr:CreateRepository",
    resource: repositoryArn,
    alsoNeeds: (input) => (input.tags === undefined || input.tags.length === 0 ? [] : ["ecr:TagResource"]),
    conditionKeys: (_call, input) => requestTagKeys(input.tags),
    alsoAsks: encryptionPermissions,
    check: (input) => {
      checkTagMutability(input);
      checkEncryption(input);
    },
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const repository = await createRepository(call.context, registry, repositoryNameOf(input.repositoryName), {
        tagMutability: input.imageTagMutability ?? "MUTABLE",
        mutabilityFilters: mutabilityFilters(input),
        scanOnPush: input.imageScanningConfiguration?.scanOnPush ?? false,
        resourceTags: resourceTags(input.tags ?? []),
        encryption: keyOf(input),
      });
      return { repository: repositoryShape(call, registry, repository) };
    },
  },

  DescribeRepositories: {
    action: "ecr:DescribeRepositories",
    resource: (call, input) =>
      input.repositoryNames === undefined
        ? everyRepositoryArn(call, input)
        : input.repositoryNames.map((repositoryName) => repositoryArn(call, { registryId: input.registryId, repositoryName })),
    check: (input) => checkPagingOfNames(input),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      if (input.repositoryNames !== undefined) {
        const found = await findRepositories(call.context, registry, input.repositoryNames.map(repositoryNameOf));
        return { repositories: found.map((repository) => repositoryShape(call, registry, repository)) };
      }
      const listing = ["DescribeRepositories", registry.accountId, registry.region];
      const after = openPage(call, listing, input.nextToken, isName);
      const page = await listRepositories(call.context, registry, { after, limit: input.maxResults ?? defaultPage });
      const nextToken = sealPage(call, listing, page.next);
      return { repositories: page.repositories.map((repository) => repositoryShape(call, registry, repository)), ...nextToken };
    },
  },

  DeleteRepository: {
    action: "ecr:DeleteRepository",
    resource: repositoryArn,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const repository = await deleteRepository(call.context, registry, name, { force: input.force ?? false });
      return { repository: repositoryShape(call, registry, repository) };
    },
  },
};

function isName(position: unknown): position is string {
  return typeof position === "string";
}

function checkPagingOfNames(input: DescribeRepositoriesRequest): void {
  if (input.repositoryNames === undefined) return;
  if (input.maxResults !== undefined) throw invalidParameter("maxResults", "Member must be null when repositoryNames is set");
  if (input.nextToken !== undefined) throw invalidParameter("nextToken", "Member must be null when repositoryNames is set");
}

function checkEncryption(input: CreateRepositoryRequest): void {
  const encryption = input.encryptionConfiguration;
  if (encryption?.encryptionType !== "AES256") return;
  if (encryption.kmsKey !== undefined) throw invalidParameter("kmsKey", "Member must be null when encryptionType is set as AES256");
}
