import assert from "node:assert/strict";
import { test } from "node:test";
import { createAccessKey, deleteAccessKey, findKeyUse, listAccessKeys, noteKeyUse, setAccessKeyStatus } from "./access-keys.ts";
import {
  countAccount,
  deleteAccountAlias,
  deletePasswordPolicy,
  findAccountSettings,
  putPasswordPolicy,
  setAccountAlias,
} from "./account-settings.ts";
import { ensureAccount, findAccessKey, putRootKey } from "./accounts.ts";
import { readIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { addGroupMember, createGroup, deleteGroup, listGroupMembers, listGroupsOfUser, removeGroupMember } from "./groups.ts";
import { findIdentity, updateIdentity } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import { listIdentityTags } from "./identity-tags.ts";
import { deleteInlinePolicy, putInlinePolicy } from "./inline-policies.ts";
import { createManagedPolicy } from "./managed-policies.ts";
import { startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { attachPolicy, detachPolicy } from "./policy-attachments.ts";
import { findSession, putSession } from "./sessions.ts";
import { createLogin, deleteLogin, findLogin, updateLogin } from "./user-logins.ts";
import { createUser, deleteUser } from "./users.ts";

const awsArn = "arn:aws:iam::aws:policy/ReadOnlyAccess";

async function makeAccount(db: Database): Promise<string> {
  const accountId = unique("account");
  await ensureAccount(db, { accountId, now: startAt });
  return accountId;
}

const facts = (accountId: string, name: string) => ({
  accountId,
  name,
  uniqueId: unique("ID"),
  path: "/",
  tags: [],
  now: startAt,
  limit: 5,
});

async function makeUser(db: Database, accountId: string, name: string = unique("User")): Promise<Identity> {
  const made = await createUser(db, { ...facts(accountId, name), boundary: undefined });
  assert.equal(made.outcome, "created");
  return made.identity;
}

async function makeGroup(db: Database, accountId: string, name: string = unique("Group")): Promise<Identity> {
  const made = await createGroup(db, facts(accountId, name));
  assert.equal(made.outcome, "created");
  return made.identity;
}

async function makeKey(db: Database, accountId: string, userName: string | undefined): Promise<string> {
  const accessKeyId = unique("AKIA");
  const made = await createAccessKey(db, { accountId, userName, accessKeyId, secretSealed: "sealed", now: startAt, limit: 2 });
  assert.equal(made.outcome, "created");
  return accessKeyId;
}

/** Users, groups, access keys, passwords and account settings. */
export function userContract(opened: OpenedDatabase): void {
  making(opened);
  deleting(opened);
  grouping(opened);
  keys(opened);
  passwords(opened);
  settings(opened);
}

function making(opened: OpenedDatabase): void {
  test("names of users are one without regard to case, groups have names of their own, and quotas hold", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const epoch = await readIdentityEpoch(db);
    const alice = await makeUser(db, accountId, "Alice");
    assert.deepEqual(await findIdentity(db, { accountId, kind: "user", name: "alice" }), alice);
    if (db.dialect.name === "sqlite") assert.equal(await readIdentityEpoch(db), epoch + 1);
    assert.deepEqual(await createUser(db, { ...facts(accountId, "ALICE"), boundary: undefined }), { outcome: "exists" });
    await makeGroup(db, accountId, "Alice");
    await makeUser(db, await makeAccount(db), "Alice");
    assert.deepEqual(await createUser(db, { ...facts(accountId, "bob"), limit: 1, boundary: undefined }), { outcome: "limit" });
    assert.deepEqual(await createGroup(db, { ...facts(accountId, "ops"), limit: 1 }), { outcome: "limit" });
    assert.deepEqual(await createGroup(db, facts(accountId, "aLICE")), { outcome: "exists" });
  });

  test("a boundary must be there when the user is made", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const own = { accountId, path: "/", name: "limits" };
    const arn = `arn:aws:iam::${accountId}:policy/limits`;
    const make = (name: string, boundary: { readonly arn: string; readonly own: typeof own | undefined }) =>
      createUser(db, { ...facts(accountId, name), boundary });
    assert.deepEqual(await make("early", { arn, own }), { outcome: "no-policy" });
    await createManagedPolicy(db, { ...facts(accountId, "limits"), document: "{}" });
    const made = await make("late", { arn, own });
    assert.equal(made.outcome === "created" && made.identity.boundaryArn, arn);
    assert.equal((await make("aws", { arn: awsArn, own: undefined })).outcome, "created");
  });
}

