/**
 * Random requests with small policies, out of an alphabet so small that statements often match and often only just fail to. Only tests may
 * import this.
 */
import * as fc from "fast-check";
import type { Caller } from "../caller.ts";
import type { OraclePolicy, OracleRequest, OracleStatement } from "./oracle.ts";

const home = "111111111111";
const abroad = "222222222222";
const repository = (name: string): string => `arn:aws:ecr:eu-west-1:${home}:repository/${name}`;
const iam = (account: string, name: string): string => `arn:aws:iam::${account}:${name}`;
const sts = (account: string, name: string): string => `arn:aws:sts::${account}:${name}`;

const userBob = (accountId: string): Caller => ({
  kind: "user",
  accountId,
  arn: iam(accountId, "user/bob"),
  uniqueId: accountId === home ? "AIDABOBXXXXXXXXXXXXXX" : "AIDABOBTWOXXXXXXXXXXX",
});
const root = (accountId: string): Caller => ({ kind: "root", accountId, arn: iam(accountId, "root") });
const roleSession = (accountId: string): Caller => ({
  kind: "role-session",
  accountId,
  arn: sts(accountId, "assumed-role/ci/run1"),
  roleArn: iam(accountId, "role/team/ci"),
  uniqueId: accountId === home ? "AROACIXXXXXXXXXXXXXXX" : "AROACITWOXXXXXXXXXXXX",
});
const federated = (accountId: string, issuer: Caller): Caller => ({
  kind: "federated",
  accountId,
  arn: sts(accountId, "federated-user/guest"),
  issuer,
});
const service = "codebuild.amazonaws.com";
const providerArn = iam(home, "oidc-provider/issuer.example.com");

const callers = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(userBob(home), roleSession(home), federated(home, userBob(home))) },
  { weight: 2, arbitrary: fc.constantFrom(userBob(abroad), roleSession(abroad), federated(abroad, userBob(abroad))) },
  { weight: 1, arbitrary: fc.constantFrom(root(home), root(abroad), federated(home, root(home)), federated(abroad, root(abroad))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Caller>({ kind: "service", service }, { kind: "web-identity", providerArn }, { kind: "anonymous" }),
  },
);

const namesIn = (account: string): string[] => [
  account,
  iam(account, "root"),
  iam(account, "user/bob"),
  iam(account, "user/eve"),
  iam(account, "role/team/ci"),
  iam(account, "role/ci"),
  sts(account, "assumed-role/ci/run1"),
  sts(account, "assumed-role/ci/run2"),
  sts(account, "federated-user/guest"),
];
const awsNames = fc.constantFrom(
  "*",
  ...namesIn(home),
  ...namesIn(abroad),
  "AIDABOBXXXXXXXXXXXXXX",
  "AROACIXXXXXXXXXXXXXXX",
  "AIDAGONEXXXXXXXXXXXXX",
);
const oneOrSeveral = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | T[]> =>
  fc.oneof({ weight: 3, arbitrary: value }, { weight: 1, arbitrary: fc.array(value, { minLength: 1, maxLength: 3 }) });
const principals = fc.oneof(
  { weight: 1, arbitrary: fc.constant("*" as const) },
  { weight: 6, arbitrary: fc.record({ AWS: fc.oneof(awsNames, fc.array(awsNames, { minLength: 1, maxLength: 5 })) }) },
  { weight: 3, arbitrary: fc.record({ AWS: fc.subarray(namesIn(home), { minLength: 1 }) }) },
  { weight: 1, arbitrary: fc.record({ AWS: fc.subarray(namesIn(abroad), { minLength: 1 }) }) },
  { weight: 1, arbitrary: fc.record({ Service: oneOrSeveral(fc.constantFrom(service, "lambda.amazonaws.com")) }) },
  { weight: 1, arbitrary: fc.record({ Federated: fc.constantFrom(providerArn, "accounts.google.com") }) },
  { weight: 1, arbitrary: fc.record({ AWS: awsNames, Service: fc.constant(service), Federated: fc.constant(providerArn) }) },
);

