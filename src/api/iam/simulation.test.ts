import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import type { IamParameters } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const alice = `arn:aws:iam::${account}:user/team/alice`;
const repository = `arn:aws:ecr:eu-central-1:${account}:repository/app`;
const push = { Effect: "Allow", Action: "ecr:PutImage", Resource: "*" };

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreateUser", { UserName: "alice", Path: "/team/", "Tags.member.1.Key": "Team", "Tags.member.1.Value": "a" });
  await iam(server, "CreateGroup", { GroupName: "builders" });
  await iam(server, "AddUserToGroup", { GroupName: "builders", UserName: "alice" });
  await iam(server, "PutGroupPolicy", { GroupName: "builders", PolicyName: "push", PolicyDocument: iamDocument(push) });
  await iam(server, "AttachUserPolicy", { UserName: "alice", PolicyArn: "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly" });
  await iam(server, "CreatePolicy", {
    PolicyName: "keys",
    PolicyDocument: iamDocument({
      Effect: "Allow",
      Action: "kms:*",
      Resource: "*",
      Condition: { StringEquals: { "aws:PrincipalTag/Team": "a" } },
    }),
  });
  await iam(server, "AttachUserPolicy", { UserName: "alice", PolicyArn: `arn:aws:iam::${account}:policy/keys` });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** A list as forms have it. */
function list(name: string, values: readonly string[]): IamParameters {
  return Object.fromEntries(values.map((value, index) => [`${name}.member.${index + 1}`, value]));
}

async function decisions(operation: string, parameters: IamParameters): Promise<readonly (string | undefined)[]> {
  const answer = await iam(server, operation, parameters);
  const actions = answer.all("EvalActionName");
  const decided = answer.all("EvalDecision");
  return actions.map((action, index) => `${action} ${decided[index]}`);
}

test("policies that nobody has are tried out, and the statement that decides is pointed at", async () => {
  const document =
    '{\n  "Version": "2012-10-17",\n  "Statement": [\n    {\n      "Effect": "Allow",\n      "Action": "ecr:*",\n      "Resource": "*"\n    }\n  ]\n}';
  const answer = await iam(server, "SimulateCustomPolicy", {
    ...list("PolicyInputList", [document]),
    ...list("ActionNames", ["ecr:PutImage", "s3:GetObject"]),
  });
  assert.deepEqual(answer.all("EvalDecision"), ["allowed", "implicitDeny"]);
  assert.deepEqual(answer.all("EvalResourceName"), ["*", "*"]);
  assert.ok(
    answer.xml.includes(
      "<MatchedStatements><member><SourcePolicyId>PolicyInputList.1</SourcePolicyId><SourcePolicyType>none</SourcePolicyType><StartPosition><Line>3</Line><Column>17</Column></StartPosition><EndPosition><Line>8</Line><Column>6</Column></EndPosition></member></MatchedStatements>",
    ),
    answer.xml,
  );
  assert.doesNotMatch(answer.xml, /ResourceSpecificResults|PermissionsBoundaryDecisionDetail|EvalDecisionDetails/);
});

test("resources, context, boundaries and policies of resources take part", async () => {
  const conditional = iamDocument({
    ...push,
    Condition: { "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b"] }, Null: { "aws:TagKeys": "false" } },
  });
  const asked = {
    ...list("PolicyInputList", [conditional]),
    ...list("ActionNames", ["ecr:PutImage"]),
    ...list("ResourceArns", [repository]),
  };
  const missing = await iam(server, "SimulateCustomPolicy", asked);
  assert.deepEqual([missing.first("EvalDecision"), missing.first("EvalResourceDecision")], ["implicitDeny", "implicitDeny"]);
  assert.match(missing.xml, /<MissingContextValues><member>aws:TagKeys<\/member><\/MissingContextValues>/);
  const entry = { "ContextEntries.member.1.ContextKeyName": "aws:TagKeys", "ContextEntries.member.1.ContextKeyType": "stringList" };
  const given = { ...asked, ...entry, ...list("ContextEntries.member.1.ContextKeyValues", ["a", "b"]) };
  const bounded = (statement: object) =>
    iam(server, "SimulateCustomPolicy", { ...given, ...list("PermissionsBoundaryPolicyInputList", [iamDocument(statement)]) });
  assert.deepEqual(["EvalDecision", "AllowedByPermissionsBoundary"].map((await bounded(push)).first), ["allowed", "true"]);
  assert.deepEqual(["EvalDecision", "AllowedByPermissionsBoundary"].map((await bounded({ ...push, Action: "s3:*" })).first), [
    "implicitDeny",
    "false",
  ]);
  const resourcePolicy = iamDocument({ Effect: "Deny", Principal: { AWS: alice }, Action: "ecr:*", Resource: "*" });
  const denied = await iam(server, "SimulateCustomPolicy", { ...given, ResourcePolicy: resourcePolicy, CallerArn: alice });
  assert.deepEqual(["EvalDecision", "SourcePolicyType"].map(denied.first), ["explicitDeny", "resource"]);
  const foreign = await iam(server, "SimulateCustomPolicy", {
    ...given,
    ...list("ResourceArns", ["arn:aws:ecr:eu-central-1:210987654321:repository/app"]),
  });
  assert.match(
    foreign.xml,
    /<key>IAM Policy<\/key><value>allowed<\/value><\/entry><entry><key>Resource Policy<\/key><value>implicitDeny<\/value>/,
  );
});

