import { readJson } from "#std/json.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn } from "./identity-rows.ts";

/** A machine that was enrolled. Times are milliseconds since the epoch. */
export interface Machine {
  readonly machineId: string;
  readonly accountId: string;
  readonly name: string;
  readonly profileName: string;
  readonly profilePath: string;
  readonly createdAt: number;
  readonly lastUsedAt: number | undefined;
}

/** The role that a machine may act as, now. */
export interface MachineRole {
  readonly identityId: number;
  readonly uniqueId: string;
  readonly name: string;
  readonly path: string;
  readonly trustDocument: string;
  readonly trustPrincipals: Readonly<Record<string, string>>;
}

/** Enrols a machine for an instance profile. */
export async function createMachine(
  db: Database,
  input: {
    readonly machineId: string;
    readonly accountId: string;
    readonly profileName: string;
    readonly name: string;
    readonly tokenHash: string;
    readonly now: number;
  },
): Promise<{ readonly outcome: "created" | "no-profile" | "exists" }> {
  return db.transaction(async (tx): Promise<{ readonly outcome: "created" | "no-profile" | "exists" }> => {
    await moveIdentityEpoch(tx);
    const profile = await findIdentityIn(tx, { accountId: input.accountId, kind: "instance-profile", name: input.profileName });
    if (profile === undefined) return { outcome: "no-profile" };
    const made = await tx
      .insertInto("machine")
      .values({
        machine_id: input.machineId,
        account_id: input.accountId,
        profile_id: profile.identityId,
        name: input.name,
        token_hash: input.tokenHash,
        created_at: input.now,
      })
      .onConflict((conflict) => conflict.columns(["account_id", "name"]).doNothing())
      .returning("machine_id")
      .execute();
    return { outcome: made.length > 0 ? "created" : "exists" };
  });
}

/** The machine of a token and the role of its profile, if that has one. */
export async function findMachineByToken(
  db: Database,
  tokenHash: string,
): Promise<{ readonly machine: Machine; readonly role: MachineRole | undefined } | undefined> {
  const row = await db.read
    .selectFrom("machine as m")
    .innerJoin("identity as p", "p.identity_id", "m.profile_id")
    .leftJoin("instance_profile_role as pr", "pr.profile_id", "m.profile_id")
    .leftJoin("identity as i", "i.identity_id", "pr.role_id")
    .leftJoin("role as r", "r.identity_id", "pr.role_id")
    .select([
      "m.machine_id",
      "m.account_id",
      "m.name",
      "m.created_at",
      "m.last_used_at",
      "p.name as profile_name",
      "p.path as profile_path",
    ])
    .select(["i.identity_id", "i.unique_id", "i.name as role_name", "i.path as role_path", "r.trust_document", "r.trust_principals"])
    .where("m.token_hash", "=", tokenHash)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { identity_id: identityId, unique_id: uniqueId, role_name: name, role_path: path, trust_document: trustDocument } = row;
  const hasRole = identityId !== null && uniqueId !== null && name !== null && path !== null && trustDocument !== null;
  return {
    machine: machineOf(row),
    role: hasRole
      ? {
          identityId,
          uniqueId,
          name,
          path,
          trustDocument,
          trustPrincipals: readJson(row.trust_principals ?? "{}") as Record<string, string>,
        }
      : undefined,
  };
}

/**
 * Notes that a machine fetched the credentials of that access key. False when its enrolment has ended meanwhile; then the session, which
 * the revocation could not know of, is gone too.
 */
export async function noteMachineUse(
  db: Database,
  input: { readonly machineId: string; readonly accessKeyId: string; readonly now: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const noted = await tx
      .updateTable("machine")
      .set({ last_used_at: input.now })
      .where("machine_id", "=", input.machineId)
      .returning("machine_id")
      .execute();
    if (noted.length > 0) return true;
    await tx.deleteFrom("session").where("access_key_id", "=", input.accessKeyId).execute();
    return false;
  });
}

/** A page of an account's machines by name; `after` is the last name of the page before. */
export async function listMachines(
  db: Database,
  input: { readonly accountId: string; readonly after: string | undefined; readonly limit: number },
): Promise<readonly Machine[]> {
  const rows = await db.read
    .selectFrom("machine as m")
    .innerJoin("identity as p", "p.identity_id", "m.profile_id")
    .select([
      "m.machine_id",
      "m.account_id",
      "m.name",
      "m.created_at",
      "m.last_used_at",
      "p.name as profile_name",
      "p.path as profile_path",
    ])
    .where("m.account_id", "=", input.accountId)
    .where("m.name", ">", input.after ?? "")
    .orderBy("m.name")
    .limit(input.limit)
    .execute();
  return rows.map(machineOf);
}

/** Ends a machine's enrolment and the sessions that it got. False when there is none of that name. */
export async function deleteMachine(db: Database, input: { readonly accountId: string; readonly name: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const gone = await tx
      .deleteFrom("machine")
      .where("account_id", "=", input.accountId)
      .where("name", "=", input.name)
      .returning(["machine_id", "profile_id"])
      .executeTakeFirst();
    if (gone === undefined) return false;
    // By the roles of its profile: sessions are found by their role. A session of a role that the profile had before ends by itself.
    await tx
      .deleteFrom("session")
      .where("identity_id", "in", tx.selectFrom("instance_profile_role").select("role_id").where("profile_id", "=", gone.profile_id))
      .where("session_name", "=", gone.machine_id)
      .execute();
    return true;
  });
}

interface MachineRow {
  readonly machine_id: string;
  readonly account_id: string;
  readonly name: string;
  readonly created_at: number;
  readonly last_used_at: number | null;
  readonly profile_name: string;
  readonly profile_path: string;
}

function machineOf(row: MachineRow): Machine {
  return {
    machineId: row.machine_id,
    accountId: row.account_id,
    name: row.name,
    profileName: row.profile_name,
    profilePath: row.profile_path,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at ?? undefined,
  };
}