const keys = [
  "aws:username",
  "aws:PrincipalTag/team",
  "aws:TagKeys",
  "aws:PrincipalArn",
  "aws:SourceArn",
  "aws:SourceIp",
  "aws:CurrentTime",
  "aws:MultiFactorAuthAge",
  "aws:SecureTransport",
] as const;
const words = ["", "a", "app", "App", "APP", "bob", "team", "*", "?", "a*", "${aws:username}"];
const arns = [
  iam(home, "user/bob"),
  iam(abroad, "role/team/ci"),
  "arn:aws:logs:eu-west-1:111111111111:log-group:a:b",
  "bob",
  "arn:aws:iam",
];
const addresses = [
  "10.1.2.3",
  "10.1.2.4",
  "192.0.3.255",
  "::ffff:10.1.2.3",
  "2001:db8::1",
  "2001:DB8:0:0::1",
  "2001:db8:8000::1",
  "::1",
  "nowhere",
  "::ffff:a01:203",
  "0:0:0:0:0:ffff:10.1.2.3",
  "::10.1.2.3",
  "010.1.2.3",
  "10.1.2",
  "10.1.2.256",
  "1::2::3",
  ":::",
  "12345::",
  "1:2:3:4:5:6:7",
  "",
];
const instants = [
  "2026-11-21T08:00:00Z",
  "2026-11-21T10:00:00+02:00",
  "2026-11-21",
  "1795248000",
  "2026-11-21T08:00:00.5Z",
  "2026-11",
  "2026-02-30",
  "2026-11-21T08:00Z",
  "2026-11-21T24:00:00Z",
  "2028-02-29",
  "99999999999999",
  "20261121T080000Z",
  "soon",
  "",
];
const numbers = ["0", "1", "1.0", "-1", "1.5", "10", "9", "", " 1", "0x1", "one"];
const truths = ["true", "false", "TRUE", "1", ""];
const known: Readonly<Record<(typeof keys)[number], readonly string[]>> = {
  "aws:username": words,
  "aws:PrincipalTag/team": words,
  "aws:TagKeys": words,
  "aws:PrincipalArn": arns,
  "aws:SourceArn": arns,
  "aws:SourceIp": addresses,
  "aws:CurrentTime": instants,
  "aws:MultiFactorAuthAge": numbers,
  "aws:SecureTransport": truths,
};

/** A key's value: of its own kind nearly always, one value where one is usual. */
function valueOf(key: (typeof keys)[number]): fc.Arbitrary<string | string[]> {
  const single = fc.constantFrom(...known[key]);
  const several = fc.array(single, { maxLength: 3 });
  const [usual, odd] = key === "aws:TagKeys" ? [several, single] : [single, several];
  return fc.oneof<[fc.Arbitrary<string | string[]>, ...{ weight: number; arbitrary: fc.Arbitrary<string | string[]> }[]]>(
    usual,
    { weight: 9, arbitrary: usual },
    { weight: 1, arbitrary: odd },
  );
}

const contexts = fc.record(Object.fromEntries(keys.map((key) => [key, valueOf(key)])), { requiredKeys: [] }) as fc.Arbitrary<
  Record<string, string | string[]>
>;

const variables = [
  "${aws:username}",
  "${AWS:principaltag/TEAM}",
  "${aws:PrincipalTag/team, 'app'}",
  "${aws:TagKeys}",
  "${*}",
  "${?}",
  "${$}",
];
const wordPatterns = fc.oneof(
  fc.constantFrom(...words.filter((word) => !word.includes("$")), ...variables),
  fc.array(fc.constantFrom("a", "p", "b", "*", "?", ...variables), { maxLength: 4 }).map((parts) => parts.join("")),
);
const arnPatterns = fc.constantFrom(
  ...arns.filter((arn) => arn.split(":").length > 5),
  "arn:aws:iam::*:user/b?b",
  "arn:aws:*:*:*:*",
  "arn:aws:iam::111111111111:user/${aws:username}",
  "arn:*:role/*",
  "arn:aws:logs:*:*:log-group:*",
);
const ranges = fc.constantFrom(
  "10.0.0.0/8",
  "10.1.2.3",
  "10.1.2.255/25",
  "192.0.2.0/23",
  "0.0.0.0/0",
  "::/0",
  "2001:db8::/33",
  "2001:db8::1",
  "::1/128",
  "::ffff:10.0.0.0/104",
  "10.0.0.1/31",
);
const writtenInstants = fc.constantFrom(...instants.slice(0, 5));
const writtenNumbers = fc.constantFrom("0", "1", "1.0", "-1", "1.5", "10", 1, 9.5);

