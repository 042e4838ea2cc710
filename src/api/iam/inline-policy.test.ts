import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import type { IamParameters } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
const account = "123456789012";
const quotas = { User: 2_048, Group: 5_120, Role: 10_240 } as const;

before(async () => {
  server = await startRegistryServer();
  await iam(server, "CreateUser", { UserName: "Holder" });
  await iam(server, "CreateGroup", { GroupName: "Holder" });
  await iam(server, "CreateRole", { RoleName: "Holder", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** A document of so many characters without white space; a single resource may not be that long. */
function documentOf(size: number): string {
  const padded = (length: number): string => {
    const names = Array.from({ length: Math.ceil(length / 1_000) || 1 }, (_, index) => "x".repeat(Math.min(1_000, length - index * 1_000)));
    return iamDocument({ Effect: "Allow", Action: "ecr:*", Resource: names.map((name) => `arn:aws:ecr:*:*:repository/${name}`) });
  };
  let length = Math.max(0, size - 800);
  while (padded(length).length < size) length += 1;
  return padded(length);
}

async function refusal(operation: string, parameters: IamParameters): Promise<readonly [number, string | undefined, string]> {
  const { status, code, message } = await callIam(server, operation, parameters);
  return [status, code, message];
}

for (const [kind, quota] of Object.entries(quotas)) {
  const holder = { [`${kind}Name`]: "Holder" };

  test(`policies inside a ${kind} are kept letter for letter, listed, replaced and deleted`, async () => {
    const document = `{ "Version": "2012-10-17",\n"Statement": [{"Effect":"Allow","Action":"ecr:*","Resource":"*"}] }`;
    for (const PolicyName of ["b", "a", "c"])
      await iam(server, `Put${kind}Policy`, { ...holder, PolicyName, PolicyDocument: documentOf(200) });
    await iam(server, `Put${kind}Policy`, { ...holder, PolicyName: "b", PolicyDocument: document });
    const found = await iam(server, `Get${kind}Policy`, { ...holder, PolicyName: "b" });
    assert.deepEqual([found.first(`${kind}Name`), found.first("PolicyName")], ["Holder", "b"]);
    assert.equal(decodeURIComponent(found.first("PolicyDocument") ?? ""), document);
    const page = await iam(server, `List${kind}Policies`, { ...holder, MaxItems: "2" });
    const rest = await iam(server, `List${kind}Policies`, { ...holder, Marker: page.first("Marker") ?? "" });
    assert.deepEqual([page.all("member"), rest.all("member")], [["a", "b"], ["c"]]);
    for (const PolicyName of ["a", "b", "c"]) await iam(server, `Delete${kind}Policy`, { ...holder, PolicyName });
    const missing = [404, "NoSuchEntity", `The ${kind.toLowerCase()} policy with name b cannot be found.`];
    for (const operation of [`Get${kind}Policy`, `Delete${kind}Policy`])
      assert.deepEqual(await refusal(operation, { ...holder, PolicyName: "b" }), missing);
  });

  test(`policies inside a ${kind} have ${quota} characters together`, async () => {
    const put = (PolicyName: string, size: number) =>
      refusal(`Put${kind}Policy`, { ...holder, PolicyName, PolicyDocument: documentOf(size) });
    const tooLarge = [409, "LimitExceeded", `Maximum policy size of ${quota} bytes exceeded for ${kind.toLowerCase()} Holder`];
    assert.equal((await put("first", quota - 500))[0], 200);
    assert.deepEqual(await put("second", 501), tooLarge);
    assert.equal((await put("second", 500))[0], 200);
    assert.equal((await put("first", quota - 500))[0], 200);
    assert.deepEqual(await put("first", quota - 499), tooLarge);
    assert.deepEqual(await put("third", quota + 1), tooLarge);
    for (const PolicyName of ["first", "second"]) await iam(server, `Delete${kind}Policy`, { ...holder, PolicyName });
  });

  test(`what cannot be inside a ${kind} is refused`, async () => {
    const named = { ...holder, PolicyName: "p", PolicyDocument: documentOf(200) };
    assert.deepEqual(await refusal(`Put${kind}Policy`, { ...named, PolicyDocument: "[]" }), [
      400,
      "MalformedPolicyDocument",
      "Syntax errors in policy.",
    ]);
    const nobody = [404, "NoSuchEntity", `The ${kind.toLowerCase()} with name none cannot be found.`];
    for (const operation of ["Put", "Get", "Delete"])
      assert.deepEqual(await refusal(`${operation}${kind}Policy`, { ...named, [`${kind}Name`]: "none" }), nobody);
    assert.deepEqual(await refusal(`List${kind}Policies`, { [`${kind}Name`]: "none" }), nobody);
  });
}

test("a service-linked role takes no policies of anybody", async () => {
  const made = await iam(server, "CreateServiceLinkedRole", { AWSServiceName: "replication.ecr.amazonaws.com" });
  const RoleName = made.first("RoleName") ?? "";
  const cases: readonly (readonly [string, IamParameters])[] = [
    ["PutRolePolicy", { PolicyName: "p", PolicyDocument: documentOf(200) }],
    ["DeleteRolePolicy", { PolicyName: "p" }],
    ["AttachRolePolicy", { PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" }],
    ["DetachRolePolicy", { PolicyArn: "arn:aws:iam::aws:policy/aws-service-role/ECRReplicationServiceRolePolicy" }],
    ["PutRolePermissionsBoundary", { PermissionsBoundary: "arn:aws:iam::aws:policy/AdministratorAccess" }],
    ["DeleteRolePermissionsBoundary", {}],
  ];
  for (const [operation, more] of cases)
    assert.deepEqual((await refusal(operation, { RoleName, ...more })).slice(0, 2), [400, "UnmodifiableEntity"], operation);
});

test("a policy put into a user is obeyed by the next request, and its Deny too", async () => {
  const key = await makeIamUser(server, "worker", [{ Effect: "Allow", Action: "iam:List*", Resource: "*" }]);
  const listing = async () => (await callIam(server, "ListGroups", {}, key)).status;
  assert.equal(await listing(), 200);
  const deny = iamDocument({ Effect: "Deny", Action: "iam:ListGroups", Resource: "*" });
  await iam(server, "PutUserPolicy", { UserName: "worker", PolicyName: "deny", PolicyDocument: deny });
  assert.equal(await listing(), 403);
  await iam(server, "DeleteUserPolicy", { UserName: "worker", PolicyName: "deny" });
  assert.equal(await listing(), 200);
});
