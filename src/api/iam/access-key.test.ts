import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser } from "../../../test/iam-client.ts";
import type { IamCredentials } from "../../../test/iam-client.ts";
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

const must = (action: string, input: Record<string, string> = {}, key?: IamCredentials) => iam(server, action, input, key);
const codeOf = async (action: string, input: Record<string, string> = {}, key?: IamCredentials) =>
  (await callIam(server, action, input, key)).code;

test("a key is shown with its secret once, works, rests, works again, and goes", async () => {
  const key = await makeIamUser(server, "Worker", [allowing(["iam:GetUser"])]);
  assert.match(key.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
  assert.match(key.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
  const listed = await must("ListAccessKeys", { UserName: "worker" });
  assert.deepEqual([listed.first("UserName"), listed.first("AccessKeyId"), listed.first("Status")], ["Worker", key.accessKeyId, "Active"]);
  assert.ok(!listed.xml.includes(key.secretAccessKey));
  const named = { UserName: "worker", AccessKeyId: key.accessKeyId };
  assert.equal(await codeOf("GetUser", {}, key), undefined);
  await must("UpdateAccessKey", { ...named, Status: "Inactive" });
  assert.equal(await codeOf("GetUser", {}, key), "InvalidClientTokenId");
  await must("UpdateAccessKey", { ...named, Status: "Active" });
  assert.equal(await codeOf("GetUser", {}, key), undefined);
  const conflict = await callIam(server, "DeleteUser", { UserName: "worker" });
  assert.equal(conflict.message, "Cannot delete entity, must delete access keys first.");
  await must("DeleteAccessKey", named);
  assert.equal(await codeOf("GetUser", {}, key), "InvalidClientTokenId");
  assert.equal(await codeOf("DeleteAccessKey", named), "NoSuchEntity");
});

test("a user has two keys at most, and only by its own name", async () => {
  const key = await makeIamUser(server, "pair", nothing);
  await makeIamUser(server, "stranger", nothing);
  await must("CreateAccessKey", { UserName: "pair" });
  const third = await callIam(server, "CreateAccessKey", { UserName: "pair" });
  assert.deepEqual([third.status, third.code, third.message], [409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"]);
  const page = await must("ListAccessKeys", { UserName: "pair", MaxItems: "1" });
  const rest = await must("ListAccessKeys", { UserName: "pair", MaxItems: "1", Marker: page.first("Marker") ?? "" });
  assert.deepEqual([page.first("IsTruncated"), rest.first("IsTruncated")], ["true", "false"]);
  assert.notEqual(page.first("AccessKeyId"), rest.first("AccessKeyId"));
  const { accessKeyId: AccessKeyId } = key;
  assert.equal(await codeOf("DeleteAccessKey", { UserName: "stranger", AccessKeyId }), "NoSuchEntity");
  assert.equal(await codeOf("UpdateAccessKey", { UserName: "stranger", AccessKeyId, Status: "Inactive" }), "NoSuchEntity");
  assert.equal(await codeOf("DeleteAccessKey", { AccessKeyId }), "NoSuchEntity");
  assert.equal(await codeOf("CreateAccessKey", { UserName: "nobody" }), "NoSuchEntity");
  assert.equal(await codeOf("ListAccessKeys", { UserName: "nobody" }), "NoSuchEntity");
  assert.equal(await codeOf("UpdateAccessKey", { UserName: "pair", AccessKeyId, Status: "Expired" }), "InvalidInput");
  assert.equal(await codeOf("UpdateAccessKey", { UserName: "pair", AccessKeyId, Status: "active" }), "ValidationError");
});

test("without a name the caller's own keys are meant", async () => {
  const key = await makeIamUser(server, "rotating", [allowing(["iam:*AccessKey*"], `${account}:user/rotating`)]);
  const made = await must("CreateAccessKey", {}, key);
  assert.equal(made.first("UserName"), "rotating");
  const next = { accessKeyId: made.first("AccessKeyId") ?? "", secretAccessKey: made.first("SecretAccessKey") ?? "" };
  assert.equal((await must("ListAccessKeys", {}, next)).all("AccessKeyId").length, 2);
  await must("DeleteAccessKey", { AccessKeyId: key.accessKeyId }, next);
  assert.deepEqual((await must("ListAccessKeys", {}, next)).all("AccessKeyId"), [next.accessKeyId]);
  assert.equal(await codeOf("ListAccessKeys", { UserName: "pair" }, next), "AccessDenied");
});

test("root has its own key, which the operator makes", async () => {
  const listed = await must("ListAccessKeys");
  assert.deepEqual([listed.all("AccessKeyId"), listed.first("UserName")], [[server.credentials.accessKeyId], undefined]);
  assert.equal((await callIam(server, "CreateAccessKey")).message, "Cannot exceed quota for AccessKeysPerUser: 1");
});

test("when and for what a key was last used is told to whoever may see its user", async () => {
  const key = await makeIamUser(server, "used", [allowing(["iam:GetAccessKeyLastUsed"], `${account}:user/used`)]);
  const idle = await makeIamUser(server, "idle", nothing);
  const never = await must("GetAccessKeyLastUsed", { AccessKeyId: idle.accessKeyId });
  assert.deepEqual([never.first("UserName"), never.first("ServiceName"), never.first("Region")], ["idle", "N/A", "N/A"]);
  assert.equal(never.first("LastUsedDate"), undefined);
  await must("GetAccessKeyLastUsed", { AccessKeyId: key.accessKeyId }, key);
  let own = await must("GetAccessKeyLastUsed", { AccessKeyId: key.accessKeyId }, key);
  for (let waited = 0; own.first("LastUsedDate") === undefined; waited += 10) {
    assert.ok(waited < 2_000, "a use is noted soon");
    await sleep(10);
    own = await must("GetAccessKeyLastUsed", { AccessKeyId: key.accessKeyId }, key);
  }
  assert.deepEqual([own.first("ServiceName"), own.first("Region"), own.first("UserName")], ["iam", server.region, "used"]);
  assert.equal(await codeOf("GetAccessKeyLastUsed", { AccessKeyId: idle.accessKeyId }, key), "AccessDenied");
  assert.equal(await codeOf("GetAccessKeyLastUsed", { AccessKeyId: "AKIAAAAAAAAAAAAAAAAA" }, key), "AccessDenied");
  assert.equal(await codeOf("GetAccessKeyLastUsed", { AccessKeyId: "AKIAAAAAAAAAAAAAAAAA" }), "NoSuchEntity");
  const foreign = await server.addAccount("999999999999");
  assert.equal(await codeOf("GetAccessKeyLastUsed", { AccessKeyId: foreign.accessKeyId }), "NoSuchEntity");
  assert.equal((await must("GetAccessKeyLastUsed", { AccessKeyId: server.credentials.accessKeyId })).first("UserName"), undefined);
});