function deleting(opened: OpenedDatabase): void {
  test("a user is deleted only when nothing hangs on it, and its sessions and tags go with it", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const made = await createUser(db, { ...facts(accountId, "carol"), tags: [{ key: "a", value: "b" }], boundary: undefined });
    assert.equal(made.outcome, "created");
    const user = made.identity;
    const group = await makeGroup(db, accountId);
    const holder = { accountId, kind: "user" as const, name: "carol" };
    const accessKeyId = await makeKey(db, accountId, "carol");
    await createLogin(db, { accountId, userName: "carol", passwordHash: "h", resetRequired: false, now: startAt });
    await putInlinePolicy(db, { holder, name: "p", document: "{}", sizeCharacters: 2, limitCharacters: 100 });
    await attachPolicy(db, { holder, policy: { arn: awsArn, own: undefined }, limit: 10 });
    await addGroupMember(db, { accountId, groupName: group.name, userName: "carol", limit: 10 });
    const session = unique("ASIA");
    await putSession(db, sessionOf(accountId, user.identityId, session));
    const steps = [
      ["access-keys", () => deleteAccessKey(db, { accountId, userName: "carol", accessKeyId })],
      ["login-profile", () => deleteLogin(db, { accountId, userName: "carol" })],
      ["policies", () => deleteInlinePolicy(db, { holder, name: "p" })],
      ["attached-policies", () => detachPolicy(db, { holder, arn: awsArn })],
      ["group-memberships", () => removeGroupMember(db, { accountId, groupName: group.name, userName: "carol" })],
    ] as const;
    for (const [conflict, remove] of steps) {
      assert.deepEqual(await deleteUser(db, { accountId, name: "carol" }), { outcome: "conflict", conflict });
      await remove();
    }
    assert.notEqual(await findSession(db, session), undefined);
    assert.deepEqual(await deleteUser(db, { accountId, name: "CAROL" }), { outcome: "deleted" });
    assert.deepEqual(await deleteUser(db, { accountId, name: "carol" }), { outcome: "not-found" });
    assert.equal(await findSession(db, session), undefined);
    assert.deepEqual(await listIdentityTags(db, user.identityId), []);
    assert.notEqual((await makeUser(db, accountId, "carol")).identityId, user.identityId);
  });

  test("a group is deleted only without members and policies", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const group = await makeGroup(db, accountId, "ops");
    const user = await makeUser(db, accountId);
    const holder = { accountId, kind: "group" as const, name: "ops" };
    await putInlinePolicy(db, { holder, name: "p", document: "{}", sizeCharacters: 2, limitCharacters: 100 });
    await attachPolicy(db, { holder, policy: { arn: awsArn, own: undefined }, limit: 10 });
    await addGroupMember(db, { accountId, groupName: "ops", userName: user.name, limit: 10 });
    const steps = [
      ["group-members", () => removeGroupMember(db, { accountId, groupName: "ops", userName: user.name })],
      ["policies", () => deleteInlinePolicy(db, { holder, name: "p" })],
      ["attached-policies", () => detachPolicy(db, { holder, arn: awsArn })],
    ] as const;
    for (const [conflict, remove] of steps) {
      assert.deepEqual(await deleteGroup(db, { accountId, name: "ops" }), { outcome: "conflict", conflict });
      await remove();
    }
    assert.deepEqual(await deleteGroup(db, { accountId, name: "OPS" }), { outcome: "deleted" });
    assert.deepEqual(await deleteGroup(db, { accountId, name: "ops" }), { outcome: "not-found" });
    assert.deepEqual(await listGroupMembers(db, { groupId: group.identityId, after: undefined, limit: 5 }), { users: [], next: undefined });
  });
}

