import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const account = "123456789012";
const root = { AWS: `arn:aws:iam::${account}:root` };
const gitHub = { Federated: `arn:aws:iam::${account}:oidc-provider/token.actions.githubusercontent.com` };

/** The trust policy of a role as GetRole shows it. */
async function trustOf(name: string): Promise<string> {
  return decodeURIComponent((await iam(server, "GetRole", { RoleName: name })).first("AssumeRolePolicyDocument") ?? "");
}

async function makeRole(name: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
  await iam(server, "CreateRole", { RoleName: name, AssumeRolePolicyDocument: trustIn(root), ...more });
}

test("a role is shown as it was made, with its document as it was given", async () => {
  const document = `{ "Version": "2012-10-17",\n "Statement": {"Effect":"Allow","Principal":{"AWS":"${account}"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"a+b (c)"}}} }`;
  const made = await iam(server, "CreateRole", {
    RoleName: "Full",
    Path: "/team/a/",
    AssumeRolePolicyDocument: document,
    Description: "what it is for",
    MaxSessionDuration: "7200",
    PermissionsBoundary: "arn:aws:iam::aws:policy/PowerUserAccess",
    "Tags.member.1.Key": "Team",
    "Tags.member.1.Value": "a",
  });
  const found = await iam(server, "GetRole", { RoleName: "fULL" });
  for (const answer of [made, found]) {
    assert.deepEqual(
      ["Path", "RoleName", "Arn", "Description", "MaxSessionDuration", "PermissionsBoundaryArn", "Key", "Value"].map(answer.first),
      [
        "/team/a/",
        "Full",
        `arn:aws:iam::${account}:role/team/a/Full`,
        "what it is for",
        "7200",
        "arn:aws:iam::aws:policy/PowerUserAccess",
        "Team",
        "a",
      ],
    );
    assert.match(answer.first("RoleId") ?? "", /^AROA[A-Z2-7]{17}$/);
    assert.match(answer.first("CreateDate") ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const encoded = answer.first("AssumeRolePolicyDocument") ?? "";
    assert.equal(decodeURIComponent(encoded), document);
    assert.doesNotMatch(encoded, /[ +()"{]/);
  }
  const [listed = ""] = (await iam(server, "ListRoles", { PathPrefix: "/team/" })).all("Roles");
  assert.match(listed, /<Arn>/);
  assert.doesNotMatch(listed, /<(?:Tags|PermissionsBoundary|RoleLastUsed)/);
});

test("a principal that is gone shows as its unique id, and whoever gets its name gets nothing", async () => {
  const user = await iam(server, "CreateUser", { UserName: "alice", Path: "/p/" });
  const [arn = "", userId = ""] = [user.first("Arn"), user.first("UserId")];
  await makeRole("inner");
  const roleArn = `arn:aws:iam::${account}:role/inner`;
  const document = trustIn({ AWS: [arn, roleArn, account] });
  await makeRole("outer", { AssumeRolePolicyDocument: document });
  assert.equal(await trustOf("outer"), document);
  await iam(server, "UpdateUser", { UserName: "alice", NewUserName: "alicia" });
  assert.equal(await trustOf("outer"), document.replace("/p/alice", "/p/alicia"));
  await iam(server, "DeleteUser", { UserName: "alicia" });
  await iam(server, "CreateUser", { UserName: "alice", Path: "/p/" });
  const gone = document.replace(arn, userId);
  assert.equal(await trustOf("outer"), gone);
  const listed = (await iam(server, "ListRoles")).all("AssumeRolePolicyDocument").map((text) => decodeURIComponent(text));
  assert.ok(listed.includes(gone));
  const again = await callIam(server, "UpdateAssumeRolePolicy", { RoleName: "outer", PolicyDocument: gone });
  assert.deepEqual([again.code, again.message], ["MalformedPolicyDocument", `Invalid principal in policy: "AWS":"${userId}"`]);
  await iam(server, "UpdateAssumeRolePolicy", { RoleName: "outer", PolicyDocument: document });
  assert.equal(await trustOf("outer"), document);
});

test("trust policies that mean nobody, or everybody on GitHub, are refused", async () => {
  const subject = (value: unknown, operator = "StringLike") => ({ [operator]: { "token.actions.githubusercontent.com:sub": value } });
  const web = "sts:AssumeRoleWithWebIdentity";
  const nobody = `arn:aws:iam::${account}:user/nobody`;
  const cases: [string, string | undefined, string?][] = [
    ["{", "MalformedPolicyDocument", "Syntax errors in policy."],
    [trustIn({ AWS: nobody }), "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"${nobody}"`],
    [trustIn({ AWS: `arn:aws:iam::${account}:role/full` }), "MalformedPolicyDocument"],
    [trustIn({ AWS: "arn:aws:iam::999999999999:user/elsewhere" }), undefined],
    [trustIn({ AWS: `arn:aws:sts::${account}:assumed-role/nobody/session` }), "MalformedPolicyDocument"],
    [trustIn({ Service: "ec2.amazonaws.com" }), undefined],
    [trustIn(gitHub, web), "MalformedPolicyDocument"],
    [trustIn(gitHub, "sts:*", { StringEquals: { "token.actions.githubusercontent.com:aud": "x" } }), "MalformedPolicyDocument"],
    [trustIn("*", web), "MalformedPolicyDocument"],
    [trustIn(gitHub, web, subject("*")), "MalformedPolicyDocument"],
    [trustIn(gitHub, web, subject(["repo:a/b:*", "?*"])), "MalformedPolicyDocument"],
    [trustIn(gitHub, web, subject("repo:a/b:*", "StringNotLike")), "MalformedPolicyDocument"],
    [trustIn(gitHub, web, subject("repo:a/b:*")), undefined],
    [trustIn(gitHub, web, subject("repo:a/b:ref:refs/heads/main", "ForAnyValue:StringEquals")), undefined],
    [trustIn({ Federated: `arn:aws:iam::${account}:oidc-provider/issuer.example` }, web), undefined],
    [trustIn(root, "sts:AssumeRole", { StringEquals: { "aws:PrincipalTag/a": "x".repeat(1_990) } }), "LimitExceeded"],
  ];
  await makeRole("trusting");
  for (const [PolicyDocument, code, message] of cases) {
    const answer = await callIam(server, "UpdateAssumeRolePolicy", { RoleName: "trusting", PolicyDocument });
    assert.equal(answer.code, code, `${PolicyDocument}: ${answer.message}`);
    if (message !== undefined) assert.equal(answer.message, message);
    const made = await callIam(server, "CreateRole", { RoleName: "new", AssumeRolePolicyDocument: PolicyDocument });
    assert.equal(made.code, code);
    if (code === undefined) await iam(server, "DeleteRole", { RoleName: "new" });
  }
});

test("what is not given stays when a role is updated", async () => {
  await makeRole("changing", { Description: "old", MaxSessionDuration: "7200" });
  const shown = async () => {
    const { first } = await iam(server, "GetRole", { RoleName: "changing" });
    return [first("Description"), first("MaxSessionDuration")];
  };
  await iam(server, "UpdateRole", { RoleName: "changing", Description: "new" });
  assert.deepEqual(await shown(), ["new", "7200"]);
  await iam(server, "UpdateRole", { RoleName: "changing", MaxSessionDuration: "3600" });
  assert.deepEqual(await shown(), ["new", "3600"]);
  const answer = await iam(server, "UpdateRoleDescription", { RoleName: "changing", Description: "newer" });
  assert.equal(answer.first("Description"), "newer");
  assert.equal((await callIam(server, "UpdateRole", { RoleName: "changing", MaxSessionDuration: "60" })).code, "ValidationError");
});

test("refusals have IAM's codes and texts", async () => {
  await makeRole("taken");
  const trust = { AssumeRolePolicyDocument: trustIn(root) };
  const missing = "The role with name nobody cannot be found.";
  const cases: [string, Readonly<Record<string, string>>, number, string, string][] = [
    ["CreateRole", { RoleName: "TAKEN", ...trust }, 409, "EntityAlreadyExists", "Role with name TAKEN already exists."],
    [
      "CreateRole",
      { RoleName: "x", Path: "/aws-service-role/ecr.amazonaws.com/", ...trust },
      400,
      "InvalidInput",
      "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles",
    ],
    [
      "CreateRole",
      { RoleName: "x", PermissionsBoundary: `arn:aws:iam::${account}:policy/none`, ...trust },
      404,
      "NoSuchEntity",
      `Policy arn:aws:iam::${account}:policy/none does not exist or is not attachable.`,
    ],
    [
      "CreateRole",
      {
        RoleName: "x",
        "Tags.member.1.Key": "a",
        "Tags.member.1.Value": "1",
        "Tags.member.2.Key": "A",
        "Tags.member.2.Value": "2",
        ...trust,
      },
      400,
      "InvalidInput",
      "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    ],
    ["GetRole", { RoleName: "nobody" }, 404, "NoSuchEntity", missing],
    ["UpdateRole", { RoleName: "nobody" }, 404, "NoSuchEntity", missing],
    ["UpdateAssumeRolePolicy", { RoleName: "nobody", PolicyDocument: trustIn(root) }, 404, "NoSuchEntity", missing],
    ["DeleteRole", { RoleName: "nobody" }, 404, "NoSuchEntity", missing],
    ["ListRoleTags", { RoleName: "nobody" }, 404, "NoSuchEntity", missing],
    ["ListRoles", { Marker: "x" }, 400, "ValidationError", "Invalid Marker."],
  ];
  for (const [operation, parameters, status, code, message] of cases) {
    const answer = await callIam(server, operation, parameters);
    assert.deepEqual([operation, answer.status, answer.code, answer.message], [operation, status, code, message]);
  }
});

test("a role is deleted when nothing hangs on it", async () => {
  await makeRole("doomed");
  const PolicyArn = "arn:aws:iam::aws:policy/AdministratorAccess";
  const role = { RoleName: "doomed" };
  const refused = async () => (await callIam(server, "DeleteRole", role)).message;
  await iam(server, "AttachRolePolicy", { ...role, PolicyArn });
  assert.equal(await refused(), "Cannot delete entity, must detach all policies first.");
  await iam(server, "DetachRolePolicy", { ...role, PolicyArn });
  const PolicyDocument = iamDocument({ Effect: "Allow", Action: "ecr:*", Resource: "*" });
  await iam(server, "PutRolePolicy", { ...role, PolicyName: "p", PolicyDocument });
  assert.equal(await refused(), "Cannot delete entity, must delete policies first.");
  await iam(server, "DeleteRolePolicy", { ...role, PolicyName: "p" });
  await iam(server, "DeleteRole", role);
  assert.equal((await callIam(server, "GetRole", role)).code, "NoSuchEntity");
});

test("roles and tags come page by page, each once", async () => {
  const names = ["p1", "P2", "p3"];
  for (const name of names) await makeRole(name, { Path: "/paged/" });
  const walk = async (operation: string, element: string, parameters: Readonly<Record<string, string>>) => {
    const items: string[] = [];
    for (let marker: string | undefined = ""; marker !== undefined;) {
      const page = await iam(server, operation, { ...parameters, MaxItems: "2", ...(marker !== "" && { Marker: marker }) });
      items.push(...page.all(element));
      marker = page.first("Marker");
      assert.equal(page.first("IsTruncated"), String(marker !== undefined));
    }
    return items;
  };
  assert.deepEqual(await walk("ListRoles", "RoleName", { PathPrefix: "/paged/" }), names);
  const tags = Object.fromEntries(
    ["b", "A", "c"].flatMap((key, at) => [
      [`Tags.member.${at + 1}.Key`, key],
      [`Tags.member.${at + 1}.Value`, `${key}1`],
    ]),
  );
  await iam(server, "TagRole", { RoleName: "p1", ...tags });
  assert.deepEqual(await walk("ListRoleTags", "Key", { RoleName: "p1" }), ["A", "b", "c"]);
  await iam(server, "UntagRole", { RoleName: "p1", "TagKeys.member.1": "B", "TagKeys.member.2": "none" });
  assert.deepEqual(await walk("ListRoleTags", "Value", { RoleName: "p1" }), ["A1", "c1"]);
});

test("permissions are asked on the role's own ARN, with its tags and those of the request", async () => {
  await makeRole("asked", { Path: "/team/", "Tags.member.1.Key": "team", "Tags.member.1.Value": "a" });
  await makeRole("other", { Path: "/team/" });
  const key = await makeIamUser(server, "reader", [
    { Effect: "Allow", Action: "iam:GetRole", Resource: "*", Condition: { StringEquals: { "iam:ResourceTag/team": "a" } } },
    { Effect: "Allow", Action: "iam:CreateRole", Resource: `arn:aws:iam::${account}:role/team/*` },
    { Effect: "Allow", Action: "iam:TagRole", Resource: "*", Condition: { StringEquals: { "aws:RequestTag/team": "a" } } },
    { Effect: "Allow", Action: "iam:ListRoles", Resource: `arn:aws:iam::${account}:role/team/*` },
  ]);
  const trust = { AssumeRolePolicyDocument: trustIn(root) };
  const tagged = (value: string) => ({ "Tags.member.1.Key": "team", "Tags.member.1.Value": value });
  const cases: [string, Readonly<Record<string, string>>, string | undefined, string?][] = [
    ["GetRole", { RoleName: "asked" }, undefined],
    ["GetRole", { RoleName: "other" }, "AccessDenied", "iam:GetRole on resource: role other because"],
    ["GetRole", { RoleName: "nobody" }, "AccessDenied", "iam:GetRole on resource: role nobody because"],
    ["CreateRole", { RoleName: "made", Path: "/team/", ...trust, ...tagged("a") }, undefined],
    ["CreateRole", { RoleName: "not", Path: "/team/", ...trust, ...tagged("b") }, "AccessDenied", "iam:TagRole"],
    ["CreateRole", { RoleName: "not", ...trust }, "AccessDenied", "iam:CreateRole"],
    ["ListRoles", { PathPrefix: "/team/" }, undefined],
    ["ListRoles", {}, "AccessDenied", `iam:ListRoles on resource: arn:aws:iam::${account}:role/`],
    ["DeleteRole", { RoleName: "asked" }, "AccessDenied", "iam:DeleteRole"],
  ];
  for (const [operation, parameters, code, part = ""] of cases) {
    const answer = await callIam(server, operation, parameters, key);
    assert.deepEqual([operation, answer.code], [operation, code], answer.message);
    assert.ok(answer.message.includes(part), answer.message);
  }
});
