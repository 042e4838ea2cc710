/** What only roles have: who may take them on and for how long, the service that a service-linked role belongs to, and the last use. */
import { readJson } from "#std/json.ts";
import type { Selectable, Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn, identityOf } from "./identity-rows.ts";
import { deleteIdentityRow, insertIdentity, listIdentities } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import type { NewIdentity } from "./identities.ts";
import { findAttachment } from "./identity-attachments.ts";
import { managedPolicyExistsIn } from "./managed-policies.ts";
import type { PolicyReference } from "./policy-attachments.ts";
import type { IdentityTable, RoleTable } from "./schema-identity.ts";
import type { Schema } from "./schema.ts";

/** A role. Times are milliseconds since the epoch. */
export interface Role {
  readonly identity: Identity;
  /** Exactly as it was given. */
  readonly trustDocument: string;
  /** Users and roles, as the document names them, to the unique ids that they had when the document was stored. */
  readonly trustPrincipals: Readonly<Record<string, string>>;
  readonly maxSessionSeconds: number;
  /** The service of a service-linked role. */
  readonly linkedService: string | undefined;
  readonly lastUsedAt: number | undefined;
  readonly lastUsedRegion: string | undefined;
}

/** A trust document with what its principals meant when it was stored. */
export type RoleTrust = Pick<Role, "trustDocument" | "trustPrincipals">;

/** Names a role; names are compared without regard to case. */
export interface RoleKey {
  readonly accountId: string;
  readonly name: string;
}

/** What a role is made from. */
export interface NewRole extends Omit<NewIdentity, "kind" | "boundaryArn">, RoleTrust {
  readonly maxSessionSeconds: number;
  readonly linkedService?: string | undefined;
  readonly boundary?: PolicyReference | undefined;
  /** Policies that AWS manages and that are attached to it from the start. */
  readonly policyArns?: readonly string[];
}

/** What making a role answers; `no-policy`: the boundary is not there. */
export type NewRoleOutcome =
  | { readonly outcome: "created"; readonly role: Role }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" }
  | { readonly outcome: "no-policy" };

/** What changing a role answers; `linked`: it is service-linked, and what was asked cannot be changed then. */
export type UpdateRoleOutcome =
  | { readonly outcome: "updated"; readonly role: Role }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "linked" };

/** What still hangs on a role, which keeps it from being deleted. */
export type RoleConflict = "role-in-instance-profiles" | "attached-policies" | "policies";

/** What `deleteRole` answers; `wrong-kind`: asked for an ordinary role, and it is a service-linked one, or the other way round. */
export type DeleteRoleOutcome = "deleted" | "not-found" | "wrong-kind" | RoleConflict;

/** Where the things that hang on a role are, in the order in which AWS wants them gone. */
const attachments = [
  { conflict: "role-in-instance-profiles", table: "instance_profile_role", column: "role_id" },
  { conflict: "attached-policies", table: "policy_attachment", column: "identity_id" },
  { conflict: "policies", table: "inline_policy", column: "identity_id" },
] as const;

type RoleRow = Selectable<IdentityTable> & Selectable<RoleTable>;

/** Makes a role. */
export async function createRole(db: Database, input: NewRole): Promise<NewRoleOutcome> {
  return db.transaction(async (tx): Promise<NewRoleOutcome> => {
    await moveIdentityEpoch(tx);
    const { boundary } = input;
    if (boundary?.own !== undefined && !(await managedPolicyExistsIn(tx, boundary.own))) return { outcome: "no-policy" };
    const made = await insertIdentity(tx, { ...input, kind: "role", boundaryArn: boundary?.arn });
    if (made.outcome !== "created") return made;
    const { identityId } = made.identity;
    await tx
      .insertInto("role")
      .values({
        identity_id: identityId,
        trust_document: input.trustDocument,
        trust_principals: JSON.stringify(input.trustPrincipals),
        max_session_seconds: input.maxSessionSeconds,
        linked_service: input.linkedService ?? null,
      })
      .execute();
    const policies = (input.policyArns ?? []).map((policy_arn) => ({ identity_id: identityId, policy_arn }));
    if (policies.length > 0) await tx.insertInto("policy_attachment").values(policies).execute();
    return { outcome: "created", role: await getRoleIn(tx, identityId) };
  });
}

/** The role of that name, or undefined. */
export async function findRoleTrust(db: Database, accountId: string, roleName: string): Promise<Role | undefined> {
  const row = await selectRoles(db.read)
    .where("i.account_id", "=", accountId)
    .where("i.kind", "=", "role")
    .where("i.name_key", "=", roleName.toLowerCase())
    .executeTakeFirst();
  return row === undefined ? undefined : roleOf(row);
}

/** A page of roles, as `listIdentities` pages them. */
export async function listRoles(
  db: Database,
  input: { readonly accountId: string; readonly pathPrefix: string; readonly after: string | undefined; readonly limit: number },
): Promise<{ readonly roles: readonly Role[]; readonly next: string | undefined }> {
  const page = await listIdentities(db, { ...input, kind: "role" });
  const found = await findRoles(
    db,
    page.identities.map(({ identityId }) => identityId),
  );
  // A role that went in between is left out.
  return { roles: page.identities.flatMap(({ identityId }) => found.get(identityId) ?? []), next: page.next };
}

