import { deleteSecretTags, putSecretTags } from "#secrets/secret-tag.ts";
import { getTarget, onSecret, readTagList, secretsContext, tagKeys } from "./target.ts";
import type { SecretsRows } from "./table.ts";

/** Key-value tags on secrets. */
export const taggingOperations: SecretsRows<"TagResource" | "UntagResource"> = {
  TagResource: {
    action: "secretsmanager:TagResource",
    ...onSecret,
    conditionKeys: async (call, input) => ({ ...(await onSecret.conditionKeys(call, input)), ...tagKeys(input.Tags) }),
    check: (input) => {
      onSecret.check(input);
      readTagList(input.Tags);
    },
    handle: async (call, input) => {
      await putSecretTags(secretsContext(call), await getTarget(call, input), readTagList(input.Tags));
      return {};
    },
  },

  UntagResource: {
    action: "secretsmanager:UntagResource",
    ...onSecret,
    conditionKeys: async (call, input) => ({ ...(await onSecret.conditionKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await deleteSecretTags(secretsContext(call), await getTarget(call, input), input.TagKeys);
      return {};
    },
  },
};
