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
before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** A key under this policy; nobody minds who is locked out. */
const keyUnder = (...statements: readonly object[]): ReturnType<typeof makeKey> =>
  makeKey(server, { Policy: policyOf(...statements), BypassPolicyLockoutSafetyCheck: true });

/** What a caller is told who decrypts what root has encrypted: "yes", or what was missing. */
async function decrypting(
  key: { readonly arn: string },
  credentials: CallerKey,
  EncryptionContext: Record<string, string> = {},
): Promise<string> {
  const asOwner = { credentials: await owner() };
  const { CiphertextBlob = "" } = await callKms(server, "Encrypt", { KeyId: key.arn, Plaintext, EncryptionContext }, asOwner);
  const { refusal } = await callKms(server, "Decrypt", { CiphertextBlob, EncryptionContext }, { credentials });
  return refusal === undefined ? "yes" : (/ (?:because|with) (.*)$/.exec(refusal)?.[1] ?? refusal);
}

let ownerKey: Promise<CallerKey> | undefined;
/** A user whom every policy here lets encrypt. */
function owner(): Promise<CallerKey> {
  return (ownerKey ??= addUser(server, "owner"));
}
const toOwner = allow(user("owner"), "kms:Encrypt");

test("the key's policy must allow, whatever others allow (K1 to K4)", async () => {
  await owner();
  const bob = await addUser(server, "bob", ["kms:Decrypt"]);
  const plain = await addUser(server, "plain");
  const barred = await addUser(server, "barred");
  await setOwnPolicy(server, "barred", { Effect: "Deny", Action: "kms:*", Resource: "*" });
  await addUser(server, "eve");
  const byAccount = await keyUnder(toOwner, allow(root, "kms:*"));
  assert.equal(await decrypting(byAccount, bob), "yes");
  assert.equal(await decrypting(byAccount, plain), "no identity-based policy allows the kms:Decrypt action");
  const byEve = await keyUnder(toOwner, allow(user("eve"), "kms:*"));
  assert.equal(await decrypting(byEve, bob), "no resource-based policy allows the kms:Decrypt action");
  assert.equal(await decrypting(byEve, server.credentials), "no resource-based policy allows the kms:Decrypt action");
  const byName = await keyUnder(toOwner, allow(user("plain"), "kms:Decrypt"), allow(user("barred"), "kms:Decrypt"));
  assert.equal(await decrypting(byName, plain), "yes");
  assert.equal(await decrypting(byName, barred), "an explicit deny in an identity-based policy");
});

test("across accounts both sides must allow (K5 and K6)", async () => {
  await owner();
  const there = await addRoot(server, "222222222222");
  const bob = await addUser(server, "bob", [], there);
  const key = await keyUnder(toOwner, allow("arn:aws:iam::222222222222:root", "kms:Decrypt"));
  assert.equal(await decrypting(key, bob), "no identity-based policy allows the kms:Decrypt action");
  await setOwnPolicy(server, "bob", { Effect: "Allow", Action: "kms:Decrypt", Resource: key.arn }, there);
  assert.equal(await decrypting(key, bob), "yes");
  assert.equal(await decrypting(key, there), "yes");
});

test("who gets the name of somebody who is gone gets nothing with it", async () => {
  await owner();
  const before_ = await addUser(server, "twin");
  const key = await keyUnder(toOwner, allow(user("twin"), "kms:Decrypt"));
  assert.equal(await decrypting(key, before_), "yes");
  await iam(server, "DeleteAccessKey", { UserName: "twin", AccessKeyId: before_.accessKeyId });
  await iam(server, "DeleteUser", { UserName: "twin" });
  const after_ = await addUser(server, "twin");
  assert.match(await decrypting(key, after_), /^no (?:identity|resource)-based policy allows/);
});

