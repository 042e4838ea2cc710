import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { replicationRule, replicationTargets } from "./replication-rule.ts";
import type { ReplicationConfiguration } from "./replication-rule.ts";
import type { PushedManifest } from "./follow-up.ts";

const source = { accountId: "111111111111", region: "eu-central-1" };
const to = (registryId: string, region: string) => ({ registryId, region });
const rule = (
  destinations: readonly ReturnType<typeof to>[],
  ...filters: readonly string[]
): ReplicationConfiguration["rules"][number] => ({
  destinations,
  ...(filters.length > 0 && { repositoryFilters: filters.map((filter) => ({ filter, filterType: "PREFIX_MATCH" as const })) }),
});
const west = to("111111111111", "eu-west-1");
const other = to("222222222222", "eu-central-1");

const cases: readonly (readonly [string, ReplicationConfiguration["rules"], string, readonly string[]])[] = [
  ["nothing is configured", [], "prod/web", []],
  ["a rule without filters is about everything", [rule([west])], "prod/web", ["111111111111/eu-west-1"]],
  ["a prefix", [rule([west], "prod")], "prod/web", ["111111111111/eu-west-1"]],
  ["a prefix is no path", [rule([west], "prod")], "production", ["111111111111/eu-west-1"]],
  ["the name itself", [rule([west], "prod")], "prod", ["111111111111/eu-west-1"]],
  ["not in the middle", [rule([west], "prod")], "my/prod", []],
  ["one of several filters suffices", [rule([west], "a1", "prod")], "prod", ["111111111111/eu-west-1"]],
  ["several destinations", [rule([west, other])], "x1", ["111111111111/eu-west-1", "222222222222/eu-central-1"]],
  ["two rules, one destination, counts once", [rule([west], "pr"), rule([west], "prod")], "prod", ["111111111111/eu-west-1"]],
  ["never into itself", [rule([to(source.accountId, source.region), west])], "x1", ["111111111111/eu-west-1"]],
  ["a rule without destinations", [rule([])], "x1", []],
];

test("rules say whither a repository is replicated", () => {
  for (const [what, rules, name, expected] of cases) assert.deepEqual(replicationTargets({ rules }, source, name), expected, what);
});

test("a filter is a plain prefix, whatever is in it", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "-", "_", "*", "("), maxLength: 6 });
  fc.assert(
    fc.property(text, text, (filter, name) => {
      const isPrefix = name.slice(0, filter.length) === filter;
      assert.equal(replicationTargets({ rules: [rule([west], filter)] }, source, name).length, isPrefix ? 1 : 0);
    }),
  );
});

test("a push begins replication, and what came by replication begins none", () => {
  const settings = new Map([["replication", { rules: [rule([west])] }]] as const);
  const pushed = { registry: source, name: "x1" } as unknown as PushedManifest;
  assert.deepEqual(replicationRule(settings, pushed), [{ kind: "replicate", target: "111111111111/eu-west-1", when: "changed" }]);
  assert.deepEqual(replicationRule(settings, { ...pushed, isCopy: true }), []);
  assert.deepEqual(replicationRule(new Map(), pushed), []);
});
