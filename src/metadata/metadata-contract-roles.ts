import assert from "node:assert/strict";
import { test } from "node:test";
import { ensureAccount } from "./accounts.ts";
import type { Database } from "./database.ts";
import { findIdentity } from "./identities.ts";
import { listIdentityTags } from "./identity-tags.ts";
import {
  changeProviderSettings,
  deleteIdentityProvider,
  findIdentityProvider,
  listIdentityProviders,
  putIdentityProvider,
} from "./identity-providers.ts";
import { deleteProviderTags, putProviderTags } from "./identity-provider-tags.ts";
import { deleteInlinePolicy, putInlinePolicy } from "./inline-policies.ts";
import {
  addInstanceProfileRole,
  createInstanceProfile,
  deleteInstanceProfile,
  findInstanceProfile,
  listInstanceProfiles,
  listInstanceProfilesOfRole,
  removeInstanceProfileRole,
} from "./instance-profiles.ts";
import { startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { attachPolicy, detachPolicy } from "./policy-attachments.ts";
import { createRole, deleteRole, findPrincipalIdentities, findRoles, findRoleTrust, listRoles, noteRoleUse, updateRole } from "./roles.ts";
import type { NewRole, Role } from "./roles.ts";
import { findSession, putSession } from "./sessions.ts";

const awsPolicy = { arn: "arn:aws:iam::aws:policy/ReadOnly", own: undefined };

/** Roles, instance profiles and identity providers. */
export function roleContract(opened: OpenedDatabase): void {
  roleTests(opened);
  deletingTests(opened);
  profileTests(opened);
  providerTests(opened);
}

function roleTests(opened: OpenedDatabase): void {
  test("a role is found as it was stored, without regard to case", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const trustPrincipals = JSON.parse('{"a":"AIDA1","__proto__":"AIDA2"}') as Record<string, string>;
    const tags = [{ key: "Team", value: "a" }];
    const policyArns = [awsPolicy.arn];
    const before = await readEpoch(db);
    const role = await makeRole(db, accountId, {
      name: "Deploy",
      trustPrincipals,
      tags,
      policyArns,
      boundary: awsPolicy,
      description: "d",
    });
    assert.deepEqual(await findRoleTrust(db, accountId, "dePLOY"), role);
    assert.deepEqual(
      [role.identity.name, role.identity.boundaryArn, role.identity.description, role.trustDocument, role.maxSessionSeconds],
      ["Deploy", awsPolicy.arn, "d", "{}", 3_600],
    );
    assert.deepEqual(Object.entries(role.trustPrincipals), Object.entries(trustPrincipals));
    assert.deepEqual([role.linkedService, role.lastUsedAt, role.lastUsedRegion], [undefined, undefined, undefined]);
    assert.deepEqual(
      (await listIdentityTags(db, role.identity.identityId)).map(({ key, value }) => ({ key, value })),
      tags,
    );
    assert.notEqual(await readEpoch(db), before);
    assert.equal(await findRoleTrust(db, await makeAccount(db), "Deploy"), undefined);
    const attached = await db.read
      .selectFrom("policy_attachment")
      .selectAll()
      .where("identity_id", "=", role.identity.identityId)
      .execute();
    assert.deepEqual(
      attached.map((row) => row.policy_arn),
      policyArns,
    );
  });

  test("a name is taken once, an account has so many roles, and a boundary must be there", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    await makeRole(db, accountId, { name: "a" });
    const own = { accountId, path: "/", name: "missing" };
    const cases: [Partial<NewRole>, string][] = [
      [{ name: "A" }, "exists"],
      [{ name: "b", limit: 1 }, "limit"],
      [{ name: "b", boundary: { arn: `arn:aws:iam::${accountId}:policy/missing`, own } }, "no-policy"],
      [{ name: "b", limit: 2 }, "created"],
    ];
    for (const [changes, outcome] of cases) assert.equal((await createRole(db, newRole(accountId, changes))).outcome, outcome);
  });

  test("what is given changes, and the rest stays; of a service-linked role only the description changes", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const { identity } = await makeRole(db, accountId, { description: "old" });
    const key = { accountId, name: identity.name, now: startAt + 5 };
    const trust = { trustDocument: '{"a":1}', trustPrincipals: { a: "AIDA3" } };
    assert.equal((await updateRole(db, { ...key, maxSessionSeconds: 7_200 })).outcome, "updated");
    assert.equal((await updateRole(db, { ...key, description: "" })).outcome, "updated");
    assert.equal((await updateRole(db, { ...key, trust })).outcome, "updated");
    const found = await findRoleTrust(db, accountId, identity.name);
    assert.deepEqual(
      [found?.identity.description, found?.maxSessionSeconds, found?.trustDocument, found?.trustPrincipals, found?.identity.updatedAt],
      ["", 7_200, trust.trustDocument, trust.trustPrincipals, startAt + 5],
    );
    assert.equal((await updateRole(db, { ...key, name: "nobody" })).outcome, "not-found");

    const linked = await makeRole(db, accountId, { linkedService: "ecr.amazonaws.com" });
    const linkedKey = { ...key, name: linked.identity.name };
    assert.equal((await updateRole(db, { ...linkedKey, description: "new" })).outcome, "updated");
    assert.equal((await updateRole(db, { ...linkedKey, maxSessionSeconds: 7_200, description: "no" })).outcome, "linked");
    assert.equal((await updateRole(db, { ...linkedKey, trust })).outcome, "linked");
    const kept = await findRoleTrust(db, accountId, linked.identity.name);
    assert.deepEqual([kept?.identity.description, kept?.maxSessionSeconds, kept?.trustDocument], ["new", 3_600, "{}"]);
  });

  test("roles are listed page by page below a path, and found by id", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    for (const name of ["c", "B", "a"]) await makeRole(db, accountId, { name, path: "/x/" });
    await makeRole(db, accountId, { name: "b2", path: "/y/" });
    const page = { accountId, pathPrefix: "/x/", limit: 2 };
    const first = await listRoles(db, { ...page, after: undefined });
    const second = await listRoles(db, { ...page, after: first.next });
    assert.deepEqual([first.roles, second.roles].map(namesOf), [["a", "B"], ["c"]]);
    assert.deepEqual([first.next, second.next], ["B", undefined]);
    const ids = first.roles.map(({ identity }) => identity.identityId);
    assert.deepEqual(new Set((await findRoles(db, [...ids, 2 ** 40])).keys()), new Set(ids));
    assert.equal((await findRoles(db, [])).size, 0);
    const uniqueIds = first.roles.map(({ identity }) => identity.uniqueId);
    assert.equal((await findPrincipalIdentities(db, [...uniqueIds, "AROANOBODY"])).length, 2);
    assert.deepEqual(await findPrincipalIdentities(db, []), []);
  });

  test("the last use is noted without telling caches", async () => {
    const db = opened();
    const { identity } = await makeRole(db, await makeAccount(db));
    const before = await readEpoch(db);
    await noteRoleUse(db, { identityId: identity.identityId, region: "eu-west-1", now: startAt + 9 });
    const found = await findRoleTrust(db, identity.accountId, identity.name);
    assert.deepEqual([found?.lastUsedAt, found?.lastUsedRegion], [startAt + 9, "eu-west-1"]);
    assert.equal(await readEpoch(db), before);
  });
}

