import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { allowing } from "../../../test/sts-fixture.ts";

let server: RegistryServer;
/** Permissions that are none of what is asked for here. */
const nothing = [allowing(["ecr:DescribeRegistry"])];

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const must = (action: string, input: Record<string, string> = {}) => iam(server, action, input);

async function refused(action: string, input: Record<string, string> = {}): Promise<readonly unknown[]> {
  const { status, code, message } = await callIam(server, action, input);
  return [status, code, message];
}

test("an account has one alias", async () => {
  const listed = async () => (await must("ListAccountAliases")).all("member");
  assert.deepEqual(await listed(), []);
  await must("CreateAccountAlias", { AccountAlias: "harbour" });
  await must("CreateAccountAlias", { AccountAlias: "new-harbour" });
  assert.deepEqual(await listed(), ["new-harbour"]);
  const taken = [409, "EntityAlreadyExists", "The account alias new-harbour already exists."];
  assert.deepEqual(await refused("CreateAccountAlias", { AccountAlias: "new-harbour" }), taken);
  const gone = [404, "NoSuchEntity", "The account alias harbour cannot be found."];
  assert.deepEqual(await refused("DeleteAccountAlias", { AccountAlias: "harbour" }), gone);
  await must("DeleteAccountAlias", { AccountAlias: "new-harbour" });
  assert.deepEqual(await listed(), []);
  for (const AccountAlias of ["a", "-ab", "ab-", "a--b", "Ab1"])
    assert.equal((await refused("CreateAccountAlias", { AccountAlias }))[1], "ValidationError", AccountAlias);
  assert.equal((await refused("CreateAccountAlias", { AccountAlias: "123456789012" }))[1], "InvalidInput");
});

test("a password policy is set as a whole, and refuses what would have no effect", async () => {
  const missing = [404, "NoSuchEntity", "The Password Policy with domain name 123456789012 cannot be found."];
  assert.deepEqual(await refused("GetAccountPasswordPolicy"), missing);
  assert.deepEqual(await refused("DeleteAccountPasswordPolicy"), missing);
  const members = [
    "MinimumPasswordLength",
    "RequireSymbols",
    "RequireUppercaseCharacters",
    "AllowUsersToChangePassword",
    "ExpirePasswords",
  ];
  const shown = async () => {
    const { first } = await must("GetAccountPasswordPolicy");
    return members.map((member) => first(member));
  };
  await must("UpdateAccountPasswordPolicy", { MinimumPasswordLength: "14", RequireSymbols: "true", AllowUsersToChangePassword: "true" });
  assert.deepEqual(await shown(), ["14", "true", "false", "true", "false"]);
  await must("UpdateAccountPasswordPolicy", { RequireUppercaseCharacters: "true", HardExpiry: "false" });
  assert.deepEqual(await shown(), ["6", "false", "true", "false", "false"]);
  const cases = [
    [{ MaxPasswordAge: "90" }, "InvalidInput"],
    [{ PasswordReusePrevention: "5" }, "InvalidInput"],
    [{ HardExpiry: "true" }, "InvalidInput"],
    [{ MinimumPasswordLength: "5" }, "ValidationError"],
    [{ MinimumPasswordLength: "129" }, "ValidationError"],
  ] as const;
  for (const [input, code] of cases) assert.equal((await refused("UpdateAccountPasswordPolicy", input))[1], code, JSON.stringify(input));
  assert.deepEqual(await shown(), ["6", "false", "true", "false", "false"]);
  await must("DeleteAccountPasswordPolicy");
  assert.deepEqual(await refused("GetAccountPasswordPolicy"), missing);
});

test("the summary counts what the account has", async () => {
  await makeIamUser(server, "counted", nothing);
  await must("CreateGroup", { GroupName: "counted" });
  await server.addAccount("999999999999");
  const { xml } = await must("GetAccountSummary");
  const summary = Object.fromEntries([...xml.matchAll(/<key>(\w+)<\/key><value>(\d+)<\/value>/g)].map(([, key, value]) => [key, value]));
  const expected = { Users: "1", UsersQuota: "5000", Groups: "1", Roles: "0", AccountAccessKeysPresent: "1", AccountMFAEnabled: "0" };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, summary[key]])), expected);
});
