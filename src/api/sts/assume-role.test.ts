import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import type { AssumeRoleCommandInput, AssumeRoleCommandOutput, Credentials } from "@aws-sdk/client-sts";
import { DescribeRepositoriesCommand, ECRClient } from "@aws-sdk/client-ecr";
import { makePolicy } from "#access/testing/identities.ts";
import { allowing, startStsServer, trusting } from "../../../test/sts-fixture.ts";
import type { SigningKey, StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let alice: SigningKey & { readonly arn: string };

before(async () => {
  sts = await startStsServer();
  alice = await sts.addUser({ name: "alice", inline: [allowing(["sts:*"])] });
  await sts.server.createRepository("app");
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
});

function assume(key: SigningKey | Credentials | undefined, input: Partial<AssumeRoleCommandInput>): Promise<AssumeRoleCommandOutput> {
  return sts.client(key).send(new AssumeRoleCommand({ RoleArn: undefined, RoleSessionName: "session", ...input }));
}

/** Code, message and status of a refusal. */
async function refusalOf(work: Promise<unknown>): Promise<readonly [string, string, number | undefined]> {
  try {
    await work;
  } catch (error) {
    const { name, message, $metadata } = error as Error & { readonly $metadata?: { readonly httpStatusCode?: number } };
    return [name, message, $metadata?.httpStatusCode];
  }
  throw new Error("the call was not refused");
}

/** May this session describe repositories? */
async function mayDescribe(credentials: Credentials | undefined): Promise<boolean> {
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = credentials ?? {};
  const key = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  const client = new ECRClient({ endpoint: sts.server.url, region: sts.server.region, credentials: key, maxAttempts: 1 });
  try {
    await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["app"] }));
    return true;
  } catch (error) {
    assert.equal((error as Error).name, "AccessDeniedException");
    return false;
  } finally {
    client.destroy();
  }
}

test("a user takes a role, and is known as its session", async () => {
  const role = await sts.addRole({ name: "Deployer", path: "/ci/" });
  const answer = await assume(alice, { RoleArn: role.arn });
  const arn = `arn:aws:sts::${sts.server.accountId}:assumed-role/Deployer/session`;
  assert.deepEqual(answer.AssumedRoleUser, { Arn: arn, AssumedRoleId: `${role.uniqueId}:session` });
  assert.match(answer.Credentials?.AccessKeyId ?? "", /^ASIA[A-Z2-7]{16}$/);
  assert.match(answer.Credentials?.SessionToken ?? "", /^SupercargoST[A-Za-z0-9+/]{64}$/);
  const expiresIn = Number(answer.Credentials?.Expiration) - sts.server.core.clock.now();
  assert.ok(expiresIn > 3_590_000 && expiresIn <= 3_600_000, `${expiresIn}`);
  assert.equal(answer.PackedPolicySize, undefined);
  assert.deepEqual(await sts.whoIs(answer.Credentials), { arn, userId: `${role.uniqueId}:session` });
});

test("a session is nothing without its own token, and nothing after its time", async () => {
  const role = await sts.addRole({ name: "Short" });
  const [one, other] = await Promise.all([1, 2].map(() => assume(alice, { RoleArn: role.arn, DurationSeconds: 900 })));
  const wrong = [
    { ...one?.Credentials, SessionToken: undefined },
    { ...one?.Credentials, SessionToken: other?.Credentials?.SessionToken },
    { ...one?.Credentials, SessionToken: `${one?.Credentials?.SessionToken}=` },
  ];
  for (const key of wrong) assert.equal((await refusalOf(sts.whoIs(key as Credentials)))[0], "InvalidClientTokenId");
  const later = sts.client(one?.Credentials);
  later.config.systemClockOffset = 901_000;
  sts.server.advance(901_000);
  assert.deepEqual((await refusalOf(later.send(new GetCallerIdentityCommand({})))).slice(0, 1), ["ExpiredToken"]);
  sts.server.advance(-901_000);
});

