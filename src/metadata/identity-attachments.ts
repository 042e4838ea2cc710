import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Schema } from "./schema.ts";

/** A table whose rows hang on identities and keep them from being deleted. */
export interface AttachmentPlace<Conflict extends string> {
  readonly conflict: Conflict;
  readonly table: "access_key" | "user_login" | "inline_policy" | "policy_attachment" | "group_member" | "instance_profile_role";
  readonly column: "identity_id" | "user_id" | "group_id" | "role_id";
}

/** Inside a transaction of this room that has moved the epoch: the first of the places where something hangs on the identity, or undefined. */
export async function findAttachment<Conflict extends string>(
  tx: Transaction<Schema>,
  identityId: number,
  places: readonly AttachmentPlace<Conflict>[],
): Promise<Conflict | undefined> {
  for (const { conflict, table, column } of places) {
    const found = await sql`select 1 from ${sql.table(table)} where ${sql.ref(column)} = ${identityId} limit 1`.execute(tx);
    if (found.rows.length > 0) return conflict;
  }
  return undefined;
}
