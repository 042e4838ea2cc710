import type { Database } from "./database.ts";
import { lockKmsKey } from "./kms-keys.ts";
import type { KmsKey, KmsKeyState } from "./kms-keys.ts";

/** What changing tags answers; `wrong-state` with the key as it is. */
export type KmsTagsOutcome =
  | { readonly outcome: "changed" }
  | { readonly outcome: "too-many" }
  | { readonly outcome: "wrong-state"; readonly key: KmsKey }
  | { readonly outcome: "not-found" };

/** What is to be changed: which key, and the states in which it may be. */
interface TagChange {
  readonly keyId: string;
  readonly onlyIn: readonly KmsKeyState[];
}

/** A page of a key's tags by tag key; `after` is the last one of the page before. */
export async function listKmsKeyTags(
  db: Database,
  input: { readonly keyId: string; readonly after: string | undefined; readonly limit: number },
): Promise<readonly { readonly key: string; readonly value: string }[]> {
  return db.read
    .selectFrom("kms_key_tag")
    .select(["key", "value"])
    .where("key_id", "=", input.keyId)
    .where("key", ">", input.after ?? "")
    .orderBy("key")
    .limit(input.limit)
    .execute();
}

/** Adds tags, or gives new values to those that are there; all, or none when there would be more than `maxTags`. */
export async function putKmsKeyTags(
  db: Database,
  input: TagChange & { readonly tags: Readonly<Record<string, string>>; readonly maxTags: number },
): Promise<KmsTagsOutcome> {
  return db.transaction(async (tx): Promise<KmsTagsOutcome> => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key === undefined) return { outcome: "not-found" };
    if (!input.onlyIn.includes(key.state)) return { outcome: "wrong-state", key };
    const rows = await tx.selectFrom("kms_key_tag").select("key").where("key_id", "=", input.keyId).execute();
    const tags = Object.entries(input.tags);
    if (new Set([...rows.map((row) => row.key), ...tags.map(([name]) => name)]).size > input.maxTags) return { outcome: "too-many" };
    if (tags.length === 0) return { outcome: "changed" };
    await tx
      .insertInto("kms_key_tag")
      .values(tags.map(([name, value]) => ({ key_id: input.keyId, key: name, value })))
      .onConflict((conflict) => conflict.columns(["key_id", "key"]).doUpdateSet((set) => ({ value: set.ref("excluded.value") })))
      .execute();
    return { outcome: "changed" };
  });
}

/** Removes tags; keys that are not there are no error. */
export async function deleteKmsKeyTags(db: Database, input: TagChange & { readonly tagKeys: readonly string[] }): Promise<KmsTagsOutcome> {
  return db.transaction(async (tx): Promise<KmsTagsOutcome> => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key === undefined) return { outcome: "not-found" };
    if (!input.onlyIn.includes(key.state)) return { outcome: "wrong-state", key };
    await tx.deleteFrom("kms_key_tag").where("key_id", "=", input.keyId).where(db.dialect.textIn("key", input.tagKeys)).execute();
    return { outcome: "changed" };
  });
}
