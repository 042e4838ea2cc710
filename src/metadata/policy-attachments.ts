/** Managed policies on users, groups and roles: as permissions, and as the boundary of users and roles. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn, identityOf } from "./identity-rows.ts";
import type { Identity, IdentityKey } from "./identity-rows.ts";
import { managedPolicyExistsIn } from "./managed-policies.ts";
import type { PolicyKey, PolicyUse } from "./managed-policies.ts";
import type { Schema } from "./schema.ts";

/** A policy that something is to refer to; `own` is absent for those that AWS manages, which are always there. */
export interface PolicyReference {
  readonly arn: string;
  readonly own: PolicyKey | undefined;
}

/** Why nothing was changed: there is no such user, group or role, or it is a role that only a service may change. */
export type HolderRefusal = { readonly outcome: "not-found" } | { readonly outcome: "protected"; readonly service: string };

/** What `attachPolicy` answers. Attaching again what is attached is no error. */
export type AttachOutcome = HolderRefusal | { readonly outcome: "attached" | "no-policy" | "limit" };

/** What `detachPolicy` answers. */
export type DetachOutcome = HolderRefusal | { readonly outcome: "detached" | "not-attached" };

/** What `putBoundary` answers. */
export type PutBoundaryOutcome = HolderRefusal | { readonly outcome: "put" | "no-policy" };

/** Attaches a policy; `limit` is how many the holder may have. */
export async function attachPolicy(
  db: Database,
  input: { readonly holder: IdentityKey; readonly policy: PolicyReference; readonly limit: number },
): Promise<AttachOutcome> {
  return db.transaction(async (tx): Promise<AttachOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolderIn(tx, input.holder);
    if ("outcome" in holder) return holder;
    if (!(await existsIn(tx, input.policy))) return { outcome: "no-policy" };
    const rows = await tx.selectFrom("policy_attachment").select("policy_arn").where("identity_id", "=", holder.identityId).execute();
    const { arn } = input.policy;
    if (rows.some((row) => row.policy_arn === arn)) return { outcome: "attached" };
    if (rows.length >= input.limit) return { outcome: "limit" };
    await tx.insertInto("policy_attachment").values({ identity_id: holder.identityId, policy_arn: arn }).execute();
    return { outcome: "attached" };
  });
}

/** Takes a policy away again. */
export async function detachPolicy(db: Database, input: { readonly holder: IdentityKey; readonly arn: string }): Promise<DetachOutcome> {
  return db.transaction(async (tx): Promise<DetachOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolderIn(tx, input.holder);
    if ("outcome" in holder) return holder;
    const gone = await tx
      .deleteFrom("policy_attachment")
      .where("identity_id", "=", holder.identityId)
      .where("policy_arn", "=", input.arn)
      .returning("policy_arn")
      .execute();
    return { outcome: gone.length > 0 ? "detached" : "not-attached" };
  });
}

/** Sets the permissions boundary, or takes it away; without one already that is no error. */
export async function putBoundary(
  db: Database,
  input: { readonly holder: IdentityKey; readonly policy: PolicyReference | undefined },
): Promise<PutBoundaryOutcome> {
  return db.transaction(async (tx): Promise<PutBoundaryOutcome> => {
    await moveIdentityEpoch(tx);
    const holder = await findHolderIn(tx, input.holder);
    if ("outcome" in holder) return holder;
    if (input.policy !== undefined && !(await existsIn(tx, input.policy))) return { outcome: "no-policy" };
    await tx
      .updateTable("identity")
      .set({ boundary_arn: input.policy?.arn ?? null })
      .where("identity_id", "=", holder.identityId)
      .execute();
    return { outcome: "put" };
  });
}

/** A page of the ARNs attached to an identity, in order, of policies of its account and of AWS whose path begins with `pathPrefix`. */
export async function listAttachedPolicies(
  db: Database,
  input: {
    readonly holder: Identity;
    readonly pathPrefix: string;
    /** The last ARN of the page before. */
    readonly after: string | undefined;
    readonly limit: number;
  },
): Promise<{ readonly arns: readonly string[]; readonly next: string | undefined }> {
  const prefixes = [input.holder.accountId, "aws"].map((account) => `arn:aws:iam::${account}:policy${input.pathPrefix}`);
  const rows = await db.read
    .selectFrom("policy_attachment")
    .select("policy_arn")
    .where("identity_id", "=", input.holder.identityId)
    .where("policy_arn", ">", input.after ?? "")
    // Ranges, for LIKE would read underscores as wildcards.
    .where((row) =>
      row.or(prefixes.map((prefix) => row.and([row("policy_arn", ">=", prefix), row("policy_arn", "<", `${prefix}\u{10FFFF}`)]))),
    )
    .orderBy("policy_arn")
    .limit(input.limit + 1)
    .execute();
  const arns = rows.slice(0, input.limit).map((row) => row.policy_arn);
  return { arns, next: rows.length > input.limit ? arns.at(-1) : undefined };
}

/** A page of an account's users, groups and roles that use a policy, oldest first. Without `use`, those that use it either way. */
export async function listPolicyHolders(
  db: Database,
  input: {
    readonly accountId: string;
    readonly arn: string;
    readonly kind: "user" | "group" | "role" | undefined;
    readonly pathPrefix: string;
    readonly use: PolicyUse | undefined;
    /** The last `identityId` of the page before. */
    readonly after: number | undefined;
    readonly limit: number;
  },
): Promise<{ readonly holders: readonly Identity[]; readonly next: number | undefined }> {
  const { arn, use, after = 0 } = input;
  const attached = sql`select identity_id from policy_attachment where policy_arn = ${arn} and identity_id > ${after}`;
  const bounded = sql`select identity_id from identity where boundary_arn = ${arn} and identity_id > ${after}`;
  const holding = use === "permissions" ? attached : use === "boundary" ? bounded : sql`${attached} union ${bounded}`;
  let query = db.read
    .selectFrom("identity as i")
    .selectAll("i")
    .where(sql<boolean>`i.identity_id in (${holding})`)
    .where("i.account_id", "=", input.accountId)
    .where("i.path", ">=", input.pathPrefix)
    .where("i.path", "<", `${input.pathPrefix}\u{10FFFF}`);
  if (input.kind !== undefined) query = query.where("i.kind", "=", input.kind);
  const rows = await query
    .orderBy("i.identity_id")
    .limit(input.limit + 1)
    .execute();
  const holders = rows.slice(0, input.limit).map(identityOf);
  return { holders, next: rows.length > input.limit ? holders.at(-1)?.identityId : undefined };
}

/** Inside a transaction of this room that has moved the epoch: who is to hold a policy, unless nobody or a service's own role. */
export async function findHolderIn(tx: Transaction<Schema>, key: IdentityKey): Promise<Identity | HolderRefusal> {
  const holder = await findIdentityIn(tx, key);
  if (holder === undefined) return { outcome: "not-found" };
  const role = await tx.selectFrom("role").select("linked_service").where("identity_id", "=", holder.identityId).executeTakeFirst();
  const service = role?.linked_service ?? undefined;
  return service === undefined ? holder : { outcome: "protected", service };
}

async function existsIn(tx: Transaction<Schema>, { own }: PolicyReference): Promise<boolean> {
  return own === undefined || managedPolicyExistsIn(tx, own);
}
