import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AssumeRoleCommand, GetAccessKeyInfoCommand, GetFederationTokenCommand, GetSessionTokenCommand } from "@aws-sdk/client-sts";
import type { Credentials, GetFederationTokenCommandInput } from "@aws-sdk/client-sts";
import { resetRootKey } from "#access/root-key.ts";
import { iam } from "../../../test/iam-client.ts";
import { callEcr } from "../../../test/signed-call.ts";
import { allowing, goodFor, startStsServer } from "../../../test/sts-fixture.ts";
import type { SigningKey, StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let alice: SigningKey & { readonly arn: string; readonly uniqueId: string };

before(async () => {
  sts = await startStsServer();
  const inline = [allowing(["sts:*", "ecr:*", "iam:*"])];
  alice = await sts.addUser({ name: "alice", path: "/team/", inline });
  await sts.server.createRepository("app");
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
});

const sessionToken = async (key: SigningKey | Credentials | undefined, seconds?: number): Promise<Credentials | undefined> =>
  (await sts.client(key).send(new GetSessionTokenCommand({ ...(seconds !== undefined && { DurationSeconds: seconds }) }))).Credentials;

const federate = (key: SigningKey | Credentials | undefined, input: Partial<GetFederationTokenCommandInput> = {}) =>
  sts.client(key).send(new GetFederationTokenCommand({ Name: "visitor", ...input }));

const keyOf = ({ AccessKeyId = "", SecretAccessKey = "", SessionToken = "" }: Partial<Credentials> = {}): SigningKey => ({
  accessKeyId: AccessKeyId,
  secretAccessKey: SecretAccessKey,
  sessionToken: SessionToken,
});

const mayDescribe = async (credentials: Credentials | undefined): Promise<boolean> =>
  (await callEcr(sts.server, "DescribeRepositories", { repositoryNames: ["app"] }, { credentials: keyOf(credentials) })).status === 200;

test("a user's temporary credentials are the user, for as long as asked", async () => {
  const usual = await goodFor(sts, 43_200, () => sessionToken(alice));
  assert.deepEqual(await sts.whoIs(usual), { arn: alice.arn, userId: alice.uniqueId });
  assert.equal(await mayDescribe(usual), true);
  await goodFor(sts, 900, () => sessionToken(alice, 900));
  await goodFor(sts, 129_600, () => sessionToken(alice, 129_600));
  await assert.rejects(sessionToken(alice, 129_601), { name: "ValidationError" });
});

test("nobody needs a permission for that, and nobody can lose it", async () => {
  const deny = [{ Effect: "Deny", Action: "sts:GetSessionToken", Resource: "*" }];
  const bob = await sts.addUser({ name: "bob", inline: deny });
  assert.ok(await sessionToken(bob));
});

test("root gets an hour", async () => {
  const root = sts.server.credentials;
  await goodFor(sts, 3_600, () => sessionToken(root));
  await goodFor(sts, 900, () => sessionToken(root, 900));
  await goodFor(sts, 3_600, () => sessionToken(root, 7_200));
  await goodFor(sts, 3_600, async () => (await federate(root, { DurationSeconds: 7_200 })).Credentials);
  const arn = `arn:aws:iam::${sts.server.accountId}:root`;
  assert.deepEqual(await sts.whoIs(await sessionToken(root)), { arn, userId: sts.server.accountId });
});

test("temporary credentials do not make more of their kind", async () => {
  const role = await sts.addRole({ name: "Taker", inline: [allowing(["sts:*"])] });
  const session = await sessionToken(alice);
  const taken = await sts.client(session).send(new AssumeRoleCommand({ RoleArn: role.arn, RoleSessionName: "session" }));
  const visitor = await federate(alice, { Policy: JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["sts:*"])] }) });
  for (const credentials of [session, taken.Credentials, visitor.Credentials]) {
    await assert.rejects(sessionToken(credentials), {
      name: "AccessDenied",
      message: "Cannot call GetSessionToken with session credentials",
    });
    await assert.rejects(federate(credentials), {
      name: "AccessDenied",
      message: "Cannot call GetFederationToken with session credentials",
    });
  }
  const onward = new AssumeRoleCommand({ RoleArn: role.arn, RoleSessionName: "session" });
  await assert.rejects(sts.client(visitor.Credentials).send(onward), { name: "AccessDenied" });
});

test("a code of a device proves nothing", async () => {
  const command = new GetSessionTokenCommand({ SerialNumber: "arn:aws:iam::123456789012:mfa/alice", TokenCode: "123456" });
  await assert.rejects(sts.client(alice).send(command), { name: "AccessDenied", message: /^MultiFactorAuthentication failed/ });
});

