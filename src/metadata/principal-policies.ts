/** Everything that decides what a principal may do by its own account's word, read at once. */
import type { Database } from "./database.ts";

/** A policy document and where it comes from. */
export interface PolicySource {
  /** The ARN of a managed policy, or the name of an inline one. */
  readonly name: string;
  readonly document: string;
}

/** What hangs on a user (with its groups) or on a role. */
export interface PrincipalPolicies {
  readonly inline: readonly PolicySource[];
  /** Managed policies of the account; `attachedArns` has those that AWS manages, too. */
  readonly managed: readonly PolicySource[];
  readonly attachedArns: readonly string[];
  readonly boundaryArn: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** The default document of a managed policy of an account, or undefined. */
export async function findPolicyDocument(db: Database, accountId: string, policyName: string): Promise<string | undefined> {
  const row = await db.read
    .selectFrom("identity as i")
    .innerJoin("managed_policy as p", "p.identity_id", "i.identity_id")
    .innerJoin("policy_version as v", (join) =>
      join.onRef("v.identity_id", "=", "i.identity_id").onRef("v.version", "=", "p.default_version"),
    )
    .select("v.document")
    .where("i.account_id", "=", accountId)
    .where("i.kind", "=", "policy")
    .where("i.name_key", "=", policyName.toLowerCase())
    .executeTakeFirst();
  return row?.document;
}

/** The policies of a user or role. The documents are as they were stored. */
export async function readPrincipalPolicies(db: Database, accountId: string, identityId: number): Promise<PrincipalPolicies> {
  const groups = await db.read.selectFrom("group_member").select("group_id").where("user_id", "=", identityId).execute();
  const holders = [identityId, ...groups.map((row) => row.group_id)];
  const [inline, attached, own, tags] = await Promise.all([
    db.read.selectFrom("inline_policy").select(["name", "document"]).where(db.dialect.integerIn("identity_id", holders)).execute(),
    db.read.selectFrom("policy_attachment").select("policy_arn").distinct().where(db.dialect.integerIn("identity_id", holders)).execute(),
    db.read.selectFrom("identity").select("boundary_arn").where("identity_id", "=", identityId).executeTakeFirst(),
    db.read.selectFrom("identity_tag").select(["key", "value"]).where("identity_id", "=", identityId).execute(),
  ]);
  const attachedArns = attached.map((row) => row.policy_arn);
  const managed: PolicySource[] = [];
  const prefix = `arn:aws:iam::${accountId}:policy/`;
  for (const name of attachedArns.filter((arn) => arn.startsWith(prefix))) {
    const document = await findPolicyDocument(db, accountId, name.slice(name.lastIndexOf("/") + 1));
    if (document !== undefined) managed.push({ name, document });
  }
  return {
    inline,
    managed,
    attachedArns,
    boundaryArn: own?.boundary_arn ?? undefined,
    tags: Object.fromEntries(tags.map((row) => [row.key, row.value])),
  };
}
