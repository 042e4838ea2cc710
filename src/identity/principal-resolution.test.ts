import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ensureAccount } from "#metadata/accounts.ts";
import { openDatabase } from "#metadata/database.ts";
import { createUser } from "#metadata/users.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { IdentityCore } from "./context.ts";
import { resolvePrincipals, showPrincipals } from "./principal-resolution.ts";
import { createRole, deleteRole, getRole } from "./role.ts";

const account = "123456789012";
const neighbour = "210987654321";
const userId = "AIDAAAAAAAAAAAAAAAAAA";
const trustDocument = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"${account}"},"Action":"sts:AssumeRole"}}`;
const folder = mkdtempSync(join(tmpdir(), "supercargo-principals-"));
let core: IdentityCore;
let roleId: string;

before(async () => {
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  core = { metadata, clock: { now: () => 1 }, random: systemRandom, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) };
  for (const accountId of [account, neighbour]) await ensureAccount(metadata, { accountId, now: 0 });
  const user = { accountId: neighbour, name: "Bob", path: "/p/", uniqueId: userId, boundary: undefined, tags: [], now: 0, limit: 9 };
  await createUser(metadata, user);
  roleId = await makeRole("Deploy");
});

after(async () => {
  await core.metadata.close();
  rmSync(folder, { recursive: true });
});

async function makeRole(name: string): Promise<string> {
  const plain = { description: undefined, maxSessionSeconds: undefined, boundaryArn: undefined, tags: [] };
  return (await createRole({ core, accountId: account }, { ...plain, name, path: "/", trustDocument })).uniqueId;
}

const bob = `arn:aws:iam::${neighbour}:user/p/Bob`;
const deploy = `arn:aws:iam::${account}:role/Deploy`;

test("users and roles of every account here become ids, and the rest stays as it is written", async () => {
  const byName = [
    "*",
    account,
    "999999999999",
    `arn:aws:iam::${account}:root`,
    "arn:aws:iam::999999999999:role/unknown",
    "arn:aws:sts::999999999999:assumed-role/unknown/session",
    `arn:aws:sts::${account}:assumed-role/Deploy/session`,
    `arn:aws:sts::${account}:federated-user/anybody`,
    userId,
    roleId,
  ];
  assert.deepEqual(await resolvePrincipals({ core }, [...byName, bob, deploy, bob]), {
    ok: true,
    resolved: { [bob]: userId, [deploy]: roleId },
  });
  assert.deepEqual(await resolvePrincipals({ core }, []), { ok: true, resolved: {} });
});

test("a name that means nobody is told", async () => {
  const nobodies = [
    `arn:aws:iam::${account}:user/Bob`,
    `arn:aws:iam::${neighbour}:user/Bob`,
    `arn:aws:iam::${neighbour}:user/p/bob`,
    `arn:aws:iam::${account}:role/deploy`,
    `arn:aws:iam::${account}:role/x/Deploy`,
    `arn:aws:iam::${account}:group/Deploy`,
    `arn:aws-cn:iam::${account}:role/Deploy`,
    `arn:aws:sts::${account}:assumed-role/unknown/session`,
    `arn:aws:sts::${account}:assumed-role/deploy/session`,
    "AIDABBBBBBBBBBBBBBBBB",
    "AROAnot-an-id",
    "anything",
    "",
  ];
  for (const principal of nobodies) assert.deepEqual(await resolvePrincipals({ core }, [bob, principal]), { ok: false, principal });
});

test("a document is shown as it was stored until somebody in it changes, and then only in its principals", async () => {
  const temporaryId = await makeRole("temporary");
  const temporary = `arn:aws:iam::${account}:role/temporary`;
  const principals = { [temporary]: temporaryId, [bob]: userId };
  const documentOf = (one: string) => ({
    Version: "2012-10-17",
    Statement: [
      { Sid: "a", Effect: "Allow", Principal: { AWS: [one, bob], Service: one }, Action: "sts:AssumeRole" },
      { Effect: "Deny", NotPrincipal: { AWS: one }, Action: "sts:*", Condition: { StringEquals: { a: temporary } } },
      { Effect: "Allow", Principal: "*", Action: "sts:AssumeRole" },
    ],
  });
  const document = JSON.stringify(documentOf(temporary), undefined, 2);
  const policies = [
    { document, principals },
    { document: "not read at all", principals: {} },
  ];
  assert.deepEqual(await showPrincipals({ core }, policies), [document, "not read at all"]);
  await deleteRole({ core, accountId: account }, "temporary");
  const [shown = "", other] = await showPrincipals({ core }, policies);
  const expected = documentOf(temporaryId);
  assert.deepEqual(JSON.parse(shown), {
    ...expected,
    Statement: expected.Statement.map((statement, at) =>
      at === 0 ? { ...statement, Principal: { AWS: [temporaryId, bob], Service: temporary } } : statement,
    ),
  });
  assert.equal(other, "not read at all");
  // Whoever gets the name later is somebody else.
  assert.notEqual(await makeRole("temporary"), temporaryId);
  assert.equal((await showPrincipals({ core }, policies))[0], shown);
  assert.equal((await getRole({ core, accountId: account }, "temporary")).role.trustDocument, trustDocument);
});
