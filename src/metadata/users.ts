/** Making and deleting users. What they have in common with other identities is in `identities.ts`. */
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn } from "./identity-rows.ts";
import { deleteIdentityRow, insertIdentity } from "./identities.ts";
import type { NewIdentity, NewIdentityOutcome } from "./identities.ts";
import { findAttachment } from "./identity-attachments.ts";
import { managedPolicyExistsIn } from "./managed-policies.ts";
import type { PolicyReference } from "./policy-attachments.ts";

/** What still hangs on a user, which keeps it from being deleted. */
export type UserConflict = "access-keys" | "login-profile" | "policies" | "attached-policies" | "group-memberships";

/** What deleting a user answers. */
export type DeleteUserOutcome =
  | { readonly outcome: "deleted" }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "conflict"; readonly conflict: UserConflict };

/** What a user is made from. */
export interface NewUser extends Omit<NewIdentity, "kind" | "boundaryArn"> {
  readonly boundary: PolicyReference | undefined;
}

/** Makes a user; `no-policy`: the boundary is not there. */
export async function createUser(db: Database, input: NewUser): Promise<NewIdentityOutcome | { readonly outcome: "no-policy" }> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const { boundary } = input;
    if (boundary?.own !== undefined && !(await managedPolicyExistsIn(tx, boundary.own))) return { outcome: "no-policy" as const };
    return insertIdentity(tx, { ...input, kind: "user", boundaryArn: boundary?.arn });
  });
}

/** Where the things that hang on a user are, in the order in which AWS wants them gone. */
const attachments = [
  { conflict: "access-keys", table: "access_key", column: "identity_id" },
  { conflict: "login-profile", table: "user_login", column: "identity_id" },
  { conflict: "policies", table: "inline_policy", column: "identity_id" },
  { conflict: "attached-policies", table: "policy_attachment", column: "identity_id" },
  { conflict: "group-memberships", table: "group_member", column: "user_id" },
] as const;

/** Deletes a user on whom nothing hangs any more. Its temporary credentials end in the same moment. */
export async function deleteUser(db: Database, input: { readonly accountId: string; readonly name: string }): Promise<DeleteUserOutcome> {
  return db.transaction(async (tx): Promise<DeleteUserOutcome> => {
    await moveIdentityEpoch(tx);
    const user = await findIdentityIn(tx, { ...input, kind: "user" });
    if (user === undefined) return { outcome: "not-found" };
    const conflict = await findAttachment(tx, user.identityId, attachments);
    if (conflict !== undefined) return { outcome: "conflict", conflict };
    await tx.deleteFrom("session").where("identity_id", "=", user.identityId).execute();
    await deleteIdentityRow(tx, user.identityId);
    return { outcome: "deleted" };
  });
}
