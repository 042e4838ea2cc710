import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { allowing } from "../../../test/sts-fixture.ts";

let server: RegistryServer;
/** Permissions that are none of what is asked for here. */
const nothing = [allowing(["ecr:DescribeRegistry"])];
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

test("a group is made, filled, shown, renamed and deleted", async () => {
  const made = await must("CreateGroup", { GroupName: "Ops", Path: "/a/" });
  assert.match(made.first("GroupId") ?? "", /^AGPA[A-Z2-7]{17}$/);
  assert.deepEqual([made.first("Arn"), made.first("Path")], [`${account}:group/a/Ops`, "/a/"]);
  assert.equal((await call("CreateGroup", { GroupName: "ops" })).message, "Group with name ops already exists.");
  for (const UserName of ["u1", "u2", "u3"]) {
    await must("CreateUser", { UserName });
    await must("AddUserToGroup", { GroupName: "ops", UserName });
    await must("AddUserToGroup", { GroupName: "ops", UserName });
  }
  const page = await must("GetGroup", { GroupName: "ops", MaxItems: "2" });
  assert.deepEqual([page.first("GroupName"), page.all("UserName"), page.first("IsTruncated")], ["Ops", ["u1", "u2"], "true"]);
  const rest = await must("GetGroup", { GroupName: "ops", Marker: page.first("Marker") ?? "" });
  assert.deepEqual([rest.all("UserName"), rest.first("IsTruncated")], [["u3"], "false"]);
  await must("UpdateGroup", { GroupName: "ops", NewGroupName: "operations", NewPath: "/b/" });
  assert.deepEqual((await must("ListGroupsForUser", { UserName: "u1" })).all("Arn"), [`${account}:group/b/operations`]);
  await must("CreateGroup", { GroupName: "second" });
  assert.equal((await call("UpdateGroup", { GroupName: "second", NewGroupName: "OPERATIONS" })).code, "EntityAlreadyExists");
  assert.deepEqual((await must("ListGroups")).all("GroupName"), ["operations", "second"]);
  assert.deepEqual((await must("ListGroups", { PathPrefix: "/b/" })).all("GroupName"), ["operations"]);
  const conflict = await call("DeleteGroup", { GroupName: "operations" });
  const conflictText = "Cannot delete entity, must remove users from group first.";
  assert.deepEqual([conflict.status, conflict.code, conflict.message], [409, "DeleteConflict", conflictText]);
  assert.equal((await call("DeleteUser", { UserName: "u1" })).message, conflictText);
  for (const UserName of ["u1", "u2", "u3"]) await must("RemoveUserFromGroup", { GroupName: "operations", UserName });
  for (const GroupName of ["operations", "second"]) await must("DeleteGroup", { GroupName });
});

test("what is missing is said", async () => {
  await must("CreateGroup", { GroupName: "there" });
  await must("CreateUser", { UserName: "here" });
  const cases: readonly (readonly [string, Record<string, string>, string])[] = [
    ["GetGroup", { GroupName: "g" }, "The group with name g cannot be found."],
    ["UpdateGroup", { GroupName: "g", NewPath: "/x/" }, "The group with name g cannot be found."],
    ["DeleteGroup", { GroupName: "g" }, "The group with name g cannot be found."],
    ["AddUserToGroup", { GroupName: "g", UserName: "here" }, "The group with name g cannot be found."],
    ["AddUserToGroup", { GroupName: "there", UserName: "u" }, "The user with name u cannot be found."],
    ["RemoveUserFromGroup", { GroupName: "there", UserName: "u" }, "The user with name u cannot be found."],
    ["RemoveUserFromGroup", { GroupName: "there", UserName: "here" }, "User not in group there."],
    ["ListGroupsForUser", { UserName: "u" }, "The user with name u cannot be found."],
  ];
  for (const [action, input, message] of cases) {
    const answer = await call(action, input);
    assert.deepEqual([answer.status, answer.code, answer.message], [404, "NoSuchEntity", message], action);
  }
});

test("a user is in ten groups at most", async () => {
  await must("CreateUser", { UserName: "busy" });
  for (let at = 0; at <= 10; at += 1) await must("CreateGroup", { GroupName: `busy${at}` });
  for (let at = 0; at < 10; at += 1) await must("AddUserToGroup", { GroupName: `busy${at}`, UserName: "busy" });
  const answer = await call("AddUserToGroup", { GroupName: "busy10", UserName: "busy" });
  assert.deepEqual([answer.status, answer.code, answer.message], [409, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10"]);
});

test("a group's policy is its members' as long as they are members", async () => {
  const key = await makeIamUser(server, "member", nothing);
  await must("CreateGroup", { GroupName: "readers" });
  const document = iamDocument(allowing(["iam:ListGroups"]));
  await must("PutGroupPolicy", { GroupName: "readers", PolicyName: "p", PolicyDocument: document });
  const statuses = async () => (await callIam(server, "ListGroups", {}, key)).status;
  assert.equal(await statuses(), 403);
  await must("AddUserToGroup", { GroupName: "readers", UserName: "member" });
  assert.equal(await statuses(), 200);
  await must("RemoveUserFromGroup", { GroupName: "readers", UserName: "member" });
  assert.equal(await statuses(), 403);
});

test("a permission on one path does not take groups to another", async () => {
  const key = await makeIamUser(server, "mover", [allowing(["iam:*Group", "iam:AddUserToGroup"], `${account}:group/dev/*`)]);
  const codeOf = async (action: string, input: Record<string, string>) => (await callIam(server, action, input, key)).code;
  assert.equal(await codeOf("CreateGroup", { GroupName: "m1", Path: "/dev/" }), undefined);
  assert.equal(await codeOf("CreateGroup", { GroupName: "m2", Path: "/" }), "AccessDenied");
  assert.equal(await codeOf("UpdateGroup", { GroupName: "m1", NewPath: "/" }), "AccessDenied");
  assert.equal(await codeOf("UpdateGroup", { GroupName: "m1", NewGroupName: "m3" }), undefined);
  assert.equal(await codeOf("AddUserToGroup", { GroupName: "m3", UserName: "mover" }), undefined);
  assert.equal(await codeOf("AddUserToGroup", { GroupName: "there", UserName: "mover" }), "AccessDenied");
});
