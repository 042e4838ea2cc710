import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { compilePolicy } from "./compile.ts";
import type { CompiledPolicy } from "./compile.ts";
import type { Caller } from "./caller.ts";
import { contextKeys } from "./context.ts";
import { denialMessage } from "./denial.ts";
import { readPolicy } from "./document.ts";
import { evaluate } from "./evaluate.ts";
import type { Evaluation, EvaluationRequest } from "./evaluate.ts";

/** One decision of `cases/*.json`. */
interface Case {
  readonly id: string;
  readonly why: string;
  readonly caller: Caller;
  readonly action: string;
  readonly resource: string;
  readonly resourceAccountId: string;
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
  readonly identity?: readonly object[];
  readonly boundary?: object;
  readonly session?: readonly object[];
  readonly resourcePolicy?: object;
  readonly resourceRule: "grants" | "must-allow";
  readonly expect: { readonly allowed: true } | { readonly allowed: false; readonly explicit: boolean; readonly cause: string };
}

const folder = new URL("cases/", import.meta.url).pathname;
const files = globSync("*.json", { cwd: folder }).sort();

function compile(policy: object, name = "policy", resolved?: ReadonlyMap<string, string>): CompiledPolicy {
  const read = readPolicy(JSON.stringify(policy));
  assert.ok(read.ok, `${JSON.stringify(policy)}: ${JSON.stringify(read)}`);
  return compilePolicy(read.value, { name, ...(resolved && { resolved }) });
}

function requestOf(one: Case): EvaluationRequest {
  return {
    caller: one.caller,
    action: one.action,
    resource: one.resource,
    resourceAccountId: one.resourceAccountId,
    context: contextKeys(Object.entries(one.context ?? {})),
    identityPolicies: (one.identity ?? []).map((policy) => compile(policy, "identity")),
    ...(one.boundary && { boundary: compile(one.boundary, "boundary") }),
    ...(one.session && { sessionPolicies: one.session.map((policy) => compile(policy, "session")) }),
    resourcePolicies: one.resourcePolicy ? [compile(one.resourcePolicy, "resource")] : [],
    resourceRule: one.resourceRule,
  };
}

function outcomeOf(evaluation: Evaluation): Case["expect"] {
  return evaluation.allowed ? { allowed: true } : { allowed: false, explicit: evaluation.explicit, cause: evaluation.cause };
}

for (const file of files) {
  test(`decides the cases of ${file}`, () => {
    const { cases } = JSON.parse(readFileSync(`${folder}${file}`, "utf8")) as { cases: Case[] };
    const wrong = cases
      .map((one) => ({ id: one.id, why: one.why, got: outcomeOf(evaluate(requestOf(one))), expect: one.expect }))
      .filter(({ got, expect }) => JSON.stringify(got) !== JSON.stringify({ ...expect }));
    assert.deepEqual(wrong, []);
  });
}

const account = "111111111111";
const otherAccount = "222222222222";
const app = `arn:aws:ecr:eu-west-1:${account}:repository/app`;
const bob: Caller = { kind: "user", accountId: account, arn: `arn:aws:iam::${account}:user/bob`, uniqueId: "AIDABOB" };
const run: Caller = {
  kind: "role-session",
  accountId: account,
  arn: `arn:aws:sts::${account}:assumed-role/ci/run1`,
  roleArn: `arn:aws:iam::${account}:role/team/ci`,
  uniqueId: "AROACI",
};
const root: Caller = { kind: "root", accountId: account, arn: `arn:aws:iam::${account}:root` };

type Parts = Partial<EvaluationRequest>;

function decide(caller: Caller, parts: Parts = {}): Evaluation {
  return evaluate({
    caller,
    action: "ecr:PutImage",
    resource: app,
    resourceAccountId: account,
    context: new Map(),
    identityPolicies: [],
    resourcePolicies: [],
    resourceRule: "grants",
    ...parts,
  });
}

