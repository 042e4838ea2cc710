import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const readOnly = "arn:aws:iam::aws:policy/IAMReadOnlyAccess";
const powerUser = "arn:aws:iam::aws:policy/PowerUserAccess";

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreateUser", { UserName: "Bounded" });
  await iam(server, "CreateRole", { RoleName: "Bounded", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

for (const kind of ["User", "Role"]) {
  const holder = { [`${kind}Name`]: "Bounded" };

  test(`the boundary of a ${kind} is set, replaced, shown and taken away`, async () => {
    const shown = async () => (await iam(server, `Get${kind}`, holder)).first("PermissionsBoundaryArn");
    const put = (PermissionsBoundary: string) => callIam(server, `Put${kind}PermissionsBoundary`, { ...holder, PermissionsBoundary });
    for (const arn of [readOnly, powerUser]) {
      assert.equal((await put(arn)).status, 200);
      assert.equal(await shown(), arn);
    }
    const missing = `arn:aws:iam::${account}:policy/none`;
    const refused = await put(missing);
    assert.deepEqual(
      [refused.status, refused.code, refused.message],
      [404, "NoSuchEntity", `Policy ${missing} does not exist or is not attachable.`],
    );
    assert.equal((await put(`arn:aws:iam::${account}:user/Bounded`)).code, "InvalidInput");
    assert.equal((await put("arn:aws:iam::aws:policy/aws-service-role/ECRTemplateServiceRolePolicy")).code, "PolicyNotAttachable");
    assert.equal(await shown(), powerUser);
    for (let round = 0; round < 2; round += 1) await iam(server, `Delete${kind}PermissionsBoundary`, holder);
    assert.equal(await shown(), undefined);
    const nobody = { [`${kind}Name`]: "none" };
    assert.equal(
      (await callIam(server, `Put${kind}PermissionsBoundary`, { ...nobody, PermissionsBoundary: readOnly })).code,
      "NoSuchEntity",
    );
    assert.equal((await callIam(server, `Delete${kind}PermissionsBoundary`, nobody)).code, "NoSuchEntity");
  });
}

test("nobody gets beyond their boundary, from the next request on", async () => {
  const key = await makeIamUser(server, "limited", [{ Effect: "Allow", Action: "*", Resource: "*" }]);
  const make = (name: string) => callIam(server, "CreateGroup", { GroupName: name }, key);
  assert.equal((await make("before")).status, 200);
  await iam(server, "PutUserPermissionsBoundary", { UserName: "limited", PermissionsBoundary: readOnly });
  const denied = await make("during");
  assert.equal(
    denied.message,
    `User: arn:aws:iam::${account}:user/limited is not authorized to perform: iam:CreateGroup on resource: group during because no permissions boundary allows the iam:CreateGroup action`,
  );
  await iam(server, "DeleteUserPermissionsBoundary", { UserName: "limited" });
  assert.equal((await make("after")).status, 200);
});

test("a delegated administrator gives rights only to those who have the boundary, and takes it from nobody", async () => {
  const delegated = { "iam:PermissionsBoundary": powerUser };
  const key = await makeIamUser(server, "administrator", [
    {
      Effect: "Allow",
      Action: ["iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:PutUserPermissionsBoundary"],
      Resource: "*",
      Condition: { ArnEquals: delegated },
    },
    { Effect: "Allow", Action: "iam:DeleteUserPermissionsBoundary", Resource: "*" },
    { Effect: "Deny", Action: "iam:DeleteUserPermissionsBoundary", Resource: "*", Condition: { ArnEquals: delegated } },
  ]);
  await iam(server, "CreateUser", { UserName: "free" });
  const call = async (operation: string, UserName: string, more: Readonly<Record<string, string>>) =>
    (await callIam(server, operation, { UserName, ...more }, key)).status;
  const policy = { PolicyName: "p", PolicyDocument: iamDocument({ Effect: "Allow", Action: "*", Resource: "*" }) };
  const attached = { PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" };
  assert.equal(await call("PutUserPolicy", "free", policy), 403);
  assert.equal(await call("AttachUserPolicy", "free", attached), 403);
  assert.equal(await call("PutUserPermissionsBoundary", "free", { PermissionsBoundary: readOnly }), 403);
  assert.equal(await call("PutUserPermissionsBoundary", "free", { PermissionsBoundary: powerUser }), 200);
  assert.equal(await call("PutUserPolicy", "free", policy), 200);
  assert.equal(await call("AttachUserPolicy", "free", attached), 200);
  assert.equal(await call("DeleteUserPermissionsBoundary", "free", {}), 403);
});
