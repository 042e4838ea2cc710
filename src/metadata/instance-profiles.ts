/** Instance profiles: a name under which machines are given one role. */
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn, identityOf } from "./identity-rows.ts";
import { deleteIdentityRow, findIdentity, insertIdentity, listIdentities } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import type { NewIdentity, NewIdentityOutcome } from "./identities.ts";
import { findRoleIn, findRoles } from "./roles.ts";
import type { Role } from "./roles.ts";
import type { Schema } from "./schema.ts";

/** An instance profile with the role that is in it. */
export interface InstanceProfile {
  readonly identity: Identity;
  readonly role: Role | undefined;
}

/** A page of instance profiles; `next` is the last name when there are more. */
export interface InstanceProfilePage {
  readonly profiles: readonly InstanceProfile[];
  readonly next: string | undefined;
}

/** Names an instance profile; names are compared without regard to case. */
export interface InstanceProfileKey {
  readonly accountId: string;
  readonly name: string;
}

/** A profile and the role that is put into it or taken out. */
export interface InstanceProfileRole extends InstanceProfileKey {
  readonly roleName: string;
}

/** What `addInstanceProfileRole` answers; `linked`: a service-linked role is for its service alone. */
export type AddProfileRoleOutcome = "added" | "profile-not-found" | "role-not-found" | "occupied" | "linked";

/** Makes an instance profile without a role. */
export async function createInstanceProfile(db: Database, input: Omit<NewIdentity, "kind">): Promise<NewIdentityOutcome> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    return insertIdentity(tx, { ...input, kind: "instance-profile" });
  });
}

/** The instance profile of that name, or undefined. */
export async function findInstanceProfile(db: Database, key: InstanceProfileKey): Promise<InstanceProfile | undefined> {
  const identity = await findIdentity(db, { ...key, kind: "instance-profile" });
  return identity === undefined ? undefined : (await withRoles(db, [identity]))[0];
}

/** A page of instance profiles, as `listIdentities` pages them. */
export async function listInstanceProfiles(
  db: Database,
  input: { readonly accountId: string; readonly pathPrefix: string; readonly after: string | undefined; readonly limit: number },
): Promise<InstanceProfilePage> {
  const { identities, next } = await listIdentities(db, { ...input, kind: "instance-profile" });
  return { profiles: await withRoles(db, identities), next };
}

/** A page of the instance profiles that a role is in, by name; `after` is the last name of the page before. */
export async function listInstanceProfilesOfRole(
  db: Database,
  input: { readonly roleId: number; readonly after: string | undefined; readonly limit: number },
): Promise<InstanceProfilePage> {
  const rows = await db.read
    .selectFrom("instance_profile_role as p")
    .innerJoin("identity as i", "i.identity_id", "p.profile_id")
    .selectAll("i")
    .where("p.role_id", "=", input.roleId)
    .where("i.name_key", ">", (input.after ?? "").toLowerCase())
    .orderBy("i.name_key")
    .limit(input.limit + 1)
    .execute();
  const identities = rows.slice(0, input.limit).map(identityOf);
  return { profiles: await withRoles(db, identities), next: rows.length > input.limit ? identities.at(-1)?.name : undefined };
}

/** Deletes an instance profile; `occupied`: a role is in it. */
export async function deleteInstanceProfile(db: Database, key: InstanceProfileKey): Promise<"deleted" | "not-found" | "occupied"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const identity = await findIdentityIn(tx, { ...key, kind: "instance-profile" });
    if (identity === undefined) return "not-found";
    if ((await findRoleIdIn(tx, identity.identityId)) !== undefined) return "occupied";
    await deleteIdentityRow(tx, identity.identityId);
    return "deleted";
  });
}

/** Puts a role into an instance profile that has none. */
export async function addInstanceProfileRole(db: Database, input: InstanceProfileRole): Promise<AddProfileRoleOutcome> {
  return db.transaction(async (tx): Promise<AddProfileRoleOutcome> => {
    await moveIdentityEpoch(tx);
    const profile = await findIdentityIn(tx, { ...input, kind: "instance-profile" });
    if (profile === undefined) return "profile-not-found";
    const role = await findRoleIn(tx, { accountId: input.accountId, name: input.roleName });
    if (role === undefined) return "role-not-found";
    if (role.linkedService !== undefined) return "linked";
    if ((await findRoleIdIn(tx, profile.identityId)) !== undefined) return "occupied";
    const row = { profile_id: profile.identityId, role_id: role.identity.identityId };
    await tx.insertInto("instance_profile_role").values(row).execute();
    return "added";
  });
}

/** Takes a role out of an instance profile; `role-not-found` also when it is another role that is in it. */
export async function removeInstanceProfileRole(
  db: Database,
  input: InstanceProfileRole,
): Promise<"removed" | "profile-not-found" | "role-not-found"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const profile = await findIdentityIn(tx, { ...input, kind: "instance-profile" });
    if (profile === undefined) return "profile-not-found";
    const role = await findIdentityIn(tx, { accountId: input.accountId, kind: "role", name: input.roleName });
    if (role === undefined) return "role-not-found";
    const removed = await tx
      .deleteFrom("instance_profile_role")
      .where("profile_id", "=", profile.identityId)
      .where("role_id", "=", role.identityId)
      .returning("role_id")
      .execute();
    return removed.length > 0 ? "removed" : "role-not-found";
  });
}

async function findRoleIdIn(tx: Transaction<Schema>, profileId: number): Promise<number | undefined> {
  const row = await tx.selectFrom("instance_profile_role").select("role_id").where("profile_id", "=", profileId).executeTakeFirst();
  return row?.role_id;
}

async function withRoles(db: Database, identities: readonly Identity[]): Promise<readonly InstanceProfile[]> {
  if (identities.length === 0) return [];
  const ids = identities.map(({ identityId }) => identityId);
  const rows = await db.read
    .selectFrom("instance_profile_role")
    .select(["profile_id", "role_id"])
    .where(db.dialect.integerIn("profile_id", ids))
    .execute();
  const roleIds = new Map(rows.map((row) => [row.profile_id, row.role_id]));
  const roles = await findRoles(db, [...new Set(roleIds.values())]);
  return identities.map((identity) => ({ identity, role: roles.get(roleIds.get(identity.identityId) ?? -1) }));
}