function allow(action: string, more: object = { Resource: "*" }): object {
  return { Version: "2012-10-17", Statement: { Effect: "Allow", Action: action, ...more } };
}

function named(principal: object | string, effect = "Allow", action = "ecr:*"): object {
  return { Version: "2012-10-17", Statement: { Effect: effect, Principal: principal, Action: action } };
}

const silent = compile(allow("s3:*"), "silent");
const full = compile(allow("ecr:*"), "full");

test("names what decided", () => {
  const policy = compile(
    {
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Action: "ecr:*", Resource: "*" },
        { Sid: "NoPush", Effect: "Deny", Action: "ecr:Put*", Resource: app },
      ],
    },
    "mixed",
  );
  assert.deepEqual(decide(bob, { identityPolicies: [policy], action: "ecr:BatchGetImage" }), {
    allowed: true,
    statements: [{ policy: "mixed", statement: 0, effect: "Allow" }],
  });
  assert.deepEqual(decide(bob, { identityPolicies: [policy], boundary: silent }), {
    allowed: false,
    explicit: true,
    cause: "identity",
    statements: [{ policy: "mixed", statement: 1, sid: "NoPush", effect: "Deny" }],
    missing: [],
  });
  assert.deepEqual(decide(bob, { boundary: silent, sessionPolicies: [], resourceRule: "must-allow" }), {
    allowed: false,
    explicit: false,
    cause: "identity",
    statements: [],
    missing: ["identity", "boundary", "session", "resource"],
  });
});

test("a stored principal means the one who had the name then", () => {
  const names: [principal: string, id: string, caller: Caller][] = [
    [`arn:aws:iam::${account}:user/bob`, "AIDABOB", bob],
    [`arn:aws:iam::${account}:role/team/ci`, "AROACI", run],
    [`arn:aws:sts::${account}:assumed-role/ci/run1`, "AROACI", run],
  ];
  for (const [principal, id, caller] of names) {
    const policy = named({ AWS: principal });
    assert.equal(decide(caller, { resourcePolicies: [compile(policy)] }).allowed, true, principal);
    assert.equal(decide(caller, { resourcePolicies: [compile(policy, "stored", new Map([[principal, id]]))] }).allowed, true, principal);
    assert.equal(decide(caller, { resourcePolicies: [compile(policy, "stored", new Map([[principal, `${id}OLD`]]))] }).allowed, false);
  }
  assert.equal(decide(bob, { resourcePolicies: [compile(named({ AWS: "AIDABOB" }))] }).allowed, true);
  assert.equal(decide(bob, { resourcePolicies: [compile(named({ AWS: "AIDAEVE" }))] }).allowed, false);
});

test("a grant permits what a policy naming the user or the role would", () => {
  const key = { resourceRule: "must-allow", granted: true, action: "kms:Decrypt" } as const;
  const deny = compile({ Version: "2012-10-17", Statement: { Effect: "Deny", Action: "kms:*", Resource: "*" } });
  assert.equal(decide(bob, key).allowed, true);
  assert.equal(decide(bob, { ...key, granted: false }).allowed, false);
  assert.equal(decide(bob, { ...key, identityPolicies: [deny] }).allowed, false);
  assert.equal(decide(run, { ...key, sessionPolicies: [silent] }).allowed, false);
  assert.equal(decide(run, key).allowed, true);
  assert.equal(decide(bob, { ...key, resourceAccountId: otherAccount }).allowed, false);
});

test("asking who one is cannot be forbidden", () => {
  const deny = compile({ Version: "2012-10-17", Statement: { Effect: "Deny", Action: "*", Resource: "*" } });
  for (const action of ["sts:GetCallerIdentity", "STS:getcalleridentity", "sts:GetSessionToken"])
    assert.equal(decide(bob, { action, resource: "*", identityPolicies: [deny] }).allowed, true, action);
});

