/** The oracle against the case files, and the engine against the oracle on requests that nobody thought of. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { compilePolicy } from "../compile.ts";
import type { CompiledPolicy } from "../compile.ts";
import { readPolicy } from "../document.ts";
import { evaluate } from "../evaluate.ts";
import { decide } from "./oracle.ts";
import type { Expectation, OraclePolicy, OracleRequest } from "./oracle.ts";
import { conditionQuestions, patternQuestions, questions } from "./oracle-questions.ts";

const folder = new URL("../cases/", import.meta.url).pathname;

interface Case extends OracleRequest {
  readonly id: string;
  readonly why: string;
  readonly expect: Expectation;
}

function casesOf(file: string): readonly Case[] {
  return (JSON.parse(readFileSync(folder + file, "utf8")) as { cases: Case[] }).cases;
}

function compiled(policy: OraclePolicy, name: string): CompiledPolicy {
  const document = readPolicy(JSON.stringify(policy));
  assert.ok(document.ok, `the engine refuses ${JSON.stringify(policy)}: ${JSON.stringify(document)}`);
  return compilePolicy(document.value, { name });
}

function engineDecides(request: OracleRequest): Expectation {
  const { caller, action, resource, resourceAccountId, resourceRule, granted } = request;
  const evaluation = evaluate({
    caller,
    action,
    resource,
    resourceAccountId,
    resourceRule,
    granted: granted === true,
    context: new Map(Object.entries(request.context).map(([key, value]) => [key.toLowerCase(), value])),
    identityPolicies: request.identity.map((policy, index) => compiled(policy, `identity ${index}`)),
    ...(request.boundary === undefined ? {} : { boundary: compiled(request.boundary, "boundary") }),
    ...(request.session === undefined
      ? {}
      : { sessionPolicies: request.session.map((policy, index) => compiled(policy, `session ${index}`)) }),
    resourcePolicies: request.resourcePolicy === undefined ? [] : [compiled(request.resourcePolicy, "resource")],
  });
  return evaluation.allowed ? { allowed: true } : { allowed: false, explicit: evaluation.explicit, cause: evaluation.cause };
}

/** The property's failure shows seed and path, so that a run can be repeated with `fc.assert(…, { seed, path })`. */
function agreeOn(requests: fc.Arbitrary<OracleRequest>, numRuns: number): void {
  const property = fc.property(requests, (request) => assert.deepEqual(engineDecides(request), decide(request)));
  fc.assert(property, { numRuns });
}

for (const file of globSync("*.json", { cwd: folder }).sort())
  test(`the oracle answers the cases of ${file}`, () => {
    const cases = casesOf(file);
    assert.ok(cases.length > 0);
    for (const { id, why, expect, ...request } of cases) assert.deepEqual(decide(request), expect, `${id}: ${why}`);
  });

test("every case has its own id and says why", () => {
  const cases = globSync("*.json", { cwd: folder }).flatMap(casesOf);
  assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length);
  assert.deepEqual(
    cases.filter(({ why }) => why === ""),
    [],
  );
});

test("engine and oracle decide alike", () => agreeOn(questions, 1000));

test("engine and oracle agree on patterns", () => agreeOn(patternQuestions, 500));

test("engine and oracle agree on conditions", () => agreeOn(conditionQuestions, 1000));

test("the questions reach every kind of answer", () => {
  const answers = new Set(fc.sample(questions, 3000).map((request) => JSON.stringify(decide(request))));
  const denials = (["identity", "boundary", "session", "resource", "trust"] as const).flatMap((cause) =>
    [true, false].map((explicit) => JSON.stringify({ allowed: false, explicit, cause })),
  );
  assert.deepEqual([...answers].sort(), [JSON.stringify({ allowed: true }), ...denials].sort());
});
