import type { ConditionKeys } from "#access/condition-keys.ts";
import { getKey } from "#kms/key-lookup.ts";
import { listTags, tagKey, untagKey } from "#kms/tag.ts";
import type { KeyTag } from "#kms/tag.ts";
import type { Tag } from "./model/shapes.ts";
import { readPage } from "./page.ts";
import { kmsOf, onKey, ownKeys } from "./scope.ts";
import type { KmsRows } from "./table.ts";

/** Tags of keys, which KMS writes TagKey and TagValue. */
export const taggingOperations: KmsRows<"TagResource" | "UntagResource" | "ListResourceTags"> = {
  TagResource: {
    action: "kms:TagResource",
    ...onKey(ownKeys, (input: TagInput) => requestTagConditions(input.Tags)),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await tagKey(ctx, await getKey(ctx, input.KeyId, ownKeys), tagsOf(input.Tags));
      return {};
    },
  },

  UntagResource: {
    action: "kms:UntagResource",
    ...onKey(ownKeys, (input: UntagInput) => ({ "aws:TagKeys": input.TagKeys })),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await untagKey(ctx, await getKey(ctx, input.KeyId, ownKeys), input.TagKeys);
      return {};
    },
  },

  ListResourceTags: {
    action: "kms:ListResourceTags",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, ownKeys);
      const { items, end } = await readPage(
        call,
        ["ListResourceTags", key.keyId],
        { ...input, defaultLimit: 50 },
        { start: undefined, items: (page) => listTags(ctx, key, page), positionOf: (tag: KeyTag) => tag.key },
      );
      return { Tags: items.map((tag) => ({ TagKey: tag.key, TagValue: tag.value })), ...end };
    },
  },
};

interface TagInput {
  readonly KeyId: string;
  readonly Tags: readonly Tag[];
}

interface UntagInput {
  readonly KeyId: string;
  readonly TagKeys: readonly string[];
}

/** Tags in our words. */
export function tagsOf(tags: readonly Tag[]): readonly KeyTag[] {
  return tags.map((tag) => ({ key: tag.TagKey, value: tag.TagValue }));
}

/** What conditions may ask about the tags that a request brings; nothing when it brings none. */
export function requestTagConditions(tags: readonly Tag[]): ConditionKeys {
  if (tags.length === 0) return {};
  const values = Object.fromEntries(tags.map((tag) => [`aws:RequestTag/${tag.TagKey}`, tag.TagValue]));
  return { ...values, "aws:TagKeys": tags.map((tag) => tag.TagKey) };
}