test("a role that is not there answers like one that does not trust", async () => {
  const { accountId } = sts.server;
  await sts.addRole({ name: "Closed", path: "/p/", trust: [trusting({ AWS: "999999999999" })] });
  const names = ["p/Closed", "Closed", "p/closed", "p/Missing"].map((name) => `arn:aws:iam::${accountId}:role/${name}`);
  for (const RoleArn of [...names, "arn:aws:iam::222222222222:role/Elsewhere"]) {
    assert.deepEqual(await refusalOf(assume(alice, { RoleArn })), [
      "AccessDenied",
      `User: ${alice.arn} is not authorized to perform: sts:AssumeRole on resource: ${RoleArn} because no role trust policy allows the sts:AssumeRole action`,
      403,
    ]);
  }
});

test("what cannot be is refused before anybody is asked", async () => {
  const role = await sts.addRole({ name: "Checked" });
  const arnText = "Request ARN is invalid";
  const cases: readonly (readonly [Partial<AssumeRoleCommandInput>, string, string])[] = [
    [{ RoleArn: `arn:aws:iam::${sts.server.accountId}:user/alice` }, "ValidationError", arnText],
    [{ RoleArn: "arn:aws:iam::aws:role/alice-and-others" }, "ValidationError", arnText],
    [{ RoleArn: `arn:aws:sts::${sts.server.accountId}:assumed-role/Checked/session` }, "ValidationError", arnText],
    [{ SerialNumber: "arn:aws:iam::123456789012:mfa/alice", TokenCode: "123456" }, "AccessDenied", "MultiFactorAuthentication failed"],
    [{ ProvidedContexts: [{ ProviderArn: role.arn, ContextAssertion: "abcd" }] }, "ValidationError", "ProvidedContexts"],
    [{ DurationSeconds: 899 }, "ValidationError", "1 validation error detected"],
    [{ RoleSessionName: "a b" }, "ValidationError", "1 validation error detected"],
  ];
  for (const [input, code, words] of cases) {
    const [name, message] = await refusalOf(assume(alice, { RoleArn: role.arn, ...input }));
    assert.equal(name, code, JSON.stringify(input));
    assert.ok(message.includes(words), message);
  }
});

test("root takes no roles", async () => {
  const role = await sts.addRole({ name: "ForAnyone", trust: [trusting({ AWS: "*" })] });
  const refused = ["AccessDenied", "Roles may not be assumed by root accounts.", 403];
  assert.deepEqual(await refusalOf(assume(sts.server.credentials, { RoleArn: role.arn })), refused);
});

test("a role of another account needs both sides", async () => {
  await sts.server.addAccount("222233334444");
  const role = await sts.addRole({ name: "Shared", accountId: "222233334444" });
  assert.equal(
    (await sts.whoIs((await assume(alice, { RoleArn: role.arn })).Credentials)).arn,
    "arn:aws:sts::222233334444:assumed-role/Shared/session",
  );
  const bob = await sts.addUser({ name: "bob" });
  assert.equal((await refusalOf(assume(bob, { RoleArn: role.arn })))[0], "AccessDenied");
});

test("an external id and a session name are what the trust policy asks for", async () => {
  const condition = { StringEquals: { "sts:ExternalId": "secret-word" }, StringLike: { "sts:RoleSessionName": "ci-*" } };
  const role = await sts.addRole({ name: "External", trust: [trusting({ AWS: sts.server.accountId }, ["sts:AssumeRole"], condition)] });
  const good = { RoleArn: role.arn, ExternalId: "secret-word", RoleSessionName: "ci-1" };
  assert.ok((await assume(alice, good)).Credentials);
  for (const change of [{ ExternalId: undefined }, { ExternalId: "Secret-word" }, { RoleSessionName: "dev" }])
    assert.equal((await refusalOf(assume(alice, { ...good, ...change })))[0], "AccessDenied");
});

