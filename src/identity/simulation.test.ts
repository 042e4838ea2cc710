import assert from "node:assert/strict";
import { test } from "node:test";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { IdentityError } from "./errors.ts";
import { callerOfArn } from "./simulated-principal.ts";
import { simulate } from "./simulation.ts";
import type { Scenario, SimulatedPolicy, SimulatedResult } from "./simulation.ts";

const account = "123456789012";
const alice = `arn:aws:iam::${account}:user/alice`;
const repository = `arn:aws:ecr:eu-west-1:${account}:repository/app`;
const foreign = "arn:aws:ecr:eu-west-1:210987654321:repository/app";

function policy(sourceId: string, statements: readonly object[], sourceKind: SimulatedPolicy["sourceKind"] = "none"): SimulatedPolicy {
  return { sourceId, sourceKind, document: JSON.stringify({ Version: "2012-10-17", Statement: statements }) };
}

function scenario(more: Partial<Scenario>): Scenario {
  const caller = callerOfArn(alice);
  assert.ok(caller !== undefined);
  const nothing = { caller, policies: [], boundary: undefined, resourcePolicy: undefined, context: [], resourceAccountId: account };
  return { ...nothing, actions: ["ecr:PutImage"], resources: [repository], ...more };
}

async function one(more: Partial<Scenario>): Promise<SimulatedResult> {
  const { results } = await simulate(scenario(more), { after: 0, limit: 10 });
  assert.ok(results[0] !== undefined);
  return results[0];
}

const allow = { Effect: "Allow", Action: "ecr:*", Resource: "*" };
const deny = { Effect: "Deny", Action: "ecr:PutImage", Resource: "*" };
const toAlice = { Effect: "Allow", Principal: { AWS: alice }, Action: "ecr:*" };

test("decisions come with the statements that made them", async () => {
  const cases: readonly (readonly [string, Partial<Scenario>, SimulatedResult["decision"], readonly string[]])[] = [
    ["nothing allows", {}, "implicitDeny", []],
    ["a policy allows", { policies: [policy("a", []), policy("b", [allow])] }, "allowed", ["b"]],
    ["a policy denies", { policies: [policy("a", [allow]), policy("b", [deny])] }, "explicitDeny", ["b"]],
    [
      "a boundary is silent",
      { policies: [policy("a", [allow])], boundary: policy("limit", [{ ...allow, Action: "s3:*" }]) },
      "implicitDeny",
      [],
    ],
    ["a boundary alone gives nothing", { boundary: policy("limit", [allow]) }, "implicitDeny", []],
    ["the resource allows", { resourcePolicy: policy("r", [toAlice], "resource") }, "allowed", ["r"]],
    [
      "the resource denies",
      { policies: [policy("a", [allow])], resourcePolicy: policy("r", [{ ...toAlice, Effect: "Deny" }], "resource") },
      "explicitDeny",
      ["r"],
    ],
  ];
  for (const [name, more, decision, sources] of cases) {
    const empty = (more.policies ?? []).filter(({ document }) => !document.includes('"Statement":[]'));
    const result = await one({ ...more, policies: empty });
    assert.deepEqual([result.decision, result.statements.map((statement) => statement.policy.sourceId)], [decision, sources], name);
  }
});

test("a boundary, missing keys and the sides of two accounts are told apart", async () => {
  const conditional = { ...allow, Condition: { StringEquals: { "aws:RequestTag/Team": "${aws:username}" } } };
  const policies = [policy("a", [conditional])];
  const missing = await one({ policies });
  assert.deepEqual(
    [missing.decision, missing.missingKeys, missing.allowedByBoundary, missing.sides],
    ["implicitDeny", ["aws:RequestTag/Team", "aws:username"], undefined, undefined],
  );
  const context = [["AWS:requesttag/team", "alice"] as const, ["aws:username", "alice"] as const];
  const given = await one({ policies, context, boundary: policy("limit", [deny]) });
  assert.deepEqual([given.decision, given.missingKeys, given.allowedByBoundary], ["explicitDeny", [], false]);
  assert.equal((await one({ policies, context, boundary: policy("limit", [allow]) })).allowedByBoundary, true);
  const across = { policies: [policy("a", [allow])], resources: [foreign] };
  assert.deepEqual((await one(across)).sides, { identity: "allowed", resource: "implicitDeny" });
  assert.equal((await one(across)).decision, "implicitDeny");
  const both = await one({ ...across, resourcePolicy: policy("r", [toAlice], "resource") });
  assert.deepEqual([both.decision, both.sides], ["allowed", { identity: "allowed", resource: "allowed" }]);
  const ownerless = {
    policies: [policy("a", [{ ...allow, Action: "s3:*" }])],
    actions: ["s3:GetObject"],
    resources: ["arn:aws:s3:::bucket/key"],
  };
  assert.equal((await one(ownerless)).decision, "allowed");
  assert.equal((await one({ ...ownerless, resourceAccountId: "210987654321" })).decision, "implicitDeny");
});

test("every action is tried on every resource, page by page, and large policies make pages short", async () => {
  const asked = scenario({ policies: [policy("a", [allow])], actions: ["ecr:A", "ecr:B", "s3:C"], resources: [repository, foreign] });
  const seen: string[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const page: Awaited<ReturnType<typeof simulate>> = await simulate(asked, { after, limit: 4 });
    assert.ok(page.results.length <= 4);
    seen.push(...page.results.map(({ action, resource }) => `${action} ${resource}`));
    after = page.next;
  }
  assert.deepEqual(
    seen,
    ["ecr:A", "ecr:B", "s3:C"].flatMap((action) => [`${action} ${repository}`, `${action} ${foreign}`]),
  );
  const patterns = Array.from({ length: 4_000 }, (_, index) => `arn:aws:ecr:*:*:*${index}*a*b`);
  const large = scenario({
    policies: [policy("large", [{ ...allow, Resource: patterns }])],
    resources: [`${repository}${"a".repeat(1_800)}`],
    actions: Array.from({ length: 1_000 }, (_, index) => `ecr:Action${index}`),
  });
  const cpuMs = startCpuTime();
  const { results, next } = await simulate(large, { after: 0, limit: 1_000 });
  assert.ok(results.length > 0 && results.length === next && results.length < 1_000, `${results.length}`);
  assert.ok(cpuMs() < 5_000);
});

test("questions that make no sense are refused", async () => {
  const cases: readonly (readonly [Partial<Scenario>, string])[] = [
    [{ actions: ["ecr:*"] }, "Invalid action name: ecr:*"],
    [{ actions: ["PutImage"] }, "Invalid action name: PutImage"],
    [{ resources: ["app"] }, 'Resource app must be in ARN format or "*".'],
    [{ policies: [policy("p", [toAlice])] }, "p: Policy document should not specify a principal."],
    [{ resourcePolicy: policy("r", [allow], "resource") }, "r: Policy document must specify a principal."],
    [{ policies: [{ ...policy("p", []), document: "{" }] }, "p: Syntax errors in policy."],
  ];
  for (const [more, message] of cases) {
    await assert.rejects(one(more), (error: unknown) => {
      assert.ok(error instanceof IdentityError && error.refusal.kind === "invalid-input");
      assert.ok(error.refusal.detail.message.startsWith(message), error.refusal.detail.message);
      return true;
    });
  }
});
