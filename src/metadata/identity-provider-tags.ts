/** Tags of identity providers; like those of other identities they are one without regard to the case of their keys. */
import { readJson } from "#std/json.ts";
import type { Database } from "./database.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { IdentityProviderKey } from "./identity-providers.ts";
import type { IdentityTag } from "./identity-tags.ts";

type Tags = Readonly<Record<string, string>>;

/** Adds tags, or replaces those with the same keys; all, or none when there would be more than `maxTags`. */
export async function putProviderTags(
  db: Database,
  key: IdentityProviderKey,
  input: { readonly tags: readonly IdentityTag[]; readonly maxTags: number },
): Promise<"put" | "too-many" | "not-found"> {
  return changeTags(db, key, (former) => {
    const tags = Object.fromEntries([
      ...without(
        former,
        input.tags.map((tag) => tag.key),
      ),
      ...input.tags.map((tag) => [tag.key, tag.value] as const),
    ]);
    return Object.keys(tags).length > input.maxTags ? undefined : tags;
  });
}

/** Removes tags; keys that are not there are no error. False when there is no such provider. */
export async function deleteProviderTags(db: Database, key: IdentityProviderKey, keys: readonly string[]): Promise<boolean> {
  return (await changeTags(db, key, (former) => Object.fromEntries(without(former, keys)))) === "put";
}

function without(tags: Tags, keys: readonly string[]): (readonly [string, string])[] {
  const folded = new Set(keys.map((key) => key.toLowerCase()));
  return Object.entries(tags).filter(([key]) => !folded.has(key.toLowerCase()));
}

/** Every change of identities moves the epoch's row first, so no two of them run at once. */
async function changeTags(
  db: Database,
  key: IdentityProviderKey,
  change: (former: Tags) => Tags | undefined,
): Promise<"put" | "too-many" | "not-found"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await tx
      .selectFrom("identity_provider")
      .select(["provider_id", "tags"])
      .where("account_id", "=", key.accountId)
      .where("kind", "=", key.kind)
      .where("name", "=", key.name)
      .executeTakeFirst();
    if (row === undefined) return "not-found";
    const tags = change(readJson(row.tags) as Tags);
    if (tags === undefined) return "too-many";
    await tx
      .updateTable("identity_provider")
      .set({ tags: JSON.stringify(tags) })
      .where("provider_id", "=", row.provider_id)
      .execute();
    return "put";
  });
}
