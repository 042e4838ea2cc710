/** The common row of users, groups, roles, managed policies and instance profiles, for the files of this room that need one. */
import type { Selectable, Transaction } from "kysely";
import type { IdentityTable } from "./schema-identity.ts";
import type { Schema } from "./schema.ts";

/** What an identity is. */
export type IdentityKind = IdentityTable["kind"];

/** Names an identity; names are compared without regard to case. */
export interface IdentityKey {
  readonly accountId: string;
  readonly kind: IdentityKind;
  readonly name: string;
}

/** An identity. Times are milliseconds since the epoch. */
export interface Identity extends IdentityKey {
  readonly identityId: number;
  readonly uniqueId: string;
  readonly path: string;
  readonly description: string | undefined;
  readonly boundaryArn: string | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Inside a transaction of this room that has moved the epoch: the identity of that name, or undefined. */
export async function findIdentityIn(tx: Transaction<Schema>, key: IdentityKey): Promise<Identity | undefined> {
  const row = await tx
    .selectFrom("identity")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("kind", "=", key.kind)
    .where("name_key", "=", nameKey(key.name))
    .executeTakeFirst();
  return row === undefined ? undefined : identityOf(row);
}

/** A row as callers see it. */
export function identityOf(row: Selectable<IdentityTable>): Identity {
  return {
    identityId: row.identity_id,
    accountId: row.account_id,
    kind: row.kind,
    name: row.name,
    uniqueId: row.unique_id,
    path: row.path,
    description: row.description ?? undefined,
    boundaryArn: row.boundary_arn ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** What names are compared by. They are ASCII, so lower case is the same everywhere. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}
