import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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
  readonly VersionId: string;
  readonly SecretString?: string;
  readonly SecretBinary?: string;
  readonly VersionStages?: readonly string[];
  readonly Versions: readonly {
    readonly VersionId: string;
    readonly VersionStages?: readonly string[];
    readonly LastAccessedDate?: number;
  }[];
  readonly NextToken?: string;
  readonly LastAccessedDate?: number;
}

async function call(operation: string, input: object): Promise<Answered> {
  return (await callJson(server, `secretsmanager.${operation}`, input)).json<Answered>();
}

async function refusal(operation: string, input: object): Promise<string> {
  const { __type, message } = await call(operation, input);
  return `${__type}: ${message}`;
}

/** A token of 32 characters that ends in this text. */
const tokenOf = (text: string): string => text.padStart(32, "0");

test("a value comes back as it was given", async () => {
  const text = 'pässwörd \u{1F511} \u0000 {"a":1}';
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString("base64");
  await call("CreateSecret", { Name: "text", SecretString: text });
  await call("CreateSecret", { Name: "bytes", SecretBinary: bytes });
  const [first, second] = [await call("GetSecretValue", { SecretId: "text" }), await call("GetSecretValue", { SecretId: "bytes" })];
  assert.deepEqual([first.SecretString, first.SecretBinary, first.VersionStages], [text, undefined, ["AWSCURRENT"]]);
  assert.deepEqual([second.SecretString, second.SecretBinary], [undefined, bytes]);
});

test("labels move with new values", async () => {
  const SecretId = "moving";
  await call("CreateSecret", { Name: SecretId });
  const value = async (which: object) => (await call("GetSecretValue", { SecretId, ...which })).SecretString;
  const missing = "ResourceNotFoundException: Secrets Manager can't find the specified secret value for";
  assert.equal(await refusal("GetSecretValue", { SecretId }), `${missing} staging label: AWSCURRENT`);
  await call("PutSecretValue", { SecretId, SecretString: "one", ClientRequestToken: tokenOf("1") });
  const put = await call("PutSecretValue", { SecretId, SecretString: "two", ClientRequestToken: tokenOf("2") });
  assert.deepEqual([put.VersionId, put.VersionStages], [tokenOf("2"), ["AWSCURRENT"]]);
  assert.deepEqual([await value({}), await value({ VersionStage: "AWSPREVIOUS" })], ["two", "one"]);
  const pending = { SecretId, SecretString: "three", ClientRequestToken: tokenOf("3"), VersionStages: ["AWSPENDING"] };
  assert.deepEqual((await call("PutSecretValue", pending)).VersionStages, ["AWSPENDING"]);
  assert.deepEqual([await value({}), await value({ VersionStage: "AWSPENDING" })], ["two", "three"]);
  const updated = await call("UpdateSecret", { SecretId, SecretString: "four", ClientRequestToken: tokenOf("4") });
  assert.equal(updated.VersionId, tokenOf("4"));
  assert.deepEqual(
    [await value({}), await value({ VersionStage: "AWSPREVIOUS" }), await value({ VersionId: tokenOf("1") })],
    ["four", "two", "one"],
  );
  assert.equal(await value({ VersionId: tokenOf("3"), VersionStage: "AWSPENDING" }), "three");
  assert.equal(
    await refusal("GetSecretValue", { SecretId, VersionId: tokenOf("3"), VersionStage: "AWSCURRENT" }),
    "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId.",
  );
  assert.equal(await refusal("GetSecretValue", { SecretId, VersionId: tokenOf("9") }), `${missing} VersionId: ${tokenOf("9")}`);
  const stages = Array.from({ length: 20 }, (_, index) => `label${index}`);
  assert.match(
    await refusal("PutSecretValue", { SecretId, SecretString: "x", VersionStages: stages }),
    /^LimitExceededException: .* 20 staging/,
  );

  const listed = async (more: object) => {
    const { Versions } = await call("ListSecretVersionIds", { SecretId, ...more });
    return Versions.map(({ VersionId, VersionStages }) => `${Number(VersionId)} ${VersionStages?.join() ?? "-"}`);
  };
  assert.deepEqual(await listed({}), ["2 AWSPREVIOUS", "3 AWSPENDING", "4 AWSCURRENT"]);
  assert.deepEqual(await listed({ IncludeDeprecated: true }), ["1 -", "2 AWSPREVIOUS", "3 AWSPENDING", "4 AWSCURRENT"]);
});