interface Family {
  readonly names: readonly string[];
  readonly values: fc.Arbitrary<unknown>;
  readonly keys: readonly (typeof keys)[number][];
}
const orders = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"];
const families: readonly Family[] = [
  {
    names: ["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"].map((name) => `String${name}`),
    values: wordPatterns,
    keys: ["aws:username", "aws:PrincipalTag/team", "aws:TagKeys"],
  },
  {
    names: ["ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"],
    values: arnPatterns,
    keys: ["aws:PrincipalArn", "aws:SourceArn"],
  },
  { names: ["IpAddress", "NotIpAddress"], values: ranges, keys: ["aws:SourceIp"] },
  { names: orders.map((name) => `Date${name}`), values: writtenInstants, keys: ["aws:CurrentTime"] },
  { names: orders.map((name) => `Numeric${name}`), values: writtenNumbers, keys: ["aws:MultiFactorAuthAge"] },
  { names: ["Bool"], values: fc.constantFrom("true", "false", "True", true, false), keys: ["aws:SecureTransport"] },
  { names: ["BinaryEquals"], values: fc.constantFrom("YQ==", "YXA="), keys: ["aws:username"] },
];

const comparisons = fc.constantFrom(...families).chain((family) =>
  fc
    .record({
      set: fc.constantFrom("", "", "ForAllValues:", "ForAnyValue:"),
      name: fc.constantFrom(...family.names),
      suffix: fc.constantFrom("", "", "IfExists"),
      key: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...family.keys) }, { weight: 1, arbitrary: fc.constantFrom(...keys) }),
      values: oneOrSeveral(family.values),
      isUpper: fc.boolean(),
    })
    .map(({ set, name, suffix, key, values, isUpper }) => ({ [set + name + suffix]: { [isUpper ? key.toUpperCase() : key]: values } })),
);
const absences = fc
  .record({ key: fc.constantFrom(...keys), isAbsent: fc.constantFrom("true", "false", true, false) })
  .map(({ key, isAbsent }) => ({ Null: { [key]: isAbsent } }));
const conditions = fc
  .array(fc.oneof({ weight: 8, arbitrary: comparisons }, { weight: 1, arbitrary: absences }), { minLength: 1, maxLength: 2 })
  .map((several): NonNullable<OracleStatement["Condition"]> => Object.assign({}, ...several));

const calls = fc.constantFrom(
  { action: "ecr:PutImage", resource: repository("app") },
  { action: "ecr:PutImage", resource: repository("app") },
  { action: "ecr:PutImage", resource: repository("bob/app") },
  { action: "ecr:SetRepositoryPolicy", resource: repository("app") },
  { action: "ecr:GetAuthorizationToken", resource: "*" },
  { action: "sts:AssumeRole", resource: iam(home, "role/team/ci") },
  { action: "kms:Decrypt", resource: `arn:aws:kms:eu-west-1:${home}:key/1234abcd-12ab-34cd-56ef-1234567890ab` },
  { action: "sts:GetCallerIdentity", resource: "*" },
);
const actionPatterns = oneOrSeveral(
  fc.constantFrom(
    "*",
    "*",
    "ecr:*",
    "ECR:putimage",
    "ecr:P?t*",
    "ecr*",
    "ecr:Put Image",
    "ecr:?et*",
    "sts:*",
    "sts:assumerole",
    "kms:Dec*",
  ),
);
const resourcePatterns = oneOrSeveral(
  fc.constantFrom(
    "*",
    "*",
    repository("*"),
    repository("app"),
    repository("${aws:username}*"),
    repository("${aws:PrincipalTag/team, 'bob'}/*"),
    "arn:aws:ecr:*:*:repository/?pp",
    "arn:aws:ecr:*",
    "arn:aws:ecr",
    "arn:aws:ecr:eu-west-1:*/app",
    "arn:aws:iam::*:role/*",
    "arn:aws:kms:*:*:key/*",
  ),
);

const version = fc.constantFrom("2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17", undefined);
const given = <T>(key: string, value: T): object => (value === undefined ? {} : { [key]: value });

interface Choice {
  readonly effect: "Allow" | "Deny";
  readonly isNotAction: boolean;
  readonly isNotResource: boolean;
  readonly action: string | string[];
  readonly resource: string | string[];
  readonly condition: OracleStatement["Condition"];
}
/** In a third of all cases. */
const perhaps = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const seldom = fc.integer({ min: 0, max: 7 }).map((number) => number === 0);
const choices: fc.Arbitrary<Choice> = fc.record({
  effect: fc.constantFrom("Allow", "Allow", "Allow", "Deny"),
  isNotAction: seldom,
  isNotResource: seldom,
  action: actionPatterns,
  resource: resourcePatterns,
  condition: perhaps(conditions),
});
const statementOf = ({ effect, isNotAction, isNotResource, action, resource, condition }: Choice): OracleStatement => ({
  Effect: effect,
  [isNotAction ? "NotAction" : "Action"]: action,
  [isNotResource ? "NotResource" : "Resource"]: resource,
  ...given("Condition", condition),
});

