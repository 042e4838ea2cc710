/** Many identities at once with all that hangs on them: for reports about an account, and for trying out what its policies allow. */
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { identityOf } from "./identity-rows.ts";
import type { Identity, IdentityKind } from "./identity-rows.ts";
import type { IdentityTag } from "./identity-tags.ts";
import type { PolicyVersion } from "./managed-policies.ts";
import type { PolicySource } from "./principal-policies.ts";

/** What hangs on an identity. What its kind cannot have is empty. */
export interface IdentityDetail {
  readonly identity: Identity;
  readonly inline: readonly PolicySource[];
  readonly attachedArns: readonly string[];
  readonly tags: readonly IdentityTag[];
  /** Of a user. */
  readonly groups: readonly Identity[];
  /** Of a role. */
  readonly instanceProfiles: readonly Identity[];
  /** Of a managed policy, newest first. */
  readonly versions: readonly PolicyVersion[];
}

/** The place of an identity in an account's list of all. */
export interface IdentityPlace {
  readonly kind: IdentityKind;
  readonly name: string;
}

/** A page of all identities of some kinds in an account, by kind and then by name without regard to case. */
export async function listIdentitiesOfKinds(
  db: Database,
  input: {
    readonly accountId: string;
    readonly kinds: readonly IdentityKind[];
    /** The last of the page before. */
    readonly after: IdentityPlace | undefined;
    readonly limit: number;
  },
): Promise<readonly Identity[]> {
  const { kind, name } = input.after ?? { kind: "", name: "" };
  const rows = await db.read
    .selectFrom("identity")
    .selectAll()
    .where("account_id", "=", input.accountId)
    .where(db.dialect.textIn("kind", input.kinds))
    .where(sql<boolean>`(kind, name_key) > (${kind}, ${name.toLowerCase()})`)
    .orderBy("kind")
    .orderBy("name_key")
    .limit(input.limit)
    .execute();
  return rows.map(identityOf);
}

/** All that hangs on each of the identities, which are to be few: their documents are all held at once. In the order given. */
export async function readIdentityDetails(db: Database, identities: readonly Identity[]): Promise<readonly IdentityDetail[]> {
  const ids = identities.map(({ identityId }) => identityId);
  if (ids.length === 0) return [];
  const { read, dialect } = db;
  const among = dialect.integerIn("identity_id", ids);
  const [inline, attached, tags, groups, profiles, versions] = await Promise.all([
    read.selectFrom("inline_policy").select(["identity_id", "name", "document"]).where(among).orderBy("name").execute(),
    read.selectFrom("policy_attachment").select(["identity_id", "policy_arn"]).where(among).orderBy("policy_arn").execute(),
    read.selectFrom("identity_tag").select(["identity_id", "key", "value"]).where(among).orderBy("key_folded").execute(),
    read
      .selectFrom("group_member as m")
      .innerJoin("identity as i", "i.identity_id", "m.group_id")
      .selectAll("i")
      .select("m.user_id as holder_id")
      .where(dialect.integerIn("m.user_id", ids))
      .orderBy("i.name_key")
      .execute(),
    read
      .selectFrom("instance_profile_role as r")
      .innerJoin("identity as i", "i.identity_id", "r.profile_id")
      .selectAll("i")
      .select("r.role_id as holder_id")
      .where(dialect.integerIn("r.role_id", ids))
      .orderBy("i.name_key")
      .execute(),
    read
      .selectFrom("policy_version as v")
      .innerJoin("managed_policy as p", "p.identity_id", "v.identity_id")
      .select(["v.identity_id", "v.version", "v.document", "v.created_at", "p.default_version"])
      .where(dialect.integerIn("v.identity_id", ids))
      .orderBy("v.version", "desc")
      .execute(),
  ]);
  const inlineOf = Map.groupBy(inline, (row) => row.identity_id);
  const attachedTo = Map.groupBy(attached, (row) => row.identity_id);
  const tagsOf = Map.groupBy(tags, (row) => row.identity_id);
  const groupsOf = Map.groupBy(groups, (row) => row.holder_id);
  const profilesOf = Map.groupBy(profiles, (row) => row.holder_id);
  const versionsOf = Map.groupBy(versions, (row) => row.identity_id);
  return identities.map((identity) => {
    const id = identity.identityId;
    return {
      identity,
      inline: (inlineOf.get(id) ?? []).map(({ name, document }) => ({ name, document })),
      attachedArns: (attachedTo.get(id) ?? []).map((row) => row.policy_arn),
      tags: (tagsOf.get(id) ?? []).map(({ key, value }) => ({ key, value })),
      groups: (groupsOf.get(id) ?? []).map(identityOf),
      instanceProfiles: (profilesOf.get(id) ?? []).map(identityOf),
      versions: (versionsOf.get(id) ?? []).map((row) => ({
        version: row.version,
        document: row.document,
        isDefault: row.version === row.default_version,
        createdAt: row.created_at,
      })),
    };
  });
}
