import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";
import type { CallOptions } from "../../../test/signed-call.ts";

type Credentials = NonNullable<CallOptions["credentials"]>;

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly SecretValues: readonly { readonly Name: string; readonly SecretString?: string; readonly SecretBinary?: string }[];
  readonly Errors: readonly { readonly SecretId: string; readonly ErrorCode: string; readonly Message: string }[];
  readonly NextToken?: string;
}

let server: RegistryServer;
const arns = new Map<string, string>();

before(async () => {
  server = await startRegistryServer();
  const make = async (input: { readonly Name: string }) => {
    const { ARN } = (await callJson(server, "secretsmanager.CreateSecret", input)).json<{ ARN: string }>();
    arns.set(input.Name, ARN);
  };
  for (const name of ["a", "b", "c"]) await make({ Name: `app/${name}`, SecretString: `value of ${name}` } as { Name: string });
  await make({ Name: "app/bytes", SecretBinary: "AAE=", Tags: [{ Key: "team", Value: "sea" }] } as { Name: string });
  await make({ Name: "app/empty" });
  await make({ Name: "app/marked", SecretString: "m" } as { Name: string });
  await callJson(server, "secretsmanager.DeleteSecret", { SecretId: "app/marked" });
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function batch(input: object, credentials?: Credentials): Promise<Answered> {
  const options = credentials === undefined ? {} : { credentials };
  return (await callJson(server, "secretsmanager.BatchGetSecretValue", input, options)).json<Answered>();
}

async function makeUser(name: string, statements: readonly object[]): Promise<Credentials> {
  const { metadata, sealer } = server.core;
  const { accountId } = server;
  const { identityId } = await makeIdentity(metadata, { accountId, kind: "user", name, inline: statements });
  return makeUserKey(metadata, sealer, accountId, identityId);
}

const shown = ({ SecretValues }: Answered): string =>
  SecretValues.map(({ Name, SecretString, SecretBinary }) => `${Name}=${SecretString ?? SecretBinary}`).join();
const failed = ({ Errors }: Answered): string => Errors.map(({ SecretId, ErrorCode }) => `${SecretId} ${ErrorCode}`).join();

test("secrets by name: those that can be read, and why the others cannot", async () => {
  const SecretIdList = ["app/b", arns.get("app/bytes") ?? "", "app/none", "app/marked", "app/empty", "app/a"];
  const answer = await batch({ SecretIdList });
  assert.equal(shown(answer), "app/b=value of b,app/bytes=AAE=,app/a=value of a");
  assert.equal(failed(answer), "app/none ResourceNotFoundException,app/marked InvalidRequestException,app/empty ResourceNotFoundException");
  assert.deepEqual(answer.Errors[0]?.Message, "Secrets Manager can't find the specified secret.");
  assert.deepEqual(Object.keys(answer.SecretValues[0] ?? {}), ["ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate"]);
});

test("secrets by filter, page by page", async () => {
  const Filters = [{ Key: "name", Values: ["app/"] }];
  const whole = await batch({ Filters });
  assert.equal(shown(whole), "app/a=value of a,app/b=value of b,app/c=value of c,app/bytes=AAE=");
  assert.equal(failed(whole), `${arns.get("app/empty")} ResourceNotFoundException`);
  const names: string[] = [];
  let token: string | undefined;
  do {
    const page: Answered = await batch({ Filters, MaxResults: 2, ...(token !== undefined && { NextToken: token }) });
    assert.ok(page.SecretValues.length + page.Errors.length <= 2);
    names.push(...page.SecretValues.map(({ Name }) => Name));
    token = page.NextToken;
  } while (token !== undefined);
  assert.deepEqual(names, ["app/a", "app/b", "app/c", "app/bytes"]);
  const { NextToken = "" } = await batch({ Filters, MaxResults: 2 });
  const other = [{ Key: "name", Values: ["other"] }];
  assert.equal((await batch({ Filters: other, NextToken })).__type, "InvalidNextTokenException");
  assert.equal(shown(await batch({ Filters: [{ Key: "tag-key", Values: ["team"] }] })), "app/bytes=AAE=");
});

test("what is no question", async () => {
  const Filters = [{ Key: "name", Values: ["app/"] }];
  const either = "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both.";
  const noFilters = (name: string) =>
    `InvalidParameterException: 'Filters' not specified. 'Filters' must also be specified when '${name}' is provided.`;
  const cases: readonly (readonly [object, string | RegExp])[] = [
    [{}, either],
    [{ SecretIdList: ["app/a"], Filters }, either],
    [{ SecretIdList: ["app/a"], MaxResults: 5 }, noFilters("MaxResults")],
    [{ SecretIdList: ["app/a"], NextToken: "x" }, noFilters("NextToken")],
    [{ SecretIdList: [] }, /^\w+Exception: /],
    [{ SecretIdList: Array.from({ length: 21 }, (_, index) => `s${index}`) }, /^\w+Exception: .*length less than or equal to 20/],
    [{ Filters: Array.from({ length: 11 }, () => Filters[0]) }, /^\w+Exception: .*length less than or equal to 10/],
    [{ Filters, MaxResults: 21 }, /^\w+Exception: .*value less than or equal to 20/],
    [{ Filters: [{ Key: "name" }] }, "InvalidParameterException: A filter must have a key and values."],
    [{ SecretIdList: ["a b"] }, /^ValidationException: Invalid name/],
  ];
  for (const [input, expected] of cases) {
    const { __type, message } = await batch(input);
    const answer = `${__type}: ${message}`;
    if (typeof expected === "string") assert.equal(answer, expected, JSON.stringify(input));
    else assert.match(answer, expected, JSON.stringify(input));
  }
});

test("each secret asks for its own permission", async () => {
  const allow = (Action: string, Resource: string, Condition?: object): object => ({ Effect: "Allow", Action, Resource, Condition });
  const all = allow("secretsmanager:BatchGetSecretValue", "*");
  const onlyA = allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:*:*:secret:app/a-??????");
  const tagged = allow("secretsmanager:GetSecretValue", "*", { StringEquals: { "secretsmanager:ResourceTag/team": "sea" } });
  const current = allow("secretsmanager:GetSecretValue", "*", { StringEquals: { "secretsmanager:VersionStage": "AWSCURRENT" } });
  const previous = allow("secretsmanager:GetSecretValue", "*", { StringEquals: { "secretsmanager:VersionStage": "AWSPREVIOUS" } });
  const SecretIdList = ["app/a", "app/bytes", "app/none"];
  const denied = (name: string) => `${name} AccessDeniedException`;
  const cases: readonly (readonly [string, object, string, string])[] = [
    ["a", onlyA, "app/a=value of a", `${denied("app/bytes")},${denied("app/none")}`],
    ["tag", tagged, "app/bytes=AAE=", `${denied("app/a")},${denied("app/none")}`],
    ["current", current, "app/a=value of a,app/bytes=AAE=", "app/none ResourceNotFoundException"],
    ["previous", previous, "", SecretIdList.map(denied).join()],
  ];
  for (const [name, statement, values, errors] of cases) {
    const answer = await batch({ SecretIdList }, await makeUser(`by-${name}`, [all, statement]));
    assert.deepEqual([shown(answer), failed(answer)], [values, errors], name);
    for (const { ErrorCode, Message } of answer.Errors)
      if (ErrorCode === "AccessDeniedException")
        assert.match(Message, /is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:/);
  }
  assert.equal((await batch({ SecretIdList }, await makeUser("no-batch", [current]))).__type, "AccessDeniedException");
  const Filters = [{ Key: "name", Values: ["app/"] }];
  const lister = allow("secretsmanager:ListSecrets", "*");
  assert.equal((await batch({ Filters }, await makeUser("no-list", [all, current]))).__type, "AccessDeniedException");
  const filtered = await batch({ Filters }, await makeUser("lists", [all, onlyA, lister]));
  assert.equal(shown(filtered), "app/a=value of a");
  assert.equal(filtered.Errors.length, 4);
});