test("a federated user may do what both the user and the policies allow", async () => {
  const policy = (action: string): string => JSON.stringify({ Version: "2012-10-17", Statement: [allowing([action])] });
  const { accountId } = sts.server;
  const answer = await federate(alice, { Policy: policy("ecr:Describe*") });
  const arn = `arn:aws:sts::${accountId}:federated-user/visitor`;
  assert.deepEqual(answer.FederatedUser, { Arn: arn, FederatedUserId: `${accountId}:visitor` });
  assert.deepEqual(await sts.whoIs(answer.Credentials), { arn, userId: `${accountId}:visitor` });
  await goodFor(sts, 43_200, async () => (await federate(alice, { Policy: policy("ecr:Describe*") })).Credentials);
  const readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
  const cases: readonly (readonly [Partial<GetFederationTokenCommandInput>, boolean])[] = [
    [{ Policy: policy("ecr:Describe*") }, true],
    [{ PolicyArns: [{ arn: readOnly }] }, true],
    [{ Policy: policy("ecr:PutImage") }, false],
    [{}, false],
  ];
  for (const [input, allowed] of cases)
    assert.equal(await mayDescribe((await federate(alice, input)).Credentials), allowed, JSON.stringify(input));
});

test("to federate and to tag are permissions, on the federated user", async () => {
  const visitors = `arn:aws:sts::${sts.server.accountId}:federated-user/visitor*`;
  const tagged = allowing(["sts:TagSession"], visitors, { StringEquals: { "aws:RequestTag/team": "a" } });
  const carol = await sts.addUser({ name: "carol", inline: [allowing(["sts:GetFederationToken"], visitors), tagged] });
  const tags = (Value: string) => ({ Tags: [{ Key: "team", Value }] });
  assert.ok((await federate(carol, { Name: "visitor-1", ...tags("a") })).PackedPolicySize);
  await assert.rejects(federate(carol, tags("b")), { name: "AccessDenied", message: /sts:TagSession/ });
  await assert.rejects(federate(carol, { Name: "somebody" }), { name: "AccessDenied", message: /sts:GetFederationToken/ });
});

test("an access key tells its account", async () => {
  const account = async (AccessKeyId: string) => (await sts.client(alice).send(new GetAccessKeyInfoCommand({ AccessKeyId }))).Account;
  assert.equal(await account(alice.accessKeyId), sts.server.accountId);
  assert.equal(await account((await sessionToken(alice))?.AccessKeyId ?? ""), sts.server.accountId);
  assert.equal(await account("AKIARZPUZDIKLZYHJPTQ"), "123456789012");
  await assert.rejects(account("AKIA0000000000000000"), { name: "ValidationError" });
  const stranger = await sts.addUser({ name: "stranger" });
  const asked = sts.client(stranger).send(new GetAccessKeyInfoCommand({ AccessKeyId: alice.accessKeyId }));
  await assert.rejects(asked, { name: "AccessDenied", message: /sts:GetAccessKeyInfo/ });
});

// AWS IAM User Guide, "Disabling permissions for temporary security credentials": they do not hang on the key that they were asked for with.
test("a user's temporary credentials outlive the key, and end with the user", async () => {
  const dave = await sts.addUser({ name: "dave", inline: [allowing(["sts:*", "ecr:*"])] });
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["ecr:*"])] });
  const made = [await sessionToken(dave), (await federate(dave, { Policy: policy })).Credentials];
  const may = async (): Promise<boolean[]> => Promise.all(made.map(mayDescribe));
  const key = { UserName: "dave", AccessKeyId: dave.accessKeyId };
  await iam(sts.server, "UpdateAccessKey", { ...key, Status: "Inactive" });
  await assert.rejects(sessionToken(dave), { name: "InvalidClientTokenId" });
  assert.deepEqual(await may(), [true, true]);
  await iam(sts.server, "DeleteAccessKey", key);
  assert.deepEqual(await may(), [true, true]);
  await iam(sts.server, "DeleteUserPolicy", { UserName: "dave", PolicyName: "inline" });
  assert.deepEqual(await may(), [false, false]);
  await iam(sts.server, "DeleteUser", { UserName: "dave" });
  const answer = await callEcr(sts.server, "DescribeRepositories", {}, { credentials: keyOf(made[0]) });
  assert.match(answer.body.toString(), /UnrecognizedClientException/);
});

test("root's temporary credentials and their registry passwords end with a reset of root's key", async () => {
  const { server } = sts;
  const accountId = "111122223333";
  const deps = { ...server.core, accountId };
  const root = await resetRootKey(deps);
  const visitors = JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["ecr:*"])] });
  const made = [await sessionToken(root), (await federate(root, { Policy: visitors })).Credentials];
  const password = async (credentials: Credentials | undefined): Promise<string> => {
    const answer = await callEcr(server, "GetAuthorizationToken", {}, { credentials: keyOf(credentials) });
    assert.equal(answer.status, 200);
    return `Basic ${answer.json<{ authorizationData: [{ authorizationToken: string }] }>().authorizationData[0].authorizationToken}`;
  };
  const authorization = await password(made[0]);
  const ask = async (): Promise<number> => (await server.request("GET", "/v2/", { authorization })).status;
  assert.equal(await ask(), 200);
  const others = await sessionToken(server.credentials);
  await resetRootKey(deps);
  assert.equal(await ask(), 401);
  for (const credentials of [...made, keyOf(made[0])]) await assert.rejects(sts.whoIs(credentials), { name: "InvalidClientTokenId" });
  assert.ok((await sts.whoIs(others)).arn);
});