/** Roles by the ids of their rows; ids of nothing are left out. */
export async function findRoles(db: Database, identityIds: readonly number[]): Promise<ReadonlyMap<number, Role>> {
  if (identityIds.length === 0) return new Map();
  const rows = await selectRoles(db.read).where(db.dialect.integerIn("r.identity_id", identityIds)).execute();
  return new Map(rows.map((row) => [row.identity_id, roleOf(row)]));
}

/** Changes what is given and leaves the rest. The description is all that can be changed of a service-linked role. */
export async function updateRole(
  db: Database,
  input: RoleKey & {
    readonly description?: string | undefined;
    readonly maxSessionSeconds?: number | undefined;
    readonly trust?: RoleTrust | undefined;
    readonly now: number;
  },
): Promise<UpdateRoleOutcome> {
  return db.transaction(async (tx): Promise<UpdateRoleOutcome> => {
    await moveIdentityEpoch(tx);
    const role = await findRoleIn(tx, input);
    if (role === undefined) return { outcome: "not-found" };
    const { maxSessionSeconds, trust, description } = input;
    if (role.linkedService !== undefined && (maxSessionSeconds !== undefined || trust !== undefined)) return { outcome: "linked" };
    const { identityId } = role.identity;
    await tx
      .updateTable("identity")
      .set({ updated_at: input.now, ...(description !== undefined && { description }) })
      .where("identity_id", "=", identityId)
      .execute();
    const own = {
      ...(maxSessionSeconds !== undefined && { max_session_seconds: maxSessionSeconds }),
      ...(trust !== undefined && { trust_document: trust.trustDocument, trust_principals: JSON.stringify(trust.trustPrincipals) }),
    };
    if (Object.keys(own).length > 0) await tx.updateTable("role").set(own).where("identity_id", "=", identityId).execute();
    return { outcome: "updated", role: await getRoleIn(tx, identityId) };
  });
}

/** Deletes a role and ends its sessions. `isLinked` says which kind is meant; the policies of a service-linked role go with it. */
export async function deleteRole(db: Database, input: RoleKey & { readonly isLinked: boolean }): Promise<DeleteRoleOutcome> {
  return db.transaction(async (tx): Promise<DeleteRoleOutcome> => {
    await moveIdentityEpoch(tx);
    const role = await findRoleIn(tx, input);
    if (role === undefined) return "not-found";
    if ((role.linkedService !== undefined) !== input.isLinked) return "wrong-kind";
    const { identityId } = role.identity;
    if (input.isLinked) await tx.deleteFrom("policy_attachment").where("identity_id", "=", identityId).execute();
    const conflict = await findAttachment(tx, identityId, attachments);
    if (conflict !== undefined) return conflict;
    await tx.deleteFrom("session").where("identity_id", "=", identityId).execute();
    await tx.deleteFrom("role").where("identity_id", "=", identityId).execute();
    await deleteIdentityRow(tx, identityId);
    return "deleted";
  });
}

/** Notes that a session of the role was used. No permission hangs on it, so the identity epoch stays where it is. */
export async function noteRoleUse(
  db: Database,
  input: { readonly identityId: number; readonly region: string; readonly now: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("role")
      .set({ last_used_at: input.now, last_used_region: input.region })
      .where("identity_id", "=", input.identityId)
      .execute();
  });
}

/** Users and roles of any account by their unique ids; ids of nothing are left out. */
export async function findPrincipalIdentities(db: Database, uniqueIds: readonly string[]): Promise<readonly Identity[]> {
  if (uniqueIds.length === 0) return [];
  const rows = await db.read.selectFrom("identity").selectAll().where(db.dialect.textIn("unique_id", uniqueIds)).execute();
  return rows.map(identityOf);
}

/** Inside a transaction of this room that has moved the epoch: the role of that name, or undefined. */
export async function findRoleIn(tx: Transaction<Schema>, { accountId, name }: RoleKey): Promise<Role | undefined> {
  const identity = await findIdentityIn(tx, { accountId, kind: "role", name });
  return identity === undefined ? undefined : getRoleIn(tx, identity.identityId);
}

async function getRoleIn(tx: Transaction<Schema>, identityId: number): Promise<Role> {
  return roleOf(await selectRoles(tx).where("r.identity_id", "=", identityId).executeTakeFirstOrThrow());
}

function selectRoles(from: Database["read"] | Transaction<Schema>) {
  return from.selectFrom("role as r").innerJoin("identity as i", "i.identity_id", "r.identity_id").selectAll("r").selectAll("i");
}

function roleOf(row: RoleRow): Role {
  return {
    identity: identityOf(row),
    trustDocument: row.trust_document,
    trustPrincipals: readJson(row.trust_principals) as Record<string, string>,
    maxSessionSeconds: row.max_session_seconds,
    linkedService: row.linked_service ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
    lastUsedRegion: row.last_used_region ?? undefined,
  };
}
