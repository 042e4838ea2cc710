import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionRefused } from "./session-refusal.ts";
import type { SessionRefusalKind } from "./session-refusal.ts";
import { joinMarks } from "./session-tags.ts";
import type { SessionChain, SessionMarks } from "./session-tags.ts";

const nothing: SessionMarks = { tags: [], transitiveKeys: [], sourceIdentity: undefined };
const tags = (...keys: readonly string[]): SessionMarks["tags"] => keys.map((key) => ({ key, value: "x" }));
const chain: SessionChain = { tags: { Team: "a", cost: "b" }, transitiveKeys: ["team"], sourceIdentity: "alice" };

test("what is asked for joins what the chain hands on", () => {
  assert.deepEqual(joinMarks(nothing, undefined), { tags: {}, transitiveKeys: [], sourceIdentity: undefined });
  assert.deepEqual(joinMarks(nothing, chain), { tags: { Team: "a" }, transitiveKeys: ["Team"], sourceIdentity: "alice" });
  assert.deepEqual(joinMarks({ tags: tags("cost", "env"), transitiveKeys: ["ENV"], sourceIdentity: "alice" }, chain), {
    tags: { Team: "a", cost: "x", env: "x" },
    transitiveKeys: ["Team", "ENV"],
    sourceIdentity: "alice",
  });
  assert.deepEqual(joinMarks({ ...nothing, sourceIdentity: "bob" }, { tags: {}, transitiveKeys: [] }).sourceIdentity, "bob");
});

test("a key named like the prototype is a key", () => {
  const joined = joinMarks({ ...nothing, tags: tags("__proto__") }, undefined);
  assert.deepEqual(Object.entries(joined.tags), [["__proto__", "x"]]);
});

const refused: readonly (readonly [SessionRefusalKind, Partial<SessionMarks>])[] = [
  ["tag-key-duplicate", { tags: tags("env", "ENV") }],
  ["tag-key-reserved", { tags: tags("Aws:env") }],
  ["transitive-key-unknown", { tags: tags("env"), transitiveKeys: ["other"] }],
  ["transitive-key-unknown", { transitiveKeys: ["team"] }],
  ["tag-key-inherited", { tags: tags("TEAM") }],
  ["source-identity-set", { sourceIdentity: "bob" }],
];
for (const [kind, marks] of refused) {
  test(`${kind}: ${JSON.stringify(marks)}`, () => {
    assert.throws(
      () => joinMarks({ ...nothing, ...marks }, chain),
      (error) => error instanceof SessionRefused && error.refusal.kind === kind,
    );
  });
}