test("a principal brings its own policies, those of its groups, its boundary and its tags", async () => {
  const asked = { PolicySourceArn: alice, ...list("ActionNames", ["ecr:PutImage", "ecr:BatchGetImage", "kms:Encrypt", "iam:ListUsers"]) };
  const answer = await iam(server, "SimulatePrincipalPolicy", asked);
  assert.deepEqual(answer.all("EvalDecision"), ["allowed", "allowed", "allowed", "implicitDeny"]);
  assert.deepEqual(answer.all("SourcePolicyId"), ["group_builders_push", "AmazonEC2ContainerRegistryPullOnly", "keys"]);
  assert.deepEqual(answer.all("SourcePolicyType"), ["group", "aws-managed", "user-managed"]);
  const more = list("PolicyInputList", [iamDocument({ ...push, Action: "iam:List*" })]);
  assert.deepEqual((await decisions("SimulatePrincipalPolicy", { ...asked, ...more })).at(-1), "iam:ListUsers allowed");
  await iam(server, "PutUserPermissionsBoundary", {
    UserName: "alice",
    PermissionsBoundary: "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser",
  });
  assert.deepEqual(await decisions("SimulatePrincipalPolicy", asked), [
    "ecr:PutImage implicitDeny",
    "ecr:BatchGetImage implicitDeny",
    "kms:Encrypt implicitDeny",
    "iam:ListUsers implicitDeny",
  ]);
  const instead = list("PermissionsBoundaryPolicyInputList", [iamDocument({ ...push, Action: "ecr:*" })]);
  assert.deepEqual((await decisions("SimulatePrincipalPolicy", { ...asked, ...instead }))[0], "ecr:PutImage allowed");
  await iam(server, "DeleteUserPermissionsBoundary", { UserName: "alice" });
  assert.deepEqual(await decisions("SimulatePrincipalPolicy", { ...asked, PolicySourceArn: `arn:aws:iam::${account}:group/builders` }), [
    "ecr:PutImage allowed",
    "ecr:BatchGetImage implicitDeny",
    "kms:Encrypt implicitDeny",
    "iam:ListUsers implicitDeny",
  ]);
});

