import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { selectRule, upstreamName } from "./pull-through-rule.ts";
import type { PullThroughRule } from "./pull-through-rule.ts";

function rule(prefix: string, upstreamPrefix = "ROOT"): PullThroughRule {
  const upstream = { upstreamKind: undefined, upstreamUrl: "upstream.example", credentialArn: undefined, roleArn: undefined };
  return { prefix, givenPrefix: prefix, upstreamPrefix, createdAt: 0, updatedAt: undefined, ...upstream };
}

test("names are mapped as the User Guide's table says", () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ["ecr-public", "ROOT", "ecr-public/x/y", "x/y"],
    ["ROOT", "ROOT", "x/y", "x/y"],
    ["team-a", "team-a", "team-a/x/y", "team-a/x/y"],
    ["my-app", "upstream-app", "my-app/x", "upstream-app/x"],
    ["my-app", "upstream-app/", "my-app/x", "upstream-app/x"],
    ["ROOT", "mirror", "x", "mirror/x"],
  ];
  for (const [prefix, upstreamPrefix, name, expected] of cases)
    assert.equal(upstreamName(rule(prefix, upstreamPrefix), name as RepositoryName), expected, name);
});

test("a prefix covers what is below it, and neither itself nor a longer word", () => {
  const rules = [rule("prod"), rule("prod/team")];
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["prod/app", "prod"],
    ["prod/team/app", "prod/team"],
    ["prod/team", "prod"],
    ["prod/teams/app", "prod"],
    ["prod", undefined],
    ["production/app", undefined],
    ["my/prod/app", undefined],
  ];
  for (const [name, prefix] of cases) assert.equal(selectRule(rules, name)?.prefix, prefix, name);
  assert.equal(selectRule([...rules, rule("ROOT")], "production/app")?.prefix, "ROOT");
  assert.equal(selectRule([rule("ROOT"), ...rules], "prod/app")?.prefix, "prod");
});

test("the longest prefix wins, whatever the order of the rules; the mapped name is a name", () => {
  const part = fc.stringMatching(/^[ab]{1,2}$/);
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const rules = fc.uniqueArray(fc.oneof({ weight: 9, arbitrary: path }, { weight: 1, arbitrary: fc.constant("ROOT") }), { maxLength: 12 });
  fc.assert(
    fc.property(rules, path, fc.nat(), (prefixes, below, turn) => {
      const name = `a/${below}`;
      const covers = (prefix: string): boolean => prefix === "ROOT" || name.startsWith(`${prefix}/`);
      const expected = prefixes.filter(covers).toSorted((a, b) => (b === "ROOT" ? 0 : b.length) - (a === "ROOT" ? 0 : a.length))[0];
      const turned = [...prefixes.slice(turn % (prefixes.length + 1)), ...prefixes.slice(0, turn % (prefixes.length + 1))];
      const found = selectRule(
        turned.map((prefix) => rule(prefix, "up")),
        name,
      );
      assert.equal(found?.prefix, expected);
      if (found !== undefined) assert.ok(parseRepositoryName(upstreamName(found, name as RepositoryName)).ok);
    }),
  );
});
