import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { removeDueSecrets } from "#secrets/secret.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly ARN: string;
  readonly Name: string;
  readonly VersionId?: string;
  readonly DeletionDate?: number;
  readonly DeletedDate?: number;
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
}

async function call(operation: string, input: object): Promise<Answered> {
  const answer = await callJson(server, `secretsmanager.${operation}`, input);
  const content = answer.body.length === 0 ? ({} as Answered) : answer.json<Answered>();
  assert.equal(answer.status, content.__type === undefined ? 200 : 400, `${operation} ${JSON.stringify(content)}`);
  return content;
}

/** The exception and its text. */
async function refusal(operation: string, input: object): Promise<string> {
  const { __type, message } = await call(operation, input);
  return `${__type}: ${message}`;
}

const notFound = "ResourceNotFoundException: Secrets Manager can't find the specified secret.";
const marked = "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion.";
const taken = "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion.";
const token = "11111111-2222-3333-4444-555555555555";
const day = 86_400;

test("a secret is made, described, and found by name, ARN and partial ARN", async () => {
  const Tags = [
    { Key: "team", Value: "a" },
    { Key: "__proto__", Value: "" },
  ];
  const made = await call("CreateSecret", { Name: "team/db", Description: "d", SecretString: "s", ClientRequestToken: token, Tags });
  assert.match(made.ARN, /^arn:aws:secretsmanager:eu-central-1:123456789012:secret:team\/db-[A-Za-z]{6}$/);
  assert.deepEqual(made, { ARN: made.ARN, Name: "team/db", VersionId: token });
  for (const SecretId of ["team/db", made.ARN, made.ARN.slice(0, -7)]) {
    const { CreatedDate, LastChangedDate, ...described } = (await call("DescribeSecret", { SecretId })) as Answered &
      Record<string, number>;
    assert.equal(CreatedDate, LastChangedDate);
    assert.ok(Math.abs(Number(CreatedDate) - server.core.clock.now() / 1000) < 60);
    const sorted = [...(described.Tags ?? [])].toSorted((a, b) => (a.Key < b.Key ? -1 : 1));
    assert.deepEqual(
      { ...described, Tags: sorted },
      {
        ARN: made.ARN,
        Name: "team/db",
        Description: "d",
        Tags: [Tags[1], Tags[0]],
        VersionIdsToStages: { [token]: ["AWSCURRENT"] },
      },
    );
  }
  const other = `${made.ARN.slice(0, -1)}${made.ARN.endsWith("a") ? "b" : "a"}`;
  const elsewhere = made.ARN.replace("eu-central-1", "us-east-1");
  for (const SecretId of ["team", "Team/db", other, elsewhere, made.ARN.slice(0, -8)])
    assert.equal(await refusal("DescribeSecret", { SecretId }), notFound, SecretId);
});

test("making a secret again", async () => {
  const input = { Name: "again", SecretString: "s", ClientRequestToken: token };
  const made = await call("CreateSecret", input);
  assert.deepEqual(await call("CreateSecret", input), made);
  const exists = "ResourceExistsException: The operation failed because the secret again already exists.";
  assert.equal(await refusal("CreateSecret", { ...input, SecretString: "t" }), exists);
  assert.equal(await refusal("CreateSecret", { Name: "again", SecretBinary: "cw==", ClientRequestToken: token }), exists);
  assert.equal(await refusal("CreateSecret", { Name: "again" }), exists);
  const made2 = await call("CreateSecret", { Name: "empty" });
  assert.deepEqual(made2, { ARN: made2.ARN, Name: "empty" });
});

test("what is not taken", async () => {
  const name =
    "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@";
  const cases: readonly (readonly [string, object, string])[] = [
    ["CreateSecret", { Name: "a b" }, name],
    ["CreateSecret", { Name: "ä" }, name],
    ["DescribeSecret", { SecretId: "a b" }, name],
    ["DescribeSecret", { SecretId: "arn:aws:secretsmanager:eu-central-1:1:secret:x" }, name],
    ["DescribeSecret", { SecretId: "x".repeat(513) }, name],
    ["CreateSecret", { Name: "x", SecretString: "a", SecretBinary: "YQ==" }, "InvalidParameterException: You can't specify both"],
    ["CreateSecret", { Name: "x", SecretString: "ä".repeat(32_769) }, "InvalidParameterException: The secret value must not be longer"],
    ["CreateSecret", { Name: "x", SecretString: "" }, "ValidationException: 1 validation error detected"],
    ["CreateSecret", { Name: "x", KmsKeyId: "alias/own" }, "InvalidParameterException: KmsKeyId is not supported"],
    ["CreateSecret", { Name: "x", AddReplicaRegions: [{ Region: "us-east-1" }] }, "InvalidParameterException: AddReplicaRegions"],
    ["CreateSecret", { Name: "x", ForceOverwriteReplicaSecret: true }, "InvalidParameterException: ForceOverwriteReplicaSecret"],
    ["CreateSecret", { Name: "x", Type: "other" }, "InvalidParameterException: Type is not"],
    ["CreateSecret", { Name: "x", Tags: [{ Value: "v" }] }, "InvalidParameterException: A tag must have a key."],
    ["CreateSecret", { Name: "x", Tags: [{ Key: "aws:x" }] }, "InvalidParameterException: Tag keys must not start with the prefix 'aws:'."],
    ["CreateSecret", { Name: "x", Tags: [{ Key: "a" }, { Key: "a" }] }, "InvalidParameterException: A tag key is given more than once."],
    ["CreateSecret", { Name: "x", Tags: [{ Key: "a", Value: "<" }] }, "InvalidParameterException: The tag 'a' has characters"],
    ["UpdateSecret", { SecretId: "none", Description: "d" }, notFound],
    ["DeleteSecret", { SecretId: "none" }, notFound],
    ["RestoreSecret", { SecretId: "none" }, notFound],
    ["TagResource", { SecretId: "none", Tags: [] }, notFound],
  ];
  for (const [operation, input, text] of cases) {
    const refused = await refusal(operation, input);
    assert.ok(refused.startsWith(text), `${operation} ${JSON.stringify(input).slice(0, 99)}: ${refused}`);
  }
  assert.equal(await refusal("DescribeSecret", { SecretId: "x" }), notFound);
  const longest = "x".repeat(512);
  const { ARN } = await call("CreateSecret", { Name: longest, SecretString: "ä".repeat(32_768), KmsKeyId: "alias/aws/secretsmanager" });
  assert.equal((await call("DescribeSecret", { SecretId: ARN })).Name, longest);
});

