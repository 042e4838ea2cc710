import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import type { IamAnswer, IamParameters } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const ann = `arn:aws:iam::${account}:user/team/ann`;

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreateUser", { UserName: "ann", Path: "/team/" });
  await iam(server, "CreateGroup", { GroupName: "builders" });
  await iam(server, "AddUserToGroup", { GroupName: "builders", UserName: "ann" });
  const put = { UserName: "ann", PolicyName: "own", PolicyDocument: asking("aws:SourceIp") };
  await iam(server, "PutUserPolicy", put);
  await iam(server, "PutGroupPolicy", { GroupName: "builders", PolicyName: "p", PolicyDocument: asking("aws:PrincipalTag/Team") });
  await iam(server, "AttachUserPolicy", { UserName: "ann", PolicyArn: "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess" });
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** A document whose one condition asks for that key. */
function asking(key: string): string {
  return iamDocument({ Effect: "Allow", Action: "ecr:*", Resource: "*", Condition: { StringLike: { [key]: "x" } } });
}

function policies(...documents: readonly string[]): IamParameters {
  return Object.fromEntries(documents.map((document, index) => [`PolicyInputList.member.${index + 1}`, document]));
}

function keysOf(answer: IamAnswer): readonly string[] {
  return [...(answer.first("ContextKeyNames") ?? "").matchAll(/<member>(.*?)<\/member>/g)].map((match) => match[1] ?? "").toSorted();
}

test("keys of documents: of conditions and of variables, each once", async () => {
  const variable = iamDocument({ Effect: "Allow", Action: "s3:*", Resource: "arn:aws:s3:::b/${aws:username}/*" });
  const custom = (...documents: string[]) => iam(server, "GetContextKeysForCustomPolicy", policies(...documents)).then(keysOf);
  assert.deepEqual(await custom(asking("aws:SourceIp"), asking("AWS:sourceip"), variable), ["AWS:sourceip", "aws:username"]);
  assert.deepEqual(await custom(iamDocument({ Effect: "Allow", Action: "*", Resource: "*" })), []);
  assert.deepEqual(await custom(trustIn("*", "sts:AssumeRole", { StringEquals: { "sts:ExternalId": "1" } })), ["sts:ExternalId"]);
  const broken = await callIam(server, "GetContextKeysForCustomPolicy", policies(asking("a:b"), "{"));
  assert.equal(broken.code, "InvalidInput");
  assert.match(broken.message, /^PolicyInputList\.2: /);
});

test("keys of what a principal has, and of what is given beside it", async () => {
  const of = (parameters: IamParameters) => iam(server, "GetContextKeysForPrincipalPolicy", parameters).then(keysOf);
  const own = ["aws:PrincipalTag/Team", "aws:SourceIp", "iam:AWSServiceName"];
  assert.deepEqual(await of({ PolicySourceArn: ann }), own);
  assert.deepEqual(await of({ PolicySourceArn: ann, ...policies(asking("aws:userid")) }), [...own, "aws:userid"].toSorted());
  assert.deepEqual(await of({ PolicySourceArn: `arn:aws:iam::${account}:group/builders` }), ["aws:PrincipalTag/Team"]);
  const cases: readonly (readonly [string, string])[] = [
    [`arn:aws:iam::${account}:user/team/bob`, "NoSuchEntity"],
    [`arn:aws:iam::${account}:policy/none`, "InvalidInput"],
  ];
  for (const [PolicySourceArn, code] of cases)
    assert.equal((await callIam(server, "GetContextKeysForPrincipalPolicy", { PolicySourceArn })).code, code);
});

test("what others may do is told to those who may ask", async () => {
  const key = await makeIamUser(server, "asker", [{ Effect: "Allow", Action: "iam:GetContextKeysForPrincipalPolicy", Resource: ann }]);
  await iam(server, "GetContextKeysForPrincipalPolicy", { PolicySourceArn: ann }, key);
  const group = { PolicySourceArn: `arn:aws:iam::${account}:group/builders` };
  assert.equal((await callIam(server, "GetContextKeysForPrincipalPolicy", group, key)).code, "AccessDenied");
  assert.equal((await callIam(server, "GetContextKeysForCustomPolicy", policies(asking("a:b")), key)).code, "AccessDenied");
});
