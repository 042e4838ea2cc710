import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn } from "./identity-rows.ts";
import type { IdentityKey } from "./identity-rows.ts";
import type { Schema } from "./schema.ts";

/** A tag of an identity. */
export interface IdentityTag {
  readonly key: string;
  readonly value: string;
}

/** All tags of an identity (at most fifty), by key. */
export async function listIdentityTags(db: Database, identityId: number): Promise<readonly IdentityTag[]> {
  return db.read.selectFrom("identity_tag").select(["key", "value"]).where("identity_id", "=", identityId).orderBy("key_folded").execute();
}

/** Adds tags, or replaces those whose keys are the same without regard to case; all, or none when there would be more than `maxTags`. */
export async function putIdentityTags(
  db: Database,
  input: IdentityKey & { readonly tags: readonly IdentityTag[]; readonly maxTags: number },
): Promise<{ readonly outcome: "put" | "too-many" | "not-found" }> {
  return db.transaction(async (tx): Promise<{ readonly outcome: "put" | "too-many" | "not-found" }> => {
    await moveIdentityEpoch(tx);
    const identity = await findIdentityIn(tx, input);
    if (identity === undefined) return { outcome: "not-found" };
    const rows = await tx.selectFrom("identity_tag").select("key_folded").where("identity_id", "=", identity.identityId).execute();
    const keys = new Set([...rows.map((row) => row.key_folded), ...input.tags.map(({ key }) => foldKey(key))]);
    if (keys.size > input.maxTags) return { outcome: "too-many" };
    await putTagsOf(tx, identity.identityId, input.tags);
    return { outcome: "put" };
  });
}

/** Removes tags; keys that are not there are no error. False when there is no such identity. */
export async function deleteIdentityTags(db: Database, input: IdentityKey & { readonly keys: readonly string[] }): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const identity = await findIdentityIn(tx, input);
    if (identity === undefined) return false;
    await tx
      .deleteFrom("identity_tag")
      .where("identity_id", "=", identity.identityId)
      .where(db.dialect.textIn("key_folded", input.keys.map(foldKey)))
      .execute();
    return true;
  });
}

/** Inside a transaction of this room: writes the tags of an identity over those with the same keys. */
export async function putTagsOf(tx: Transaction<Schema>, identityId: number, tags: readonly IdentityTag[]): Promise<void> {
  if (tags.length === 0) return;
  await tx
    .insertInto("identity_tag")
    .values(tags.map(({ key, value }) => ({ identity_id: identityId, key_folded: foldKey(key), key, value })))
    .onConflict((conflict) =>
      conflict
        .columns(["identity_id", "key_folded"])
        .doUpdateSet((set) => ({ key: set.ref("excluded.key"), value: set.ref("excluded.value") })),
    )
    .execute();
}

function foldKey(key: string): string {
  return key.toLowerCase();
}
