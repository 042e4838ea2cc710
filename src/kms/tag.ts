/** Tags of keys. */
import { deleteKmsKeyTags, listKmsKeyTags, putKmsKeyTags } from "#metadata/kms-key-tags.ts";
import type { KmsTagsOutcome } from "#metadata/kms-key-tags.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { changeableStates, requireCustomers, stateRefusal } from "./key-state.ts";
import { maxTagsPerKey } from "./limits.ts";

/** A tag as callers give it. */
export interface KeyTag {
  readonly key: string;
  readonly value: string;
}

const tagForm = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** A list of tags as a record. Throws `tag-invalid`, and `limit` for more than a key may have. */
export function checkTags(tags: readonly KeyTag[]): Readonly<Record<string, string>> {
  if (tags.length > maxTagsPerKey) throw refuse("limit", { quota: "tags", limit: maxTagsPerKey });
  for (const { key, value } of tags) {
    if (key.toLowerCase().startsWith("aws:"))
      throw refuse("tag-invalid", { problem: "aws: prefixed tag key names are not allowed for external use" });
    if (!tagForm.test(key) || !tagForm.test(value))
      throw refuse("tag-invalid", { problem: `The tag ${JSON.stringify(key)} has characters that tags cannot have` });
  }
  const record = Object.fromEntries(tags.map(({ key, value }) => [key, value]));
  if (Object.keys(record).length < tags.length) throw refuse("tag-invalid", { problem: "Duplicate tag keys" });
  return record;
}

/** Adds tags to a key, or gives new values to those it has. Throws `tag-invalid`, `limit`, `key-pending-deletion`, `key-managed`. */
export async function tagKey(ctx: KmsContext, key: KmsKey, tags: readonly KeyTag[]): Promise<void> {
  requireCustomers(key);
  const input = { keyId: key.keyId, onlyIn: changeableStates, tags: checkTags(tags), maxTags: maxTagsPerKey };
  refuseOutcome(key, await putKmsKeyTags(ctx.core.metadata, input));
}

/** Removes tags from a key; keys that it has not are no error. Throws `key-pending-deletion`, `key-managed`. */
export async function untagKey(ctx: KmsContext, key: KmsKey, tagKeys: readonly string[]): Promise<void> {
  requireCustomers(key);
  refuseOutcome(key, await deleteKmsKeyTags(ctx.core.metadata, { keyId: key.keyId, onlyIn: changeableStates, tagKeys }));
}

/** A page of a key's tags, by tag key. */
export async function listTags(
  ctx: KmsContext,
  key: KmsKey,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly KeyTag[]> {
  return listKmsKeyTags(ctx.core.metadata, { keyId: key.keyId, ...page });
}

function refuseOutcome(key: KmsKey, result: KmsTagsOutcome): void {
  if (result.outcome === "not-found") throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  if (result.outcome === "wrong-state") throw stateRefusal(result.key);
  if (result.outcome === "too-many") throw refuse("limit", { quota: "tags", limit: maxTagsPerKey });
}
