import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import type { AssumeRoleCommandInput, AssumeRoleCommandOutput, Credentials } from "@aws-sdk/client-sts";
import { allowing, startStsServer, trusting } from "../../../test/sts-fixture.ts";
import type { SigningKey, StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let alice: SigningKey & { readonly arn: string };

before(async () => {
  sts = await startStsServer();
  alice = await sts.addUser({ name: "alice", inline: [allowing(["sts:*"])] });
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
});

function assume(key: SigningKey | Credentials | undefined, input: Partial<AssumeRoleCommandInput>): Promise<AssumeRoleCommandOutput> {
  return sts.client(key).send(new AssumeRoleCommand({ RoleArn: undefined, RoleSessionName: "session", ...input }));
}

const tag = (Key: string, Value: string): { Key: string; Value: string } => ({ Key, Value });

test("tags and a source identity each need a permission of their own", async () => {
  const plain = await sts.addRole({ name: "Plain", trust: [trusting({ AWS: sts.server.accountId }, ["sts:AssumeRole"])] });
  const cases: readonly (readonly [Partial<AssumeRoleCommandInput>, string])[] = [
    [{ Tags: [tag("team", "a")] }, "sts:TagSession"],
    [{ SourceIdentity: "alice" }, "sts:SetSourceIdentity"],
  ];
  for (const [input, action] of cases) {
    await assert.rejects(assume(alice, { RoleArn: plain.arn, ...input }), {
      name: "AccessDenied",
      message: `User: ${alice.arn} is not authorized to perform: ${action} on resource: ${plain.arn} because no role trust policy allows the ${action} action`,
    });
  }
});

test("the trust policy sees the tags, their keys and which of them stay", async () => {
  const condition = {
    StringEquals: { "aws:RequestTag/team": "a" },
    "ForAllValues:StringEquals": { "aws:TagKeys": ["team", "cost"], "sts:TransitiveTagKeys": ["team"] },
  };
  const role = await sts.addRole({
    name: "Tagged",
    trust: [trusting({ AWS: sts.server.accountId }, ["sts:AssumeRole", "sts:TagSession"], condition)],
  });
  assert.ok(
    (await assume(alice, { RoleArn: role.arn, Tags: [tag("team", "a"), tag("cost", "")], TransitiveTagKeys: ["team"] })).PackedPolicySize,
  );
  for (const input of [
    {},
    { Tags: [tag("team", "b")] },
    { Tags: [tag("team", "a"), tag("other", "x")] },
    { Tags: [tag("team", "a"), tag("cost", "x")], TransitiveTagKeys: ["cost"] },
  ])
    await assert.rejects(assume(alice, { RoleArn: role.arn, ...input }), { name: "AccessDenied" });
});

test("tags that cannot be are refused", async () => {
  const role = await sts.addRole({ name: "Strict" });
  const cases: readonly (readonly [Partial<AssumeRoleCommandInput>, string, RegExp])[] = [
    [{ Tags: [tag("team", "a"), tag("TEAM", "a")] }, "InvalidParameterValue", /^Duplicate tag keys found/],
    [{ Tags: [tag("AWS:team", "a")] }, "InvalidParameterValue", /reserved prefix/],
    [{ Tags: [tag("team", "a")], TransitiveTagKeys: ["cost"] }, "ValidationError", /must be included in the requested tags/],
    [{ Tags: [tag("team", "<b>")] }, "ValidationError", /1 validation error/],
    [
      { Tags: Array.from({ length: 50 }, (_one, at) => tag(`key-${at}`, randomText(250))) },
      "PackedPolicyTooLargeException",
      /^Packed size of session tags consumes \d{3}% of allotted space\.$/,
    ],
  ];
  for (const [input, name, message] of cases) await assert.rejects(assume(alice, { RoleArn: role.arn, ...input }), { name, message });
});

function randomText(length: number): string {
  return sts.server.core.random.bytes(length).toString("hex").slice(0, length);
}

test("a chain hands on its transitive tags and its source identity, and nothing changes them", async () => {
  const first = await sts.addRole({ name: "First", inline: [allowing(["sts:*"])] });
  const condition = {
    StringEquals: { "aws:PrincipalTag/team": "a", "aws:SourceIdentity": "alice", "sts:SourceIdentity": "alice" },
    Null: { "aws:PrincipalTag/cost": "true" },
  };
  const second = await sts.addRole({ name: "Second", inline: [allowing(["sts:*"])] });
  const third = await sts.addRole({ name: "Third", trust: [trusting({ AWS: sts.server.accountId }, ["sts:*"], condition)] });
  const start = await assume(alice, {
    RoleArn: first.arn,
    Tags: [tag("Team", "a"), tag("cost", "b")],
    TransitiveTagKeys: ["team"],
    SourceIdentity: "alice",
  });
  assert.equal(start.SourceIdentity, "alice");
  await assert.rejects(
    assume(start.Credentials, { RoleArn: third.arn }),
    { name: "AccessDenied" },
    "the tag that is not transitive is still here",
  );
  const next = await assume(start.Credentials, { RoleArn: second.arn });
  assert.equal(next.SourceIdentity, "alice");
  assert.ok((await assume(next.Credentials, { RoleArn: third.arn, SourceIdentity: "alice" })).Credentials);
  await assert.rejects(assume(next.Credentials, { RoleArn: second.arn, Tags: [tag("TEAM", "c")] }), {
    name: "InvalidParameterValue",
    message:
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
  });
  await assert.rejects(assume(next.Credentials, { RoleArn: second.arn, SourceIdentity: "bob" }), {
    name: "ValidationError",
    message: "The source identity is already set for this assume role session",
  });
  assert.ok((await assume(next.Credentials, { RoleArn: second.arn, Tags: [tag("cost", "c")] })).Credentials);
});

test("what the chain brings along needs the permissions too", async () => {
  const first = await sts.addRole({ name: "Start", inline: [allowing(["sts:*"])] });
  const plain = await sts.addRole({ name: "Unprepared", trust: [trusting({ AWS: sts.server.accountId }, ["sts:AssumeRole"])] });
  const tagged = await assume(alice, { RoleArn: first.arn, Tags: [tag("team", "a")], TransitiveTagKeys: ["team"] });
  await assert.rejects(assume(tagged.Credentials, { RoleArn: plain.arn }), { name: "AccessDenied", message: /sts:TagSession/ });
  const named = await assume(alice, { RoleArn: first.arn, SourceIdentity: "alice" });
  await assert.rejects(assume(named.Credentials, { RoleArn: plain.arn }), { name: "AccessDenied", message: /sts:SetSourceIdentity/ });
  const bare = await assume(alice, { RoleArn: first.arn, Tags: [tag("team", "a")] });
  assert.ok((await assume(bare.Credentials, { RoleArn: plain.arn })).Credentials);
});