test("root can repair the policy of its own repository and nothing else that it denied itself", () => {
  const locked = { resourcePolicies: [compile(named("*", "Deny"))] };
  for (const action of ["ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"]) {
    assert.equal(decide(root, { ...locked, action }).allowed, true, action);
    assert.equal(decide(root, { ...locked, action, resourceAccountId: otherAccount }).allowed, false, action);
    assert.equal(decide(bob, { ...locked, action, identityPolicies: [full] }).allowed, false, action);
  }
  assert.equal(decide(root, { ...locked, action: "ecr:DeleteRepository" }).allowed, false);
});

test("a boundary that is silent does not cap the key or trust policy that names the user", () => {
  const trust = { action: "sts:AssumeRole", resourceRule: "must-allow", resource: `arn:aws:iam::${account}:role/ci` } as const;
  const policy = compile(named({ AWS: bob.arn }, "Allow", "sts:AssumeRole"));
  assert.equal(decide(bob, { ...trust, boundary: silent, resourcePolicies: [policy] }).allowed, true);
  assert.deepEqual(outcomeOf(decide(root, trust)), { allowed: false, explicit: false, cause: "trust" });
});

test("a statement with an empty list has no effect", () => {
  for (const statement of [
    { Effect: "Allow", NotAction: [], Resource: "*" },
    { Effect: "Allow", Action: "*", NotResource: [] },
    { Effect: "Allow", Action: "*" },
    { Effect: "Allow", Resource: "*" },
  ])
    assert.equal(decide(bob, { identityPolicies: [compile({ Version: "2012-10-17", Statement: statement })] }).allowed, false);
  assert.equal(decide(bob, { resourcePolicies: [compile(named({ AWS: [] }))] }).allowed, false);
});

test("an operator that does not exist permits nothing", () => {
  const condition = { StringEqual: { "aws:username": "bob" } };
  const withCondition = (effect: string): CompiledPolicy =>
    compile({ Version: "2012-10-17", Statement: { Effect: effect, Action: "*", Resource: "*", Condition: condition } });
  assert.equal(decide(bob, { identityPolicies: [withCondition("Allow")] }).allowed, false);
  assert.equal(decide(bob, { identityPolicies: [full, withCondition("Deny")] }).allowed, false);
});

test("says why as AWS does", () => {
  const start = `User: ${bob.arn} is not authorized to perform: ecr:PutImage on resource: ${app}`;
  const deny = compile({ Version: "2012-10-17", Statement: { Effect: "Deny", Action: "*", Resource: "*" } });
  const abroad = { resourceAccountId: otherAccount, identityPolicies: [full] };
  const trust = { action: "sts:AssumeRole", resourceRule: "must-allow", identityPolicies: [compile(allow("sts:*"))] } as const;
  const assume = `User: ${bob.arn} is not authorized to perform: sts:AssumeRole on resource: ${app}`;
  const messages: [parts: Parts, message: string][] = [
    [{}, `${start} because no identity-based policy allows the ecr:PutImage action`],
    [{ identityPolicies: [deny] }, `${start} with an explicit deny in an identity-based policy`],
    [abroad, `${start} because no resource-based policy allows the ecr:PutImage action`],
    [{ resourcePolicies: [compile(named("*", "Deny"))] }, `${start} with an explicit deny in a resource-based policy`],
    [{ identityPolicies: [full], boundary: silent }, `${start} because no permissions boundary allows the ecr:PutImage action`],
    [{ boundary: deny }, `${start} with an explicit deny in a permissions boundary`],
    [{ identityPolicies: [full], sessionPolicies: [] }, `${start} because no session policy allows the ecr:PutImage action`],
    [{ sessionPolicies: [deny] }, `${start} with an explicit deny in a session policy`],
    [trust, `${assume} because no role trust policy allows the sts:AssumeRole action`],
    [{ ...trust, resourcePolicies: [compile(named("*", "Deny", "sts:*"))] }, `${assume} with an explicit deny in the role trust policy`],
  ];
  for (const [parts, message] of messages) {
    const evaluation = decide(bob, parts);
    assert.ok(!evaluation.allowed);
    assert.equal(denialMessage({ caller: bob, action: "ecr:PutImage", resource: app, ...parts }, evaluation), message);
  }
  const web: Caller = { kind: "web-identity", providerArn: `arn:aws:iam::${account}:oidc-provider/example.org` };
  const evaluation = decide(web, { action: "sts:AssumeRoleWithWebIdentity", resourceRule: "must-allow" });
  assert.ok(!evaluation.allowed);
  assert.equal(
    denialMessage({ caller: web, action: "sts:AssumeRoleWithWebIdentity", resource: app }, evaluation),
    "Not authorized to perform sts:AssumeRoleWithWebIdentity",
  );
});

