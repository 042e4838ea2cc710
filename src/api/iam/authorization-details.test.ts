import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { iam, iamDocument, trustIn } from "../../../test/iam-client.ts";
import type { IamParameters } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
const own = `arn:aws:iam::${account}:policy/own`;
const document = iamDocument({ Effect: "Allow", Action: "ecr:*", Resource: "*" });

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreatePolicy", { PolicyName: "own", PolicyDocument: document });
  await iam(server, "CreatePolicyVersion", { PolicyArn: own, PolicyDocument: document, SetAsDefault: "true" });
  await iam(server, "CreateGroup", { GroupName: "builders" });
  await iam(server, "PutGroupPolicy", { GroupName: "builders", PolicyName: "inline", PolicyDocument: document });
  for (const UserName of ["alice", "bob", "carol"]) await iam(server, "CreateUser", { UserName });
  await iam(server, "AddUserToGroup", { GroupName: "builders", UserName: "alice" });
  await iam(server, "TagUser", { UserName: "alice", "Tags.member.1.Key": "Team", "Tags.member.1.Value": "a" });
  await iam(server, "AttachUserPolicy", { UserName: "alice", PolicyArn: administrator });
  await iam(server, "PutUserPermissionsBoundary", { UserName: "alice", PermissionsBoundary: own });
  await iam(server, "CreateRole", { RoleName: "runner", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
  await iam(server, "PutRolePolicy", { RoleName: "runner", PolicyName: "inline", PolicyDocument: document });
  await iam(server, "CreateInstanceProfile", { InstanceProfileName: "machines" });
  await iam(server, "AddRoleToInstanceProfile", { InstanceProfileName: "machines", RoleName: "runner" });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function report(
  parameters: IamParameters = {},
): Promise<Readonly<Record<"users" | "groups" | "roles" | "policies" | "marker" | "truncated", string>>> {
  const { first } = await iam(server, "GetAccountAuthorizationDetails", parameters);
  const part = (element: string): string => first(element) ?? "";
  const users = part("UserDetailList");
  const groups = part("GroupDetailList");
  const roles = part("RoleDetailList");
  return { users, groups, roles, policies: part("Policies"), marker: part("Marker"), truncated: part("IsTruncated") };
}

test("a report has every user, group, role and policy with all that hangs on it", async () => {
  const { users, groups, roles, policies, truncated } = await report();
  assert.equal(truncated, "false");
  const encoded = encodeURIComponent(document).replaceAll("*", "%2A");
  for (const text of [
    `<Arn>arn:aws:iam::${account}:user/alice</Arn>`,
    "<GroupList><member>builders</member></GroupList>",
    `<AttachedManagedPolicies><member><PolicyName>AdministratorAccess</PolicyName><PolicyArn>${administrator}</PolicyArn></member></AttachedManagedPolicies>`,
    `<PermissionsBoundaryArn>${own}</PermissionsBoundaryArn>`,
    "<Tags><member><Key>Team</Key><Value>a</Value></member></Tags>",
    "<UserName>bob</UserName>",
    "<UserName>carol</UserName>",
  ])
    assert.ok(users.includes(text), `${text} in ${users}`);
  assert.ok(
    groups.includes(
      `<GroupPolicyList><member><PolicyName>inline</PolicyName><PolicyDocument>${encoded}</PolicyDocument></member></GroupPolicyList>`,
    ),
    groups,
  );
  assert.ok(roles.includes("<InstanceProfileName>machines</InstanceProfileName>") && roles.includes("<RoleName>runner</RoleName>"), roles);
  assert.match(roles, /<AssumeRolePolicyDocument>%7B%22Version/);
  assert.ok(roles.includes(`<RolePolicyList><member><PolicyName>inline</PolicyName><PolicyDocument>${encoded}</PolicyDocument>`), roles);
  assert.ok(policies.includes(`<Arn>${own}</Arn>`) && policies.includes("<DefaultVersionId>v2</DefaultVersionId>"), policies);
  assert.ok(policies.includes("<PermissionsBoundaryUsageCount>1</PermissionsBoundaryUsageCount>"), policies);
  assert.match(policies, /<VersionId>v2<\/VersionId>.*<VersionId>v1<\/VersionId>/);
  // Of AWS's policies only those that the account uses.
  assert.ok(policies.includes(administrator) && !policies.includes("PowerUserAccess"), policies);
});

test("a filter leaves the rest out", async () => {
  const roles = await report({ "Filter.member.1": "Role" });
  assert.deepEqual([roles.users, roles.groups, roles.policies], ["", "", ""]);
  assert.match(roles.roles, /runner/);
  const aws = await report({ "Filter.member.1": "AWSManagedPolicy" });
  assert.ok(aws.policies.includes(administrator) && !aws.policies.includes(own) && aws.users === "");
  const local = await report({ "Filter.member.1": "LocalManagedPolicy" });
  assert.ok(!local.policies.includes(administrator) && local.policies.includes(own));
});

test("pages have everything once", async () => {
  const names: string[] = [];
  let pages = 0;
  for (let marker: string | undefined = ""; marker !== undefined; pages += 1) {
    const page: Awaited<ReturnType<typeof report>> = await report({ MaxItems: "2", ...(marker !== "" && { Marker: marker }) });
    const text = page.users + page.roles + page.groups + page.policies;
    names.push(...[...text.matchAll(/<Arn>([^<]*)<\/Arn>/g)].map((match) => match[1] ?? ""));
    marker = page.truncated === "true" ? page.marker : undefined;
  }
  const expected = ["user/alice", "user/bob", "user/carol", "group/builders", "role/runner", "policy/own"].map(
    (name) => `arn:aws:iam::${account}:${name}`,
  );
  // The role stands in its instance profile once more.
  const profile = [`arn:aws:iam::${account}:instance-profile/machines`, `arn:aws:iam::${account}:role/runner`];
  assert.deepEqual(names.toSorted(), [...expected, administrator, ...profile].toSorted());
  assert.equal(pages, 4);
});

test("long documents make short pages", async () => {
  const wide = document.replace("{", `{${" ".repeat(15_000)}`);
  for (let number = 0; number < 25; number += 1) {
    const PolicyArn = (await iam(server, "CreatePolicy", { PolicyName: `wide-${number}`, PolicyDocument: wide })).first("Arn") ?? "";
    for (let version = 2; version <= 5; version += 1) await iam(server, "CreatePolicyVersion", { PolicyArn, PolicyDocument: wide });
  }
  const asked = { "Filter.member.1": "LocalManagedPolicy", MaxItems: "1000" };
  const first = await report(asked);
  const rest = await report({ ...asked, Marker: first.marker });
  const count = (policies: string): number => policies.split("<PolicyName>").length - 1;
  assert.deepEqual([first.truncated, rest.truncated], ["true", "false"]);
  assert.deepEqual([count(first.policies), count(rest.policies)], [20, 6]);
});