function grouping(opened: OpenedDatabase): void {
  test("members are added once, listed page by page, and known under their new names", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const group = await makeGroup(db, accountId);
    const users = [await makeUser(db, accountId), await makeUser(db, accountId), await makeUser(db, accountId)];
    const add = (groupName: string, userName: string, limit = 10) => addGroupMember(db, { accountId, groupName, userName, limit });
    for (const user of [...users, ...users]) assert.equal(await add(group.name.toUpperCase(), user.name.toLowerCase()), "changed");
    const [first] = users;
    assert.ok(first !== undefined);
    await updateIdentity(db, { ...first, newName: "renamed", newPath: "/x/", now: startAt });
    const seen: string[] = [];
    let after: number | undefined;
    do {
      const page = await listGroupMembers(db, { groupId: group.identityId, after, limit: 2 });
      seen.push(...page.users.map(({ path, name }) => path + name));
      after = page.next;
    } while (after !== undefined);
    assert.deepEqual(seen, ["/x/renamed", ...users.slice(1).map(({ name }) => `/${name}`)]);
    const other = await makeGroup(db, accountId);
    assert.equal(await add(other.name, "renamed", 1), "limit");
    assert.equal(await add(group.name, "renamed", 1), "changed");
    assert.equal(await add(other.name, "renamed", 2), "changed");
    const groupsOf = (from: number | undefined, limit: number) => listGroupsOfUser(db, { userId: first.identityId, after: from, limit });
    const one = await groupsOf(undefined, 1);
    assert.deepEqual([one.groups.map(({ name }) => name), one.next], [[group.name], group.identityId]);
    assert.deepEqual(await groupsOf(one.next, 1), { groups: [other], next: undefined });
    assert.equal(await add("nothing", "renamed"), "group-not-found");
    assert.equal(await add(group.name, "nobody"), "user-not-found");
    const remove = (groupName: string, userName: string) => removeGroupMember(db, { accountId, groupName, userName });
    assert.equal(await remove(other.name, "renamed"), "changed");
    assert.equal(await remove(other.name, "renamed"), "not-member");
    assert.equal(await remove("nothing", "renamed"), "group-not-found");
    assert.equal(await remove(other.name, "nobody"), "user-not-found");
  });
}

