import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { iam } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { addRoot, addUser, allow, base64, callKms, makeKey, policyOf, setOwnPolicy } from "../../../test/kms-client.ts";
import type { CallerKey } from "../../../test/kms-client.ts";

const account = "123456789012";
const root = `arn:aws:iam::${account}:root`;
const user = (name: string): string => `arn:aws:iam::${account}:user/${name}`;
const Plaintext = base64("x");

let server: RegistryServer;
let key: { readonly id: string; readonly arn: string };
before(async () => {
  server = await startRegistryServer();
  key = await makeKey(server);
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function encrypts(credentials: CallerKey, EncryptionContext: Record<string, string> = {}): Promise<boolean> {
  const { refusal } = await callKms(server, "Encrypt", { KeyId: key.id, Plaintext, EncryptionContext }, { credentials });
  if (refusal !== undefined) assert.match(refusal, /^AccessDeniedException: User: .* kms:Encrypt on resource: arn:aws:kms:/);
  return refusal === undefined;
}

test("a grant gives permission at once, within its constraint, until it is revoked", async () => {
  const ann = await addUser(server, "ann");
  assert.equal(await encrypts(ann), false);
  const { GrantId = "", GrantToken } = await callKms(server, "CreateGrant", {
    KeyId: key.id,
    GranteePrincipal: user("ann"),
    Operations: ["Encrypt"],
    Constraints: { EncryptionContextSubset: { team: "a" } },
  });
  assert.match(GrantId, /^[0-9a-f]{64}$/);
  assert.equal(await encrypts(ann), false);
  assert.equal(await encrypts(ann, { team: "a", more: "b" }), true);
  assert.equal(await encrypts(ann, { team: "b" }), false);
  const used = { KeyId: key.id, Plaintext, EncryptionContext: { team: "a" }, GrantTokens: [GrantToken ?? ""] };
  assert.equal((await callKms(server, "Encrypt", used, { credentials: ann })).refusal, undefined);
  assert.equal(
    (await callKms(server, "RevokeGrant", { KeyId: key.arn, GrantId, DryRun: true })).refusal?.split(":")[0],
    "DryRunOperationException",
  );
  await callKms(server, "RevokeGrant", { KeyId: key.arn, GrantId });
  assert.equal(await encrypts(ann, { team: "a" }), false);
  assert.equal(
    (await callKms(server, "RevokeGrant", { KeyId: key.arn, GrantId })).refusal,
    `NotFoundException: Grant ID ${GrantId} not found`,
  );
});

test("a Deny beats a grant, and a user who is made anew has none", async () => {
  const dan = await addUser(server, "dan");
  await callKms(server, "CreateGrant", { KeyId: key.id, GranteePrincipal: user("dan"), Operations: ["Encrypt"] });
  assert.equal(await encrypts(dan), true);
  await setOwnPolicy(server, "dan", { Effect: "Deny", Action: "kms:Encrypt", Resource: "*" });
  assert.equal(await encrypts(dan), false);
  await iam(server, "DeleteUserPolicy", { UserName: "dan", PolicyName: "own" });
  assert.equal(await encrypts(dan), true);
  await iam(server, "DeleteAccessKey", { UserName: "dan", AccessKeyId: dan.accessKeyId });
  await iam(server, "DeleteUser", { UserName: "dan" });
  assert.equal(await encrypts(await addUser(server, "dan")), false);
});

test("grants are listed with all they have, page by page", async () => {
  const own = await makeKey(server);
  for (const name of ["lea", "leo"]) await addUser(server, name);
  const made: string[] = [];
  for (const name of ["lea", "leo", "lea"]) {
    const input = {
      KeyId: own.id,
      GranteePrincipal: user(name),
      RetiringPrincipal: root,
      Operations: ["Encrypt", "Decrypt", "Encrypt"],
    } as const;
    const constraint = { Constraints: { EncryptionContextEquals: { n: String(made.length) } } };
    made.push((await callKms(server, "CreateGrant", { ...input, ...constraint })).GrantId ?? "");
  }
  const page = await callKms(server, "ListGrants", { KeyId: own.id, Limit: 2 });
  const rest = await callKms(server, "ListGrants", { KeyId: own.id, Limit: 2, Marker: page.NextMarker ?? "" });
  assert.deepEqual(
    [...(page.Grants ?? []), ...(rest.Grants ?? [])].map(({ GrantId }) => GrantId),
    made,
  );
  const { CreationDate: at = 0, ...first } = page.Grants?.[0] ?? {};
  assert.ok(Math.abs(at - server.core.clock.now() / 1000) < 60);
  assert.deepEqual(first, {
    KeyId: own.arn,
    GrantId: made[0],
    Name: "",
    GranteePrincipal: user("lea"),
    RetiringPrincipal: root,
    IssuingAccount: root,
    Operations: ["Decrypt", "Encrypt"],
    Constraints: { EncryptionContextEquals: { n: "0" } },
  });
  const ids = async (filter: object): Promise<readonly (string | undefined)[]> =>
    ((await callKms(server, "ListGrants", { KeyId: own.id, ...filter })).Grants ?? []).map(({ GrantId }) => GrantId);
  assert.deepEqual(await ids({ GranteePrincipal: user("lea") }), [made[0], made[2]]);
  assert.deepEqual(await ids({ GrantId: made[1] }), [made[1]]);
});

test("who may retire grants finds them, on keys of any account in the region, page by page", async () => {
  const [may, other] = [await addUser(server, "may"), await addUser(server, "may-not")];
  const their = await addRoot(server, "210987654321");
  const theirs = await makeKey(server, {}, { credentials: their });
  const elsewhere = await makeKey(server, {}, { region: "us-east-1" });
  const make = async (KeyId: string, retiring: string, options: Parameters<typeof callKms>[3] = {}): Promise<string> => {
    const input = { KeyId, GranteePrincipal: root, RetiringPrincipal: retiring, Operations: ["Decrypt"] } as const;
    return (await callKms(server, "CreateGrant", input, options)).GrantId ?? "";
  };
  const made: (readonly [string, string])[] = [[key.arn, await make(key.arn, user("may"))]];
  made.push([theirs.arn, await make(theirs.arn, user("may"), { credentials: their })], [key.arn, await make(key.arn, user("may"))]);
  await make(key.arn, user("may-not"));
  await make(elsewhere.arn, user("may"), { region: "us-east-1" });
  const list = (more: object = {}, options: Parameters<typeof callKms>[3] = {}) =>
    callKms(server, "ListRetirableGrants", { RetiringPrincipal: user("may"), ...more }, options);
  const listed: (readonly [string | undefined, string | undefined])[] = [];
  for (let Marker: string | undefined; ;) {
    const page = await list({ Limit: 2, ...(Marker !== undefined && { Marker }) });
    listed.push(...(page.Grants ?? []).map(({ KeyId, GrantId }) => [KeyId, GrantId] as const));
    Marker = page.NextMarker;
    assert.equal(page.Truncated, Marker !== undefined);
    if (Marker === undefined) break;
  }
  assert.deepEqual(listed, made);
  assert.equal((await list({}, { region: "us-east-1" })).Grants?.length, 1);
  const first = await list({ Limit: 1 });
  const borrowed = { RetiringPrincipal: user("may-not"), Marker: first.NextMarker };
  assert.match((await list(borrowed)).refusal ?? "", /^InvalidMarkerException: /);
  assert.match((await list({}, { credentials: may })).refusal ?? "", /not authorized to perform: kms:ListRetirableGrants on resource: \*/);
  await setOwnPolicy(server, "may-not", { Effect: "Allow", Action: "kms:ListRetirableGrants", Resource: "*" });
  assert.equal((await list({}, { credentials: other })).Grants?.length, 3);
  for (const RetiringPrincipal of [user("missing"), "arn:aws:iam::210987654321:root", account, "ecr.eu-central-1.amazonaws.com"])
    assert.match((await list({ RetiringPrincipal })).refusal ?? "", /^InvalidArnException: ARN does not refer to a valid principal: /);
  // Somebody who gets the name later did not get the grants.
  const names = { UserName: "may", AccessKeyId: may.accessKeyId };
  await iam(server, "DeleteAccessKey", names);
  await iam(server, "DeleteUser", { UserName: "may" });
  await addUser(server, "may");
  assert.deepEqual((await list()).Grants, []);
});

test("the same request under one name is one grant, another is another", async () => {
  await addUser(server, "nat");
  const input = { KeyId: key.id, GranteePrincipal: user("nat"), Name: "once" };
  const ask = async (more: object = {}): Promise<string | undefined> =>
    (await callKms(server, "CreateGrant", { ...input, Operations: ["Decrypt", "Encrypt"], ...more })).GrantId;
  const first = await ask();
  assert.equal(await ask({ Operations: ["Encrypt", "Decrypt"] }), first);
  assert.notEqual(await ask({ Operations: ["Encrypt"] }), first);
  assert.notEqual(await ask({ Constraints: { EncryptionContextEquals: {} } }), first);
  assert.notEqual(await ask({ Name: undefined }), await ask({ Name: undefined }));
});

test("grants are retired by who may: named in it, or of the key's account", async () => {
  const [ret, gra, eve] = [await addUser(server, "ret"), await addUser(server, "gra"), await addUser(server, "eve")];
  const iam = await addUser(server, "iam", ["kms:RetireGrant"]);
  const make = (more: object = {}): ReturnType<typeof callKms<"CreateGrant">> =>
    callKms(server, "CreateGrant", { KeyId: key.id, GranteePrincipal: user("gra"), Operations: ["Decrypt"], ...more });
  const retire = async (token: string | undefined, credentials: CallerKey): Promise<boolean> =>
    (await callKms(server, "RetireGrant", { GrantToken: token ?? "" }, { credentials })).refusal === undefined;
  const named = await make({ RetiringPrincipal: user("ret") });
  assert.equal(await retire(named.GrantToken, eve), false);
  assert.equal(await retire(named.GrantToken, gra), false);
  assert.equal(await retire(named.GrantToken, ret), true);
  assert.equal(await retire((await make({ Operations: ["Decrypt", "RetireGrant"] })).GrantToken, gra), true);
  assert.equal(await retire((await make()).GrantToken, iam), true);
  const byId = await make();
  const other = await makeKey(server);
  const GrantId = byId.GrantId ?? "";
  assert.equal(
    (await callKms(server, "RetireGrant", { KeyId: other.arn, GrantId })).refusal,
    `NotFoundException: Grant ID ${GrantId} not found`,
  );
  assert.equal((await callKms(server, "RetireGrant", { KeyId: key.arn, GrantId })).refusal, undefined);
  for (const input of [{}, { GrantId }, { GrantToken: "x", KeyId: key.arn }])
    assert.match((await callKms(server, "RetireGrant", input)).refusal ?? "", /^ValidationException: /);
  assert.match((await callKms(server, "RetireGrant", { GrantToken: "x" })).refusal ?? "", /^InvalidGrantTokenException: /);
});

test("who was granted to grant passes on no more than they have", async () => {
  const [mid, end] = [await addUser(server, "mid"), await addUser(server, "end")];
  const EncryptionContextSubset = { team: "m" };
  await callKms(server, "CreateGrant", {
    KeyId: key.id,
    GranteePrincipal: user("mid"),
    Operations: ["CreateGrant", "Encrypt"],
    Constraints: { EncryptionContextSubset },
  });
  const pass = async (more: object): Promise<boolean> => {
    const input = { KeyId: key.id, GranteePrincipal: user("end"), Operations: ["Encrypt"], ...more } as const;
    return (await callKms(server, "CreateGrant", input, { credentials: mid })).refusal === undefined;
  };
  assert.equal(await pass({}), false);
  assert.equal(await pass({ Operations: ["Decrypt"], Constraints: { EncryptionContextSubset } }), false);
  assert.equal(await pass({ Constraints: { EncryptionContextSubset: { team: "n" } } }), false);
  assert.equal(await encrypts(end, { team: "m" }), false);
  assert.equal(await pass({ Constraints: { EncryptionContextEquals: { team: "m", more: "" } } }), true);
  assert.equal(await encrypts(end, { team: "m", more: "" }), true);
  assert.equal(await encrypts(end, { team: "m" }), false);
});

test("conditions see what a grant is to give", async () => {
  const gil = await addUser(server, "gil");
  const Condition = {
    "ForAllValues:StringEquals": { "kms:GrantOperations": ["Encrypt"] },
    StringEquals: { "kms:GranteePrincipal": user("gil") },
  };
  const own = await makeKey(server, { Policy: policyOf(allow(root, "kms:*"), allow(user("gil"), "kms:CreateGrant", { Condition })) });
  const give = async (principal: string, Operations: readonly ("Encrypt" | "Decrypt")[]): Promise<boolean> =>
    (await callKms(server, "CreateGrant", { KeyId: own.id, GranteePrincipal: principal, Operations }, { credentials: gil })).refusal ===
    undefined;
  assert.deepEqual(
    [await give(user("gil"), ["Encrypt"]), await give(user("gil"), ["Decrypt"]), await give(root, ["Encrypt"])],
    [true, false, false],
  );
});

test("what is no grant is refused", async () => {
  const KeyId = key.id;
  const context = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`k${at}`, ""]));
  const cases: readonly (readonly [object, RegExp])[] = [
    [
      { GranteePrincipal: user("missing") },
      /^InvalidArnException: ARN does not refer to a valid principal: arn:aws:iam::123456789012:user\/missing$/,
    ],
    [{ GranteePrincipal: "*" }, /^ValidationException: 1 validation error/],
    [{ GranteePrincipal: account }, /^InvalidArnException: /],
    [{ GranteePrincipal: "ecr.eu-central-1.amazonaws.com" }, /^InvalidArnException: /],
    [{ Operations: ["Sign"] }, /^ValidationException: The operation Sign cannot be granted/],
    [{ Operations: [] }, /^ValidationException: /],
    [{ Constraints: { EncryptionContextEquals: context } }, /^ValidationException: A grant constraint has at most 8/],
    [{ Constraints: { EncryptionContextEquals: {}, EncryptionContextSubset: {} } }, /^ValidationException: A grant has either/],
  ];
  for (const [more, expected] of cases) {
    const input = { KeyId, GranteePrincipal: root, Operations: ["Encrypt"], ...more } as const;
    assert.match((await callKms(server, "CreateGrant", input)).refusal ?? "", expected, JSON.stringify(more));
  }
  assert.match((await callKms(server, "RevokeGrant", { KeyId, GrantId: "zz" })).refusal ?? "", /^InvalidGrantIdException: /);
});
