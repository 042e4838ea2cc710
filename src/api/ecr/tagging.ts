import { refuse } from "#registry/errors.ts";
import { deleteResourceTags, listResourceTags, putResourceTags } from "#registry/repository.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import type { ApiCall } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import type { Tag } from "./model/shapes.ts";
import type { EcrRows } from "./table.ts";

interface ResourceInput {
  readonly resourceArn: string;
}

/** Key-value tags on repositories. */
export const taggingOperations: EcrRows<"TagResource" | "UntagResource" | "ListTagsForResource"> = {
  TagResource: {
    action: "ecr:TagResource",
    resource: (_call, input) => input.resourceArn,
    conditionKeys: (_call, input) => requestTagKeys(input.tags),
    check: (input) => void parseRepositoryArn(input.resourceArn),
    handle: async (call, input) => {
      const { registry, name } = repositoryOfArn(call, input);
      await putResourceTags(call.context, registry, name, resourceTags(input.tags));
      return {};
    },
  },

  UntagResource: {
    action: "ecr:UntagResource",
    resource: (_call, input) => input.resourceArn,
    conditionKeys: (_call, input) => ({ "aws:TagKeys": input.tagKeys }),
    check: (input) => void parseRepositoryArn(input.resourceArn),
    handle: async (call, input) => {
      const { registry, name } = repositoryOfArn(call, input);
      await deleteResourceTags(call.context, registry, name, input.tagKeys);
      return {};
    },
  },

  ListTagsForResource: {
    action: "ecr:ListTagsForResource",
    resource: (_call, input) => input.resourceArn,
    check: (input) => void parseRepositoryArn(input.resourceArn),
    handle: async (call, input) => {
      const { registry, name } = repositoryOfArn(call, input);
      const tags = await listResourceTags(call.context, registry, name);
      return { tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
    },
  },
};

/** A list of tags as a record. `fromEntries` makes own members of every key, `__proto__` too. */
export function resourceTags(tags: readonly Tag[]): Record<string, string> {
  const record = Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value]));
  if (Object.keys(record).length < tags.length) refuse("resource-tag-invalid", { problem: "A tag key may be given only once" });
  return record;
}

/** What conditions may ask about the tags that a request brings; nothing when it brings none. */
export function requestTagKeys(tags: readonly Tag[] | undefined): Readonly<Record<string, string | readonly string[]>> {
  if (tags === undefined || tags.length === 0) return {};
  const values = Object.fromEntries(tags.map((tag) => [`aws:RequestTag/${tag.Key}`, tag.Value]));
  return { ...values, "aws:TagKeys": tags.map((tag) => tag.Key) };
}

/** The repository that an ARN names. Throws ApiFault for anything that is not a repository's ARN. */
function parseRepositoryArn(arn: string): { readonly region: string; readonly accountId: string; readonly name: RepositoryName } {
  const match = /^arn:aws[a-z-]{0,16}:ecr:([a-z0-9-]{1,64}):([0-9]{12}):repository\/(.{1,256})$/.exec(arn);
  const [, region = "", accountId = "", text = ""] = match ?? [];
  const name = parseRepositoryName(text);
  if (match === null || !name.ok) throw invalidParameter("resourceArn", "Invalid ARN");
  return { region, accountId, name: name.value };
}

/** An ARN of another region or partition names nothing that this call can reach. */
function repositoryOfArn(call: ApiCall, input: ResourceInput): { readonly registry: RegistryRef; readonly name: RepositoryName } {
  const { region, accountId, name } = parseRepositoryArn(input.resourceArn);
  const registry = { accountId, region };
  if (region !== call.region || call.addressing.repositoryArn(registry, name) !== input.resourceArn) {
    refuse("repository-not-found", { registryId: accountId, repositoryName: name });
  }
  return { registry, name };
}
