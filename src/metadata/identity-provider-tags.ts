/** Tags of identity providers; like those of other identities they are one without regard to the case of their keys. */
import type { Database } from "./database.ts";
import { changeProviderTags } from "./identity-providers.ts";
import type { IdentityProviderKey } from "./identity-providers.ts";
import type { IdentityTag } from "./identity-tags.ts";

/** Adds tags, or replaces those with the same keys; all, or none when there would be more than `maxTags`. */
export async function putProviderTags(
  db: Database,
  key: IdentityProviderKey,
  input: { readonly tags: readonly IdentityTag[]; readonly maxTags: number },
): Promise<"put" | "too-many" | "not-found"> {
  const outcome = await changeProviderTags(db, key, (former) => {
    const keys = input.tags.map((tag) => tag.key);
    const tags = Object.fromEntries([...without(former, keys), ...input.tags.map((tag) => [tag.key, tag.value] as const)]);
    return Object.keys(tags).length > input.maxTags ? undefined : tags;
  });
  if (outcome === "not-found") return outcome;
  return outcome === "changed" ? "put" : "too-many";
}

/** Removes tags; keys that are not there are no error. False when there is no such provider. */
export async function deleteProviderTags(db: Database, key: IdentityProviderKey, keys: readonly string[]): Promise<boolean> {
  return (await changeProviderTags(db, key, (former) => Object.fromEntries(without(former, keys)))) === "changed";
}

function without(tags: Readonly<Record<string, string>>, keys: readonly string[]): (readonly [string, string])[] {
  const folded = new Set(keys.map((key) => key.toLowerCase()));
  return Object.entries(tags).filter(([key]) => !folded.has(key.toLowerCase()));
}