function keys(opened: OpenedDatabase): void {
  test("a user has its keys and root has its own, and neither touches the other's", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const user = await makeUser(db, accountId, "Dave");
    const other = await makeUser(db, accountId);
    await putRootKey(db, { accessKeyId: `${accountId}-root`, accountId, secretSealed: "sealed", now: startAt });
    const create = (userName: string | undefined, limit: number) =>
      createAccessKey(db, { accountId, userName, accessKeyId: unique("AKIA"), secretSealed: "sealed", now: startAt, limit });
    assert.deepEqual(await create(undefined, 1), { outcome: "limit" });
    assert.deepEqual(await create("nobody", 2), { outcome: "user-not-found" });
    assert.deepEqual(await create("dave", 2), { outcome: "created", userName: "Dave" });
    const second = await makeKey(db, accountId, "Dave");
    assert.deepEqual(await create("dave", 2), { outcome: "limit" });
    const { identityId, uniqueId, path, name } = user;
    assert.deepEqual((await findAccessKey(db, second))?.user, { identityId, uniqueId, path, name });
    const list = (of: number | undefined, after: string | undefined, limit: number) =>
      listAccessKeys(db, { accountId, identityId: of, after, limit });
    const page = await list(identityId, undefined, 1);
    const rest = await list(identityId, page.next, 1);
    const listed = [...page.keys, ...rest.keys].find(({ accessKeyId }) => accessKeyId === second);
    assert.deepEqual(listed, { accessKeyId: second, status: "Active", createdAt: startAt });
    assert.deepEqual([page.keys.length, rest.keys.length, rest.next], [1, 1, undefined]);
    assert.deepEqual(
      (await list(undefined, undefined, 10)).keys.map(({ accessKeyId }) => accessKeyId),
      [`${accountId}-root`],
    );
    for (const userName of [other.name, undefined]) {
      assert.equal(await setAccessKeyStatus(db, { accountId, userName, accessKeyId: second, status: "Inactive" }), "key-not-found");
      assert.equal(await deleteAccessKey(db, { accountId, userName, accessKeyId: second }), "key-not-found");
    }
    assert.equal(await deleteAccessKey(db, { accountId, userName: "Dave", accessKeyId: `${accountId}-root` }), "key-not-found");
    assert.equal((await findAccessKey(db, second))?.status, "Active");
    assert.equal(await setAccessKeyStatus(db, { accountId, userName: "dave", accessKeyId: second, status: "Inactive" }), "changed");
    assert.equal((await findAccessKey(db, second))?.status, "Inactive");
    assert.equal(await deleteAccessKey(db, { accountId, userName: "nobody", accessKeyId: second }), "user-not-found");
    assert.equal(await deleteAccessKey(db, { accountId, userName: "dave", accessKeyId: second }), "changed");
    assert.equal(await findAccessKey(db, second), undefined);
    assert.equal(await deleteAccessKey(db, { accountId, userName: undefined, accessKeyId: `${accountId}-root` }), "changed");
  });

  test("quotas hold against those who come at once", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const user = await makeUser(db, accountId);
    const owner = { accountId, userName: user.name };
    const keys = await Promise.all(
      Array.from({ length: 5 }, () =>
        createAccessKey(db, { ...owner, accessKeyId: unique("AKIA"), secretSealed: "sealed", now: startAt, limit: 2 }),
      ),
    );
    assert.equal(keys.filter(({ outcome }) => outcome === "created").length, 2);
    const name = unique("User");
    const users = await Promise.all(["a", "b", "c"].map(() => createUser(db, { ...facts(accountId, name), boundary: undefined })));
    assert.deepEqual(users.map(({ outcome }) => outcome).toSorted(), ["created", "exists", "exists"]);
  });

  test("the last use is noted once a minute, without moving the epoch", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const user = await makeUser(db, accountId);
    const accessKeyId = await makeKey(db, accountId, user.name);
    const epoch = await readIdentityEpoch(db);
    const holder = { accountId, identityId: user.identityId, userName: user.name };
    assert.deepEqual(await findKeyUse(db, accessKeyId), { ...holder, last: undefined });
    const uses = [
      { at: 0, service: "ecr", region: "eu-west-1", noted: 0 },
      { at: 59_999, service: "iam", region: "us-east-1", noted: 0 },
      { at: 60_000, service: "sts", region: "us-east-1", noted: 60_000 },
    ];
    for (const { at, service, region, noted } of uses) {
      await noteKeyUse(db, { accessKeyId, service, region, now: startAt + at });
      const last = uses.find((use) => use.at === noted);
      const expected = { at: startAt + noted, service: last?.service, region: last?.region };
      assert.deepEqual(await findKeyUse(db, accessKeyId), { ...holder, last: expected });
    }
    assert.equal(await readIdentityEpoch(db), epoch);
    await noteKeyUse(db, { accessKeyId: unique("AKIA"), service: "ecr", region: "r", now: startAt });
    assert.equal(await findKeyUse(db, unique("AKIA")), undefined);
  });
}

function passwords(opened: OpenedDatabase): void {
  test("a user has one password, and a change that expects another one does nothing", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const user = await makeUser(db, accountId, "Erin");
    const owner = { accountId, userName: "erin" };
    const create = (userName: string, passwordHash: string) =>
      createLogin(db, { accountId, userName, passwordHash, resetRequired: true, now: startAt });
    assert.deepEqual(await create("nobody", "a"), { outcome: "user-not-found" });
    assert.equal(await findLogin(db, owner), undefined);
    assert.equal(await updateLogin(db, { ...owner, passwordHash: "z" }), false);
    const login = { userName: "Erin", passwordHash: "a", resetRequired: true, createdAt: startAt };
    assert.deepEqual(await create("erin", "a"), { outcome: "created", login });
    assert.deepEqual(await create("ERIN", "b"), { outcome: "exists" });
    assert.deepEqual(await findLogin(db, owner), login);
    assert.equal(await updateLogin(db, { ...owner, passwordHash: "c", expectedHash: "b" }), false);
    assert.equal(await updateLogin(db, { ...owner, passwordHash: "c", resetRequired: false, expectedHash: "a" }), true);
    assert.deepEqual(await findLogin(db, owner), { ...login, passwordHash: "c", resetRequired: false });
    assert.equal(await updateLogin(db, { ...owner, resetRequired: true }), true);
    assert.deepEqual(await findLogin(db, owner), { ...login, passwordHash: "c" });
    assert.equal(await updateLogin(db, { accountId, userName: "nobody", passwordHash: "z" }), false);
    assert.equal(await deleteLogin(db, { accountId, userName: "nobody" }), "user-not-found");
    assert.equal(await deleteLogin(db, { accountId, userName: user.name }), "deleted");
    assert.equal(await deleteLogin(db, owner), "no-login");
  });
}

