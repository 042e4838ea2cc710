/** Groups and who is in them. */
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn, identityOf } from "./identity-rows.ts";
import { deleteIdentityRow, insertIdentity } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import type { NewIdentity, NewIdentityOutcome } from "./identities.ts";
import { findAttachment } from "./identity-attachments.ts";

/** What still hangs on a group, which keeps it from being deleted. */
export type GroupConflict = "group-members" | "policies" | "attached-policies";

/** What deleting a group answers. */
export type DeleteGroupOutcome =
  | { readonly outcome: "deleted" }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "conflict"; readonly conflict: GroupConflict };

/** A user and a group by their names. */
export interface Membership {
  readonly accountId: string;
  readonly groupName: string;
  readonly userName: string;
}

/** What a change of a membership answers. */
export type MembershipOutcome = "changed" | "group-not-found" | "user-not-found" | "not-member" | "limit";

/** Makes a group. */
export async function createGroup(db: Database, input: Omit<NewIdentity, "kind">): Promise<NewIdentityOutcome> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    return insertIdentity(tx, { ...input, kind: "group" });
  });
}

/** Where the things that hang on a group are, in the order in which AWS wants them gone. */
const attachments = [
  { conflict: "group-members", table: "group_member", column: "group_id" },
  { conflict: "policies", table: "inline_policy", column: "identity_id" },
  { conflict: "attached-policies", table: "policy_attachment", column: "identity_id" },
] as const;

/** Deletes a group that has neither members nor policies any more. */
export async function deleteGroup(db: Database, input: { readonly accountId: string; readonly name: string }): Promise<DeleteGroupOutcome> {
  return db.transaction(async (tx): Promise<DeleteGroupOutcome> => {
    await moveIdentityEpoch(tx);
    const group = await findIdentityIn(tx, { ...input, kind: "group" });
    if (group === undefined) return { outcome: "not-found" };
    const conflict = await findAttachment(tx, group.identityId, attachments);
    if (conflict !== undefined) return { outcome: "conflict", conflict };
    await deleteIdentityRow(tx, group.identityId);
    return { outcome: "deleted" };
  });
}

/** Puts a user into a group, unless it is in `limit` groups already; nothing changes when it is in this one. */
export async function addGroupMember(db: Database, input: Membership & { readonly limit: number }): Promise<MembershipOutcome> {
  return db.transaction(async (tx): Promise<MembershipOutcome> => {
    await moveIdentityEpoch(tx);
    const group = await findIdentityIn(tx, { accountId: input.accountId, kind: "group", name: input.groupName });
    if (group === undefined) return "group-not-found";
    const user = await findIdentityIn(tx, { accountId: input.accountId, kind: "user", name: input.userName });
    if (user === undefined) return "user-not-found";
    const groups = await tx.selectFrom("group_member").select("group_id").where("user_id", "=", user.identityId).execute();
    if (groups.some((row) => row.group_id === group.identityId)) return "changed";
    if (groups.length >= input.limit) return "limit";
    await tx.insertInto("group_member").values({ group_id: group.identityId, user_id: user.identityId }).execute();
    return "changed";
  });
}

/** Takes a user out of a group. */
export async function removeGroupMember(db: Database, input: Membership): Promise<MembershipOutcome> {
  return db.transaction(async (tx): Promise<MembershipOutcome> => {
    await moveIdentityEpoch(tx);
    const group = await findIdentityIn(tx, { accountId: input.accountId, kind: "group", name: input.groupName });
    if (group === undefined) return "group-not-found";
    const user = await findIdentityIn(tx, { accountId: input.accountId, kind: "user", name: input.userName });
    if (user === undefined) return "user-not-found";
    const gone = await tx
      .deleteFrom("group_member")
      .where("group_id", "=", group.identityId)
      .where("user_id", "=", user.identityId)
      .returning("user_id")
      .execute();
    return gone.length === 0 ? "not-member" : "changed";
  });
}

/** A page of a group's users, the oldest user first; `after` is the last row id of the page before. */
export async function listGroupMembers(
  db: Database,
  input: { readonly groupId: number; readonly after: number | undefined; readonly limit: number },
): Promise<{ readonly users: readonly Identity[]; readonly next: number | undefined }> {
  const rows = await db.read
    .selectFrom("group_member as m")
    .innerJoin("identity as i", "i.identity_id", "m.user_id")
    .selectAll("i")
    .where("m.group_id", "=", input.groupId)
    .where("m.user_id", ">", input.after ?? 0)
    .orderBy("m.user_id")
    .limit(input.limit + 1)
    .execute();
  const users = rows.slice(0, input.limit).map(identityOf);
  return { users, next: rows.length > input.limit ? users.at(-1)?.identityId : undefined };
}

/** A page of the groups that a user is in, the oldest group first; `after` is the last row id of the page before. */
export async function listGroupsOfUser(
  db: Database,
  input: { readonly userId: number; readonly after: number | undefined; readonly limit: number },
): Promise<{ readonly groups: readonly Identity[]; readonly next: number | undefined }> {
  const rows = await db.read
    .selectFrom("group_member as m")
    .innerJoin("identity as i", "i.identity_id", "m.group_id")
    .selectAll("i")
    .where("m.user_id", "=", input.userId)
    .where("m.group_id", ">", input.after ?? 0)
    .orderBy("m.group_id")
    .limit(input.limit + 1)
    .execute();
  const groups = rows.slice(0, input.limit).map(identityOf);
  return { groups, next: rows.length > input.limit ? groups.at(-1)?.identityId : undefined };
}
