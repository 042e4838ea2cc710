import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser, trustIn } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
  for (const RoleName of ["web", "batch"]) {
    await iam(server, "CreateRole", { RoleName, Path: "/r/", AssumeRolePolicyDocument: trustIn({ Service: "ec2.amazonaws.com" }) });
  }
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const account = "123456789012";

test("an instance profile is made, given one role, and deleted when it has none", async () => {
  const profile = { InstanceProfileName: "Node" };
  const tags = { "Tags.member.1.Key": "k", "Tags.member.1.Value": "v" };
  const made = await iam(server, "CreateInstanceProfile", { ...profile, Path: "/i/", ...tags });
  assert.deepEqual(["InstanceProfileName", "Path", "Arn", "Roles", "Key"].map(made.first), [
    "Node",
    "/i/",
    `arn:aws:iam::${account}:instance-profile/i/Node`,
    "",
    "k",
  ]);
  assert.match(made.first("InstanceProfileId") ?? "", /^AIPA[A-Z2-7]{17}$/);
  const given = { ...profile, RoleName: "web" };
  await iam(server, "AddRoleToInstanceProfile", given);
  const found = await iam(server, "GetInstanceProfile", { InstanceProfileName: "node" });
  assert.deepEqual([found.first("RoleName"), found.first("Key")], ["web", "k"]);
  assert.equal(decodeURIComponent(found.first("AssumeRolePolicyDocument") ?? ""), trustIn({ Service: "ec2.amazonaws.com" }));

  const linked = await iam(server, "CreateServiceLinkedRole", { AWSServiceName: "ecr.amazonaws.com" });
  const linkedName = linked.first("RoleName") ?? "";
  await iam(server, "CreateInstanceProfile", { InstanceProfileName: "empty" });
  const noProfile = "Instance Profile none cannot be found.";
  const cases: [string, Readonly<Record<string, string>>, string, string][] = [
    ["CreateInstanceProfile", { InstanceProfileName: "NODE" }, "EntityAlreadyExists", "Instance Profile NODE already exists."],
    [
      "AddRoleToInstanceProfile",
      { ...profile, RoleName: "batch" },
      "LimitExceeded",
      "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    ],
    ["AddRoleToInstanceProfile", { InstanceProfileName: "none", RoleName: "web" }, "NoSuchEntity", noProfile],
    ["AddRoleToInstanceProfile", { ...profile, RoleName: "none" }, "NoSuchEntity", "The role with name none cannot be found."],
    [
      "AddRoleToInstanceProfile",
      { InstanceProfileName: "empty", RoleName: linkedName },
      "UnmodifiableEntity",
      `Cannot perform the operation on the protected role '${linkedName}' - this role is only modifiable by AWS`,
    ],
    ["RemoveRoleFromInstanceProfile", { ...profile, RoleName: "batch" }, "NoSuchEntity", "The role with name batch cannot be found."],
    ["GetInstanceProfile", { InstanceProfileName: "none" }, "NoSuchEntity", noProfile],
    ["DeleteInstanceProfile", { InstanceProfileName: "none" }, "NoSuchEntity", noProfile],
    ["DeleteInstanceProfile", profile, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first."],
    ["DeleteRole", { RoleName: "web" }, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first."],
    ["ListInstanceProfilesForRole", { RoleName: "none" }, "NoSuchEntity", "The role with name none cannot be found."],
  ];
  for (const [operation, parameters, code, message] of cases) {
    const answer = await callIam(server, operation, parameters);
    assert.deepEqual([operation, answer.code, answer.message], [operation, code, message]);
  }
  await iam(server, "RemoveRoleFromInstanceProfile", given);
  await iam(server, "DeleteInstanceProfile", profile);
  assert.equal((await callIam(server, "GetInstanceProfile", profile)).code, "NoSuchEntity");
});

test("instance profiles are listed page by page, all of them and those of a role", async () => {
  const names = ["a", "B", "c"];
  for (const name of names) {
    await iam(server, "CreateInstanceProfile", { InstanceProfileName: name, Path: "/list/" });
    await iam(server, "AddRoleToInstanceProfile", { InstanceProfileName: name, RoleName: "batch" });
  }
  for (const [operation, parameters] of [
    ["ListInstanceProfiles", { PathPrefix: "/list/" }],
    ["ListInstanceProfilesForRole", { RoleName: "batch" }],
  ] as const) {
    const first = await iam(server, operation, { ...parameters, MaxItems: "2" });
    const second = await iam(server, operation, { ...parameters, MaxItems: "2", Marker: first.first("Marker") ?? "" });
    assert.deepEqual([...first.all("InstanceProfileName"), ...second.all("InstanceProfileName")], names);
    assert.deepEqual([first.first("RoleName"), second.first("IsTruncated")], ["batch", "false"]);
  }
});

test("tags of an instance profile", async () => {
  const profile = { InstanceProfileName: "Tagged" };
  await iam(server, "CreateInstanceProfile", { ...profile, Path: "/t/", "Tags.member.1.Key": "a", "Tags.member.1.Value": "0" });
  const tagged = (pairs: readonly (readonly [string, string])[]) =>
    Object.fromEntries(
      pairs.flatMap(([key, value], at) => [
        [`Tags.member.${at + 1}.Key`, key],
        [`Tags.member.${at + 1}.Value`, value],
      ]),
    );
  await iam(server, "TagInstanceProfile", {
    ...profile,
    ...tagged([
      ["c", "3"],
      ["A", "1"],
      ["b", "2"],
    ]),
  });
  const first = await iam(server, "ListInstanceProfileTags", { ...profile, MaxItems: "2" });
  const rest = await iam(server, "ListInstanceProfileTags", { ...profile, MaxItems: "2", Marker: first.first("Marker") ?? "" });
  assert.deepEqual([...first.all("Key"), ...rest.all("Key"), rest.first("IsTruncated")], ["A", "b", "c", "false"]);
  await iam(server, "UntagInstanceProfile", { ...profile, "TagKeys.member.1": "B", "TagKeys.member.2": "none" });
  assert.deepEqual((await iam(server, "GetInstanceProfile", { InstanceProfileName: "tagged" })).all("Value"), ["1", "3"]);
  const none = { InstanceProfileName: "none" };
  const cases: [string, Readonly<Record<string, string>>, string][] = [
    ["TagInstanceProfile", { ...none, ...tagged([["a", "1"]]) }, "NoSuchEntity"],
    ["UntagInstanceProfile", { ...none, "TagKeys.member.1": "a" }, "NoSuchEntity"],
    ["ListInstanceProfileTags", none, "NoSuchEntity"],
    [
      "TagInstanceProfile",
      {
        ...profile,
        ...tagged([
          ["x", "1"],
          ["X", "2"],
        ]),
      },
      "InvalidInput",
    ],
    ["TagInstanceProfile", { ...profile, ...tagged(Array.from({ length: 49 }, (_, at) => [`k${at}`, ""] as const)) }, "LimitExceeded"],
    ["TagInstanceProfile", profile, "ValidationError"],
  ];
  for (const [operation, parameters, code] of cases) assert.equal((await callIam(server, operation, parameters)).code, code, operation);
  const byTag = (value: string) => ({
    Effect: "Allow",
    Action: ["iam:TagInstanceProfile", "iam:UntagInstanceProfile", "iam:ListInstanceProfileTags"],
    Resource: `arn:aws:iam::${account}:instance-profile/t/*`,
    Condition: { StringEquals: { "iam:ResourceTag/c": value } },
  });
  const [may, mayNot] = [await makeIamUser(server, "tags-3", [byTag("3")]), await makeIamUser(server, "tags-4", [byTag("4")])];
  const tag = { ...profile, ...tagged([["d", "4"]]) };
  assert.equal((await callIam(server, "TagInstanceProfile", tag, mayNot)).code, "AccessDenied");
  await iam(server, "TagInstanceProfile", tag, may);
  await iam(server, "UntagInstanceProfile", { ...profile, "TagKeys.member.1": "c" }, may);
  assert.equal((await callIam(server, "ListInstanceProfileTags", profile, may)).code, "AccessDenied");
});

test("a role is given to machines only by those who may pass it on", async () => {
  await iam(server, "CreateInstanceProfile", { InstanceProfileName: "given" });
  const add = { Effect: "Allow", Action: "iam:AddRoleToInstanceProfile", Resource: "*" };
  const pass = (service: string, role: string) => ({
    Effect: "Allow",
    Action: "iam:PassRole",
    Resource: `arn:aws:iam::${account}:role/r/${role}`,
    Condition: { StringEquals: { "iam:PassedToService": service } },
  });
  const users: [string, readonly object[], string | undefined][] = [
    ["adds", [add], "AccessDenied"],
    ["passes-other", [add, pass("ec2.amazonaws.com", "batch")], "AccessDenied"],
    ["passes-elsewhere", [add, pass("lambda.amazonaws.com", "web")], "AccessDenied"],
    ["passes", [add, pass("ec2.amazonaws.com", "web")], undefined],
  ];
  for (const [name, statements, code] of users) {
    const key = await makeIamUser(server, name, statements);
    const answer = await callIam(server, "AddRoleToInstanceProfile", { InstanceProfileName: "given", RoleName: "web" }, key);
    assert.equal(answer.code, code, answer.message);
    if (code !== undefined) assert.match(answer.message, /iam:PassRole on resource: arn:aws:iam::123456789012:role\/r\/web /);
  }
});
