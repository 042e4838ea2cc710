import assert from "node:assert/strict";
import { test } from "node:test";
import { ensureAccount } from "./accounts.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentity, insertIdentity } from "./identities.ts";
import type { Identity, IdentityKind } from "./identity-rows.ts";
import { listIdentitiesOfKinds, readIdentityDetails } from "./identity-details.ts";
import { deleteInlinePolicy, findInlinePolicy, listInlinePolicyNames, putInlinePolicy } from "./inline-policies.ts";
import {
  countPolicyUses,
  createManagedPolicy,
  createPolicyVersion,
  deleteManagedPolicy,
  deletePolicyVersion,
  findManagedPolicy,
  findPolicyVersion,
  listManagedPolicies,
  listPolicyVersions,
  setDefaultPolicyVersion,
} from "./managed-policies.ts";
import type { ManagedPolicy } from "./managed-policies.ts";
import { startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { attachPolicy, detachPolicy, listAttachedPolicies, listPolicyHolders, putBoundary } from "./policy-attachments.ts";
import type { PolicyReference } from "./policy-attachments.ts";
import { findPolicyDocument } from "./principal-policies.ts";

const awsArn = "arn:aws:iam::aws:policy/AdministratorAccess";

async function makeAccount(db: Database): Promise<string> {
  const accountId = unique("account");
  await ensureAccount(db, { accountId, now: startAt });
  return accountId;
}

async function makeHolder(
  db: Database,
  accountId: string,
  kind: IdentityKind,
  options: { readonly service?: string } = {},
): Promise<Identity> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const name = unique(`${kind}-`);
    const made = await insertIdentity(tx, {
      accountId,
      kind,
      name,
      uniqueId: unique("ID"),
      path: "/team/",
      tags: [],
      now: startAt,
      limit: 100,
    });
    assert.equal(made.outcome, "created");
    if (kind === "role") {
      const trust = { trust_document: "{}", trust_principals: "{}", max_session_seconds: 3_600, linked_service: options.service ?? null };
      await tx
        .insertInto("role")
        .values({ identity_id: made.identity.identityId, ...trust })
        .execute();
    }
    return made.identity;
  });
}

async function makePolicy(
  db: Database,
  accountId: string,
  options: { readonly name?: string; readonly path?: string } = {},
): Promise<ManagedPolicy> {
  const made = await createManagedPolicy(db, {
    accountId,
    name: options.name ?? unique("policy-"),
    uniqueId: unique("ANPA"),
    path: options.path ?? "/",
    tags: [{ key: "team", value: "a" }],
    now: startAt,
    limit: 100,
    document: "one",
  });
  assert.equal(made.outcome, "created");
  return made.policy;
}

function referenceTo(policy: ManagedPolicy): PolicyReference {
  return { arn: `arn:aws:iam::${policy.accountId}:policy${policy.path}${policy.name}`, own: policy };
}