function settings(opened: OpenedDatabase): void {
  test("an alias names one account of the deployment, and an account has one", async () => {
    const db = opened();
    const [first, second] = [await makeAccount(db), await makeAccount(db)];
    const [alias, next] = [unique("alias"), unique("alias")];
    const aliasOf = async (accountId: string) => (await findAccountSettings(db, accountId))?.alias;
    assert.equal(await setAccountAlias(db, { accountId: first, alias }), true);
    assert.equal(await setAccountAlias(db, { accountId: second, alias }), false);
    assert.equal(await setAccountAlias(db, { accountId: first, alias }), false);
    assert.equal(await setAccountAlias(db, { accountId: first, alias: next }), true);
    assert.equal(await aliasOf(first), next);
    assert.equal(await setAccountAlias(db, { accountId: second, alias }), true);
    assert.equal(await deleteAccountAlias(db, { accountId: first, alias }), false);
    assert.equal(await deleteAccountAlias(db, { accountId: first, alias: next }), true);
    assert.deepEqual([await aliasOf(first), await aliasOf(second)], [undefined, alias]);
    assert.equal(await findAccountSettings(db, unique("account")), undefined);
  });

  test("a password policy is kept as it was set until it is deleted", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const policy = {
      minimumLength: 12,
      requireSymbols: true,
      requireNumbers: false,
      requireUppercase: true,
      requireLowercase: false,
      allowUsersToChangePassword: true,
    };
    assert.deepEqual(await findAccountSettings(db, accountId), { alias: undefined, passwordPolicy: undefined, createdAt: startAt });
    assert.equal(await deletePasswordPolicy(db, accountId), false);
    await putPasswordPolicy(db, { accountId, policy: { ...policy, minimumLength: 6 } });
    await putPasswordPolicy(db, { accountId, policy });
    assert.deepEqual((await findAccountSettings(db, accountId))?.passwordPolicy, policy);
    assert.equal(await deletePasswordPolicy(db, accountId), true);
    assert.equal((await findAccountSettings(db, accountId))?.passwordPolicy, undefined);
  });

  test("an account's things are counted, and no other account's", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const identities = { user: 0, group: 0, role: 0, policy: 0, "instance-profile": 0 };
    const nothing = { identities, policyVersions: 0, identityProviders: 0, rootKeys: 0 };
    assert.deepEqual(await countAccount(db, accountId), nothing);
    const user = await makeUser(db, accountId);
    await makeUser(db, accountId);
    await makeGroup(db, accountId);
    await makeKey(db, accountId, user.name);
    await makeKey(db, accountId, undefined);
    await createManagedPolicy(db, { ...facts(accountId, "p"), document: "{}" });
    await makeUser(db, await makeAccount(db));
    const counted = { ...nothing, identities: { ...identities, user: 2, group: 1, policy: 1 }, policyVersions: 1, rootKeys: 1 };
    assert.deepEqual(await countAccount(db, accountId), counted);
  });
}

function sessionOf(accountId: string, identityId: number, accessKeyId: string): Parameters<typeof putSession>[1] {
  return {
    accessKeyId,
    accountId,
    kind: "user",
    identityId,
    sessionName: "",
    secretSealed: "sealed",
    tokenHash: "hash",
    policies: undefined,
    tags: {},
    transitiveKeys: [],
    sourceIdentity: undefined,
    context: {},
    issuedAt: startAt,
    expiresAt: startAt + 3_600_000,
  };
}
