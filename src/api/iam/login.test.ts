import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser } from "../../../test/iam-client.ts";
import type { IamCredentials } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { allowing } from "../../../test/sts-fixture.ts";

let server: RegistryServer;
/** Permissions that are none of what is asked for here. */
const nothing = [allowing(["ecr:DescribeRegistry"])];
const account = "arn:aws:iam::123456789012";
const good = "Correct-horse-1";

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const must = (action: string, input: Record<string, string> = {}, key?: IamCredentials) => iam(server, action, input, key);

async function refused(action: string, input: Record<string, string> = {}, key?: IamCredentials): Promise<readonly unknown[]> {
  const { status, code, message } = await callIam(server, action, input, key);
  return [status, code, message];
}

test("a password is given, shown without itself, changed and taken away", async () => {
  await must("CreateUser", { UserName: "Alice" });
  const missing = [404, "NoSuchEntity", "Login Profile for User Alice cannot be found."];
  for (const action of ["GetLoginProfile", "UpdateLoginProfile"]) assert.deepEqual(await refused(action, { UserName: "Alice" }), missing);
  assert.deepEqual(await refused("DeleteLoginProfile", { UserName: "Alice" }), missing);
  assert.equal((await refused("CreateLoginProfile", { UserName: "Alice" }))[1], "ValidationError");
  const made = await must("CreateLoginProfile", { UserName: "alice", Password: good, PasswordResetRequired: "true" });
  assert.deepEqual([made.first("UserName"), made.first("PasswordResetRequired")], ["Alice", "true"]);
  assert.ok(!made.xml.includes(good));
  const again = await refused("CreateLoginProfile", { UserName: "Alice", Password: good });
  assert.deepEqual(again, [409, "EntityAlreadyExists", "Login Profile for user Alice already exists."]);
  await must("UpdateLoginProfile", { UserName: "Alice", PasswordResetRequired: "false" });
  assert.equal((await must("GetLoginProfile", { UserName: "Alice" })).first("PasswordResetRequired"), "false");
  const conflict = await refused("DeleteUser", { UserName: "Alice" });
  assert.deepEqual(conflict, [409, "DeleteConflict", "Cannot delete entity, must delete login profile first."]);
  await must("DeleteLoginProfile", { UserName: "Alice" });
  await must("DeleteUser", { UserName: "Alice" });
  for (const action of ["GetLoginProfile", "DeleteLoginProfile", "CreateLoginProfile"]) {
    const expected = [404, "NoSuchEntity", "The user with name Alice cannot be found."];
    assert.deepEqual(await refused(action, { UserName: "Alice", ...(action.startsWith("Create") && { Password: good }) }), expected);
  }
});

test("a user changes its own password with the old one, when a policy lets it", async () => {
  const key = await makeIamUser(server, "owner", [allowing(["iam:GetLoginProfile"])]);
  await must("CreateLoginProfile", { UserName: "owner", Password: good, PasswordResetRequired: "true" });
  const change = (OldPassword: string, NewPassword: string) => refused("ChangePassword", { OldPassword, NewPassword }, key);
  assert.deepEqual((await change(good, `${good}2`)).slice(0, 2), [403, "AccessDenied"]);
  const document = iamDocument(allowing(["iam:ChangePassword"], `${account}:user/owner`));
  await must("PutUserPolicy", { UserName: "owner", PolicyName: "more", PolicyDocument: document });
  assert.deepEqual(await change("wrong", `${good}2`), [403, "AccessDenied", "The old password was incorrect."]);
  assert.equal((await change(good, "short"))[1], "PasswordPolicyViolation");
  assert.equal((await change(good, `${good}2`))[0], 200);
  assert.equal((await change(good, `${good}3`))[1], "AccessDenied");
  assert.equal((await must("GetLoginProfile", {}, key)).first("PasswordResetRequired"), "false");
  const passwords = { OldPassword: good, NewPassword: `${good}2` };
  assert.deepEqual(await refused("ChangePassword", passwords), [400, "InvalidUserType", "Only IAM Users can change their own password"]);
});

test("the account's password policy lets users change their passwords, and a Deny does not", async () => {
  const key = await makeIamUser(server, "free", nothing);
  await must("CreateLoginProfile", { UserName: "free", Password: good });
  const codes = async () => [
    (await refused("ChangePassword", { OldPassword: good, NewPassword: good }, key))[1],
    (await refused("GetAccountPasswordPolicy", {}, key))[1],
    (await refused("DeleteAccountPasswordPolicy", {}, key))[1],
  ];
  assert.deepEqual(await codes(), ["AccessDenied", "AccessDenied", "AccessDenied"]);
  await must("UpdateAccountPasswordPolicy", { AllowUsersToChangePassword: "true" });
  assert.deepEqual(await codes(), [undefined, undefined, "AccessDenied"]);
  const document = iamDocument({ Effect: "Deny", Action: "iam:ChangePassword", Resource: "*" });
  await must("PutUserPolicy", { UserName: "free", PolicyName: "denied", PolicyDocument: document });
  assert.deepEqual(await codes(), ["AccessDenied", undefined, "AccessDenied"]);
  await must("DeleteAccountPasswordPolicy");
});

test("new passwords follow the account's policy", async () => {
  await must("CreateUser", { UserName: "Strict-User-1" });
  const create = async (Password: string) => (await refused("CreateLoginProfile", { UserName: "strict-user-1", Password }))[2];
  assert.equal(await create("Abc-123"), "Password should have a minimum length of 8");
  assert.match(String(await create("abcdefg1")), /three of/);
  assert.equal(await create("STRICT-user-1"), "Password should not be the same as the user name");
  await must("UpdateAccountPasswordPolicy", { MinimumPasswordLength: "10", RequireSymbols: "true" });
  assert.equal(await create("Abcdefgh12"), "Password should have at least one symbol");
  assert.equal(await create("abcdefg-h"), "Password should have a minimum length of 10");
  assert.equal(await create("abcdefgh-i"), "");
  await must("UpdateAccountPasswordPolicy", { RequireNumbers: "true" });
  const update = await refused("UpdateLoginProfile", { UserName: "Strict-User-1", Password: "abcdefgh" });
  assert.deepEqual(update, [400, "PasswordPolicyViolation", "Password should have at least one number"]);
  await must("UpdateLoginProfile", { UserName: "Strict-User-1", Password: "abcde1" });
  await must("DeleteAccountPasswordPolicy");
});
