/** Managed policies of accounts and their versions. The policies that AWS manages are part of the program and have no rows here. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { identityOf } from "./identity-rows.ts";
import { deleteIdentityRow, insertIdentity } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import type { NewIdentity } from "./identities.ts";
import type { Schema } from "./schema.ts";

/** Names a managed policy as its ARN does: letter for letter, path included. */
export interface PolicyKey {
  readonly accountId: string;
  readonly path: string;
  readonly name: string;
}

/** A managed policy; `defaultVersion` counts from 1. */
export interface ManagedPolicy extends Identity {
  readonly defaultVersion: number;
}

/** One version of a managed policy. */
export interface PolicyVersion {
  readonly version: number;
  readonly document: string;
  readonly isDefault: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** How a policy is used: by permissions, or as the boundary of users and roles. */
export type PolicyUse = "permissions" | "boundary";

/** How often a policy is used inside one account. */
export interface PolicyUses {
  readonly permissions: number;
  readonly boundary: number;
}

/** What `createManagedPolicy` answers. */
export type CreatePolicyOutcome =
  | { readonly outcome: "created"; readonly policy: ManagedPolicy }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** What `createPolicyVersion` answers. */
export type CreateVersionOutcome =
  | { readonly outcome: "created"; readonly version: PolicyVersion }
  | { readonly outcome: "limit" }
  | { readonly outcome: "not-found" };

const firstVersion = 1;
/** The ARN of a row of `identity`, as attachments and boundaries name it. */
const arnColumn = sql<string>`'arn:aws:iam::' || i.account_id || ':policy' || i.path || i.name`;

/** Makes a policy with its first version, which is the default. Names are unique in the account without regard to case or path. */
export async function createManagedPolicy(
  db: Database,
  input: Omit<NewIdentity, "kind"> & { readonly document: string },
): Promise<CreatePolicyOutcome> {
  return db.transaction(async (tx): Promise<CreatePolicyOutcome> => {
    await moveIdentityEpoch(tx);
    const made = await insertIdentity(tx, { ...input, kind: "policy" });
    if (made.outcome !== "created") return made;
    const { identityId } = made.identity;
    await tx
      .insertInto("managed_policy")
      .values({ identity_id: identityId, default_version: firstVersion, last_version: firstVersion })
      .execute();
    await insertVersion(tx, identityId, firstVersion, input);
    return { outcome: "created", policy: { ...made.identity, defaultVersion: firstVersion } };
  });
}

/** The policy of that key, or undefined. */
export async function findManagedPolicy(db: Database, key: PolicyKey): Promise<ManagedPolicy | undefined> {
  return findIn(db.read, key);
}

/** A page of an account's policies, by name without regard to case; `use` leaves out those that are not used so. */
export async function listManagedPolicies(
  db: Database,
  input: {
    readonly accountId: string;
    readonly pathPrefix: string;
    readonly use: PolicyUse | undefined;
    /** The last name of the page before. */
    readonly after: string | undefined;
    readonly limit: number;
  },
): Promise<{ readonly policies: readonly ManagedPolicy[]; readonly next: string | undefined }> {
  let query = db.read
    .selectFrom("identity as i")
    .innerJoin("managed_policy as p", "p.identity_id", "i.identity_id")
    .selectAll("i")
    .select("p.default_version")
    .where("i.account_id", "=", input.accountId)
    .where("i.kind", "=", "policy")
    .where("i.name_key", ">", input.after?.toLowerCase() ?? "")
    .where("i.path", ">=", input.pathPrefix)
    .where("i.path", "<", `${input.pathPrefix}\u{10FFFF}`);
  if (input.use === "permissions")
    query = query.where(sql<boolean>`exists (select 1 from policy_attachment a where a.policy_arn = ${arnColumn})`);
  if (input.use === "boundary") query = query.where(sql<boolean>`exists (select 1 from identity b where b.boundary_arn = ${arnColumn})`);
  const rows = await query
    .orderBy("i.name_key")
    .limit(input.limit + 1)
    .execute();
  const policies = rows.slice(0, input.limit).map((row) => ({ ...identityOf(row), defaultVersion: row.default_version }));
  return { policies, next: rows.length > input.limit ? policies.at(-1)?.name : undefined };
}

/** How often each of the policies is used by the account's users, groups and roles; what is not used at all is not in the map. */
export async function countPolicyUses(db: Database, accountId: string, arns: readonly string[]): Promise<ReadonlyMap<string, PolicyUses>> {
  if (arns.length === 0) return new Map();
  const [permissions, boundaries] = await Promise.all([
    db.read
      .selectFrom("policy_attachment as a")
      .innerJoin("identity as i", "i.identity_id", "a.identity_id")
      .select(({ fn }) => ["a.policy_arn as arn", fn.countAll<number>().as("count")])
      .where(db.dialect.textIn("a.policy_arn", arns))
      .where("i.account_id", "=", accountId)
      .groupBy("a.policy_arn")
      .execute(),
    db.read
      .selectFrom("identity as i")
      .select(({ fn }) => ["i.boundary_arn as arn", fn.countAll<number>().as("count")])
      .where(db.dialect.textIn("i.boundary_arn", arns))
      .where("i.account_id", "=", accountId)
      .groupBy("i.boundary_arn")
      .execute(),
  ]);
  const uses = new Map<string, { permissions: number; boundary: number }>();
  const usesOf = (arn: string | null): { permissions: number; boundary: number } => {
    const known = uses.get(arn ?? "") ?? { permissions: 0, boundary: 0 };
    uses.set(arn ?? "", known);
    return known;
  };
  for (const { arn, count } of permissions) usesOf(arn).permissions = count;
  for (const { arn, count } of boundaries) usesOf(arn).boundary = count;
  return uses;
}

/** Deletes a policy that nothing uses and that has its default version only, with its tags. */
export async function deleteManagedPolicy(
  db: Database,
  input: { readonly key: PolicyKey; readonly arn: string },
): Promise<{ readonly outcome: "deleted" | "not-found" | "used" | "has-versions" }> {
  return db.transaction(async (tx): Promise<{ readonly outcome: "deleted" | "not-found" | "used" | "has-versions" }> => {
    await moveIdentityEpoch(tx);
    const policy = await findIn(tx, input.key);
    if (policy === undefined) return { outcome: "not-found" };
    const { identityId } = policy;
    const attached = await tx
      .selectFrom("policy_attachment")
      .select("identity_id")
      .where("policy_arn", "=", input.arn)
      .limit(1)
      .executeTakeFirst();
    const bounding = await tx
      .selectFrom("identity")
      .select("identity_id")
      .where("boundary_arn", "=", input.arn)
      .limit(1)
      .executeTakeFirst();
    if (attached !== undefined || bounding !== undefined) return { outcome: "used" };
    if ((await countVersions(tx, identityId)) > 1) return { outcome: "has-versions" };
    await tx.deleteFrom("policy_version").where("identity_id", "=", identityId).execute();
    await tx.deleteFrom("managed_policy").where("identity_id", "=", identityId).execute();
    await deleteIdentityRow(tx, identityId);
    return { outcome: "deleted" };
  });
}

/** Adds a version, with a number that the policy never had, and makes it the default when told so. */
export async function createPolicyVersion(
  db: Database,
  input: {
    readonly key: PolicyKey;
    readonly document: string;
    readonly setAsDefault: boolean;
    /** How many versions a policy may have. */
    readonly limit: number;
    readonly now: number;
  },
): Promise<CreateVersionOutcome> {
  return db.transaction(async (tx): Promise<CreateVersionOutcome> => {
    await moveIdentityEpoch(tx);
    const policy = await findIn(tx, input.key);
    if (policy === undefined) return { outcome: "not-found" };
    const { identityId } = policy;
    if ((await countVersions(tx, identityId)) >= input.limit) return { outcome: "limit" };
    const row = await tx
      .updateTable("managed_policy")
      .set({ last_version: sql`last_version + 1` })
      .where("identity_id", "=", identityId)
      .returning("last_version")
      .executeTakeFirstOrThrow();
    const version = row.last_version;
    await insertVersion(tx, identityId, version, input);
    if (input.setAsDefault) await setDefault(tx, identityId, version);
    await tx.updateTable("identity").set({ updated_at: input.now }).where("identity_id", "=", identityId).execute();
    return {
      outcome: "created",
      version: { version, document: input.document, isDefault: input.setAsDefault, createdAt: input.now },
    };
  });
}

/** One version of a policy, or undefined. */
export async function findPolicyVersion(db: Database, policy: ManagedPolicy, version: number): Promise<PolicyVersion | undefined> {
  const [found] = await versionsOf(db, policy, { atMost: version, limit: 1 });
  return found?.version === version ? found : undefined;
}

/** A page of a policy's versions, newest first; `before` is the last number of the page before. */
export async function listPolicyVersions(
  db: Database,
  policy: ManagedPolicy,
  page: { readonly before: number | undefined; readonly limit: number },
): Promise<{ readonly versions: readonly PolicyVersion[]; readonly next: number | undefined }> {
  const atMost = page.before === undefined ? undefined : page.before - 1;
  const rows = await versionsOf(db, policy, { atMost, limit: page.limit + 1 });
  const versions = rows.slice(0, page.limit);
  return { versions, next: rows.length > page.limit ? versions.at(-1)?.version : undefined };
}

/** Makes a version the default: the one that decides. */
export async function setDefaultPolicyVersion(
  db: Database,
  input: { readonly key: PolicyKey; readonly version: number },
): Promise<{ readonly outcome: "set" | "not-found" | "no-version" }> {
  return db.transaction(async (tx): Promise<{ readonly outcome: "set" | "not-found" | "no-version" }> => {
    await moveIdentityEpoch(tx);
    const policy = await findIn(tx, input.key);
    if (policy === undefined) return { outcome: "not-found" };
    if (!(await hasVersion(tx, policy.identityId, input.version))) return { outcome: "no-version" };
    await setDefault(tx, policy.identityId, input.version);
    return { outcome: "set" };
  });
}

/** Deletes a version that is not the default. */
export async function deletePolicyVersion(
  db: Database,
  input: { readonly key: PolicyKey; readonly version: number },
): Promise<{ readonly outcome: "deleted" | "not-found" | "no-version" | "default" }> {
  return db.transaction(async (tx): Promise<{ readonly outcome: "deleted" | "not-found" | "no-version" | "default" }> => {
    await moveIdentityEpoch(tx);
    const policy = await findIn(tx, input.key);
    if (policy === undefined) return { outcome: "not-found" };
    if (!(await hasVersion(tx, policy.identityId, input.version))) return { outcome: "no-version" };
    if (policy.defaultVersion === input.version) return { outcome: "default" };
    await tx.deleteFrom("policy_version").where("identity_id", "=", policy.identityId).where("version", "=", input.version).execute();
    return { outcome: "deleted" };
  });
}

/** Inside a transaction of this room that has moved the epoch: is there such a policy? */
export async function managedPolicyExistsIn(tx: Transaction<Schema>, key: PolicyKey): Promise<boolean> {
  return (await findIn(tx, key)) !== undefined;
}

async function findIn(reader: Database["read"], key: PolicyKey): Promise<ManagedPolicy | undefined> {
  const row = await reader
    .selectFrom("identity as i")
    .innerJoin("managed_policy as p", "p.identity_id", "i.identity_id")
    .selectAll("i")
    .select("p.default_version")
    .where("i.account_id", "=", key.accountId)
    .where("i.kind", "=", "policy")
    .where("i.name_key", "=", key.name.toLowerCase())
    .where("i.name", "=", key.name)
    .where("i.path", "=", key.path)
    .executeTakeFirst();
  return row === undefined ? undefined : { ...identityOf(row), defaultVersion: row.default_version };
}

async function insertVersion(
  tx: Transaction<Schema>,
  identityId: number,
  version: number,
  { document, now }: { readonly document: string; readonly now: number },
): Promise<void> {
  await tx.insertInto("policy_version").values({ identity_id: identityId, version, document, created_at: now }).execute();
}

async function versionsOf(
  db: Database,
  { identityId, defaultVersion }: ManagedPolicy,
  page: { readonly atMost: number | undefined; readonly limit: number },
): Promise<readonly PolicyVersion[]> {
  let query = db.read.selectFrom("policy_version").selectAll().where("identity_id", "=", identityId);
  if (page.atMost !== undefined) query = query.where("version", "<=", page.atMost);
  const rows = await query.orderBy("version", "desc").limit(page.limit).execute();
  return rows.map(({ version, document, created_at: createdAt }) => ({
    version,
    document,
    isDefault: version === defaultVersion,
    createdAt,
  }));
}

async function countVersions(tx: Transaction<Schema>, identityId: number): Promise<number> {
  const { count } = await tx
    .selectFrom("policy_version")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("identity_id", "=", identityId)
    .executeTakeFirstOrThrow();
  return count;
}

async function hasVersion(tx: Transaction<Schema>, identityId: number, version: number): Promise<boolean> {
  const row = await tx
    .selectFrom("policy_version")
    .select("version")
    .where("identity_id", "=", identityId)
    .where("version", "=", version)
    .executeTakeFirst();
  return row !== undefined;
}

async function setDefault(tx: Transaction<Schema>, identityId: number, version: number): Promise<void> {
  await tx.updateTable("managed_policy").set({ default_version: version }).where("identity_id", "=", identityId).execute();
}
