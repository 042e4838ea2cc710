import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import type { IamCredentials, IamParameters } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
const kinds = ["User", "Group", "Role"] as const;
const everything = iamDocument({ Effect: "Allow", Action: "*", Resource: "*" });

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreateUser", { UserName: "Holder", Path: "/team/" });
  await iam(server, "CreateGroup", { GroupName: "Holder", Path: "/team/" });
  await iam(server, "CreateRole", { RoleName: "Holder", Path: "/team/", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function makePolicy(name: string, path = "/"): Promise<string> {
  const made = await iam(server, "CreatePolicy", { PolicyName: name, Path: path, PolicyDocument: everything });
  return made.first("Arn") ?? "";
}

async function refusal(
  operation: string,
  parameters: IamParameters,
  credentials?: IamCredentials,
): Promise<readonly [number, string | undefined, string]> {
  const { status, code, message } = await callIam(server, operation, parameters, credentials);
  return [status, code, message];
}

for (const kind of kinds) {
  const holder = { [`${kind}Name`]: "Holder" };

  test(`policies are attached to a ${kind} once each, up to ten, and detached`, async () => {
    const own = await makePolicy(`${kind}-own`, "/p/");
    for (const PolicyArn of [own, administrator, administrator]) await iam(server, `Attach${kind}Policy`, { ...holder, PolicyArn });
    const listed = await iam(server, `ListAttached${kind}Policies`, holder);
    assert.deepEqual(
      [listed.all("PolicyArn"), listed.all("PolicyName")],
      [
        [own, administrator],
        [`${kind}-own`, "AdministratorAccess"],
      ],
    );
    const page = await iam(server, `ListAttached${kind}Policies`, { ...holder, MaxItems: "1" });
    const rest = await iam(server, `ListAttached${kind}Policies`, { ...holder, Marker: page.first("Marker") ?? "" });
    assert.deepEqual([page.all("PolicyArn"), rest.all("PolicyArn")], [[own], [administrator]]);
    assert.deepEqual((await iam(server, `ListAttached${kind}Policies`, { ...holder, PathPrefix: "/p/" })).all("PolicyArn"), [own]);
    for (let number = 3; number <= 10; number += 1)
      await iam(server, `Attach${kind}Policy`, { ...holder, PolicyArn: await makePolicy(`${kind}-${number}`) });
    assert.deepEqual(await refusal(`Attach${kind}Policy`, { ...holder, PolicyArn: await makePolicy(`${kind}-11`) }), [
      409,
      "LimitExceeded",
      `Cannot exceed quota for PoliciesPer${kind}: 10`,
    ]);
    await iam(server, `Detach${kind}Policy`, { ...holder, PolicyArn: own });
    assert.deepEqual(await refusal(`Detach${kind}Policy`, { ...holder, PolicyArn: own }), [
      404,
      "NoSuchEntity",
      `Policy ${own} was not found.`,
    ]);
  });

  test(`what cannot be attached to a ${kind} is refused in AWS's words`, async () => {
    const attach = (PolicyArn: string) => refusal(`Attach${kind}Policy`, { ...holder, PolicyArn });
    for (const arn of [
      `arn:aws:iam::${account}:policy/none`,
      "arn:aws:iam::aws:policy/none-at-all",
      "arn:aws:iam::210987654321:policy/foreign",
    ])
      assert.deepEqual(await attach(arn), [404, "NoSuchEntity", `Policy ${arn} does not exist or is not attachable.`]);
    const service = "arn:aws:iam::aws:policy/aws-service-role/ECRReplicationServiceRolePolicy";
    assert.deepEqual((await attach(service)).slice(0, 2), [400, "PolicyNotAttachable"]);
    assert.deepEqual(await attach(`arn:aws:iam::${account}:role/x`), [
      400,
      "InvalidInput",
      `ARN arn:aws:iam::${account}:role/x is not valid.`,
    ]);
    const nobody = [404, "NoSuchEntity", `The ${kind.toLowerCase()} with name none cannot be found.`];
    for (const operation of [`Attach${kind}Policy`, `Detach${kind}Policy`, `ListAttached${kind}Policies`])
      assert.deepEqual(await refusal(operation, { [`${kind}Name`]: "none", PolicyArn: administrator }), nobody, operation);
  });
}

test("a policy says who uses it, and cannot be deleted while anybody does", async () => {
  const arn = await makePolicy("shared");
  for (const kind of kinds) {
    const name = { [`${kind}Name`]: `user-of-${kind}` };
    await iam(server, `Create${kind}`, { ...name, ...(kind === "Role" && { AssumeRolePolicyDocument: trustIn({ AWS: account }) }) });
    await iam(server, `Attach${kind}Policy`, { ...name, PolicyArn: arn });
  }
  await iam(server, "PutRolePermissionsBoundary", { RoleName: "Holder", PermissionsBoundary: arn });
  const entities = async (more: IamParameters = {}) => {
    const answer = await iam(server, "ListEntitiesForPolicy", { PolicyArn: arn, ...more });
    return [...answer.all("UserName"), ...answer.all("GroupName"), ...answer.all("RoleName")].toSorted();
  };
  const attached = ["user-of-Group", "user-of-Role", "user-of-User"];
  assert.deepEqual(await entities(), ["Holder", ...attached]);
  assert.deepEqual(await entities({ PolicyUsageFilter: "PermissionsPolicy" }), attached);
  assert.deepEqual(await entities({ PolicyUsageFilter: "PermissionsBoundary" }), ["Holder"]);
  assert.deepEqual(await entities({ EntityFilter: "Role" }), ["Holder", "user-of-Role"]);
  assert.deepEqual(await entities({ EntityFilter: "AWSManagedPolicy" }), []);
  assert.deepEqual(await entities({ PathPrefix: "/team/" }), ["Holder"]);
  const page = await iam(server, "ListEntitiesForPolicy", { PolicyArn: arn, MaxItems: "3" });
  const rest = await entities({ Marker: page.first("Marker") ?? "" });
  assert.deepEqual([page.first("IsTruncated"), rest], ["true", ["user-of-Role"]]);
  assert.deepEqual(await refusal("DeletePolicy", { PolicyArn: arn }), [
    409,
    "DeleteConflict",
    "Cannot delete a policy attached to entities.",
  ]);
});

test("permissions take effect at once, through a group too, and iam:PolicyARN limits what may be attached", async () => {
  const key = await makeIamUser(server, "delegate", [
    {
      Effect: "Allow",
      Action: "iam:*UserPolicy",
      Resource: "*",
      Condition: { ArnEquals: { "iam:PolicyARN": "arn:aws:iam::aws:policy/IAMReadOnlyAccess" } },
    },
  ]);
  const attach = (PolicyArn: string) => callIam(server, "AttachUserPolicy", { UserName: "delegate", PolicyArn }, key);
  assert.equal((await attach(administrator)).status, 403);
  assert.equal((await callIam(server, "ListGroups", {}, key)).status, 403);
  assert.equal((await attach("arn:aws:iam::aws:policy/IAMReadOnlyAccess")).status, 200);
  assert.equal((await callIam(server, "ListGroups", {}, key)).status, 200);
  await iam(server, "DetachUserPolicy", { UserName: "delegate", PolicyArn: "arn:aws:iam::aws:policy/IAMReadOnlyAccess" });
  assert.equal((await callIam(server, "ListGroups", {}, key)).status, 403);
  await iam(server, "CreateGroup", { GroupName: "readers" });
  await iam(server, "AddUserToGroup", { GroupName: "readers", UserName: "delegate" });
  await iam(server, "AttachGroupPolicy", { GroupName: "readers", PolicyArn: await makePolicy("group-everything") });
  assert.equal((await callIam(server, "ListGroups", {}, key)).status, 200);
});