test("a policy of a resource that trusts a role reaches its sessions", async () => {
  await iam(server, "CreateRole", { RoleName: "deployer", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
  const role = `arn:aws:iam::${account}:role/deployer`;
  const ResourcePolicy = iamDocument({ Effect: "Allow", Principal: { AWS: role }, Action: "ecr:*", Resource: "*" });
  const asked = { PolicySourceArn: role, ResourcePolicy, ...list("ActionNames", ["ecr:PutImage"]), ...list("ResourceArns", [repository]) };
  assert.equal((await callIam(server, "SimulatePrincipalPolicy", asked)).code, "InvalidInput");
  assert.deepEqual(await decisions("SimulatePrincipalPolicy", { ...asked, CallerArn: role }), ["ecr:PutImage allowed"]);
  assert.deepEqual(await decisions("SimulatePrincipalPolicy", { ...asked, CallerArn: alice }), ["ecr:PutImage implicitDeny"]);
});

test("long answers come in pages", async () => {
  const asked = { PolicySourceArn: alice, ...list("ActionNames", ["ecr:A", "ecr:B", "ecr:C"]), ...list("ResourceArns", [repository, "*"]) };
  const page = await iam(server, "SimulatePrincipalPolicy", { ...asked, MaxItems: "4" });
  assert.deepEqual([page.all("EvalActionName"), page.first("IsTruncated")], [["ecr:A", "ecr:A", "ecr:B", "ecr:B"], "true"]);
  const rest = await iam(server, "SimulatePrincipalPolicy", { ...asked, Marker: page.first("Marker") ?? "" });
  assert.deepEqual([rest.all("EvalActionName"), rest.first("IsTruncated")], [["ecr:C", "ecr:C"], "false"]);
});

test("questions that make no sense are refused, and asking about others is a permission", async () => {
  const asked = { ...list("PolicyInputList", [iamDocument(push)]), ...list("ActionNames", ["ecr:PutImage"]) };
  const cases: readonly (readonly [string, IamParameters, string])[] = [
    ["SimulateCustomPolicy", { ...asked, ...list("ActionNames", ["ecr:*"]) }, "InvalidInput"],
    ["SimulateCustomPolicy", { ...asked, ...list("ResourceArns", ["app"]) }, "InvalidInput"],
    ["SimulateCustomPolicy", { ...asked, ...list("PolicyInputList", ["{}"]) }, "InvalidInput"],
    ["SimulateCustomPolicy", { ...asked, CallerArn: `arn:aws:iam::${account}:root` }, "InvalidInput"],
    ["SimulateCustomPolicy", { ...asked, ResourceOwner: "somebody" }, "InvalidInput"],
    ["SimulateCustomPolicy", { ...asked, ResourcePolicy: iamDocument({ ...push, Principal: "*" }) }, "InvalidInput"],
    [
      "SimulateCustomPolicy",
      { ...asked, ...list("PermissionsBoundaryPolicyInputList", [iamDocument(push), iamDocument(push)]) },
      "InvalidInput",
    ],
    [
      "SimulateCustomPolicy",
      {
        ...asked,
        "ContextEntries.member.1.ContextKeyName": "aws:username",
        ...list("ContextEntries.member.1.ContextKeyValues", ["a", "b"]),
      },
      "InvalidInput",
    ],
    ["SimulatePrincipalPolicy", { ...asked, PolicySourceArn: `arn:aws:iam::${account}:user/none` }, "NoSuchEntity"],
    ["SimulatePrincipalPolicy", { ...asked, PolicySourceArn: `arn:aws:iam::${account}:user/alice` }, "NoSuchEntity"],
    ["SimulatePrincipalPolicy", { ...asked, PolicySourceArn: `arn:aws:iam::${account}:policy/keys` }, "InvalidInput"],
  ];
  for (const [operation, parameters, code] of cases)
    assert.equal((await callIam(server, operation, parameters)).code, code, JSON.stringify(parameters));
  const self = `arn:aws:iam::${account}:user/curious`;
  const key = await makeIamUser(server, "curious", [{ Effect: "Allow", Action: "iam:SimulatePrincipalPolicy", Resource: self }]);
  assert.equal((await callIam(server, "SimulatePrincipalPolicy", { ...asked, PolicySourceArn: self }, key)).status, 200);
  assert.equal((await callIam(server, "SimulatePrincipalPolicy", { ...asked, PolicySourceArn: alice }, key)).status, 403);
});

test("a simulation says what a request would be told", async () => {
  const statements = [
    { Effect: "Allow", Action: ["iam:Get*", "iam:CreateGroup"], Resource: "*" },
    { Effect: "Deny", Action: "iam:GetRole", Resource: "*" },
  ];
  const key = await makeIamUser(server, "tester", statements);
  const calls: readonly (readonly [string, IamParameters, string])[] = [
    ["GetUser", { UserName: "alice" }, alice],
    ["GetRole", { RoleName: "none" }, `arn:aws:iam::${account}:role/none`],
    ["CreateGroup", { GroupName: "made" }, `arn:aws:iam::${account}:group/made`],
    ["ListUsers", {}, "*"],
  ];
  for (const [operation, parameters, resource] of calls) {
    const asked = {
      PolicySourceArn: `arn:aws:iam::${account}:user/tester`,
      ...list("ActionNames", [`iam:${operation}`]),
      ...list("ResourceArns", [resource]),
    };
    const simulated = (await iam(server, "SimulatePrincipalPolicy", asked)).first("EvalDecision") === "allowed";
    const real = (await callIam(server, operation, parameters, key)).code !== "AccessDenied";
    assert.equal(simulated, real, operation);
  }
});
