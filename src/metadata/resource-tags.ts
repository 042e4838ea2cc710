import { moveIdentityEpoch } from "./identity-epoch.ts";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { lockRepositoryById } from "./repositories.ts";

/** What `putResourceTags` answers. */
export type PutResourceTagsOutcome = { readonly outcome: "put" } | { readonly outcome: "too-many" } | { readonly outcome: "not-found" };

/** The resource tags of a repository, in byte order of their keys. */
export async function listResourceTags(db: Database, repositoryId: number): Promise<Record<string, string>> {
  const rows = await db.read
    .selectFrom("resource_tag")
    .select(["key", "value"])
    .where("repository_id", "=", repositoryId)
    .orderBy("key")
    .execute();
  // From entries, so that a key named __proto__ is a key like any other.
  return Object.fromEntries(rows.map((row) => [row.key, row.value]));
}

/** Adds resource tags, or replaces their values; all of them or, when the repository would have more than `maxTags`, none. */
export async function putResourceTags(
  db: Database,
  input: {
    readonly repositoryId: number;
    readonly tags: Readonly<Record<string, string>>;
    readonly maxTags: number;
    readonly author: Author;
  },
): Promise<PutResourceTagsOutcome> {
  const { repositoryId } = input;
  return db.transaction(async (tx): Promise<PutResourceTagsOutcome> => {
    // Conditions of policies ask for these tags, so caches of access hang on them.
    await moveIdentityEpoch(tx);
    const repository = await lockRepositoryById(db, tx, repositoryId, "update");
    if (repository === undefined) return { outcome: "not-found" };
    const rows = await tx.selectFrom("resource_tag").select(["key", "value"]).where("repository_id", "=", repositoryId).execute();
    const known = new Map(rows.map((row) => [row.key, row.value]));
    const entries = Object.entries(input.tags);
    const added = entries.filter(([key]) => !known.has(key)).length;
    if (known.size + added > input.maxTags) return { outcome: "too-many" };
    if (entries.length === 0) return { outcome: "put" };
    await tx
      .insertInto("resource_tag")
      .values(entries.map(([key, value]) => ({ repository_id: repositoryId, key, value })))
      .onConflict((conflict) => conflict.columns(["repository_id", "key"]).doUpdateSet((set) => ({ value: set.ref("excluded.value") })))
      .execute();
    const before = Object.fromEntries(entries.filter(([key]) => known.has(key)).map(([key]) => [key, known.get(key)]));
    await appendChanges(tx, repository, input.author, [{ kind: "resource-tags-put", before, after: input.tags }]);
    return { outcome: "put" };
  });
}

/** Removes resource tags; keys that are not there are no error, nor is a repository that is not there. */
export async function deleteResourceTags(
  db: Database,
  input: { readonly repositoryId: number; readonly keys: readonly string[]; readonly author: Author },
): Promise<void> {
  await db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const repository = await lockRepositoryById(db, tx, input.repositoryId, "update");
    if (repository === undefined) return;
    const removed = await tx
      .deleteFrom("resource_tag")
      .where("repository_id", "=", input.repositoryId)
      .where(db.dialect.textIn("key", input.keys))
      .returning(["key", "value"])
      .execute();
    if (removed.length === 0) return;
    const before = Object.fromEntries(removed.map((row) => [row.key, row.value]));
    await appendChanges(tx, repository, input.author, [{ kind: "resource-tags-deleted", before }]);
  });
}
