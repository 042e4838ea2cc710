import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AuthFault } from "#aws/sigv4.ts";
import type { Ask } from "./authorize.ts";
import { anonymousPrincipal } from "./principal.ts";
import type { Principal } from "./principal.ts";
import { allow, foreign, managed, no, now, openDecisions, own, repo, unique } from "./testing/decisions.ts";
import type { Decisions } from "./testing/decisions.ts";
import { documentOf, makeIdentity, makeRole } from "./testing/identities.ts";

let opened: Decisions;
let metadata: Decisions["metadata"];
let rootOf: Decisions["rootOf"];
let user: Decisions["user"];
let session: Decisions["session"];
let ask: Decisions["ask"];
let answerTo: Decisions["answerTo"];

before(async () => {
  opened = await openDecisions();
  ({ metadata, rootOf, user, session, ask, answerTo } = opened);
});
after(() => opened.close());

const pull = "ecr:BatchGetImage";
const push = "ecr:PutImage";

test("a role's session may do what the role may, as far as its session policies let it", async () => {
  const name = unique("role");
  const role = await makeRole(metadata, { accountId: own, name, path: "/ci/", inline: [allow("ecr:*")], tags: { team: "red" }, trust: [] });
  const owner = { identityId: role.identityId, name };
  const free = await session({ kind: "role", owner });
  const roleArn = `arn:aws:iam::${own}:role/ci/${name}`;
  assert.equal(free.arn, `arn:aws:sts::${own}:assumed-role/${name}/session`);
  assert.deepEqual(free.caller, { kind: "role-session", accountId: own, arn: free.arn, roleArn, uniqueId: role.uniqueId });
  assert.equal(free.principalId, `${role.uniqueId}:session`);
  assert.equal(free.keys["aws:PrincipalArn"], roleArn);
  assert.equal(await answerTo(free, push, repo("a")), "yes");
  const limited = await session({ kind: "role", owner, policies: [documentOf([allow(pull)])] });
  assert.equal(await answerTo(limited, pull, repo("a")), "yes");
  assert.equal(await answerTo(limited, push, repo("a")), no("session policy", push));
  const nothing = await session({ kind: "role", owner, policies: [] });
  assert.equal(await answerTo(nothing, pull, repo("a")), no("session policy", pull));
  const broken = await session({ kind: "role", owner, policies: ["{"] });
  assert.equal(await answerTo(broken, pull, repo("a")), "with an explicit deny in a session policy");
});

test("session tags stand above the role's own, whatever their case; a session brings no key that the server knows better", async () => {
  const name = unique("role");
  const when = { Condition: { StringEquals: { "aws:PrincipalTag/Team": "blue", "aws:PrincipalType": "AssumedRole" } } };
  const role = await makeRole(metadata, { accountId: own, name, inline: [allow("ecr:*", "*", when)], tags: { Team: "red" }, trust: [] });
  const owner = { identityId: role.identityId, name };
  const red = await session({ kind: "role", owner });
  assert.equal(await answerTo(red, pull, repo("a")), no("identity-based policy", pull));
  const context = { "AWS:PrincipalType": "User", "aws:FederatedProvider": "p" };
  const blue = await session({ kind: "role", owner, tags: { team: "blue" }, sourceIdentity: "alice", context });
  assert.equal(await answerTo(blue, pull, repo("a")), "yes");
  assert.equal(blue.keys["aws:SourceIdentity"], "alice");
  assert.equal(blue.keys["aws:FederatedProvider"], "p");
  assert.equal(blue.keys["aws:TokenIssueTime"], new Date(now).toISOString());
});

test("what temporary credentials cannot do", async () => {
  const { identityId } = await makeIdentity(metadata, { accountId: own, kind: "user", name: unique("user"), inline: [allow("*")] });
  const owner = { identityId, name: "user" };
  const everything = [documentOf([allow("*")])];
  const federated = await session({ kind: "federated", owner, sessionName: "bob", policies: everything });
  assert.equal(federated.arn, `arn:aws:sts::${own}:federated-user/bob`);
  assert.equal(federated.principalId, `${own}:bob`);
  const federatedBare = await session({ kind: "federated", owner });
  const ofRoot = await session({ kind: "federated", owner: undefined, policies: everything });
  const token = await session({ kind: "user", owner });
  const rows: readonly (readonly [Principal, string, string])[] = [
    [federated, pull, "yes"],
    [federated, "sts:GetCallerIdentity", "yes"],
    [federated, "iam:ListUsers", no("session policy", "iam:ListUsers")],
    [federated, "sts:AssumeRole", no("session policy", "sts:AssumeRole")],
    [federated, "sts:GetSessionToken", "Cannot call GetSessionToken with session credentials"],
    [federatedBare, pull, no("session policy", pull)],
    [ofRoot, pull, "yes"],
    [token, pull, "yes"],
    [token, "sts:GetCallerIdentity", "yes"],
    [token, "sts:GetFederationToken", "Cannot call GetFederationToken with session credentials"],
    [token, "sts:GetAccessKeyInfo", no("session policy", "sts:GetAccessKeyInfo")],
  ];
  for (const [principal, action, expected] of rows) {
    const resource = action.startsWith("ecr:") ? repo("a") : "*";
    assert.equal(await answerTo(principal, action, resource), expected, `${principal.kind} ${action}`);
  }
  await assert.rejects(ask(token, "iam:ListUsers", "*"), (error) => error instanceof AuthFault && error.code === "unrecognized-client");
});

test("a role is taken only by whom its trust policy lets, and one that does not exist answers alike", async () => {
  const admin = await user({ attached: [managed("AdministratorAccess")] });
  const nobody = await user();
  const assume = "sts:AssumeRole";
  const make = async (principal: unknown, condition?: object): Promise<string> => {
    const name = unique("role");
    const statement = { Effect: "Allow", Principal: principal, Action: assume, ...(condition && { Condition: condition }) };
    await makeRole(metadata, { accountId: own, name, path: "/team/", trust: [statement] });
    return `arn:aws:iam::${own}:role/team/${name}`;
  };
  const account = await make({ AWS: own });
  const direct = await make({ AWS: nobody.arn });
  const external = await make({ AWS: foreign }, { StringEquals: { "sts:ExternalId": "x1" } });
  const stranger = await user({ accountId: foreign, inline: [allow(assume)] });
  const trust = no("role trust policy", assume);
  const rows: readonly (readonly [Principal, string, string, Partial<Ask>?])[] = [
    [admin, account, "yes"],
    [nobody, account, no("identity-based policy", assume)],
    [nobody, direct, "yes"],
    [admin, direct, trust],
    [rootOf(), direct, trust],
    [stranger, external, trust],
    [stranger, external, "yes", { keys: { "sts:ExternalId": "x1" } }],
    [admin, `arn:aws:iam::${own}:role/absent`, trust],
    [admin, account.replace("/team/", "/"), trust],
    [admin, account.replace("/team/", "/other/"), trust],
  ];
  for (const [principal, resource, expected, more] of rows)
    assert.equal(await answerTo(principal, assume, resource, more), expected, resource);
  const web: Principal = { ...anonymousPrincipal, caller: { kind: "web-identity", providerArn: `arn:aws:iam::${own}:oidc-provider/x` } };
  const byWeb = "sts:AssumeRoleWithWebIdentity";
  assert.equal(await answerTo(web, byWeb, account), `Not authorized to perform ${byWeb}`);
});
