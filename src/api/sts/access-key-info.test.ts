import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DecodeAuthorizationMessageCommand } from "@aws-sdk/client-sts";
import type { DecodedMessage } from "#access/authorization-message.ts";
import { authorizationMessageHeader } from "#access/authorization-message.ts";
import { resetRootKey } from "#access/root-key.ts";
import { putRepositoryPolicy } from "#metadata/resource-policies.ts";
import type { Answer } from "../../../test/registry-server.ts";
import { callEcr, callQuery } from "../../../test/signed-call.ts";
import { allowing, startStsServer } from "../../../test/sts-fixture.ts";
import type { SigningKey, StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let auditor: SigningKey;
let bob: SigningKey & { readonly arn: string; readonly uniqueId: string };
let arn: string;
const invalid = { name: "InvalidAuthorizationMessageException", message: "The message is not a valid authorization message." };

before(async () => {
  sts = await startStsServer();
  const { server } = sts;
  auditor = await sts.addUser({ name: "auditor", inline: [allowing(["sts:DecodeAuthorizationMessage"])] });
  const noDelete = { Sid: "NoDelete", Effect: "Deny", Action: "ecr:BatchDeleteImage", Resource: "*" };
  bob = await sts.addUser({ name: "bob", inline: [noDelete, allowing(["ecr:GetAuthorizationToken", "ecr:BatchGetImage"])] });
  arn = `arn:aws:ecr:${server.region}:${server.accountId}:repository/app`;
  await server.createRepository("app", { resourceTags: { team: "red" } });
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
});

function messageOf(answer: Answer): string {
  return String(answer.headers[authorizationMessageHeader] ?? assert.fail(`no message: ${answer.status} ${answer.body.toString()}`));
}

async function decode(message: string, key: SigningKey = auditor): Promise<DecodedMessage> {
  const { DecodedMessage: text = "" } = await sts.client(key).send(new DecodeAuthorizationMessageCommand({ EncodedMessage: message }));
  return JSON.parse(text) as DecodedMessage;
}

const valueOf = (decoded: DecodedMessage, name: string): string | undefined =>
  decoded.context.conditions.items.find(({ key }) => key === name)?.values.items[0]?.value;

async function passwordOf(key: SigningKey): Promise<string> {
  const answer = await callEcr(sts.server, "GetAuthorizationToken", {}, { credentials: key });
  return `Basic ${answer.json<{ authorizationData: [{ authorizationToken: string }] }>().authorizationData[0].authorizationToken}`;
}

test("a denied call of a JSON API can be explained", async () => {
  const answer = await callEcr(sts.server, "DeleteRepository", { repositoryName: "app" }, { credentials: bob });
  assert.equal(answer.status, 400);
  assert.doesNotMatch(answer.body.toString(), /encoded/i);
  const decoded = await decode(messageOf(answer));
  assert.deepEqual(decoded.context.principal, { id: bob.uniqueId, name: "bob", arn: bob.arn });
  assert.deepEqual([decoded.context.action, decoded.context.resource], ["ecr:DeleteRepository", arn]);
  assert.deepEqual([decoded.explicitDeny, decoded.missing.items], [false, [{ value: "identity" }]]);
  assert.equal(valueOf(decoded, "aws:resourcetag/team"), "red");
  assert.equal(valueOf(decoded, "aws:sourceip"), "127.0.0.1");
});

test("so can a denied request of docker, with the statement that denied it", async () => {
  const authorization = await passwordOf(bob);
  for (const method of ["PUT", "DELETE", "HEAD"]) {
    const path = method === "HEAD" ? "blobs/sha256:".padEnd(77, "0") : "manifests/latest";
    const answer = await sts.server.request(method, `/v2/app/${path}`, { authorization });
    assert.equal(answer.status, 403);
    const decoded = await decode(messageOf(answer));
    assert.equal(decoded.context.principal.arn, bob.arn);
    const denying = decoded.matchedStatements.items.map(({ statementId, effect }) => [statementId, effect]);
    assert.deepEqual(denying, method === "DELETE" ? [["NoDelete", "DENY"]] : []);
  }
  const catalog = await sts.server.request("GET", "/v2/_catalog", { authorization });
  assert.equal((await decode(messageOf(catalog))).context.action, "ecr:DescribeRepositories");
  assert.equal(
    (await sts.server.request("GET", "/v2/app/manifests/none", { authorization })).headers[authorizationMessageHeader],
    undefined,
  );
});

test("and one of a Query API, and what no policy could allow", async () => {
  const denied = await callQuery(sts.server, "Action=ListUsers&Version=2010-05-08", { service: "iam", credentials: bob });
  assert.equal(denied.status, 403);
  assert.equal((await decode(messageOf(denied))).context.action, "iam:ListUsers");
  const trust = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=session&RoleArn=";
  const role = await callQuery(sts.server, `${trust}arn:aws:iam::${sts.server.accountId}:role/None`, { credentials: bob });
  assert.deepEqual((await decode(messageOf(role))).missing.items, [{ value: "identity" }, { value: "trust" }]);
  // Nobody owns this, and it is still bob's own denial.
  const odd = await callQuery(sts.server, `${trust}arn:aws:iam::${"9".repeat(1_000)}:role/None`, { credentials: bob });
  assert.notEqual(odd.status, 500);
});

test("the accounts of the caller and of the resource may read it, and no other", async () => {
  const { server } = sts;
  const { metadata, clock } = server.core;
  const [foreign, third] = ["210987654321", "310987654321"];
  const rootOf = async (accountId: string): Promise<SigningKey> => resetRootKey({ ...server.core, accountId });
  const [theirs, strangers] = [await rootOf(foreign), await rootOf(third)];
  await putRepositoryPolicy(metadata, {
    key: { accountId: server.accountId, region: server.region, name: "app" },
    document: JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Deny", Principal: "*", Action: "ecr:BatchGetImage" }] }),
    principals: {},
    author: { principalArn: "test", requestId: "test", now: clock.now() },
  });
  const answer = await callEcr(
    server,
    "BatchGetImage",
    { registryId: server.accountId, repositoryName: "app", imageIds: [{ imageTag: "a" }] },
    { credentials: theirs },
  );
  const message = messageOf(answer);
  const full = await decode(message);
  assert.deepEqual([full.explicitDeny, full.matchedStatements.items.length, valueOf(full, "aws:resourcetag/team")], [true, 1, "red"]);
  const half = await decode(message, theirs);
  assert.deepEqual([half.explicitDeny, half.matchedStatements.items.length, valueOf(half, "aws:resourcetag/team")], [true, 0, undefined]);
  await assert.rejects(decode(message, strangers), invalid);
});

test("without the permission nothing is decoded, and garbage is none of ours", async () => {
  await assert.rejects(decode("abcd", bob), { name: "AccessDenied", message: /sts:DecodeAuthorizationMessage/ });
  await assert.rejects(decode("abcd"), invalid);
  const answer = await callQuery(sts.server, "Action=DecodeAuthorizationMessage&Version=2011-06-15&EncodedMessage=abcd");
  assert.equal(answer.status, 400);
  assert.match(answer.body.toString(), /<Code>InvalidAuthorizationMessageException<\/Code>/);
});
