/** Policies inside users, groups and roles. */
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import type { IdentityKey } from "./identity-rows.ts";
import { findHolderIn } from "./policy-attachments.ts";
import type { HolderRefusal } from "./policy-attachments.ts";

/** What `putInlinePolicy` answers. */
export type PutInlinePolicyOutcome = HolderRefusal | { readonly outcome: "put" | "limit" };

/** What `deleteInlinePolicy` answers. */
export type DeleteInlinePolicyOutcome = HolderRefusal | { readonly outcome: "deleted" | "no-policy" };

/** Adds a policy or replaces the one of that name, unless the holder's policies would then have more than `limitCharacters` together. */
export async function putInlinePolicy(
  db: Database,
  input: {
    readonly holder: IdentityKey;
    readonly name: string;
    readonly document: string;
    /** The document's size as quotas count it. */
    readonly sizeCharacters: number;
    readonly limitCharacters: number;
  },
): Promise<PutInlinePolicyOutcome> {
  return db.transaction(async (tx): Promise<PutInlinePolicyOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolderIn(tx, input.holder);
    if ("outcome" in holder) return holder;
    const others = await tx
      .selectFrom("inline_policy")
      .select(({ fn }) => fn.sum<number | string | null>("size_characters").as("size"))
      .where("identity_id", "=", holder.identityId)
      .where("name", "<>", input.name)
      .executeTakeFirstOrThrow();
    // Sums of whole numbers are texts on Postgres.
    if (Number(others.size ?? 0) + input.sizeCharacters > input.limitCharacters) return { outcome: "limit" };
    const policy = { document: input.document, size_characters: input.sizeCharacters };
    await tx
      .insertInto("inline_policy")
      .values({ identity_id: holder.identityId, name: input.name, ...policy })
      .onConflict((conflict) => conflict.columns(["identity_id", "name"]).doUpdateSet(policy))
      .execute();
    return { outcome: "put" };
  });
}

/** The document of an identity's policy, exactly as it was given, or undefined. */
export async function findInlinePolicy(db: Database, identityId: number, name: string): Promise<string | undefined> {
  const row = await db.read
    .selectFrom("inline_policy")
    .select("document")
    .where("identity_id", "=", identityId)
    .where("name", "=", name)
    .executeTakeFirst();
  return row?.document;
}

/** Deletes a policy. */
export async function deleteInlinePolicy(
  db: Database,
  input: { readonly holder: IdentityKey; readonly name: string },
): Promise<DeleteInlinePolicyOutcome> {
  return db.transaction(async (tx): Promise<DeleteInlinePolicyOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolderIn(tx, input.holder);
    if ("outcome" in holder) return holder;
    const gone = await tx
      .deleteFrom("inline_policy")
      .where("identity_id", "=", holder.identityId)
      .where("name", "=", input.name)
      .returning("name")
      .execute();
    return { outcome: gone.length > 0 ? "deleted" : "no-policy" };
  });
}

/** A page of the names of an identity's policies, in order; `after` is the last name of the page before. */
export async function listInlinePolicyNames(
  db: Database,
  input: { readonly identityId: number; readonly after: string | undefined; readonly limit: number },
): Promise<{ readonly names: readonly string[]; readonly next: string | undefined }> {
  const rows = await db.read
    .selectFrom("inline_policy")
    .select("name")
    .where("identity_id", "=", input.identityId)
    .where("name", ">", input.after ?? "")
    .orderBy("name")
    .limit(input.limit + 1)
    .execute();
  const names = rows.slice(0, input.limit).map((row) => row.name);
  return { names, next: rows.length > input.limit ? names.at(-1) : undefined };
}
