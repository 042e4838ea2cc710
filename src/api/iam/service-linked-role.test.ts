import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import { callEcr } from "../../../test/signed-call.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer({ regions: ["eu-central-1", "us-east-1"] });
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const account = "123456789012";
const services = [
  ["replication.ecr.amazonaws.com", "AWSServiceRoleForECRReplication", "ECRReplicationServiceRolePolicy"],
  ["pullthroughcache.ecr.amazonaws.com", "AWSServiceRoleForECRPullThroughCache", "AWSECRPullThroughCache_ServiceRolePolicy"],
  ["ecr.amazonaws.com", "AWSServiceRoleForECRTemplate", "ECRTemplateServiceRolePolicy"],
] as const;

test("the roles of ECR have AWS's names, paths, trust and policies", async () => {
  for (const [service, name, policy] of services) {
    const made = await iam(server, "CreateServiceLinkedRole", { AWSServiceName: service, Description: "d" });
    assert.deepEqual(["RoleName", "Path", "Arn", "Description"].map(made.first), [
      name,
      `/aws-service-role/${service}/`,
      `arn:aws:iam::${account}:role/aws-service-role/${service}/${name}`,
      "d",
    ]);
    assert.equal(decodeURIComponent(made.first("AssumeRolePolicyDocument") ?? ""), trustIn({ Service: service }));
    const attached = await iam(server, "ListAttachedRolePolicies", { RoleName: name });
    assert.deepEqual(attached.all("PolicyArn"), [`arn:aws:iam::aws:policy/aws-service-role/${policy}`]);
    // A policy that is attached must be one that exists.
    assert.equal((await iam(server, "GetPolicy", { PolicyArn: attached.first("PolicyArn") ?? "" })).first("PolicyName"), policy);
    const again = await callIam(server, "CreateServiceLinkedRole", { AWSServiceName: service });
    assert.deepEqual(
      [again.code, again.message],
      ["InvalidInput", `Service role name ${name} has been taken in this account, please try a different suffix.`],
    );
  }
});

