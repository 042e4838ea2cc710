/** Users, roles and policies for the tests of this room, made with as little as a case needs to say. */
import { moveIdentityEpoch } from "#metadata/identity-epoch.ts";
import type { Database } from "#metadata/database.ts";
import { insertIdentity } from "#metadata/identities.ts";
import type { IdentityKind } from "#metadata/identity-rows.ts";
import type { Sealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import { makeAccessKey, sealSecret } from "#identity/key-material.ts";
import type { AccessKey } from "#identity/key-material.ts";

/** Statements of a document, or the document itself as a text. */
export type PolicyOfTest = string | readonly object[];

/** What an identity of a test has. */
export interface IdentityOfTest {
  readonly accountId: string;
  readonly kind: IdentityKind;
  readonly name: string;
  readonly path?: string;
  readonly inline?: PolicyOfTest;
  readonly attached?: readonly string[];
  readonly boundaryArn?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Ids of the groups that a user is in. */
  readonly groups?: readonly number[];
}

/** A made identity. */
export interface MadeIdentity {
  readonly identityId: number;
  readonly uniqueId: string;
}

const prefixes: Readonly<Record<IdentityKind, string>> = {
  user: "AIDA",
  group: "AGPA",
  role: "AROA",
  policy: "ANPA",
  "instance-profile": "AIPA",
};
let counter = 0;

/** The document of statements. */
export function documentOf(policy: PolicyOfTest): string {
  return typeof policy === "string" ? policy : JSON.stringify({ Version: "2012-10-17", Statement: policy });
}

/** Makes an identity. Throws when it exists. */
export async function makeIdentity(metadata: Database, asked: IdentityOfTest): Promise<MadeIdentity> {
  const { accountId, kind, name, path = "/", inline, attached = [], boundaryArn, tags = {}, groups = [] } = asked;
  counter += 1;
  const uniqueId = `${prefixes[kind]}TEST${String(counter).padStart(13, "A")}`;
  return metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const common = { accountId, kind, name, path, uniqueId, boundaryArn, now: 0, limit: 1000 };
    const tagList = Object.entries(tags).map(([key, value]) => ({ key, value }));
    const made = await insertIdentity(tx, { ...common, tags: tagList });
    if (made.outcome !== "created") throw new Error(`${kind} ${name}: ${made.outcome}`);
    const { identityId } = made.identity;
    if (inline !== undefined) {
      const document = documentOf(inline);
      await tx
        .insertInto("inline_policy")
        .values({ identity_id: identityId, name: "inline", document, size_characters: document.length })
        .execute();
    }
    for (const policyArn of attached)
      await tx.insertInto("policy_attachment").values({ identity_id: identityId, policy_arn: policyArn }).execute();
    for (const group of groups) await tx.insertInto("group_member").values({ group_id: group, user_id: identityId }).execute();
    return { identityId, uniqueId };
  });
}

/** Makes a managed policy and answers its ARN. */
export async function makePolicy(metadata: Database, accountId: string, name: string, policy: PolicyOfTest): Promise<string> {
  const { identityId } = await makeIdentity(metadata, { accountId, kind: "policy", name });
  await metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    await tx.insertInto("managed_policy").values({ identity_id: identityId, default_version: 1, last_version: 1 }).execute();
    await tx
      .insertInto("policy_version")
      .values({ identity_id: identityId, version: 1, document: documentOf(policy), created_at: 0 })
      .execute();
  });
  return `arn:aws:iam::${accountId}:policy/${name}`;
}

/** Makes an access key of a user. */
export async function makeUserKey(metadata: Database, sealer: Sealer, accountId: string, identityId: number): Promise<AccessKey> {
  const key = makeAccessKey(systemRandom, accountId);
  await metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = {
      access_key_id: key.accessKeyId,
      account_id: accountId,
      identity_id: identityId,
      status: "Active" as const,
      created_at: 0,
    };
    await tx
      .insertInto("access_key")
      .values({ ...row, secret_sealed: sealSecret(sealer, key) })
      .execute();
  });
  return key;
}

/** Makes a role with this trust policy. */
export async function makeRole(
  metadata: Database,
  asked: Omit<IdentityOfTest, "kind"> & { readonly trust: PolicyOfTest; readonly trustPrincipals?: Readonly<Record<string, string>> },
): Promise<MadeIdentity> {
  const made = await makeIdentity(metadata, { ...asked, kind: "role" });
  await metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    await tx
      .insertInto("role")
      .values({
        identity_id: made.identityId,
        trust_document: documentOf(asked.trust),
        trust_principals: JSON.stringify(asked.trustPrincipals ?? {}),
        max_session_seconds: 3600,
      })
      .execute();
  });
  return made;
}

/** Removes a user with everything that hangs on it. */
export async function removeUser(metadata: Database, identityId: number): Promise<void> {
  await metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    for (const table of ["inline_policy", "policy_attachment", "access_key", "session", "identity_tag", "identity"] as const)
      await tx.deleteFrom(table).where("identity_id", "=", identityId).execute();
  });
}