test("deleting waits, and can be taken back until it is done", async () => {
  const { ARN } = await call("CreateSecret", { Name: "gone", SecretString: "s", ClientRequestToken: token });
  const window = (days: number) => refusal("DeleteSecret", { SecretId: "gone", RecoveryWindowInDays: days });
  const range = "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
  assert.deepEqual([await window(6), await window(31)], [range, range]);
  assert.equal(
    await refusal("DeleteSecret", { SecretId: "gone", RecoveryWindowInDays: 7, ForceDeleteWithoutRecovery: true }),
    "InvalidParameterException: You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
  );
  const deleted = await call("DeleteSecret", { SecretId: "gone" });
  const inDays = (Number(deleted.DeletionDate) - server.core.clock.now() / 1000) / day;
  assert.ok(Math.abs(inDays - 30) < 0.01, String(inDays));
  const changes: Readonly<Record<string, object>> = {
    DeleteSecret: {},
    GetSecretValue: {},
    PutSecretValue: { SecretString: "t" },
    UpdateSecret: { SecretString: "t" },
    TagResource: { Tags: [{ Key: "a" }] },
    UntagResource: { TagKeys: ["a"] },
    GetResourcePolicy: {},
    DeleteResourcePolicy: {},
  };
  for (const [operation, input] of Object.entries(changes))
    assert.equal(await refusal(operation, { SecretId: "gone", ...input }), marked, operation);
  assert.equal((await call("DescribeSecret", { SecretId: "gone" })).DeletedDate, deleted.DeletionDate);
  assert.equal(await refusal("CreateSecret", { Name: "gone", SecretString: "s", ClientRequestToken: token }), taken);
  assert.deepEqual(await call("RestoreSecret", { SecretId: "gone" }), { ARN, Name: "gone" });
  assert.equal((await call("DescribeSecret", { SecretId: "gone" })).DeletedDate, undefined);
  assert.equal((await call("GetSecretValue", { SecretId: "gone" })).VersionId, token);

  const again = await call("DeleteSecret", { SecretId: ARN, RecoveryWindowInDays: 7 });
  assert.ok(Math.abs((Number(again.DeletionDate) - server.core.clock.now() / 1000) / day - 7) < 0.01);
  const { core } = server;
  const at = (days: number) => removeDueSecrets({ ...core, clock: { now: () => core.clock.now() + days * day * 1000 } }, { limit: 1 });
  assert.equal(await at(6.9), 0);
  assert.equal(await at(7.1), 1);
  assert.equal(await refusal("RestoreSecret", { SecretId: "gone" }), notFound);
  const anew = await call("CreateSecret", { Name: "gone", SecretString: "s" });
  assert.notEqual(anew.ARN, ARN);
  assert.equal(await refusal("DescribeSecret", { SecretId: ARN }), notFound);
});

test("deleting at once", async () => {
  const { ARN } = await call("CreateSecret", { Name: "now" });
  await call("DeleteSecret", { SecretId: "now" });
  const force = { ForceDeleteWithoutRecovery: true };
  assert.equal((await call("DeleteSecret", { SecretId: ARN, ...force })).ARN, ARN);
  assert.equal(await refusal("DescribeSecret", { SecretId: "now" }), notFound);
  assert.equal((await call("DeleteSecret", { SecretId: ARN, ...force })).ARN, ARN);
  assert.match((await call("DeleteSecret", { SecretId: "never", ...force })).ARN, /:secret:never-[A-Za-z]{6}$/);
});

test("descriptions and tags change", async () => {
  await call("CreateSecret", { Name: "changing", Description: "first", Tags: [{ Key: "a", Value: "1" }] });
  const described = async () => {
    const { Description, Tags } = (await call("DescribeSecret", { SecretId: "changing" })) as Answered & { Description?: string };
    return [Description, Tags?.map(({ Key, Value }) => `${Key}=${Value}`).join(" ")];
  };
  const updated = await call("UpdateSecret", { SecretId: "changing", Description: "second" });
  assert.equal("VersionId" in updated, false);
  const put = [
    { Key: "a", Value: "2" },
    { Key: "b", Value: "3" },
  ];
  assert.deepEqual(await call("TagResource", { SecretId: "changing", Tags: put }), {});
  assert.deepEqual(await described(), ["second", "a=2 b=3"]);
  assert.deepEqual(await call("UntagResource", { SecretId: "changing", TagKeys: ["a", "none"] }), {});
  await call("UpdateSecret", { SecretId: "changing", Description: "" });
  assert.deepEqual(await described(), [undefined, "b=3"]);
  const many = Array.from({ length: 50 }, (_, index) => ({ Key: `k${index}`, Value: "" }));
  assert.match(
    await refusal("TagResource", { SecretId: "changing", Tags: many }),
    /^InvalidParameterException: You have reached the quota of 50 tags/,
  );
  assert.deepEqual(await described(), [undefined, "b=3"]);
});
