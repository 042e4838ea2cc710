import assert from "node:assert/strict";
import { test } from "node:test";
import { ensureAccount, putRootKey } from "./accounts.ts";
import { readIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { insertIdentity } from "./identities.ts";
import type { Identity } from "./identity-rows.ts";
import { startAt, unique } from "./metadata-contract-fixture.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";
import { deleteExpiredSessions, findSession, putSession } from "./sessions.ts";
import type { NewSession } from "./sessions.ts";

/** Temporary credentials. */
export function sessionContract(opened: OpenedDatabase): void {
  test("a session is found as it was stored, with the role behind it", async () => {
    const db = opened();
    const role = await makeRole(db);
    const session = sessionOf({
      accountId: role.accountId,
      identityId: role.identityId,
      policies: ["{}"],
      tags: JSON.parse('{"team":"a","__proto__":"b"}') as Record<string, string>,
      transitiveKeys: ["team"],
      sourceIdentity: "alice",
      context: { "aws:FederatedProvider": "p", list: ["a", "b"] },
    });
    const epoch = await readIdentityEpoch(db);
    assert.equal(await putSession(db, session), true);
    const { identityId, ...facts } = session;
    const owner = { identityId: identityId ?? 0, uniqueId: role.uniqueId, path: "/p/", name: role.name };
    assert.deepEqual(await findSession(db, session.accessKeyId), { ...facts, owner });
    assert.equal(await readIdentityEpoch(db), epoch);
    assert.equal(await findSession(db, unique("ASIA")), undefined);
  });

  test("a session without limits differs from one that is limited to nothing", async () => {
    const db = opened();
    const accountId = unique("account");
    await ensureAccount(db, { accountId, now: startAt });
    const free = sessionOf({ accountId, kind: "root" });
    const bound = sessionOf({ accountId, kind: "federated", policies: [] });
    await putSession(db, free);
    await putSession(db, bound);
    assert.equal((await findSession(db, free.accessKeyId))?.policies, undefined);
    assert.equal((await findSession(db, free.accessKeyId))?.owner, undefined);
    assert.deepEqual((await findSession(db, bound.accessKeyId))?.policies, []);
  });

  test("nobody gets a session of an identity that is gone, or of another account", async () => {
    const db = opened();
    const role = await makeRole(db);
    const accountId = unique("account");
    await ensureAccount(db, { accountId, now: startAt });
    for (const owner of [
      { accountId: role.accountId, identityId: 2 ** 40 },
      { accountId, identityId: role.identityId },
    ]) {
      const session = sessionOf(owner);
      assert.equal(await putSession(db, session), false);
      assert.equal(await findSession(db, session.accessKeyId), undefined);
    }
  });

  test("sessions of root go with its key, those of the account's roles stay", async () => {
    const db = opened();
    const { accountId, identityId } = await makeRole(db);
    const putKey = (accessKeyId: string): Promise<void> => putRootKey(db, { accessKeyId, accountId, secretSealed: "sealed", now: startAt });
    const [first, second] = [unique("AKIA"), unique("AKIA")];
    await putKey(first);
    const sessions = [
      sessionOf({ accountId, kind: "root", rootKeyId: first }),
      sessionOf({ accountId, kind: "federated", rootKeyId: first }),
      sessionOf({ accountId, identityId }),
    ];
    for (const session of sessions) assert.equal(await putSession(db, session), true);
    await putKey(second);
    const found = await Promise.all(sessions.map(({ accessKeyId }) => findSession(db, accessKeyId)));
    assert.deepEqual(
      found.map((session) => session?.kind),
      [undefined, undefined, "role"],
    );
    assert.equal(await putSession(db, sessionOf({ accountId, kind: "root", rootKeyId: first })), false);
    assert.equal(await putSession(db, sessionOf({ accountId, kind: "root", rootKeyId: second })), true);
  });

  test("expired sessions go, the oldest first and so many at once, and the others stay", async () => {
    const db = opened();
    const accountId = unique("account");
    await ensureAccount(db, { accountId, now: startAt });
    const ages = [1, 2, 3, 4].map((expiresAt) => sessionOf({ accountId, kind: "root", expiresAt }));
    for (const session of ages) await putSession(db, session);
    const left = async (): Promise<number[]> => {
      const found = await Promise.all(ages.map(({ accessKeyId }) => findSession(db, accessKeyId)));
      return found.flatMap((session) => (session === undefined ? [] : [session.expiresAt]));
    };
    assert.equal(await deleteExpiredSessions(db, { before: 4, limit: 2 }), 2);
    assert.deepEqual(await left(), [3, 4]);
    assert.equal(await deleteExpiredSessions(db, { before: 4, limit: 2 }), 1);
    assert.equal(await deleteExpiredSessions(db, { before: 4, limit: 2 }), 0);
    assert.deepEqual(await left(), [4]);
  });
}

function sessionOf(overrides: Partial<NewSession> & { readonly accountId: string }): NewSession {
  return {
    accessKeyId: unique("ASIA"),
    kind: "role",
    identityId: undefined,
    sessionName: "session",
    secretSealed: "sealed",
    tokenHash: "hash",
    policies: undefined,
    tags: {},
    transitiveKeys: [],
    sourceIdentity: undefined,
    context: {},
    issuedAt: startAt,
    expiresAt: startAt + 3_600_000,
    ...overrides,
  };
}

async function makeRole(db: Database): Promise<Identity> {
  const accountId = unique("account");
  await ensureAccount(db, { accountId, now: startAt });
  const outcome = await db.transaction((tx) =>
    insertIdentity(tx, {
      accountId,
      kind: "role",
      name: unique("Role"),
      uniqueId: unique("AROA"),
      path: "/p/",
      tags: [],
      now: startAt,
      limit: 10,
    }),
  );
  assert.equal(outcome.outcome, "created");
  return outcome.identity;
}
