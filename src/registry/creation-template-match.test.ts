import assert from "node:assert/strict";
import { test } from "node:test";
import type { CreationOccasion, CreationTemplate } from "#metadata/creation-templates.ts";
import fc from "fast-check";
import { barePrefix, coveringPrefixes, selectTemplate } from "./creation-template-match.ts";

const occasions: readonly CreationOccasion[] = ["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"];

function template(prefix: string, appliedFor: readonly CreationOccasion[] = occasions): CreationTemplate {
  return {
    prefix: barePrefix(prefix),
    givenPrefix: prefix,
    description: undefined,
    encryptionType: "AES256",
    kmsKey: undefined,
    resourceTags: [],
    tagMutability: "MUTABLE",
    mutabilityFilters: [],
    repositoryPolicy: undefined,
    lifecyclePolicy: undefined,
    appliedFor,
    roleArn: undefined,
    createdAt: 0,
    updatedAt: 0,
    revision: 1,
  };
}

test("a prefix covers what is below it, and ROOT the rest", () => {
  const given = ["prod", "prod/team/", "a/b/c"].map((prefix) => template(prefix));
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["prod/web", "prod"],
    ["prod/team/web", "prod/team/"],
    ["prod/team/web/api", "prod/team/"],
    ["prod/team", "prod"],
    ["prod/teams/x", "prod"],
    ["prod", undefined],
    ["production/web", undefined],
    ["a/b", undefined],
    ["a/b/c/d", "a/b/c"],
  ];
  for (const [name, prefix] of cases) {
    assert.equal(selectTemplate(given, name, "REPLICATION")?.givenPrefix, prefix, name);
    assert.equal(selectTemplate([...given, template("ROOT")], name, "REPLICATION")?.givenPrefix, prefix ?? "ROOT", name);
  }
});

test("a longer prefix that is not applied hides nothing", () => {
  const given = [template("a", ["CREATE_ON_PUSH"]), template("a/b", ["REPLICATION"]), template("ROOT", ["PULL_THROUGH_CACHE"])];
  assert.equal(selectTemplate(given, "a/b/c", "CREATE_ON_PUSH")?.prefix, "a");
  assert.equal(selectTemplate(given, "a/b/c", "REPLICATION")?.prefix, "a/b");
  assert.equal(selectTemplate(given, "a/b/c", "PULL_THROUGH_CACHE")?.prefix, "ROOT");
  assert.equal(selectTemplate(given, "b/c", "CREATE_ON_PUSH"), undefined);
});

const segment = fc.constantFrom("a", "b", "ab", "a-b");
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
const prefix = fc
  .tuple(fc.oneof({ weight: 6, arbitrary: path }, fc.constant("ROOT")), fc.boolean())
  .map(([text, hasSlash]) => (hasSlash && text !== "ROOT" ? `${text}/` : text));

test("property: the template is the longest of those that are applied and whose prefix with a slash begins the name", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(prefix, fc.subarray([...occasions])), { selector: ([text]) => barePrefix(text), maxLength: 12 }),
      path,
      fc.constantFrom(...occasions),
      (given, name, occasion) => {
        const templates = given.map(([text, appliedFor]) => template(text, appliedFor));
        const covers = (bare: string): boolean => bare === "ROOT" || name.startsWith(`${bare}/`);
        const [longest] = templates
          .filter(({ appliedFor, prefix: bare }) => appliedFor.includes(occasion) && covers(bare))
          .toSorted((one, other) => (one.prefix === "ROOT" ? 1 : other.prefix === "ROOT" ? -1 : other.prefix.length - one.prefix.length));
        assert.equal(selectTemplate(templates, name, occasion)?.prefix, longest?.prefix);
        // What is looked up is all that could cover.
        assert.deepEqual(
          templates.filter(({ prefix: bare }) => covers(bare)).every(({ prefix: bare }) => coveringPrefixes(name).includes(bare)),
          true,
        );
      },
    ),
  );
});