test("conditions see the encryption context, the alias, the tags and the caller's account", async () => {
  await owner();
  const carl = await addUser(server, "carl");
  const when = (condition: object): Promise<{ readonly id: string; readonly arn: string }> =>
    makeKey(server, {
      Policy: policyOf(toOwner, allow(root, "kms:*"), allow(user("carl"), ["kms:Decrypt", "kms:DescribeKey"], { Condition: condition })),
      Tags: [{ TagKey: "team", TagValue: "a" }],
    });
  const team = await when({ StringEquals: { "kms:EncryptionContext:team": "a" } });
  assert.equal(await decrypting(team, carl, { team: "a", more: "b" }), "yes");
  assert.notEqual(await decrypting(team, carl, { team: "b" }), "yes");
  assert.notEqual(await decrypting(team, carl), "yes");
  const keys = await when({
    "ForAllValues:StringEquals": { "kms:EncryptionContextKeys": ["a", "b"] },
    Null: { "kms:EncryptionContextKeys": "false" },
  });
  assert.equal(await decrypting(keys, carl, { a: "", b: "" }), "yes");
  assert.notEqual(await decrypting(keys, carl, { a: "", c: "" }), "yes");
  for (const condition of [
    { StringEquals: { "kms:CallerAccount": account, "aws:ResourceTag/team": "a", "kms:KeySpec": "SYMMETRIC_DEFAULT" } },
    { StringEquals: { "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT" } },
  ])
    assert.equal(await decrypting(await when(condition), carl), "yes");
  const named = await when({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": "alias/named" } });
  assert.notEqual(await decrypting(named, carl), "yes");
  await callKms(server, "CreateAlias", { AliasName: "alias/named", TargetKeyId: named.id });
  assert.equal(await decrypting(named, carl), "yes");
  const asked = await when({ StringLike: { "kms:RequestAlias": "alias/na*" } });
  await callKms(server, "UpdateAlias", { AliasName: "alias/named", TargetKeyId: asked.id });
  const describe = async (KeyId: string): Promise<boolean> =>
    (await callKms(server, "DescribeKey", { KeyId }, { credentials: carl })).refusal === undefined;
  assert.deepEqual([await describe("alias/named"), await describe(asked.id)], [true, false]);
});

test("re-encrypting asks for each side with its own encryption context", async () => {
  const rita = await addUser(server, "rita");
  const on = (action: string, side: string): object =>
    allow(user("rita"), action, { Condition: { StringEquals: { "kms:EncryptionContext:side": side } } });
  const key = await makeKey(server, {
    Policy: policyOf(allow(root, "kms:*"), on("kms:ReEncryptFrom", "from"), on("kms:ReEncryptTo", "to")),
  });
  const SourceEncryptionContext = { side: "from" };
  const { CiphertextBlob = "" } = await callKms(server, "Encrypt", {
    KeyId: key.id,
    Plaintext,
    EncryptionContext: SourceEncryptionContext,
  });
  const move = (side: string): ReturnType<typeof callKms<"ReEncrypt">> => {
    const input = { CiphertextBlob, SourceEncryptionContext, DestinationKeyId: key.id, DestinationEncryptionContext: { side } };
    return callKms(server, "ReEncrypt", input, { credentials: rita });
  };
  assert.equal((await move("to")).refusal, undefined);
  assert.match((await move("from")).refusal ?? "", /not authorized to perform: kms:ReEncryptTo/);
});

test("a policy comes back as it was given, and is called default", async () => {
  const Policy = ` ${policyOf(allow(root, "kms:*"))}\n`;
  const { id } = await makeKey(server, { Policy });
  assert.deepEqual(await callKms(server, "GetKeyPolicy", { KeyId: id }), { Policy, PolicyName: "default" });
  assert.deepEqual(await callKms(server, "ListKeyPolicies", { KeyId: id }), { PolicyNames: ["default"], Truncated: false });
  assert.equal(
    (await callKms(server, "GetKeyPolicy", { KeyId: id, PolicyName: "other" })).refusal,
    "NotFoundException: No such policy exists",
  );
  const byDefault = await callKms(server, "GetKeyPolicy", { KeyId: (await makeKey(server)).id });
  assert.match(byDefault.Policy ?? "", /"Sid": "Enable IAM User Permissions"/);
});

test("nobody locks themselves out by accident", async () => {
  const { id } = await makeKey(server);
  const Policy = policyOf(allow(user("owner"), "kms:Decrypt"));
  await owner();
  const lockedOut = "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.";
  assert.equal((await callKms(server, "PutKeyPolicy", { KeyId: id, Policy })).refusal, lockedOut);
  assert.equal((await callKms(server, "CreateKey", { Policy })).refusal, lockedOut);
  assert.equal((await callKms(server, "PutKeyPolicy", { KeyId: id, Policy, BypassPolicyLockoutSafetyCheck: true })).refusal, undefined);
  assert.match((await callKms(server, "GetKeyPolicy", { KeyId: id })).refusal ?? "", /no resource-based policy allows/);
});

test("what is no policy of a key is refused", async () => {
  const { id } = await makeKey(server);
  const principals = "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.";
  const cases: readonly (readonly [string, string])[] = [
    [policyOf(allow(user("missing"), "kms:*")), principals],
    [policyOf(allow("somebody", "kms:*")), principals],
    ["{", "MalformedPolicyDocumentException: Syntax errors in policy."],
  ];
  for (const [Policy, expected] of cases) assert.equal((await callKms(server, "PutKeyPolicy", { KeyId: id, Policy })).refusal, expected);
});
