import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { allowing } from "../../../test/sts-fixture.ts";

let server: RegistryServer;
const account = "arn:aws:iam::123456789012";

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const call: (action: string, input?: Record<string, string>) => ReturnType<typeof callIam> = (action, input) =>
  callIam(server, action, input);
const must: typeof call = (action, input) => iam(server, action, input);

async function refused(action: string, input: Record<string, string>): Promise<readonly unknown[]> {
  const { status, code, message } = await call(action, input);
  return [status, code, message];
}

test("a user is made, shown, moved, renamed and deleted", async () => {
  const tags = { "Tags.member.1.Key": "team", "Tags.member.1.Value": "a b" };
  const boundary = "arn:aws:iam::aws:policy/AdministratorAccess";
  const made = await must("CreateUser", { UserName: "Alice", Path: "/dev/", PermissionsBoundary: boundary, ...tags });
  const id = made.first("UserId") ?? "";
  assert.match(id, /^AIDA[A-Z2-7]{17}$/);
  assert.match(made.first("CreateDate") ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const shown = await must("GetUser", { UserName: "alice" });
  for (const { xml, first } of [made, shown]) {
    const names = ["UserName", "Path", "UserId", "Arn", "Key", "Value", "PermissionsBoundaryArn", "PermissionsBoundaryType"];
    const expected = ["Alice", "/dev/", id, `${account}:user/dev/Alice`, "team", "a b", boundary, "PermissionsBoundaryPolicy"];
    assert.deepEqual(names.map(first), expected, xml);
  }
  assert.deepEqual(await refused("CreateUser", { UserName: "ALICE" }), [
    409,
    "EntityAlreadyExists",
    "User with name ALICE already exists.",
  ]);
  const moved = await must("UpdateUser", { UserName: "Alice", NewUserName: "alicia", NewPath: "/ops/" });
  assert.doesNotMatch(moved.xml, /UpdateUserResult/);
  const found = await must("GetUser", { UserName: "Alicia" });
  assert.deepEqual([found.first("Arn"), found.first("UserId"), found.first("Key")], [`${account}:user/ops/alicia`, id, "team"]);
  assert.deepEqual(await refused("GetUser", { UserName: "Alice" }), [404, "NoSuchEntity", "The user with name Alice cannot be found."]);
  await must("CreateUser", { UserName: "bob" });
  assert.equal((await call("UpdateUser", { UserName: "bob", NewUserName: "ALICIA" })).code, "EntityAlreadyExists");
  assert.equal((await call("UpdateUser", { UserName: "nobody", NewUserName: "x" })).code, "NoSuchEntity");
  for (const UserName of ["bob", "alicia"]) await must("DeleteUser", { UserName });
  assert.equal((await call("DeleteUser", { UserName: "bob" })).code, "NoSuchEntity");
});

test("what cannot be a user is refused with AWS's words", async () => {
  const twice = { "Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "Tags.member.2.Key": "A", "Tags.member.2.Value": "2" };
  const missing = `${account}:policy/none`;
  const cases: readonly (readonly [Record<string, string>, string, RegExp])[] = [
    [{ UserName: "a b" }, "ValidationError", /regular expression/],
    [{ UserName: "x".repeat(65) }, "ValidationError", /length less than or equal to 64/],
    [{ UserName: "x", Path: "dev" }, "ValidationError", /path/],
    [{ UserName: "x", ...twice }, "InvalidInput", /^Duplicate tag keys found\. Please note that Tag keys are case insensitive\.$/],
    [{ UserName: "x", PermissionsBoundary: missing }, "NoSuchEntity", /policy\/none/],
    [{ UserName: "x", PermissionsBoundary: "arn:aws:iam::aws:policy/Nothing" }, "NoSuchEntity", /policy\/Nothing/],
    [{ UserName: "x", PermissionsBoundary: `${account}:role/some-role` }, "InvalidInput", /not valid/],
  ];
  for (const [input, code, message] of cases) {
    const answer = await call("CreateUser", input);
    assert.equal(answer.code, code, answer.xml);
    assert.match(answer.message ?? "", message);
  }
  assert.equal((await call("GetUser", { UserName: "x" })).code, "NoSuchEntity");
});

test("users are listed by name, page by page, by their paths", async () => {
  const users = ["zoe", "Yann", "xavier", "w_1", "wA1"];
  for (const UserName of users) await must("CreateUser", { UserName, Path: UserName.startsWith("w") ? "/w_/" : "/list/" });
  const seen: string[] = [];
  let marker: string | undefined;
  do {
    const input: Record<string, string> = { MaxItems: "2", PathPrefix: "/list", ...(marker !== undefined && { Marker: marker }) };
    const page = await must("ListUsers", input);
    seen.push(...page.all("UserName"));
    marker = page.first("Marker");
    assert.equal(page.first("IsTruncated"), String(marker !== undefined));
    assert.doesNotMatch(page.xml, /<Tags>/);
  } while (marker !== undefined);
  assert.deepEqual(seen, ["xavier", "Yann", "zoe"]);
  assert.deepEqual((await must("ListUsers", { PathPrefix: "/w_/" })).all("UserName"), ["wA1", "w_1"].toSorted(compareFolded));
  assert.deepEqual((await must("ListUsers", { PathPrefix: "/nothing/" })).all("UserName"), []);
  assert.equal((await call("ListUsers", { Marker: "nonsense" })).message, "Invalid Marker.");
  const first = await must("ListUsers", { MaxItems: "1" });
  assert.equal((await call("ListUsers", { Marker: first.first("Marker") ?? "", PathPrefix: "/list" })).code, "ValidationError");
  for (const UserName of users) await must("DeleteUser", { UserName });
});

function compareFolded(left: string, right: string): number {
  return left.toLowerCase() < right.toLowerCase() ? -1 : 1;
}

test("tags are one without regard to case, and fifty at most", async () => {
  await must("CreateUser", { UserName: "tagged" });
  const member = (at: number, key: string, value: string) => ({ [`Tags.member.${at}.Key`]: key, [`Tags.member.${at}.Value`]: value });
  await must("TagUser", { UserName: "tagged", ...member(1, "Team", "a"), ...member(2, "cost", "1") });
  await must("TagUser", { UserName: "tagged", ...member(1, "team", "b") });
  const page = await must("ListUserTags", { UserName: "tagged", MaxItems: "1" });
  assert.deepEqual([page.all("Key"), page.first("IsTruncated")], [["cost"], "true"]);
  const rest = await must("ListUserTags", { UserName: "tagged", Marker: page.first("Marker") ?? "" });
  assert.deepEqual([rest.all("Key"), rest.all("Value"), rest.first("Marker")], [["team"], ["b"], undefined]);
  await must("UntagUser", { UserName: "tagged", "TagKeys.member.1": "TEAM", "TagKeys.member.2": "none" });
  assert.deepEqual((await must("ListUserTags", { UserName: "tagged" })).all("Key"), ["cost"]);
  const many = Object.assign({}, ...Array.from({ length: 50 }, (_, at) => member(at + 1, `k${at}`, "v"))) as Record<string, string>;
  assert.equal((await call("TagUser", { UserName: "tagged", ...many })).code, "LimitExceeded");
  for (const [action, input] of [
    ["TagUser", member(1, "a", "b")],
    ["UntagUser", { "TagKeys.member.1": "a" }],
    ["ListUserTags", {}],
  ] as const)
    assert.equal((await call(action, { UserName: "nobody", ...input })).code, "NoSuchEntity", action);
  await must("DeleteUser", { UserName: "tagged" });
});

test("without a name the caller is meant", async () => {
  const root = await must("GetUser");
  assert.deepEqual([root.first("UserId"), root.first("Arn"), root.first("UserName")], ["123456789012", `${account}:root`, undefined]);
  const key = await makeIamUser(server, "self", [allowing(["iam:GetUser"], `${account}:user/self`)]);
  assert.equal((await iam(server, "GetUser", {}, key)).first("UserName"), "self");
  const other = await callIam(server, "GetUser", { UserName: "other" }, key);
  const denial = `User: ${account}:user/self is not authorized to perform: iam:GetUser on resource: user other because no identity-based policy allows the iam:GetUser action`;
  assert.deepEqual([other.status, other.code, other.message], [403, "AccessDenied", denial]);
});

test("permissions reach as far as paths, tags and boundaries in their conditions", async () => {
  const limits = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
  const admin = await makeIamUser(server, "admin", [
    allowing(["iam:CreateUser", "iam:UpdateUser", "iam:DeleteUser", "iam:ListUsers"], `${account}:user/dev/*`),
  ]);
  const deny = (Action: string, Condition: object) => {
    const document = iamDocument({ Effect: "Deny", Action, Resource: "*", Condition });
    return must("PutUserPolicy", { UserName: "admin", PolicyName: "denied", PolicyDocument: document });
  };
  const as = (action: string, input: Record<string, string>) => callIam(server, action, input, admin);
  const codeOf = async (action: string, input: Record<string, string>) => (await as(action, input)).code;
  assert.equal(await codeOf("CreateUser", { UserName: "d1", Path: "/dev/" }), undefined);
  assert.equal(await codeOf("CreateUser", { UserName: "d2" }), "AccessDenied");
  assert.equal(await codeOf("ListUsers", { PathPrefix: "/dev/" }), undefined);
  assert.equal(await codeOf("ListUsers", {}), "AccessDenied");
  assert.equal(await codeOf("UpdateUser", { UserName: "d1", NewPath: "/ops/" }), "AccessDenied");
  assert.equal(await codeOf("UpdateUser", { UserName: "d1", NewPath: "/dev/x/" }), undefined);
  const tag = { "Tags.member.1.Key": "team", "Tags.member.1.Value": "a" };
  assert.match((await as("CreateUser", { UserName: "d3", Path: "/dev/", ...tag })).message ?? "", /iam:TagUser/);
  await deny("iam:CreateUser", { StringNotLike: { "iam:PermissionsBoundary": limits } });
  assert.equal(await codeOf("CreateUser", { UserName: "d4", Path: "/dev/" }), "AccessDenied");
  assert.equal(await codeOf("CreateUser", { UserName: "d4", Path: "/dev/", PermissionsBoundary: limits }), undefined);
  await must("TagUser", { UserName: "d4", ...tag });
  await deny("iam:DeleteUser", { StringEquals: { "iam:ResourceTag/team": "a", "aws:ResourceTag/team": "a" } });
  assert.equal(await codeOf("DeleteUser", { UserName: "d4" }), "AccessDenied");
  assert.equal(await codeOf("DeleteUser", { UserName: "d1" }), undefined);
});

test("who is no user has to name one", async () => {
  const role = { RoleName: "robot", AssumeRolePolicyDocument: trustIn({ AWS: "123456789012" }) };
  const arn = (await must("CreateRole", role)).first("Arn") ?? "";
  await must("PutRolePolicy", { RoleName: "robot", PolicyName: "p", PolicyDocument: iamDocument(allowing(["iam:*"])) });
  const user = await makeIamUser(server, "assumer", [allowing(["sts:AssumeRole"])]);
  const client = new STSClient({ endpoint: server.url, region: server.region, credentials: user, maxAttempts: 1 });
  const { Credentials: session } = await client.send(new AssumeRoleCommand({ RoleArn: arn, RoleSessionName: "session" }));
  client.destroy();
  const { AccessKeyId: accessKeyId = "", SecretAccessKey: secretAccessKey = "", SessionToken: sessionToken = "" } = session ?? {};
  const key = { accessKeyId, secretAccessKey, sessionToken };
  const text = "Must specify userName when calling with non-User credentials";
  for (const action of ["GetUser", "ListAccessKeys", "CreateAccessKey", "GetLoginProfile"]) {
    const { code, message } = await callIam(server, action, {}, key);
    assert.deepEqual([code, message], ["ValidationError", text], action);
  }
  assert.equal((await callIam(server, "GetUser", { UserName: "assumer" }, key)).status, 200);
});
