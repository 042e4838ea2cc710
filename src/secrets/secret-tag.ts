import * as metadata from "#metadata/secrets.ts";
import type { Secret } from "#metadata/secret-rows.ts";
import type { SecretsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { present } from "./failure.ts";
import { secretLimits } from "./limits.ts";

const allowedText = /^[\p{L}\p{N}\p{Zs}+\-=._:/@]*$/u;

/** A tag as it is given. */
export interface SecretTag {
  readonly key: string;
  readonly value: string;
}

/** Adds tags, or replaces their values. Throws `invalid-tag`, `limit`, `marked-deleted`, `not-found`. */
export async function putSecretTags(ctx: SecretsContext, secret: Secret, tags: readonly SecretTag[]): Promise<void> {
  const { metadata: db, clock } = ctx.core;
  const input = { secretId: secret.secretId, tags: readTags(tags), maxTags: secretLimits.tags, now: clock.now() };
  const { outcome } = present(await metadata.putSecretTags(db, input));
  if (outcome === "too-many") throw refuse("limit", { quota: "tags", limit: secretLimits.tags });
}

/** Removes tags; keys that are not there are no error. Throws `marked-deleted`, `not-found`. */
export async function deleteSecretTags(ctx: SecretsContext, secret: Secret, keys: readonly string[]): Promise<void> {
  present(await metadata.deleteSecretTags(ctx.core.metadata, { secretId: secret.secretId, keys, now: ctx.core.clock.now() }));
}

/** The tags of a secret. */
export async function listSecretTags(ctx: SecretsContext, secret: Secret): Promise<Readonly<Record<string, string>>> {
  return metadata.readSecretTags(ctx.core.metadata, secret.secretId);
}

/** Tags as a record. Throws `invalid-tag` and `limit`. */
export function readTags(tags: readonly SecretTag[]): Record<string, string> {
  for (const { key, value } of tags) {
    if (key.toLowerCase().startsWith("aws:")) throw refuse("invalid-tag", { problem: "Tag keys must not start with the prefix 'aws:'" });
    for (const text of [key, value])
      if (!allowedText.test(text)) throw refuse("invalid-tag", { problem: `The tag '${key}' has characters that tags cannot have` });
  }
  // From entries, so that a key named __proto__ is a key like any other.
  const record = Object.fromEntries(tags.map(({ key, value }) => [key, value]));
  const count = Object.keys(record).length;
  if (count < tags.length) throw refuse("invalid-tag", { problem: "A tag key is given more than once" });
  if (count > secretLimits.tags) throw refuse("limit", { quota: "tags", limit: secretLimits.tags });
  return record;
}