test("only the description and the tags of a service-linked role are its owner's", async () => {
  const [, RoleName] = services[0];
  const role = { RoleName };
  await iam(server, "UpdateRole", { ...role, Description: "own words" });
  assert.equal((await iam(server, "GetRole", role)).first("Description"), "own words");
  await iam(server, "TagRole", { ...role, "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" });
  const refused: [string, Readonly<Record<string, string>>][] = [
    ["UpdateRole", { ...role, MaxSessionDuration: "7200" }],
    ["UpdateAssumeRolePolicy", { ...role, PolicyDocument: trustIn({ AWS: account }) }],
    ["DeleteRole", role],
    ["AttachRolePolicy", { ...role, PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" }],
    ["DetachRolePolicy", { ...role, PolicyArn: "arn:aws:iam::aws:policy/aws-service-role/ECRReplicationServiceRolePolicy" }],
    ["DeleteRolePermissionsBoundary", role],
  ];
  for (const [operation, parameters] of refused) {
    const { code, message } = await callIam(server, operation, parameters);
    assert.deepEqual(
      [operation, code, message],
      [
        operation,
        "UnmodifiableEntity",
        `Cannot perform the operation on the protected role '${RoleName}' - this role is only modifiable by AWS`,
      ],
    );
  }
});

test("a service-linked role is deleted as one, and other roles are not", async () => {
  const [service, RoleName] = services[0];
  await iam(server, "CreateRole", { RoleName: "plain", AssumeRolePolicyDocument: trustIn({ AWS: account }) });
  assert.equal((await callIam(server, "DeleteServiceLinkedRole", { RoleName: "plain" })).code, "NoSuchEntity");
  const task = (await iam(server, "DeleteServiceLinkedRole", { RoleName })).first("DeletionTaskId") ?? "";
  assert.match(task, new RegExp(`^task/aws-service-role/${service}/${RoleName}/[0-9a-f-]{36}$`));
  assert.equal((await callIam(server, "GetRole", { RoleName })).code, "NoSuchEntity");
  assert.equal((await callIam(server, "DeleteServiceLinkedRole", { RoleName })).code, "NoSuchEntity");
  await iam(server, "CreateServiceLinkedRole", { AWSServiceName: service });
});

test("a role that a registry uses stays, and the task says where it is used; another role of its name is another one", async () => {
  const elsewhere = "us-east-1";
  const rule = { ecrRepositoryPrefix: "hub", upstreamRegistryUrl: "public.ecr.aws" };
  const replication = (...rules: object[]) => ({ replicationConfiguration: { rules } });
  const uses: Readonly<Record<string, readonly [RegExp, use: readonly [string, object], end: readonly [string, object]]>> = {
    [services[0][0]]: [
      /replication configuration with rules/,
      ["PutReplicationConfiguration", replication({ destinations: [{ region: elsewhere, registryId: account }] })],
      ["PutReplicationConfiguration", replication()],
    ],
    [services[1][0]]: [
      /pull through cache rules/,
      ["CreatePullThroughCacheRule", rule],
      ["DeletePullThroughCacheRule", { ecrRepositoryPrefix: "hub" }],
    ],
    [services[2][0]]: [
      /creation templates without a custom role/,
      ["CreateRepositoryCreationTemplate", { prefix: "hub", appliedFor: ["REPLICATION"] }],
      ["DeleteRepositoryCreationTemplate", { prefix: "hub" }],
    ],
  };
  for (const [service, RoleName] of services) {
    const [reason, use, end] = uses[service] ?? [];
    assert.ok(reason !== undefined && use !== undefined && end !== undefined);
    const call = async ([operation, input]: readonly [string, object]) =>
      assert.equal((await callEcr(server, operation, input)).status, 200, operation);
    const remove = async () => (await iam(server, "DeleteServiceLinkedRole", { RoleName })).first("DeletionTaskId") ?? "";
    const status = (DeletionTaskId: string) => iam(server, "GetServiceLinkedRoleDeletionStatus", { DeletionTaskId });
    await call(use);
    const task = await remove();
    const failed = await status(task);
    assert.deepEqual(["Status", "Region", "Resources"].map(failed.first), [
      "FAILED",
      server.region,
      `<member>arn:aws:ecr:${server.region}:${account}:repository/*</member>`,
    ]);
    const text = failed.all("Reason").join(" ");
    assert.match(text, reason);
    assert.match(text, new RegExp(`the Amazon ECR registry with id '${account}' in ${server.region}`));
    assert.equal((await callIam(server, "GetRole", { RoleName })).code, undefined, "it is still there");
    await call(end);
    assert.match((await status(task)).all("Reason").join(" "), /Nothing uses it any more/);
    assert.equal(await remove(), task);
    assert.equal((await status(task)).first("Status"), "SUCCEEDED");
    await iam(server, "CreateServiceLinkedRole", { AWSServiceName: service });
    assert.equal((await status(task)).first("Status"), "SUCCEEDED");
  }
});

test("unknown services and suffixes are refused, and the service is a condition key", async () => {
  assert.equal((await callIam(server, "CreateServiceLinkedRole", { AWSServiceName: "ecs.amazonaws.com" })).code, "InvalidInput");
  const suffixed = await callIam(server, "CreateServiceLinkedRole", { AWSServiceName: "ecr.amazonaws.com", CustomSuffix: "x" });
  assert.deepEqual([suffixed.code, suffixed.message], ["InvalidInput", "Custom suffix is not allowed for ecr.amazonaws.com"]);
  const key = await makeIamUser(server, "linker", [
    {
      Effect: "Allow",
      Action: "iam:CreateServiceLinkedRole",
      Resource: `arn:aws:iam::${account}:role/aws-service-role/*`,
      Condition: { StringLike: { "iam:AWSServiceName": "ecr.amazonaws.com" } },
    },
  ]);
  const codes = await Promise.all(
    services.map(async ([service]) => (await callIam(server, "CreateServiceLinkedRole", { AWSServiceName: service }, key)).code),
  );
  assert.deepEqual(codes, ["AccessDenied", "AccessDenied", "InvalidInput"]);
});