function deletingTests(opened: OpenedDatabase): void {
  test("a role goes when nothing hangs on it, in AWS's order, and its sessions with it", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const { identity } = await makeRole(db, accountId, { tags: [{ key: "a", value: "b" }] });
    const key = { accountId, name: identity.name, isLinked: false };
    const holder = { accountId, kind: "role" as const, name: identity.name };
    const profile = { accountId, name: await makeProfile(db, accountId), roleName: identity.name };
    await addInstanceProfileRole(db, profile);
    await attachPolicy(db, { holder, policy: awsPolicy, limit: 10 });
    await putInlinePolicy(db, { holder, name: "p", document: "{}", sizeCharacters: 2, limitCharacters: 10 });
    const accessKeyId = unique("ASIA");
    await putSession(db, sessionOf(accountId, identity.identityId, accessKeyId));
    assert.equal(await deleteRole(db, key), "role-in-instance-profiles");
    await removeInstanceProfileRole(db, profile);
    assert.equal(await deleteRole(db, key), "attached-policies");
    await detachPolicy(db, { holder, arn: awsPolicy.arn });
    assert.equal(await deleteRole(db, key), "policies");
    await deleteInlinePolicy(db, { holder, name: "p" });
    assert.notEqual(await findSession(db, accessKeyId), undefined);
    assert.equal(await deleteRole(db, { ...key, isLinked: true }), "wrong-kind");
    assert.equal(await deleteRole(db, key), "deleted");
    assert.equal(await findRoleTrust(db, accountId, identity.name), undefined);
    assert.equal(await findSession(db, accessKeyId), undefined);
    assert.equal(await deleteRole(db, key), "not-found");
  });

  test("a service-linked role goes with its policies, and only when it is meant", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const { identity } = await makeRole(db, accountId, { linkedService: "ecr.amazonaws.com", policyArns: [awsPolicy.arn] });
    const key = { accountId, name: identity.name };
    assert.equal(await deleteRole(db, { ...key, isLinked: false }), "wrong-kind");
    assert.equal(await deleteRole(db, { ...key, isLinked: true }), "deleted");
    assert.equal(await findRoleTrust(db, accountId, identity.name), undefined);
  });
}