test("one more Deny never permits more", () => {
  const actions = fc.constantFrom("ecr:*", "ecr:PutImage", "*", "s3:*", "ecr:Batch*");
  const resources = fc.constantFrom("*", app, `${app}?`, "arn:aws:ecr:*", `arn:aws:ecr:*:*:repository/\${aws:username, 'app'}`);
  const conditions = fc.constantFrom(
    {},
    { StringEquals: { "aws:username": "bob" } },
    { StringNotLike: { "aws:username": "b*" } },
    { Null: { "aws:username": "true" } },
    { "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b"] } },
  );
  const statement = fc.record({
    Effect: fc.constantFrom("Allow", "Allow", "Deny"),
    Action: actions,
    Resource: resources,
    Condition: conditions,
  });
  const principal = fc.constantFrom("*", { AWS: bob.arn }, { AWS: account }, { AWS: `arn:aws:iam::${account}:role/team/ci` });
  const policy = (more: object = {}): object => ({ Version: "2012-10-17", Statement: [more] });
  const parts = fc.record({
    caller: fc.constantFrom<Caller>(bob, run, root, { kind: "anonymous" }),
    action: fc.constantFrom("ecr:PutImage", "ecr:BatchGetImage"),
    resource: fc.constantFrom(app, "*"),
    identity: fc.array(statement, { maxLength: 3 }),
    boundary: fc.option(statement, { nil: undefined }),
    session: fc.option(fc.array(statement, { maxLength: 2 }), { nil: undefined }),
    ofResource: fc.option(fc.tuple(statement, principal), { nil: undefined }),
    keys: fc.constantFrom({}, { "aws:username": "bob" }, { "aws:TagKeys": ["a"] }, { "aws:TagKeys": ["c"] }),
    rule: fc.constantFrom("grants", "must-allow"),
    deny: statement,
    where: fc.constantFrom("identity", "boundary", "session", "resource"),
  });
  fc.assert(
    fc.property(parts, (one) => {
      const identity = one.identity.map((statement) => compile(policy(statement)));
      const request: EvaluationRequest = {
        caller: one.caller,
        action: one.action,
        resource: one.resource,
        resourceAccountId: account,
        context: contextKeys(Object.entries(one.keys)),
        identityPolicies: identity,
        ...(one.boundary && { boundary: compile(policy(one.boundary)) }),
        ...(one.session && { sessionPolicies: one.session.map((statement) => compile(policy(statement))) }),
        resourcePolicies: one.ofResource ? [compile(policy({ ...one.ofResource[0], Principal: one.ofResource[1] }))] : [],
        resourceRule: one.rule === "grants" ? "grants" : "must-allow",
      };
      const before = evaluate(request);
      const deny = compile(policy({ ...one.deny, Effect: "Deny" }));
      const after = evaluate(
        one.where === "resource"
          ? {
              ...request,
              resourcePolicies: [...request.resourcePolicies, compile(policy({ ...one.deny, Effect: "Deny", Principal: "*" }))],
            }
          : one.where === "boundary" && request.boundary === undefined
            ? { ...request, boundary: deny }
            : { ...request, identityPolicies: [...identity, deny] },
      );
      assert.ok(before.allowed || !after.allowed);
      // Nor does it permit where nothing but it was said.
      if (!before.allowed && before.explicit) assert.ok(!after.allowed && after.explicit);
    }),
    { numRuns: 2_000 },
  );
});
