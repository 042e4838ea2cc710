/** What users, groups, roles, managed policies and instance profiles have in common: names, paths, unique ids, boundaries, listings. */
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn, identityOf, nameKey } from "./identity-rows.ts";
import type { Identity, IdentityKey, IdentityKind } from "./identity-rows.ts";
import { putTagsOf } from "./identity-tags.ts";
import type { IdentityTag } from "./identity-tags.ts";
import type { Schema } from "./schema.ts";

/** What an identity is made from. */
export interface NewIdentity extends IdentityKey {
  readonly uniqueId: string;
  readonly path: string;
  readonly description?: string | undefined;
  readonly boundaryArn?: string | undefined;
  readonly tags: readonly IdentityTag[];
  readonly now: number;
  /** How many of its kind the account may have. */
  readonly limit: number;
}

/** What making an identity answers. */
export type NewIdentityOutcome =
  | { readonly outcome: "created"; readonly identity: Identity }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** What `updateIdentity` answers. */
export type UpdateIdentityOutcome =
  | { readonly outcome: "updated"; readonly identity: Identity }
  | { readonly outcome: "exists" }
  | { readonly outcome: "not-found" };

/** The identity of that name, or undefined. */
export async function findIdentity(db: Database, key: IdentityKey): Promise<Identity | undefined> {
  const row = await db.read
    .selectFrom("identity")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", key.kind)
    .where("name_key", "=", nameKey(key.name))
    .executeTakeFirst();
  return row === undefined ? undefined : identityOf(row);
}

/** The identity of that unique id (`AIDA…`, `AROA…`), or undefined. */
export async function findIdentityByUniqueId(db: Database, uniqueId: string): Promise<Identity | undefined> {
  const row = await db.read.selectFrom("identity").selectAll().where("unique_id", "=", uniqueId).executeTakeFirst();
  return row === undefined ? undefined : identityOf(row);
}

/** A page of identities whose path begins with `pathPrefix`, by name without regard to case; `after` is the last name of the page before. */
export async function listIdentities(
  db: Database,
  input: {
    readonly accountId: string;
    readonly kind: IdentityKind;
    readonly pathPrefix: string;
    readonly after: string | undefined;
    readonly limit: number;
  },
): Promise<{ readonly identities: readonly Identity[]; readonly next: string | undefined }> {
  const rows = await db.read
    .selectFrom("identity")
    .selectAll()
    .where("account_id", "=", input.accountId)
    .where("kind", "=", input.kind)
    .where("name_key", ">", input.after === undefined ? "" : nameKey(input.after))
    // A range, for LIKE would read the underscores of a path as wildcards.
    .where("path", ">=", input.pathPrefix)
    .where("path", "<", `${input.pathPrefix}\u{10FFFF}`)
    .orderBy("name_key")
    .limit(input.limit + 1)
    .execute();
  const identities = rows.slice(0, input.limit).map(identityOf);
  return { identities, next: rows.length > input.limit ? identities.at(-1)?.name : undefined };
}

/** Renames an identity, moves it to another path, or changes its description; what is not given stays. Everything attached to it stays. */
export async function updateIdentity(
  db: Database,
  input: IdentityKey & {
    readonly newName?: string | undefined;
    readonly newPath?: string | undefined;
    readonly description?: string | undefined;
    readonly now: number;
  },
): Promise<UpdateIdentityOutcome> {
  return db.transaction(async (tx): Promise<UpdateIdentityOutcome> => {
    await moveIdentityEpoch(tx);
    const found = await findIdentityIn(tx, input);
    if (found === undefined) return { outcome: "not-found" };
    const name = input.newName ?? found.name;
    const other = await findIdentityIn(tx, { ...input, name });
    if (other !== undefined && other.identityId !== found.identityId) return { outcome: "exists" };
    const row = await tx
      .updateTable("identity")
      .set({
        name,
        name_key: nameKey(name),
        path: input.newPath ?? found.path,
        description: input.description ?? found.description ?? null,
        updated_at: input.now,
      })
      .where("identity_id", "=", found.identityId)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { outcome: "updated", identity: identityOf(row) };
  });
}

/** Inside a transaction of this room that has moved the epoch: makes the common row and its tags. */
export async function insertIdentity(tx: Transaction<Schema>, input: NewIdentity): Promise<NewIdentityOutcome> {
  if ((await findIdentityIn(tx, input)) !== undefined) return { outcome: "exists" };
  const { count } = await tx
    .selectFrom("identity")
    .select((row) => row.fn.countAll<number>().as("count"))
    .where("account_id", "=", input.accountId)
    .where("kind", "=", input.kind)
    .executeTakeFirstOrThrow();
  if (count >= input.limit) return { outcome: "limit" };
  const row = await tx
    .insertInto("identity")
    .values({
      account_id: input.accountId,
      kind: input.kind,
      name: input.name,
      name_key: nameKey(input.name),
      unique_id: input.uniqueId,
      path: input.path,
      description: input.description ?? null,
      boundary_arn: input.boundaryArn ?? null,
      created_at: input.now,
      updated_at: input.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await putTagsOf(tx, row.identity_id, input.tags);
  return { outcome: "created", identity: identityOf(row) };
}

/** Inside a transaction of this room: removes the common row and its tags. What refers to it must be gone already. */
export async function deleteIdentityRow(tx: Transaction<Schema>, identityId: number): Promise<void> {
  await tx.deleteFrom("identity_tag").where("identity_id", "=", identityId).execute();
  await tx.deleteFrom("identity").where("identity_id", "=", identityId).execute();
}