function profileTests(opened: OpenedDatabase): void {
  test("an instance profile has one role, and goes when it has none", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const [first, second] = [await makeRole(db, accountId), await makeRole(db, accountId)];
    const linked = await makeRole(db, accountId, { linkedService: "ecr.amazonaws.com" });
    const key = { accountId, name: await makeProfile(db, accountId) };
    assert.equal((await createInstanceProfile(db, newIdentity(accountId, { name: key.name.toUpperCase() }))).outcome, "exists");
    assert.equal((await createInstanceProfile(db, newIdentity(accountId, { limit: 1 }))).outcome, "limit");
    assert.equal((await findInstanceProfile(db, key))?.role, undefined);

    const add = (roleName: string, name = key.name) => addInstanceProfileRole(db, { accountId, name, roleName });
    assert.equal(await add(first.identity.name, "nobody"), "profile-not-found");
    assert.equal(await add("nobody"), "role-not-found");
    assert.equal(await add(linked.identity.name), "linked");
    assert.equal(await add(first.identity.name.toUpperCase()), "added");
    assert.equal(await add(second.identity.name), "occupied");
    assert.deepEqual((await findInstanceProfile(db, key))?.role, first);
    assert.equal(await deleteInstanceProfile(db, key), "occupied");

    const remove = (roleName: string, name = key.name) => removeInstanceProfileRole(db, { accountId, name, roleName });
    assert.equal(await remove(first.identity.name, "nobody"), "profile-not-found");
    assert.equal(await remove(second.identity.name), "role-not-found");
    assert.equal(await remove("nobody"), "role-not-found");
    assert.equal(await remove(first.identity.name), "removed");
    assert.equal(await deleteInstanceProfile(db, key), "deleted");
    assert.equal(await deleteInstanceProfile(db, key), "not-found");
    assert.equal(await findInstanceProfile(db, key), undefined);
  });

  test("instance profiles are listed with their roles, of an account and of one role", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const role = await makeRole(db, accountId);
    for (const name of ["c", "B", "a"]) {
      await createInstanceProfile(db, newIdentity(accountId, { name, path: name === "c" ? "/y/" : "/x/" }));
      if (name !== "B") await addInstanceProfileRole(db, { accountId, name, roleName: role.identity.name });
    }
    const all = await listInstanceProfiles(db, { accountId, pathPrefix: "/", after: undefined, limit: 10 });
    assert.deepEqual(
      all.profiles.map(({ identity, role: inside }) => [identity.name, inside?.identity.name]),
      [
        ["a", role.identity.name],
        ["B", undefined],
        ["c", role.identity.name],
      ],
    );
    assert.equal((await listInstanceProfiles(db, { accountId, pathPrefix: "/x/", after: "a", limit: 10 })).profiles.length, 1);
    const page = { roleId: role.identity.identityId, limit: 1 };
    const first = await listInstanceProfilesOfRole(db, { ...page, after: undefined });
    const second = await listInstanceProfilesOfRole(db, { ...page, after: first.next });
    assert.deepEqual([first.profiles, second.profiles].map(namesOf), [["a"], ["c"]]);
    assert.deepEqual([first.next, second.next], ["a", undefined]);
  });
}