test("sessions last as long as the role allows, and an hour in a chain", async () => {
  const long = await sts.addRole({ name: "Long", maxSessionSeconds: 43_200, inline: [allowing(["sts:*"])] });
  const answer = await assume(alice, { RoleArn: long.arn, DurationSeconds: 43_200 });
  assert.ok(Number(answer.Credentials?.Expiration) - sts.server.core.clock.now() > 43_190_000);
  const usual = await sts.addRole({ name: "Usual" });
  assert.deepEqual((await refusalOf(assume(alice, { RoleArn: usual.arn, DurationSeconds: 3_601 }))).slice(0, 2), [
    "ValidationError",
    "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
  ]);
  const next = await sts.addRole({ name: "Next", maxSessionSeconds: 43_200 });
  assert.ok((await assume(answer.Credentials, { RoleArn: next.arn, DurationSeconds: 3_600 })).Credentials);
  assert.deepEqual((await refusalOf(assume(answer.Credentials, { RoleArn: next.arn, DurationSeconds: 3_601 }))).slice(0, 2), [
    "ValidationError",
    "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
  ]);
});

test("session policies take away and never give", async () => {
  const role = await sts.addRole({ name: "Limited", inline: [allowing(["ecr:*"])] });
  const none = await sts.addRole({ name: "Powerless" });
  const describe = JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["ecr:DescribeRepositories"])] });
  const other = JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["ecr:PutImage"])] });
  const own = await makePolicy(sts.server.core.metadata, sts.server.accountId, "Describe", describe);
  const readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
  const pullOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly";
  const cases: readonly (readonly [string, Partial<AssumeRoleCommandInput>, boolean])[] = [
    [role.arn, {}, true],
    [role.arn, { Policy: describe }, true],
    [role.arn, { Policy: other }, false],
    [role.arn, { PolicyArns: [{ arn: own }] }, true],
    [role.arn, { PolicyArns: [{ arn: readOnly }] }, true],
    [role.arn, { PolicyArns: [{ arn: pullOnly }] }, false],
    [role.arn, { Policy: other, PolicyArns: [{ arn: own }] }, true],
    [none.arn, { Policy: describe }, false],
  ];
  for (const [RoleArn, input, allowed] of cases) {
    const { Credentials, PackedPolicySize } = await assume(alice, { RoleArn, ...input });
    assert.equal(await mayDescribe(Credentials), allowed, JSON.stringify(input));
    const hasPolicies = Object.keys(input).length > 0;
    assert.equal(PackedPolicySize !== undefined && PackedPolicySize >= 1 && PackedPolicySize <= 100, hasPolicies);
  }
});

test("session policies that cannot be are refused", async () => {
  const role = await sts.addRole({ name: "Refusing" });
  const own = await makePolicy(sts.server.core.metadata, sts.server.accountId, "Other", [allowing(["ecr:*"])]);
  const arns = (...list: readonly string[]): Partial<AssumeRoleCommandInput> => ({ PolicyArns: list.map((arn) => ({ arn })) });
  const statement = (length: number): string =>
    JSON.stringify({ Version: "2012-10-17", Statement: [allowing(["ecr:*"], `arn:aws:ecr:*:*:${"x".repeat(length)}`)] });
  const cases: readonly (readonly [Partial<AssumeRoleCommandInput>, string])[] = [
    [{ Policy: "{}" }, "MalformedPolicyDocumentException"],
    [{ Policy: "not json" }, "MalformedPolicyDocumentException"],
    [{ Policy: statement(2_048) }, "PackedPolicyTooLargeException"],
    [arns("arn:aws:iam::aws:policy/NoSuchPolicy"), "MalformedPolicyDocumentException"],
    [arns(own.replace("/Other", "/path/Other")), "MalformedPolicyDocumentException"],
    [arns(own.replace("/Other", "/other")), "MalformedPolicyDocumentException"],
    [arns("arn:aws:iam::222233334444:policy/Other"), "MalformedPolicyDocumentException"],
    [arns(role.arn), "MalformedPolicyDocumentException"],
    [arns(...Array.from({ length: 11 }, () => own)), "ValidationError"],
  ];
  for (const [input, code] of cases)
    assert.equal((await refusalOf(assume(alice, { RoleArn: role.arn, ...input })))[0], code, JSON.stringify(input));
});
