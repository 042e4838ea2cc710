/** The row of a secret, for the files of this room that change it. */
import type { Selectable, Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { SecretTable } from "./schema-secrets.ts";
import type { Schema } from "./schema.ts";

/** Names a secret. */
export interface SecretKey {
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
}

/** A secret without its values. Times are milliseconds since the epoch. */
export interface Secret extends SecretKey {
  readonly secretId: number;
  /** The letters at the end of its ARN. */
  readonly suffix: string;
  readonly description: string | undefined;
  readonly createdAt: number;
  readonly changedAt: number;
  /** The day of the last reading of a value. */
  readonly accessedAt: number | undefined;
  /** When it is removed for good; undefined while it is not marked deleted. */
  readonly removeAt: number | undefined;
}

/** What a change of a secret answers when there is nothing to change. */
export type SecretGone = { readonly outcome: "not-found" } | { readonly outcome: "marked-deleted" };

/** Locks the secret and does `work`, unless the secret is gone or marked deleted. */
export async function changeSecret<Outcome>(
  db: Database,
  secretId: number,
  work: (tx: Transaction<Schema>) => Promise<Outcome>,
): Promise<Outcome | SecretGone> {
  return db.transaction(async (tx): Promise<Outcome | SecretGone> => {
    const secret = await lockSecret(db, tx, secretId);
    if (secret === undefined) return { outcome: "not-found" };
    return secret.remove_at === null ? work(tx) : { outcome: "marked-deleted" };
  });
}

/** Writes columns of a secret. */
export async function setSecret(
  tx: Transaction<Schema>,
  secretId: number,
  columns: Partial<Omit<Selectable<SecretTable>, "secret_id">>,
): Promise<void> {
  await tx.updateTable("secret").set(columns).where("secret_id", "=", secretId).execute();
}

/** A row as callers see it. */
export function secretOf(row: Omit<Selectable<SecretTable>, "policy" | "policy_principals">): Secret {
  return {
    secretId: row.secret_id,
    accountId: row.account_id,
    region: row.region,
    name: row.name,
    suffix: row.suffix,
    description: row.description ?? undefined,
    createdAt: row.created_at,
    changedAt: row.changed_at,
    accessedAt: row.accessed_at ?? undefined,
    removeAt: row.remove_at ?? undefined,
  };
}

/** Locks the row of a secret; undefined when it is gone. */
export async function lockSecret(
  db: Database,
  tx: Transaction<Schema>,
  secretId: number,
): Promise<{ readonly remove_at: number | null } | undefined> {
  return tx.selectFrom("secret").select("remove_at").where("secret_id", "=", secretId).$call(db.dialect.lockForUpdate).executeTakeFirst();
}