function providerTests(opened: OpenedDatabase): void {
  test("tags of an identity provider, also when several change them at once", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const key = { accountId, kind: "oidc", name: "tagged.example" } as const;
    const settings = { url: key.name, clientIds: [], thumbprints: [] };
    const add = (keys: readonly string[], of: typeof key = key) =>
      putProviderTags(db, of, { tags: keys.map((name) => ({ key: name, value: `${name}1` })), maxTags: 4 });
    const shown = async () => (await findIdentityProvider(db, key))?.tags;
    assert.equal(await add(["a"]), "not-found");
    assert.equal(await deleteProviderTags(db, key, ["a"]), false);
    await putIdentityProvider(db, { ...key, settings, tags: { a: "x", b: "x" }, now: startAt, limit: 100 });
    assert.equal(await add(["A", "__proto__"]), "put");
    assert.deepEqual(await shown(), JSON.parse('{"b":"x","A":"A1","__proto__":"__proto__1"}'));
    assert.equal(await add(["d", "e"]), "too-many");
    assert.equal(await deleteProviderTags(db, key, ["B", "none", "__proto__"]), true);
    assert.deepEqual(await shown(), { A: "A1" });
    assert.deepEqual(await Promise.all([add(["b"]), add(["c"]), add(["d"]), add(["e"])]).then((all) => all.toSorted()), [
      "put",
      "put",
      "put",
      "too-many",
    ]);
    assert.equal(Object.keys((await shown()) ?? {}).length, 4);
    assert.equal(await add(["a"], { ...key, accountId: unique("account") }), "not-found");
  });

  test("an identity provider is found as it was stored, and its settings change by what they were", async () => {
    const db = opened();
    const accountId = await makeAccount(db);
    const key = { accountId, kind: "oidc" as const, name: "issuer.example/id" };
    const settings = { url: key.name, clientIds: ["a"], thumbprints: ["t"], jwks: { keys: [] } };
    const tags = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
    const input = { ...key, settings, tags, now: startAt, limit: 1 };
    const made = await putIdentityProvider(db, input);
    assert.equal(made.outcome, "created");
    const found = await findIdentityProvider(db, key);
    assert.deepEqual(found, made.provider);
    assert.deepEqual([found?.settings, Object.entries(found?.tags ?? {}), found?.createdAt], [settings, [["__proto__", "x"]], startAt]);
    assert.equal((await putIdentityProvider(db, input)).outcome, "exists");
    assert.equal((await putIdentityProvider(db, { ...input, name: "other" })).outcome, "limit");

    const others = { ...settings, clientIds: ["b"], thumbprints: ["u", "v"] };
    assert.equal(await changeProviderSettings(db, key, () => undefined), "refused");
    assert.deepEqual((await findIdentityProvider(db, key))?.settings, settings);
    assert.equal(await changeProviderSettings(db, key, (former) => ({ ...former, clientIds: ["b"], thumbprints: ["u", "v"] })), "changed");
    assert.deepEqual((await findIdentityProvider(db, key))?.settings, others);
    const saml = { uuid: "u", document: "<x/>", entityId: "e", certificates: ["c"] };
    const ofOtherKind = { ...key, kind: "saml" as const };
    assert.equal((await putIdentityProvider(db, { ...input, ...ofOtherKind, settings: saml })).outcome, "created");
    assert.deepEqual((await findIdentityProvider(db, ofOtherKind))?.settings, saml);
    assert.equal(await deleteIdentityProvider(db, ofOtherKind), true);
    assert.deepEqual(await listIdentityProviders(db, key), [key.name]);
    assert.equal(await deleteIdentityProvider(db, key), true);
    assert.equal(await deleteIdentityProvider(db, key), false);
    assert.equal(await changeProviderSettings(db, key, (former) => former), "not-found");
    assert.equal(await findIdentityProvider(db, key), undefined);
  });
}

/** As it is now, and not as some cache has it. */
async function readEpoch(db: Database): Promise<number> {
  const row = await db.read.selectFrom("epoch").select("value").where("name", "=", "identity").executeTakeFirstOrThrow();
  return row.value;
}

async function makeAccount(db: Database): Promise<string> {
  const accountId = unique("account");
  await ensureAccount(db, { accountId, now: startAt });
  return accountId;
}

function newIdentity(accountId: string, changes: { readonly name?: string; readonly path?: string; readonly limit?: number } = {}) {
  return { accountId, name: unique("identity"), path: "/", uniqueId: unique("AROA"), tags: [], now: startAt, limit: 100, ...changes };
}

function newRole(accountId: string, changes: Partial<NewRole> = {}): NewRole {
  return { ...newIdentity(accountId), trustDocument: "{}", trustPrincipals: {}, maxSessionSeconds: 3_600, ...changes };
}

async function makeRole(db: Database, accountId: string, changes: Partial<NewRole> = {}): Promise<Role> {
  const made = await createRole(db, newRole(accountId, changes));
  assert.equal(made.outcome, "created");
  return made.role;
}

async function makeProfile(db: Database, accountId: string): Promise<string> {
  const made = await createInstanceProfile(db, newIdentity(accountId));
  assert.equal(made.outcome, "created");
  const found = await findIdentity(db, { accountId, kind: "instance-profile", name: made.identity.name });
  assert.deepEqual(found, made.identity);
  return made.identity.name;
}

function namesOf(items: readonly { readonly identity: { readonly name: string } }[]): string[] {
  return items.map(({ identity }) => identity.name);
}

function sessionOf(accountId: string, identityId: number, accessKeyId: string): Parameters<typeof putSession>[1] {
  const facts = { kind: "role" as const, sessionName: "s", secretSealed: "x", tokenHash: "y", policies: undefined, tags: {} };
  const times = { issuedAt: startAt, expiresAt: startAt + 1_000 };
  return { ...facts, ...times, accessKeyId, accountId, identityId, transitiveKeys: [], sourceIdentity: undefined, context: {} };
}