const policyOf = (statements: fc.Arbitrary<OracleStatement>): fc.Arbitrary<OraclePolicy> =>
  fc
    .record({ version, statements: fc.oneof(statements, fc.array(statements, { minLength: 1, maxLength: 3 })) })
    .map(({ version, statements }) => ({ ...given("Version", version), Statement: statements }));

const ownPolicies = policyOf(choices.map(statementOf));
const resourcePolicies = policyOf(
  fc
    .record({ choice: choices, principal: principals, isNotPrincipal: perhaps(fc.constant(true)), hasResource: fc.boolean() })
    .map(({ choice, principal, isNotPrincipal, hasResource }) => {
      const { Resource, NotResource, ...rest } = statementOf(choice);
      const about = hasResource ? { ...given("Resource", Resource), ...given("NotResource", NotResource) } : {};
      return { ...rest, [isNotPrincipal === true ? "NotPrincipal" : "Principal"]: principal, ...about };
    }),
);

/** Requests of every kind of caller with policies of every kind. */
export const questions: fc.Arbitrary<OracleRequest> = fc
  .record({
    caller: callers,
    call: calls,
    context: contexts,
    identity: fc.array(ownPolicies, { maxLength: 2 }),
    boundary: perhaps(ownPolicies),
    session: perhaps(fc.array(ownPolicies, { maxLength: 2 })),
    resourcePolicy: fc.option(resourcePolicies, { nil: undefined }),
    granted: seldom,
  })
  .map(({ caller, call, context, identity, boundary, session, resourcePolicy, granted }) => ({
    caller,
    ...call,
    resourceAccountId: call.resource === "*" && "accountId" in caller ? caller.accountId : home,
    context,
    identity,
    ...given("boundary", boundary),
    ...given("session", session),
    ...given("resourcePolicy", resourcePolicy),
    resourceRule: call.action.startsWith("ecr:") ? "grants" : "must-allow",
    granted: granted && call.action.startsWith("kms:"),
  }));

const about = (statement: fc.Arbitrary<object>, resource: fc.Arbitrary<string>): fc.Arbitrary<OracleRequest> =>
  fc.record({ statement, resource, context: contexts, version }).map(({ statement, resource, context, version }) => ({
    caller: userBob(home),
    action: "ecr:PutImage",
    resource,
    resourceAccountId: home,
    context,
    identity: [{ ...given("Version", version), Statement: { Effect: "Allow", Action: "*", Resource: "*", ...statement } }],
    resourceRule: "grants",
  }));

/** Requests whose answer hangs on one condition. */
export const conditionQuestions: fc.Arbitrary<OracleRequest> = about(
  conditions.map((condition) => ({ Condition: condition })),
  fc.constant(repository("app")),
);

/** A piece of a pattern beside a text that it mostly matches. */
const pieces: fc.Arbitrary<readonly [pattern: string, text: string]> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("a", "b", "ab", "/", ":").map((text) => [text, text] as const) },
  { weight: 3, arbitrary: fc.constantFrom("", "a", "ba", "b/a", "a:b").map((text) => ["*", text] as const) },
  { weight: 2, arbitrary: fc.constantFrom("a", "/", ":", "*").map((text) => ["?", text] as const) },
  { weight: 2, arbitrary: fc.constantFrom("a", "bob", "*").map((text) => ["${aws:username}", text] as const) },
  { weight: 1, arbitrary: fc.constantFrom<readonly [string, string]>(["${*}", "*"], ["${?}", "?"], ["${$}", "$"], ["${*}", "a"]) },
  { weight: 1, arbitrary: fc.constantFrom<readonly [string, string]>(["a", "b"], ["?", ""], ["", "a"], ["/", "a"]) },
);

/** Requests whose answer hangs on one pattern with wildcards and variables. */
export const patternQuestions: fc.Arbitrary<OracleRequest> = fc
  .array(pieces, { maxLength: 7 })
  .chain((chosen) =>
    about(
      fc.constant({ Resource: repository(chosen.map(([pattern]) => pattern).join("")) }),
      fc.constant(repository(chosen.map(([, text]) => text).join(""))),
    ),
  );
