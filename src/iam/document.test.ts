import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compilePolicy } from "./compile.ts";
import { contextKeysOf } from "./context-keys.ts";
import { parsePolicy, principalsOf, readPolicy } from "./document.ts";
import type { PolicyKind } from "./document.ts";
import { policySize } from "./policy-size.ts";

const account = "111111111111";
const kinds: readonly PolicyKind[] = [
  "managed",
  "inline",
  "boundary",
  "session",
  "trust",
  "repository",
  "registry",
  "registry-v1",
  "key",
  "secret",
];
const ecrSentence = (kind: string): string =>
  `Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid ${kind} policy provided'`;

/** A document around one statement that overrides a good one; undefined takes an element away. */
function documentOf(statement: object, version: string | undefined = "2012-10-17"): string {
  return JSON.stringify({ Version: version, Statement: [statement] });
}

const good: Readonly<Record<PolicyKind, object>> = {
  managed: { Effect: "Allow", Action: "ecr:*", Resource: "*" },
  inline: { Effect: "Allow", Action: "ecr:*", Resource: "*" },
  boundary: { Effect: "Allow", Action: "ecr:*", Resource: "*" },
  session: { Effect: "Allow", Action: "ecr:*", Resource: "*" },
  trust: { Effect: "Allow", Action: "sts:AssumeRole", Principal: { AWS: account } },
  repository: { Effect: "Allow", Action: "ecr:BatchGetImage", Principal: "*" },
  registry: {
    Effect: "Allow",
    Action: "ecr:ReplicateImage",
    Principal: { AWS: account },
    Resource: `arn:aws:ecr:eu-west-1:${account}:repository/*`,
  },
  "registry-v1": {
    Effect: "Allow",
    Action: "ecr:ReplicateImage",
    Principal: { AWS: account },
    Resource: `arn:aws:ecr:eu-west-1:${account}:repository/*`,
  },
  key: { Effect: "Allow", Action: "kms:*", Principal: { AWS: `arn:aws:iam::${account}:root` }, Resource: "*" },
  secret: {
    Effect: "Allow",
    Action: "secretsmanager:GetSecretValue",
    Principal: { AWS: `arn:aws:iam::${account}:user/bob` },
    Resource: "*",
  },
};

function outcome(text: string, kind: PolicyKind): string | undefined {
  const result = parsePolicy(text, kind);
  return result.ok ? undefined : result.problem.message;
}

test("accepts a good document of each kind", () => {
  for (const kind of kinds) assert.equal(outcome(documentOf(good[kind]), kind), undefined, kind);
});

