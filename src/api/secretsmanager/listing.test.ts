import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
  const make = (input: object) => callJson(server, "secretsmanager.CreateSecret", input);
  await make({ Name: "prod/db", Description: "Main database", SecretString: "s", Tags: [{ Key: "env", Value: "prod" }] });
  await make({
    Name: "prod/api",
    Tags: [
      { Key: "env", Value: "prod" },
      { Key: "team", Value: "web" },
    ],
  });
  await make({ Name: "test/db", Tags: [{ Key: "env", Value: "test" }] });
  await make({ Name: "old" });
  await callJson(server, "secretsmanager.DeleteSecret", { SecretId: "old" });
  await callJson(server, "secretsmanager.CreateSecret", { Name: "elsewhere" }, { region: "us-east-1" });
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

interface Listed {
  readonly __type?: string;
  readonly SecretList: readonly { readonly Name: string; readonly SecretVersionsToStages?: object; readonly DeletedDate?: number }[];
  readonly NextToken?: string;
}

async function list(input: object): Promise<Listed> {
  return (await callJson(server, "secretsmanager.ListSecrets", input)).json<Listed>();
}

const cases: readonly (readonly [object, string])[] = [
  [{}, "prod/db prod/api test/db"],
  [{ SortOrder: "desc" }, "test/db prod/api prod/db"],
  [{ SortBy: "name" }, "prod/api prod/db test/db"],
  [{ SortBy: "last-changed-date" }, "prod/db prod/api test/db"],
  [{ SortBy: "last-accessed-date", SortOrder: "desc" }, "test/db prod/api prod/db"],
  [{ IncludePlannedDeletion: true }, "prod/db prod/api test/db old"],
  [{ Filters: [{ Key: "name", Values: ["prod"] }] }, "prod/db prod/api"],
  [
    {
      Filters: [
        { Key: "name", Values: ["prod"] },
        { Key: "tag-key", Values: ["te"] },
      ],
    },
    "prod/api",
  ],
  [{ Filters: [{ Key: "name", Values: ["Prod"] }] }, ""],
  [{ Filters: [{ Key: "name", Values: ["!prod", "prod/a"] }] }, "prod/api test/db"],
  [{ Filters: [{ Key: "tag-value", Values: ["!prod"] }] }, "test/db"],
  [{ Filters: [{ Key: "description", Values: ["main"] }] }, "prod/db"],
  [{ Filters: [{ Key: "all", Values: ["WEB"] }] }, "prod/api"],
  [{ Filters: [{ Key: "all", Values: ["data prod"] }] }, "prod/db"],
  [{ Filters: [{ Key: "primary-region", Values: ["eu"] }] }, ""],
  [{ Filters: [{ Key: "owning-service", Values: ["!x"] }] }, "prod/db prod/api test/db"],
];

test("filters and orders", async () => {
  for (const [input, names] of cases)
    assert.equal((await list(input)).SecretList.map(({ Name }) => Name).join(" "), names, JSON.stringify(input));
});

test("pages show every secret once, and a token is good for its own listing only", async () => {
  for (const SortBy of ["created-date", "name", "last-changed-date", "last-accessed-date"]) {
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await list({ SortBy, MaxResults: 1, IncludePlannedDeletion: true, NextToken });
      seen.push(...page.SecretList.map(({ Name }) => Name));
      NextToken = page.NextToken;
      if (NextToken !== undefined) {
        assert.equal((await list({ SortBy, NextToken })).__type, "InvalidNextTokenException");
        assert.equal(
          (await list({ SortBy, SortOrder: "desc", IncludePlannedDeletion: true, NextToken })).__type,
          "InvalidNextTokenException",
        );
      }
    } while (NextToken !== undefined);
    assert.deepEqual(seen.toSorted(), ["old", "prod/api", "prod/db", "test/db"]);
  }
});

test("what an entry shows", async () => {
  const { SecretList } = await list({ IncludePlannedDeletion: true });
  const [first, , , old] = SecretList;
  assert.deepEqual(Object.values(first?.SecretVersionsToStages ?? {}), [["AWSCURRENT"]]);
  assert.ok(old?.DeletedDate !== undefined && old.SecretVersionsToStages === undefined);
});

test("filters that are none", async () => {
  const bad = [[{ Key: "name" }], [{ Values: ["a"] }], [{ Key: "other", Values: ["a"] }], [{ Key: "name", Values: ["a%"] }]];
  for (const Filters of bad)
    assert.match((await list({ Filters })).__type ?? "", /^(?:InvalidParameter|Validation)Exception$/, JSON.stringify(Filters));
});