test("labels move without a value", async () => {
  const SecretId = "relabelled";
  await call("CreateSecret", { Name: SecretId, SecretString: "one", ClientRequestToken: tokenOf("1") });
  const { ARN } = await call("PutSecretValue", { SecretId, SecretString: "two", ClientRequestToken: tokenOf("2") });
  const move = (VersionStage: string, more: object) => call("UpdateSecretVersionStage", { SecretId, VersionStage, ...more });
  const value = async (which: object) => (await call("GetSecretValue", { SecretId, ...which })).SecretString;
  const rollback = { RemoveFromVersionId: tokenOf("2"), MoveToVersionId: tokenOf("1") };
  assert.deepEqual(await move("AWSCURRENT", rollback), { ARN, Name: SecretId });
  assert.deepEqual([await value({}), await value({ VersionStage: "AWSPREVIOUS" })], ["one", "two"]);
  await move("blue", { MoveToVersionId: tokenOf("2") });
  assert.equal(await value({ VersionStage: "blue" }), "two");
  await move("blue", { RemoveFromVersionId: tokenOf("2") });
  const cases: readonly (readonly [string, object, RegExp])[] = [
    [
      "AWSCURRENT",
      { MoveToVersionId: tokenOf("2") },
      new RegExp(`^InvalidParameterException: The .* attached to version ${tokenOf("1")}, so`),
    ],
    [
      "AWSCURRENT",
      rollback,
      /^InvalidParameterException: When you move staging label AWSCURRENT, if you specify RemoveFromVersionId, it must/,
    ],
    ["AWSCURRENT", { RemoveFromVersionId: tokenOf("1") }, /^InvalidParameterException: You can only move staging label AWSCURRENT to a/],
    ["blue", { RemoveFromVersionId: tokenOf("2") }, /^InvalidParameterException: The staging label blue is not attached to any version/],
    ["blue", { MoveToVersionId: tokenOf("9") }, /^ResourceNotFoundException: .* secret value for VersionId: 0+9$/],
    ["blue", {}, /^InvalidParameterException: You must provide either MoveToVersionId or RemoveFromVersionId\.$/],
  ];
  for (const [VersionStage, more, expected] of cases)
    assert.match(await refusal("UpdateSecretVersionStage", { SecretId, VersionStage, ...more }), expected);
});

test("a token stands for one value", async () => {
  const { ARN } = await call("CreateSecret", { Name: "same", SecretString: "one", ClientRequestToken: tokenOf("1") });
  const again = { SecretId: "same", SecretString: "one", ClientRequestToken: tokenOf("1") };
  const { VersionId, VersionStages } = await call("PutSecretValue", again);
  assert.deepEqual([VersionId, VersionStages], [tokenOf("1"), ["AWSCURRENT"]]);
  assert.equal((await call("UpdateSecret", again)).VersionId, tokenOf("1"));
  const used = `ResourceExistsException: You can't use ClientRequestToken ${tokenOf("1")} because that value is already in use for a version of secret ${ARN}.`;
  for (const operation of ["PutSecretValue", "UpdateSecret"]) {
    assert.equal(await refusal(operation, { ...again, SecretString: "other" }), used);
    assert.equal(await refusal(operation, { SecretId: "same", SecretBinary: "b25l", ClientRequestToken: tokenOf("1") }), used);
  }
  const drawn = await call("PutSecretValue", { SecretId: "same", SecretString: "one" });
  assert.match(drawn.VersionId, /^[0-9a-f-]{36}$/);
  assert.equal(
    await refusal("PutSecretValue", { SecretId: "same" }),
    "InvalidRequestException: You must provide either SecretString or SecretBinary.",
  );
  assert.match(
    await refusal("PutSecretValue", { ...again, RotationToken: tokenOf("rotate") }),
    /^ValidationException|^InvalidParameterException/,
  );
});

test("pages of versions, and tokens that are not of this listing", async () => {
  const SecretId = "paged";
  await call("CreateSecret", { Name: SecretId });
  for (const text of ["1", "2", "3", "4", "5"])
    await call("PutSecretValue", { SecretId, SecretString: text, ClientRequestToken: tokenOf(text) });
  const seen: number[] = [];
  let NextToken: string | undefined;
  do {
    const page = await call("ListSecretVersionIds", { SecretId, IncludeDeprecated: true, MaxResults: 2, NextToken });
    seen.push(...page.Versions.map(({ VersionId }) => Number(VersionId)));
    if (page.NextToken !== undefined)
      assert.equal(
        await refusal("ListSecretVersionIds", { SecretId, NextToken: page.NextToken }),
        "InvalidNextTokenException: The NextToken value is invalid.",
      );
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  assert.match(await refusal("ListSecretVersionIds", { SecretId, NextToken: "x" }), /^InvalidNextTokenException/);
});

test("reading is noted by the day", async () => {
  const SecretId = "noted";
  await call("CreateSecret", { Name: SecretId, SecretString: "s" });
  assert.equal((await call("DescribeSecret", { SecretId })).LastAccessedDate, undefined);
  await call("GetSecretValue", { SecretId });
  const today = Math.floor(server.core.clock.now() / 86_400_000) * 86_400;
  assert.equal((await call("DescribeSecret", { SecretId })).LastAccessedDate, today);
  assert.equal((await call("ListSecretVersionIds", { SecretId })).Versions[0]?.LastAccessedDate, today);
});

test("a value opens for its own secret and version only", async () => {
  for (const Name of ["mine", "yours"]) await call("CreateSecret", { Name, SecretString: Name, ClientRequestToken: tokenOf("1") });
  const { metadata } = server.core;
  const rows = await metadata.read
    .selectFrom("secret_version")
    .innerJoin("secret", "secret.secret_id", "secret_version.secret_id")
    .select(["secret.name", "secret.secret_id", "value_sealed"])
    .where("secret.name", "in", ["mine", "yours"])
    .orderBy("secret.name")
    .execute();
  const [mine, yours] = rows;
  assert.ok(mine !== undefined && yours !== undefined);
  assert.ok(!Buffer.from(mine.value_sealed, "base64url").includes("mine"));
  await metadata.transaction(async (tx) => {
    await tx.updateTable("secret_version").set({ value_sealed: yours.value_sealed }).where("secret_id", "=", mine.secret_id).execute();
  });
  assert.match(await refusal("GetSecretValue", { SecretId: "mine" }), /^DecryptionFailure: /);
  assert.equal((await call("GetSecretValue", { SecretId: "yours" })).SecretString, "yours");
});
