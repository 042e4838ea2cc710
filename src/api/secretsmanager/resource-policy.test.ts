import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";
import type { CallOptions } from "../../../test/signed-call.ts";

type Credentials = NonNullable<CallOptions["credentials"]>;

let server: RegistryServer;
let arn: string;
const foreign = "222222222222";

before(async () => {
  server = await startRegistryServer();
  await server.addAccount(foreign);
  arn = (await call("CreateSecret", { Name: "shared", SecretString: "s", Tags: [{ Key: "team", Value: "a" }] })).ARN ?? "";
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly ARN?: string;
  readonly ResourcePolicy?: string;
  readonly PolicyValidationPassed?: boolean;
  readonly ValidationErrors?: readonly { readonly CheckName: string }[];
}

async function call(operation: string, input: object, credentials?: Credentials): Promise<Answered> {
  const options = credentials === undefined ? {} : { credentials };
  const answer = await callJson(server, `secretsmanager.${operation}`, input, options);
  return answer.body.length === 0 ? {} : answer.json<Answered>();
}

/** `ok`, or the exception. */
async function outcome(operation: string, input: object, credentials?: Credentials): Promise<string> {
  return (await call(operation, input, credentials)).__type ?? "ok";
}

async function makeUser(name: string, statements: readonly object[], accountId: string = server.accountId): Promise<Credentials> {
  const { metadata, sealer } = server.core;
  const { identityId } = await makeIdentity(metadata, { accountId, kind: "user", name, inline: statements });
  return makeUserKey(metadata, sealer, accountId, identityId);
}

const allow = (Action: string | readonly string[], Resource: string, Condition?: object): object => ({
  Effect: "Allow",
  Action,
  Resource,
  ...(Condition !== undefined && { Condition }),
});
const policyOf = (...statements: readonly object[]): string => JSON.stringify({ Version: "2012-10-17", Statement: statements });
const open = { Effect: "Allow", Principal: "*", Action: "secretsmanager:GetSecretValue", Resource: "*" };
const denied = "AccessDeniedException";

test("a policy comes back as it was given, until it is deleted", async () => {
  const ResourcePolicy = ` ${policyOf(open)} `;
  const named = { ARN: arn, Name: "shared" };
  assert.deepEqual(await call("GetResourcePolicy", { SecretId: arn }), named);
  assert.deepEqual(await call("PutResourcePolicy", { SecretId: "shared", ResourcePolicy }), named);
  assert.deepEqual(await call("GetResourcePolicy", { SecretId: "shared" }), { ...named, ResourcePolicy });
  for (const _ of [1, 2]) assert.deepEqual(await call("DeleteResourcePolicy", { SecretId: "shared" }), named);
  assert.deepEqual(await call("GetResourcePolicy", { SecretId: arn }), named);
});

test("what is no policy of a secret", async () => {
  const put = (ResourcePolicy: string, more: object = {}) => outcome("PutResourcePolicy", { SecretId: "shared", ResourcePolicy, ...more });
  const nobody = { ...open, Principal: { AWS: `arn:aws:iam::${server.accountId}:user/nobody` } };
  for (const text of ["{", "[]", policyOf({ ...open, Principal: undefined }), policyOf(nobody)])
    assert.equal(await put(text), "MalformedPolicyDocumentException", text);
  const inOrganization = { StringEquals: { "aws:PrincipalAccount": foreign } };
  const anywhere = { StringLike: { "aws:PrincipalArn": "*" } };
  const cases: readonly (readonly [object, string])[] = [
    [open, "PublicPolicyException"],
    [{ ...open, Principal: { AWS: ["*"] } }, "PublicPolicyException"],
    [{ ...open, Condition: anywhere }, "PublicPolicyException"],
    [{ ...open, Condition: { StringNotEquals: { "aws:PrincipalAccount": foreign } } }, "PublicPolicyException"],
    [{ ...open, Condition: { Bool: { "aws:SecureTransport": "true" } } }, "PublicPolicyException"],
    [{ ...open, Condition: inOrganization }, "ok"],
    [{ ...open, Effect: "Deny" }, "ok"],
    [{ ...open, Principal: { AWS: foreign } }, "ok"],
  ];
  for (const [statement, expected] of cases)
    assert.equal(await put(policyOf(statement), { BlockPublicPolicy: true }), expected, JSON.stringify(statement));
  assert.equal(await put(policyOf(open)), "ok");
  await call("DeleteResourcePolicy", { SecretId: "shared" });
});

test("a policy is judged without being put", async () => {
  const fine = { ...open, Principal: { AWS: foreign } };
  const locking = { Effect: "Deny", Principal: "*", Action: "secretsmanager:*", Resource: "*" };
  const judge = async (statement: object, more: object = {}, credentials?: Credentials) => {
    const answer = await call("ValidateResourcePolicy", { ResourcePolicy: policyOf(statement), ...more }, credentials);
    const checks = (answer.ValidationErrors ?? []).map(({ CheckName }) => CheckName).join();
    return answer.__type ?? `${answer.PolicyValidationPassed} ${checks}`;
  };
  const nobody = { ...open, Principal: { AWS: `arn:aws:iam::${server.accountId}:user/nobody` } };
  const user = await makeUser("judge", [allow(["secretsmanager:ValidateResourcePolicy", "secretsmanager:PutResourcePolicy"], "*")]);
  for (const more of [{}, { SecretId: "shared" }, { SecretId: arn }]) {
    assert.equal(await judge(fine, more), "true ");
    assert.equal(await judge(open, more), "false PublicPolicy");
    assert.equal(await judge(locking, more, user), "false CallerLockout");
    assert.equal(await judge({ ...locking, Action: "secretsmanager:GetSecretValue" }, more, user), "true ");
    assert.equal(await judge(nobody, more), "MalformedPolicyDocumentException");
  }
  assert.equal((await call("ValidateResourcePolicy", { ResourcePolicy: "{" })).__type, "MalformedPolicyDocumentException");
  assert.equal(await judge(fine, { SecretId: "none" }), "ResourceNotFoundException");
  assert.equal(await judge(fine, { SecretId: "a b" }), "ValidationException");
  const half = await makeUser("half-judge", [allow("secretsmanager:ValidateResourcePolicy", "*")]);
  assert.equal(await judge(fine, { SecretId: "shared" }, half), denied);
  assert.equal((await call("GetResourcePolicy", { SecretId: "shared" })).ResourcePolicy, undefined);
});

test("policies of users", async () => {
  const read = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"];
  const byName = await makeUser("by-name", [allow(read, `arn:aws:secretsmanager:*:*:secret:shared-??????`)]);
  const byTag = await makeUser("by-tag", [allow(read, "*", { StringEquals: { "secretsmanager:ResourceTag/team": "a" } })]);
  const byGlobalTag = await makeUser("by-global-tag", [allow(read, "*", { StringEquals: { "aws:ResourceTag/team": "a" } })]);
  const otherTag = await makeUser("other-tag", [allow(read, "*", { StringEquals: { "secretsmanager:ResourceTag/team": "b" } })]);
  const previous = await makeUser("previous", [allow(read, "*", { StringEquals: { "secretsmanager:VersionStage": "AWSPREVIOUS" } })]);
  for (const credentials of [byName, byTag, byGlobalTag]) {
    assert.equal(await outcome("GetSecretValue", { SecretId: "shared" }, credentials), "ok");
    assert.equal(await outcome("PutSecretValue", { SecretId: "shared", SecretString: "t" }, credentials), denied);
  }
  for (const credentials of [otherTag, previous])
    assert.equal(await outcome("GetSecretValue", { SecretId: "shared" }, credentials), denied);
  assert.equal(await outcome("GetSecretValue", { SecretId: "shared", VersionStage: "AWSPREVIOUS" }, previous), "ResourceNotFoundException");
  // Whether a secret is there is told to those who may see it.
  assert.equal(await outcome("DescribeSecret", { SecretId: "hidden" }, byName), denied);
  const { message } = await call("DescribeSecret", { SecretId: "shared" }, otherTag);
  assert.match(
    message ?? "",
    /user\/other-tag is not authorized to perform: secretsmanager:DescribeSecret on resource: arn:aws:.*:secret:shared-[A-Za-z]{6}/,
  );
});

test("making secrets: by name, with tags", async () => {
  const create = allow("secretsmanager:CreateSecret", `arn:aws:secretsmanager:*:${server.accountId}:secret:mine/*`);
  const plain = await makeUser("maker", [create]);
  const exact = await makeUser("exact", [allow("secretsmanager:CreateSecret", `arn:aws:secretsmanager:*:*:secret:exact-??????`)]);
  const tagging = await makeUser("tagger", [
    create,
    allow("secretsmanager:TagResource", "*", {
      StringEquals: { "aws:RequestTag/team": "a" },
      "ForAllValues:StringEquals": { "aws:TagKeys": "team" },
    }),
  ]);
  const tagged = (value: string) => ({ Name: "mine/tagged", Tags: [{ Key: "team", Value: value }] });
  assert.equal(await outcome("CreateSecret", { Name: "mine/plain" }, plain), "ok");
  assert.equal(await outcome("CreateSecret", { Name: "yours/plain" }, plain), denied);
  assert.equal(await outcome("CreateSecret", { Name: "exact" }, exact), "ok");
  assert.equal(await outcome("CreateSecret", { Name: "exact2" }, exact), denied);
  assert.equal(await outcome("CreateSecret", tagged("a"), plain), denied);
  assert.equal(await outcome("CreateSecret", tagged("b"), tagging), denied);
  assert.equal(await outcome("CreateSecret", { ...tagged("a"), Tags: [...tagged("a").Tags, { Key: "x", Value: "" }] }, tagging), denied);
  assert.equal(await outcome("CreateSecret", tagged("a"), tagging), "ok");
});

test("a policy of the secret lets others in, or keeps its own out", async () => {
  const own = await makeUser("own", [allow("secretsmanager:ListSecrets", "*")]);
  const other = await makeUser("other", [allow("secretsmanager:*", "*")], foreign);
  const read = (credentials: Credentials) => outcome("GetSecretValue", { SecretId: arn }, credentials);
  assert.deepEqual([await read(own), await read(other)], [denied, denied]);
  const names = [`arn:aws:iam::${server.accountId}:user/own`, `arn:aws:iam::${foreign}:root`];
  const put = (...statements: readonly object[]) =>
    outcome("PutResourcePolicy", { SecretId: arn, ResourcePolicy: policyOf(...statements), BlockPublicPolicy: true });
  assert.equal(await put({ ...open, Principal: { AWS: names } }), "ok");
  assert.deepEqual([await read(own), await read(other)], ["ok", "ok"]);
  assert.equal(await outcome("GetSecretValue", { SecretId: "shared" }, other), "ResourceNotFoundException");
  assert.equal(await outcome("DescribeSecret", { SecretId: arn }, other), denied);
  assert.equal(await put({ ...open, Effect: "Deny", Principal: { AWS: names[0] } }), "ok");
  assert.deepEqual([await read(own), await read(other)], [denied, denied]);
});