/** Managed policies, what they hang on, and policies inside identities. */
export function policyContract(opened: OpenedDatabase): void {
  test("a policy is found by its exact key, and its name is taken in any case and path", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const policy = await makePolicy(db, accountId, { name: "Push", path: "/ci/" });
    assert.deepEqual(await findManagedPolicy(db, policy), policy);
    assert.equal(policy.defaultVersion, 1);
    for (const other of [{ name: "push" }, { path: "/" }, { accountId: "other" }])
      assert.equal(await findManagedPolicy(db, { ...policy, ...other }), undefined);
    const again = { accountId, name: "PUSH", uniqueId: unique("ANPA"), path: "/", tags: [], now: startAt, limit: 100, document: "x" };
    assert.deepEqual(await createManagedPolicy(db, again), { outcome: "exists" });
    assert.deepEqual(await createManagedPolicy(db, { ...again, name: "second", limit: 1 }), { outcome: "limit" });
  });

  test("versions have numbers that do not come back, a limit, and one default that decides", async () => {
    const db = opened();
    const policy = await makePolicy(db, await makeAccount(db));
    const document = () => findPolicyDocument(db, policy.accountId, policy.name);
    const add = (text: string, setAsDefault: boolean, now = startAt + 5) =>
      createPolicyVersion(db, { key: policy, document: text, setAsDefault, limit: 3, now });
    assert.deepEqual(await add("two", false), {
      outcome: "created",
      version: { version: 2, document: "two", isDefault: false, createdAt: startAt + 5 },
    });
    assert.equal(await document(), "one");
    assert.equal((await add("three", true)).outcome, "created");
    assert.equal(await document(), "three");
    assert.deepEqual(await add("four", true), { outcome: "limit" });
    assert.deepEqual(await deletePolicyVersion(db, { key: policy, version: 3 }), { outcome: "default" });
    assert.deepEqual(await deletePolicyVersion(db, { key: policy, version: 9 }), { outcome: "no-version" });
    assert.deepEqual(await setDefaultPolicyVersion(db, { key: policy, version: 9 }), { outcome: "no-version" });
    assert.deepEqual(await setDefaultPolicyVersion(db, { key: policy, version: 2 }), { outcome: "set" });
    assert.equal(await document(), "two");
    assert.deepEqual(await deletePolicyVersion(db, { key: policy, version: 3 }), { outcome: "deleted" });
    const fourth = await add("four", false);
    assert.equal(fourth.outcome === "created" && fourth.version.version, 4);
    const now = await findManagedPolicy(db, policy);
    assert.ok(now !== undefined);
    assert.deepEqual([now.defaultVersion, now.updatedAt], [2, startAt + 5]);
    const first = await listPolicyVersions(db, now, { before: undefined, limit: 2 });
    assert.deepEqual(
      [first.versions.map(({ version, isDefault }) => [version, isDefault]), first.next],
      [
        [
          [4, false],
          [2, true],
        ],
        2,
      ],
    );
    const second = await listPolicyVersions(db, now, { before: first.next, limit: 2 });
    assert.deepEqual([second.versions.map(({ document }) => document), second.next], [["one"], undefined]);
    assert.equal((await findPolicyVersion(db, now, 1))?.document, "one");
    assert.equal(await findPolicyVersion(db, now, 3), undefined);
    const none = { ...policy, name: "none" };
    assert.deepEqual(await createPolicyVersion(db, { key: none, document: "", setAsDefault: true, limit: 5, now: startAt }), {
      outcome: "not-found",
    });
    assert.deepEqual(await setDefaultPolicyVersion(db, { key: none, version: 1 }), { outcome: "not-found" });
    assert.deepEqual(await deletePolicyVersion(db, { key: none, version: 1 }), { outcome: "not-found" });
  });

  test("a policy is deleted only when nothing uses it and no version but the default is left", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const policy = await makePolicy(db, accountId);
    const reference = referenceTo(policy);
    const remove = () => deleteManagedPolicy(db, { key: policy, arn: reference.arn });
    const user = await makeHolder(db, accountId, "user");
    await attachPolicy(db, { holder: user, policy: reference, limit: 1 });
    assert.deepEqual(await remove(), { outcome: "used" });
    await detachPolicy(db, { holder: user, arn: reference.arn });
    await putBoundary(db, { holder: user, policy: reference });
    assert.deepEqual(await remove(), { outcome: "used" });
    await putBoundary(db, { holder: user, policy: undefined });
    await createPolicyVersion(db, { key: policy, document: "two", setAsDefault: true, limit: 5, now: startAt });
    assert.deepEqual(await remove(), { outcome: "has-versions" });
    await deletePolicyVersion(db, { key: policy, version: 1 });
    assert.deepEqual(await remove(), { outcome: "deleted" });
    assert.deepEqual(await remove(), { outcome: "not-found" });
    assert.equal(await findPolicyDocument(db, accountId, policy.name), undefined);
    assert.equal((await makePolicy(db, accountId, { name: policy.name })).defaultVersion, 1);
  });

  test("of attaching and deleting at once only one succeeds", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const user = await makeHolder(db, accountId, "user");
    for (let round = 0; round < 5; round += 1) {
      const policy = await makePolicy(db, accountId);
      const reference = referenceTo(policy);
      const [attached, deleted] = await Promise.all([
        attachPolicy(db, { holder: user, policy: reference, limit: 100 }),
        deleteManagedPolicy(db, { key: policy, arn: reference.arn }),
      ]);
      assert.ok(
        ["attached used", "no-policy deleted"].includes(`${attached.outcome} ${deleted.outcome}`),
        `${attached.outcome} ${deleted.outcome}`,
      );
    }
  });

  test("policies are attached up to a limit, once each, and counted and listed from both ends", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const [first, second] = [await makePolicy(db, accountId, { path: "/a_b/" }), await makePolicy(db, accountId, { path: "/axb/" })];
    const [user, group, role] = [
      await makeHolder(db, accountId, "user"),
      await makeHolder(db, accountId, "group"),
      await makeHolder(db, accountId, "role"),
    ];
    const attach = (holder: Identity, policy: PolicyReference, limit = 3) => attachPolicy(db, { holder, policy, limit });
    const aws = { arn: awsArn, own: undefined };
    for (const policy of [referenceTo(first), referenceTo(second), aws, aws])
      assert.deepEqual(await attach(user, policy), { outcome: "attached" });
    assert.deepEqual(await attach(user, referenceTo(await makePolicy(db, accountId))), { outcome: "limit" });
    assert.deepEqual(await attach(user, { arn: "x", own: { ...first, path: "/" } }, 9), { outcome: "no-policy" });
    assert.deepEqual(await attach({ ...user, name: "nobody" }, aws), { outcome: "not-found" });
    await attach(group, referenceTo(first));
    await putBoundary(db, { holder: role, policy: referenceTo(first) });
    await putBoundary(db, { holder: user, policy: referenceTo(first) });
    // The same policy of AWS in another account is counted there.
    await attach(await makeHolder(db, await makeAccount(db), "user"), aws);
    const arns = [referenceTo(first).arn, referenceTo(second).arn, awsArn];
    assert.deepEqual(Object.fromEntries(await countPolicyUses(db, accountId, arns)), {
      [arns[0] ?? ""]: { permissions: 2, boundary: 2 },
      [arns[1] ?? ""]: { permissions: 1, boundary: 0 },
      [awsArn]: { permissions: 1, boundary: 0 },
    });
    const attached = (pathPrefix: string, after?: string, limit = 2) =>
      listAttachedPolicies(db, { holder: user, pathPrefix, after, limit });
    const page = await attached("/");
    assert.deepEqual(page.arns, arns.toSorted().slice(0, 2));
    assert.deepEqual(await attached("/", page.next), { arns: arns.toSorted().slice(2), next: undefined });
    assert.deepEqual(await attached("/a_b/", undefined, 9), { arns: [arns[0]], next: undefined });
    const holders = async (input: Partial<Parameters<typeof listPolicyHolders>[1]>) => {
      const all = { accountId, arn: arns[0] ?? "", kind: undefined, pathPrefix: "/", use: undefined, after: undefined, limit: 9 };
      const { holders, next } = await listPolicyHolders(db, { ...all, ...input });
      return [holders.map(({ name }) => name), next];
    };
    assert.deepEqual(await holders({}), [[user.name, group.name, role.name], undefined]);
    assert.deepEqual(await holders({ limit: 2 }), [[user.name, group.name], group.identityId]);
    assert.deepEqual(await holders({ limit: 2, after: group.identityId }), [[role.name], undefined]);
    assert.deepEqual(await holders({ use: "permissions" }), [[user.name, group.name], undefined]);
    assert.deepEqual(await holders({ use: "boundary" }), [[user.name, role.name], undefined]);
    assert.deepEqual(await holders({ kind: "role" }), [[role.name], undefined]);
    assert.deepEqual(await holders({ pathPrefix: "/other/" }), [[], undefined]);
    const used = async (use: "permissions" | "boundary" | undefined) => {
      const { policies } = await listManagedPolicies(db, { accountId, pathPrefix: "/a", use, after: undefined, limit: 9 });
      return policies.map(({ name }) => name);
    };
    assert.deepEqual(await used(undefined), [first.name, second.name]);
    assert.deepEqual(await used("permissions"), [first.name, second.name]);
    assert.deepEqual(await used("boundary"), [first.name]);
    assert.deepEqual(await detachPolicy(db, { holder: user, arn: awsArn }), { outcome: "detached" });
    assert.deepEqual(await detachPolicy(db, { holder: user, arn: awsArn }), { outcome: "not-attached" });
  });

  test("listings of policies go by name without regard to case, page by page", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    for (const name of ["b", "A", "c", "D"]) await makePolicy(db, accountId, { name });
    const list = (after: string | undefined) => listManagedPolicies(db, { accountId, pathPrefix: "/", use: undefined, after, limit: 3 });
    const page = await list(undefined);
    assert.deepEqual([page.policies.map(({ name }) => name), page.next], [["A", "b", "c"], "c"]);
    const last = await list(page.next);
    assert.deepEqual([last.policies.map(({ name }) => name), last.next], [["D"], undefined]);
  });

  test("a role of a service is not changed", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const holder = await makeHolder(db, accountId, "role", { service: "replication.ecr.amazonaws.com" });
    const aws = { arn: awsArn, own: undefined };
    const refused = { outcome: "protected", service: "replication.ecr.amazonaws.com" };
    assert.deepEqual(await attachPolicy(db, { holder, policy: aws, limit: 9 }), refused);
    assert.deepEqual(await detachPolicy(db, { holder, arn: awsArn }), refused);
    assert.deepEqual(await putBoundary(db, { holder, policy: aws }), refused);
    assert.deepEqual(await putInlinePolicy(db, { holder, name: "n", document: "d", sizeCharacters: 1, limitCharacters: 9 }), refused);
    assert.deepEqual(await deleteInlinePolicy(db, { holder, name: "n" }), refused);
  });

  test("policies inside an identity share one quota, and a replaced one counts once", async () => {
    const db = opened();
    const holder = await makeHolder(db, await makeAccount(db), "group");
    const put = (name: string, sizeCharacters: number) =>
      putInlinePolicy(db, { holder, name, document: `${name}:${sizeCharacters}`, sizeCharacters, limitCharacters: 10 });
    assert.deepEqual(await put("b", 6), { outcome: "put" });
    assert.deepEqual(await put("a", 4), { outcome: "put" });
    assert.deepEqual(await put("c", 1), { outcome: "limit" });
    assert.deepEqual(await put("b", 7), { outcome: "limit" });
    assert.deepEqual(await put("b", 5), { outcome: "put" });
    assert.deepEqual(await put("c", 1), { outcome: "put" });
    assert.equal(await findInlinePolicy(db, holder.identityId, "b"), "b:5");
    const list = (after: string | undefined) => listInlinePolicyNames(db, { identityId: holder.identityId, after, limit: 2 });
    assert.deepEqual(await list(undefined), { names: ["a", "b"], next: "b" });
    assert.deepEqual(await list("b"), { names: ["c"], next: undefined });
    assert.deepEqual(await deleteInlinePolicy(db, { holder, name: "b" }), { outcome: "deleted" });
    assert.deepEqual(await deleteInlinePolicy(db, { holder, name: "b" }), { outcome: "no-policy" });
    assert.equal(await findInlinePolicy(db, holder.identityId, "b"), undefined);
    const nobody = { ...holder, name: "nobody" };
    assert.deepEqual(await deleteInlinePolicy(db, { holder: nobody, name: "a" }), { outcome: "not-found" });
  });

  test("a report has everything that hangs on an identity, kind by kind", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const [user, group, role] = [
      await makeHolder(db, accountId, "user"),
      await makeHolder(db, accountId, "group"),
      await makeHolder(db, accountId, "role"),
    ];
    const [profile, policy] = [await makeHolder(db, accountId, "instance-profile"), await makePolicy(db, accountId)];
    await db.transaction(async (tx) => {
      await tx.insertInto("group_member").values({ group_id: group.identityId, user_id: user.identityId }).execute();
      await tx.insertInto("instance_profile_role").values({ profile_id: profile.identityId, role_id: role.identityId }).execute();
    });
    await putInlinePolicy(db, { holder: user, name: "n", document: "d", sizeCharacters: 1, limitCharacters: 9 });
    await attachPolicy(db, { holder: user, policy: { arn: awsArn, own: undefined }, limit: 9 });
    const list = (after: { kind: IdentityKind; name: string } | undefined, limit: number) =>
      listIdentitiesOfKinds(db, { accountId, kinds: ["user", "group", "role", "policy"], after, limit });
    assert.deepEqual(
      (await list(undefined, 3)).map(({ kind }) => kind),
      ["group", "policy", "role"],
    );
    assert.deepEqual(await list(role, 3), [user]);
    const [ofUser, ofGroup, ofRole, ofPolicy] = await readIdentityDetails(db, [user, group, role, policy]);
    const nothing = { inline: [], attachedArns: [], tags: [], groups: [], instanceProfiles: [], versions: [] };
    assert.deepEqual(ofUser, {
      ...nothing,
      identity: user,
      inline: [{ name: "n", document: "d" }],
      attachedArns: [awsArn],
      groups: [group],
    });
    assert.deepEqual(ofGroup, { ...nothing, identity: group });
    assert.deepEqual(ofRole, { ...nothing, identity: role, instanceProfiles: [profile] });
    assert.deepEqual(ofPolicy, {
      ...nothing,
      identity: policy,
      tags: [{ key: "team", value: "a" }],
      versions: [{ version: 1, document: "one", isDefault: true, createdAt: startAt }],
    });
    assert.deepEqual(await readIdentityDetails(db, []), []);
    assert.deepEqual(await findIdentity(db, user), user);
  });
}