test("refuses with AWS's words", () => {
  const syntax = "Syntax errors in policy.";
  const legacy = "The policy failed legacy parsing";
  const condition = (operators: object): object => ({ Condition: operators });
  const cases: [kind: PolicyKind, change: object, message: string | undefined][] = [
    ["managed", { Unknown: 1 }, syntax],
    ["managed", { NotAction: "ecr:*" }, syntax],
    ["managed", { NotResource: "*" }, syntax],
    ["managed", { Effect: "Permit" }, syntax],
    ["managed", { Effect: undefined }, syntax],
    ["managed", { Effect: "allow" }, legacy],
    ["managed", { Action: 1 }, syntax],
    ["managed", { Action: [["ecr:*"]] }, syntax],
    ["managed", { Sid: 1 }, syntax],
    [
      "managed",
      { Sid: "a b" },
      "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
    ],
    ["managed", { Action: undefined }, "Policy statement must contain actions."],
    ["managed", { Action: [] }, "Policy statement must contain actions."],
    ["managed", { Action: undefined, NotAction: [] }, "Policy statement must contain actions."],
    ["managed", { Resource: undefined }, "Policy statement must contain resources."],
    ["managed", { Resource: [] }, "Policy statement must contain resources."],
    ["managed", { Resource: "app" }, 'Resource app must be in ARN format or "*".'],
    ["managed", { Resource: ["*", "**"] }, 'Resource ** must be in ARN format or "*".'],
    ["managed", { Resource: "arn:moon:ecr:r:1:x" }, 'Partition "moon" is not valid for resource "arn:moon:ecr:r:1:x".'],
    ["managed", { Resource: "arn:aws" }, "Resource vendor must be fully qualified and cannot contain regexes."],
    ["managed", { Resource: "arn:aws:e*:::x" }, "Resource vendor must be fully qualified and cannot contain regexes."],
    ["managed", { Resource: "arn:aws:ecr:*" }, legacy],
    [
      "managed",
      { Resource: `arn:aws:iam:eu-west-1:${account}:user/bob` },
      `IAM resource arn:aws:iam:eu-west-1:${account}:user/bob cannot contain region information.`,
    ],
    [
      "managed",
      { Resource: `arn:aws:iam::${account}:bob` },
      'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.',
    ],
    ["managed", { Resource: `arn:*:ecr:*:*:repository/\${aws:username, 'x y'}` }, undefined],
    ["managed", { Resource: "arn:aws:ecr:*:*:repository/${aws:user name}" }, syntax],
    ["managed", { Action: "PutImage" }, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."],
    ["managed", { Action: "ecr:Put:Image" }, "Actions/Condition can contain only one colon."],
    ["managed", { Action: "e*:PutImage" }, "Vendor e* is not valid"],
    ["managed", { Action: "ecr:" }, legacy],
    ["managed", { Action: "ecr:Put Image" }, legacy],
    ["managed", { Action: ["*", "*:*", "ecr:?ut*"] }, undefined],
    ["managed", { Principal: "*" }, "Policy document should not specify a principal."],
    ["session", { NotPrincipal: "*" }, "Policy document should not specify a principal."],
    ["managed", condition({ StringEqual: { "aws:username": "x" } }), syntax],
    ["managed", condition({ NullIfExists: { "aws:username": "true" } }), syntax],
    ["managed", condition({ "ForAllValues:Null": { "aws:username": "true" } }), syntax],
    ["managed", condition({ "ForSomeValues:StringLike": { "aws:username": "x" } }), syntax],
    ["managed", condition({ "foranyvalue:STRINGLIKEIFEXISTS": { "aws:username": "x" } }), undefined],
    ["managed", condition({ StringEquals: { "aws:username": [] } }), syntax],
    ["managed", condition({ StringEquals: { "aws:username": null } }), syntax],
    ["managed", condition({ StringEquals: "aws:username" }), syntax],
    ["managed", condition({ StringEquals: { "aws:username": "a", "aws:UserName": "b" } }), syntax],
    ["managed", condition({ StringEquals: { "aws:username": "${oops" } }), syntax],
    ["managed", condition({ Bool: { "aws:SecureTransport": ["true", "false"] } }), syntax],
    ["managed", condition({ Bool: { "aws:SecureTransport": true } }), undefined],
    ["managed", condition({ Bool: { "aws:SecureTransport": "yes" } }), legacy],
    ["managed", condition({ Null: { "aws:TokenIssueTime": "maybe" } }), legacy],
    ["managed", condition({ DateLessThan: { "aws:CurrentTime": "tomorrow" } }), legacy],
    ["managed", condition({ NumericEquals: { "aws:MultiFactorAuthAge": 60.5 } }), undefined],
    ["managed", condition({ NumericEquals: { "aws:MultiFactorAuthAge": "long" } }), legacy],
    ["managed", condition({ IpAddress: { "aws:SourceIp": "10.0.0.0/99" } }), legacy],
    ["managed", condition({ BinaryEquals: { "x:y": "%" } }), legacy],
    [
      "managed",
      condition({ StringEquals: { username: "x" } }),
      "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ],
    ["trust", { Resource: "*" }, "Has prohibited field Resource."],
    ["trust", { NotResource: "*" }, "Has prohibited field NotResource."],
    ["trust", { Principal: undefined, NotPrincipal: { AWS: account } }, syntax],
    ["trust", { Effect: "Deny", Principal: undefined, NotPrincipal: { AWS: account } }, "Has prohibited field NotPrincipal."],
    ["trust", { Action: ["sts:Assume*", "STS:TagSession", "sts:*"] }, undefined],
    ["trust", { Principal: { AWS: "arn:aws:iam::*:root" } }, 'Invalid principal in policy: "AWS":"arn:aws:iam::*:root"'],
    [
      "trust",
      { Principal: { AWS: `arn:aws:iam::${account}:role/*` } },
      `Invalid principal in policy: "AWS":"arn:aws:iam::${account}:role/*"`,
    ],
    [
      "trust",
      { Principal: { AWS: `arn:aws:iam::${account}:group/g` } },
      `Invalid principal in policy: "AWS":"arn:aws:iam::${account}:group/g"`,
    ],
    ["trust", { Principal: { AWS: "bob" } }, 'Invalid principal in policy: "AWS":"bob"'],
    ["trust", { Principal: { CanonicalUser: "1234" } }, 'Invalid principal in policy: "CanonicalUser":"1234"'],
    ["trust", { Principal: { Service: "*" } }, 'Invalid principal in policy: "Service":"*"'],
    ["trust", { Principal: { Somebody: "x" } }, syntax],
    ["trust", { Principal: "bob" }, syntax],
    [
      "trust",
      { Principal: { AWS: "*", Service: ["ec2.amazonaws.com"], Federated: `arn:aws:iam::${account}:oidc-provider/a.example/id` } },
      undefined,
    ],
    ["trust", { Principal: { AWS: ["AIDAEXAMPLE", `arn:aws:sts::${account}:assumed-role/ci/run-1`] } }, undefined],
    ["repository", { Sid: "with blanks" }, undefined],
    ["repository", { Resource: "*" }, ecrSentence("repository")],
    ["repository", { Principal: undefined }, ecrSentence("repository")],
    ["repository", { Principal: {} }, ecrSentence("repository")],
    ["registry", { Resource: undefined }, ecrSentence("registry")],
    ["registry", { Action: "ecr:PutImage" }, undefined],
    ["registry", { Action: undefined, NotAction: "ecr:ReplicateImage" }, undefined],
    ["registry-v1", { Resource: undefined }, ecrSentence("registry")],
    ["registry-v1", { Action: "ecr:PutImage" }, ecrSentence("registry")],
    ["registry-v1", { Action: "*" }, ecrSentence("registry")],
    ["registry-v1", { Action: undefined, NotAction: "ecr:ReplicateImage" }, ecrSentence("registry")],
    ["registry-v1", { Action: ["ecr:CreateRepository", "ecr:*"] }, undefined],
    ["key", { Principal: { AWS: "nobody" } }, "Policy contains a statement with one or more invalid principals."],
    ["key", { Principal: undefined }, "Policy contains a statement with one or more invalid principals."],
    ["key", { Sid: "Enable IAM User Permissions" }, undefined],
    ["key", { Resource: undefined }, undefined],
    ["secret", { Effect: "Deny", Principal: undefined, NotPrincipal: { AWS: account } }, undefined],
    ["secret", { Principal: undefined, NotPrincipal: { AWS: account } }, syntax],
  ];
  for (const [kind, change, message] of cases)
    assert.equal(outcome(documentOf({ ...good[kind], ...change }), kind), message, `${kind} ${JSON.stringify(change)}`);
  const trustActions =
    "Trust Policy statement actions can only be sts:AssumeRole, sts:AssumeRoleWithSAML,  and sts:AssumeRoleWithWebIdentity";
  for (const Action of ["*", "sts:GetCallerIdentity", "s3:AssumeRole", ["sts:AssumeRole", "ecr:*"]])
    assert.equal(outcome(documentOf({ ...good.trust, Action }), "trust"), trustActions);
});

test("the version decides where it must", () => {
  for (const version of [undefined, "2008-10-17"]) {
    const text = (kind: PolicyKind): string => JSON.stringify({ ...(version && { Version: version }), Statement: good[kind] });
    for (const kind of ["managed", "inline", "boundary", "session"] as const)
      assert.equal(outcome(text(kind), kind), "Policy document must be version 2012-10-17 or greater.");
    for (const kind of ["trust", "repository", "registry", "registry-v1", "key", "secret"] as const)
      assert.equal(outcome(text(kind), kind), undefined, kind);
  }
  assert.equal(outcome(documentOf(good.managed, "2012-10-18"), "managed"), "Syntax errors in policy.");
});

test("refuses texts that are no policy", () => {
  const statement = JSON.stringify(good.managed);
  const texts = [
    "",
    "{}",
    "[]",
    "null",
    '{"Version":"2012-10-17","Statement":[]}',
    '{"Version":"2012-10-17","Statement":[[]]}',
    `{"Version":"2012-10-17","Statement":${statement},"Statement":${statement}}`,
    `{"Version":"2012-10-17","Statement":${statement},"Extra":1}`,
    `{"Version":"2012-10-17","Statement":${statement.replace("{", '{"Effect":"Deny",')}}`,
    `{"Version":"2012-10-17","Id":5,"Statement":${statement}}`,
    documentOf({ ...good.managed, Sid: "\u0100" }),
  ];
  for (const text of texts) assert.equal(outcome(text, "managed"), "Syntax errors in policy.", text);
});

test("statement ids are unique where IAM keeps the policy", () => {
  const twice = (kind: PolicyKind, sid: string): string =>
    JSON.stringify({ Version: "2012-10-17", Statement: [1, 2].map(() => ({ ...good[kind], Sid: sid })) });
  assert.equal(outcome(twice("managed", "A"), "managed"), "Statement IDs (SID) in a single policy must be unique.");
  assert.equal(outcome(twice("managed", ""), "managed"), undefined);
  assert.equal(outcome(twice("repository", "A"), "repository"), undefined);
});

test("counts sizes as each kind does", () => {
  const spaces = " ".repeat(20_000);
  const withSpaces = documentOf(good.managed).replace("{", `{${spaces}`);
  assert.equal(policySize(withSpaces), documentOf(good.managed).length);
  assert.equal(outcome(withSpaces, "managed"), undefined);
  assert.deepEqual(parsePolicy(documentOf({ ...good.managed, Sid: "a".repeat(6_144) }), "managed"), {
    ok: false,
    problem: { message: "Cannot exceed quota for PolicySize: 6144", isTooLong: true },
  });
  for (const [kind, max] of Object.entries({
    managed: 6_144,
    inline: 10_240,
    boundary: 6_144,
    session: 2_048,
    trust: 2_048,
    repository: 10_240,
    registry: 10_240,
    "registry-v1": 10_240,
    key: 32_768,
    secret: 20_480,
  })) {
    const result = parsePolicy(`"${"x".repeat(max - 2)}"`, kind as PolicyKind);
    assert.ok(!result.ok && result.problem.isTooLong === undefined, kind);
    const longer = parsePolicy(`"${"x".repeat(max - 1)}"`, kind as PolicyKind);
    assert.ok(!longer.ok && longer.problem.isTooLong === true, kind);
  }
  for (const kind of ["session", "repository", "registry"] as const) {
    const result = parsePolicy(documentOf(good[kind]).replace("{", `{${spaces}`), kind);
    assert.ok(!result.ok && result.problem.isTooLong === true, kind);
  }
});

test("names the AWS principals and the context keys of a document", () => {
  const read = readPolicy(
    JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: { AWS: [account, "AIDABOB", "*"], Service: "ec2.amazonaws.com" }, Action: "x:y" },
        {
          Effect: "Deny",
          NotPrincipal: { AWS: ["AIDABOB", `arn:aws:iam::${account}:role/ci`] },
          Action: "x:y",
          Resource: "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/Team, 'x'}/${*}",
          Condition: {
            StringLike: { "aws:userid": "${aws:username}", "aws:USERID": "b" },
            NumericEquals: { "x:n": "${x:not}" },
            Null: { "aws:principaltag/team": "true" },
          },
        },
      ],
    }),
  );
  assert.ok(read.ok);
  assert.deepEqual(principalsOf(read.value), [account, "AIDABOB", `arn:aws:iam::${account}:role/ci`]);
  assert.deepEqual(contextKeysOf(read.value), ["aws:PrincipalTag/Team", "aws:userid", "aws:username", "x:n"]);
  assert.deepEqual(contextKeysOf({ ...read.value, version: "2008-10-17" }), ["aws:userid", "x:n", "aws:principaltag/team"]);
});

test("never throws, and what it accepts can be compiled", () => {
  const word = fc.constantFrom(
    "Version",
    "Statement",
    "Effect",
    "Allow",
    "Action",
    "Principal",
    "AWS",
    "*",
    "Condition",
    "__proto__",
    "${",
    "2012-10-17",
    "StringLike",
    "Resource",
    "arn:aws:ecr:*",
  );
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      word,
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(word, tie("value"), { maxKeys: 5 }),
    ),
  })).value;
  const statement = fc.dictionary(fc.constantFrom("Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition"), json, {
    maxKeys: 5,
  });
  const policy = fc.record({
    Version: fc.constantFrom("2012-10-17", "2008-10-17"),
    Statement: fc.oneof(statement, fc.array(statement, { maxLength: 2 })),
  });
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    json.map((value) => JSON.stringify(value)),
    policy.map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(text, fc.constantFrom(...kinds), (written, kind) => {
      const result = parsePolicy(written, kind);
      const read = readPolicy(written);
      assert.ok(!result.ok || read.ok);
      if (!result.ok) assert.ok(result.problem.message !== "");
      if (read.ok) assert.equal(compilePolicy(read.value, { name: "any" }).name, "any");
    }),
    { numRuns: 3_000 },
  );
});
