import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { deleteRepository } from "#metadata/repositories.ts";
import { deleteRepositoryPolicy, putRepositoryPolicy } from "#metadata/resource-policies.ts";
import { putResourceTags } from "#metadata/resource-tags.ts";
import { authorizeUnder } from "./authorize.ts";
import { anonymousPrincipal } from "./principal.ts";
import type { Principal } from "./principal.ts";
import { allow, author, foreign, managed, no, now, openDecisions, origin, own, region, repo, unique } from "./testing/decisions.ts";
import type { Decisions } from "./testing/decisions.ts";
import { documentOf, makeIdentity, makePolicy } from "./testing/identities.ts";

let opened: Decisions;
let metadata: Decisions["metadata"];
let access: Decisions["access"];
let logged: Decisions["logged"];
let rootOf: Decisions["rootOf"];
let user: Decisions["user"];
let repository: Decisions["repository"];
let ask: Decisions["ask"];
let answerTo: Decisions["answerTo"];

before(async () => {
  opened = await openDecisions();
  ({ metadata, access, logged, rootOf, user, repository, ask, answerTo } = opened);
});
after(() => opened.close());

const pull = "ecr:BatchGetImage";
const push = "ecr:PutImage";
const deny = (action: string, resource: string = "*", more: object = {}): object => ({ ...allow(action, resource, more), Effect: "Deny" });

test("root may do everything in its own account and nothing in another's", async () => {
  const root = rootOf();
  for (const [action, resource] of [
    [push, repo("any/name")],
    ["ecr:GetAuthorizationToken", "*"],
    ["iam:CreateUser", `arn:aws:iam::${own}:user/x`],
    ["iam:GetPolicy", managed("AdministratorAccess")],
  ] as const)
    assert.equal(await answerTo(root, action, resource), "yes", resource);
  assert.equal(await answerTo(root, pull, repo("x", foreign)), no("resource-based policy", pull));
  for (const text of ["", "nonsense", "a:b:c:d:111111111111:e", `arn:aws:s3:::${own}`])
    assert.notEqual(await answerTo(root, pull, text), "yes", text);
});

test("a user may do what its policies allow: inline, managed, AWS's own, and of its groups", async () => {
  const name = await repository();
  const group = await makeIdentity(metadata, { accountId: own, kind: "group", name: unique("group"), inline: [allow("ecr:ListImages")] });
  const ownPolicy = await makePolicy(metadata, own, unique("policy"), [allow(push, repo(name))]);
  const principal = await user({
    inline: [allow("ecr:DescribeImages"), deny(pull, repo("secret/*"))],
    attached: [managed("AmazonEC2ContainerRegistryPullOnly"), ownPolicy],
    groups: [group.identityId],
  });
  const rows: readonly (readonly [string, string, string])[] = [
    ["ecr:DescribeImages", repo(name), "yes"],
    ["ecr:ListImages", repo(name), "yes"],
    [pull, repo(name), "yes"],
    ["ecr:GetAuthorizationToken", "*", "yes"],
    [push, repo(name), "yes"],
    [push, repo("other"), no("identity-based policy", push)],
    [pull, repo("secret/a"), "with an explicit deny in an identity-based policy"],
    ["ecr:DeleteRepository", repo(name), no("identity-based policy", "ecr:DeleteRepository")],
    ["sts:GetCallerIdentity", "*", "yes"],
    ["sts:GetSessionToken", "*", "yes"],
    [pull, repo("x", foreign), no("resource-based policy", pull)],
  ];
  for (const [action, resource, expected] of rows) assert.equal(await answerTo(principal, action, resource), expected, action + resource);
  assert.equal(await answerTo(await user(), pull, repo(name)), no("identity-based policy", pull));
});

test("a permissions boundary limits a user, one that is gone leaves nothing", async () => {
  const boundaryArn = await makePolicy(metadata, own, unique("boundary"), [allow(pull)]);
  const limited = await user({ inline: [allow("ecr:*")], boundaryArn });
  assert.equal(await answerTo(limited, pull, repo("a")), "yes");
  assert.equal(await answerTo(limited, push, repo("a")), no("permissions boundary", push));
  const awsManaged = await user({ inline: [allow("ecr:*")], boundaryArn: managed("AmazonEC2ContainerRegistryPullOnly") });
  assert.equal(await answerTo(awsManaged, pull, repo("a")), "yes");
  assert.equal(await answerTo(awsManaged, push, repo("a")), no("permissions boundary", push));
  const lost = await user({ inline: [allow("ecr:*")], boundaryArn: `arn:aws:iam::${own}:policy/gone` });
  assert.equal(await answerTo(lost, pull, repo("a")), "with an explicit deny in a permissions boundary");
});

test("a stored policy that cannot be read denies, and is logged", async () => {
  const before = logged.length;
  const broken = await user({ inline: "{", attached: [managed("AdministratorAccess")] });
  assert.equal(await answerTo(broken, pull, repo("a")), "with an explicit deny in an identity-based policy");
  const gone = await user({ attached: [managed("AdministratorAccess"), `arn:aws:iam::${own}:policy/gone-too`] });
  assert.equal(await answerTo(gone, pull, repo("a")), "with an explicit deny in an identity-based policy");
  const name = await repository("nonsense");
  assert.equal(await answerTo(await user({ inline: [allow("*")] }), pull, repo(name)), "with an explicit deny in a resource-based policy");
  assert.equal(logged.length - before, 3);
});

test("a repository policy opens a repository to another account, whose own policies must allow too", async () => {
  const statement = { Effect: "Allow", Principal: { AWS: foreign }, Action: [pull, "ecr:GetDownloadUrlForLayer"] };
  const name = await repository([statement]);
  const puller = await user({ accountId: foreign, inline: [allow("ecr:*")] });
  assert.equal(await answerTo(puller, pull, repo(name)), "yes");
  assert.equal(await answerTo(puller, push, repo(name)), no("resource-based policy", push));
  assert.equal(await answerTo(puller, pull, repo("elsewhere")), no("resource-based policy", pull));
  assert.equal(await answerTo(await user({ accountId: foreign }), pull, repo(name)), no("identity-based policy", pull));
  assert.equal(await answerTo(rootOf(foreign), pull, repo(name)), "yes");
  assert.equal(await answerTo(anonymousPrincipal, pull, repo(name)), no("resource-based policy", pull));
});

test("a repository policy names users by the unique id of when it was stored", async () => {
  const name = await repository();
  const first = await user();
  const { arn } = first;
  const key = { accountId: own, region, name };
  const document = documentOf([{ Effect: "Allow", Principal: { AWS: arn }, Action: pull }]);
  await putRepositoryPolicy(metadata, { key, document, principals: { [arn]: first.principalId }, author });
  assert.equal(await answerTo(first, pull, repo(name)), "yes");
  await putRepositoryPolicy(metadata, { key, document, principals: { [arn]: "AIDASOMEBODYELSEAAAAA" }, author });
  assert.equal(await answerTo(first, pull, repo(name)), no("identity-based policy", pull));
});

test("a deny in the repository policy binds root, except for repairing it", async () => {
  const name = await repository([{ Effect: "Deny", Principal: "*", Action: "ecr:*" }]);
  assert.equal(await answerTo(rootOf(), pull, repo(name)), "with an explicit deny in a resource-based policy");
  for (const action of ["ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"])
    assert.equal(await answerTo(rootOf(), action, repo(name)), "yes", action);
  const admin = await user({ attached: [managed("AdministratorAccess")] });
  assert.equal(await answerTo(admin, "ecr:SetRepositoryPolicy", repo(name)), "with an explicit deny in a resource-based policy");
});

test("what is decided follows policies and tags at once, also when a repository is made anew", async () => {
  const name = await repository();
  const key = { accountId: own, region, name };
  const principal = await user({ inline: [allow(push, "*", { Condition: { StringEquals: { "aws:ResourceTag/team": "red" } } })] });
  const tagged = await user({ inline: [allow(push, "*", { Condition: { StringEquals: { "ecr:ResourceTag/Team": "red" } } })] });
  const implied = no("identity-based policy", push);
  const both = async (): Promise<string[]> => [await answerTo(principal, push, repo(name)), await answerTo(tagged, push, repo(name))];
  assert.deepEqual(await both(), [implied, implied]);
  await putResourceTags(metadata, { repositoryId: await idOf(name), tags: { team: "red" }, maxTags: 50, author });
  assert.deepEqual(await both(), ["yes", "yes"]);
  await deleteRepository(metadata, { key, force: true, author });
  assert.deepEqual(await both(), [implied, implied]);
  await repository(undefined, name);
  assert.deepEqual(await both(), [implied, implied]);
  const document = documentOf([{ Effect: "Allow", Principal: "*", Action: push }]);
  await putRepositoryPolicy(metadata, { key, document, principals: {}, author });
  assert.deepEqual(await both(), ["yes", "yes"]);
  await deleteRepositoryPolicy(metadata, { key, author });
  assert.deepEqual(await both(), [implied, implied]);
});

async function idOf(name: string): Promise<number> {
  const row = await metadata.read
    .selectFrom("repository")
    .select("repository_id")
    .where("name", "=", name)
    .where("deleted_at", "is", null)
    .executeTakeFirstOrThrow();
  return row.repository_id;
}

test("conditions on the request itself", async () => {
  const when = (operator: string, key: string, value: string | string[]): Promise<Principal> =>
    user({
      name: unique("conditional"),
      tags: { team: "red" },
      inline: [allow("ecr:*", "*", { Condition: { [operator]: { [key]: value } } })],
    });
  const rows: readonly (readonly [string, string, string | string[], boolean])[] = [
    ["IpAddress", "aws:SourceIp", "192.0.2.0/24", true],
    ["StringEquals", "aws:SourceIp", "192.0.2.7", true],
    ["Bool", "aws:SecureTransport", "true", false],
    ["Bool", "aws:SecureTransport", "false", true],
    ["StringLike", "aws:UserAgent", "docker/*", true],
    ["Null", "aws:Referer", "true", true],
    ["DateLessThan", "aws:CurrentTime", "2026-01-16T00:00:00Z", true],
    ["DateGreaterThan", "aws:CurrentTime", "2026-01-16T00:00:00Z", false],
    ["NumericEquals", "aws:EpochTime", String(now / 1000), true],
    ["StringEquals", "aws:RequestedRegion", region, true],
    ["StringEquals", "aws:ResourceAccount", own, true],
    ["StringEquals", "aws:PrincipalAccount", own, true],
    ["StringEquals", "aws:PrincipalType", "User", true],
    ["StringLike", "aws:PrincipalArn", `arn:aws:iam::${own}:user/conditional*`, true],
    ["StringLike", "aws:username", "conditional*", true],
    ["StringLike", "aws:userid", "AIDA*", true],
    ["StringEquals", "aws:PrincipalTag/Team", "red", true],
    ["StringLike", "aws:PrincipalOrgID", "o-??????????", true],
    ["Null", "aws:MultiFactorAuthPresent", "true", true],
    ["Null", "aws:TokenIssueTime", "true", true],
    ["StringEquals", "aws:RequestTag/env", "dev", true],
    ["StringEquals", "aws:RequestTag/env", "prod", false],
    ["ForAllValues:StringEquals", "aws:TagKeys", ["env", "cost"], true],
    ["ForAllValues:StringEquals", "aws:TagKeys", ["cost"], false],
  ];
  const keys = { "aws:RequestTag/env": "dev", "aws:TagKeys": ["env"], "aws:PrincipalType": "Account", "aws:SourceIp": "198.51.100.1" };
  for (const [operator, key, value, expected] of rows) {
    const decision = await ask(await when(operator, key, value), push, repo("a"), { keys });
    assert.equal(decision.allowed, expected, `${operator} ${key} ${String(value)}`);
  }
});

test("a policy may hang on the tag that a request names; each of several tags is asked for", async () => {
  const key = "supercargo:ImageTag";
  const like = { Condition: { StringLike: { [key]: "dev-*" } } };
  const some = await user({ inline: [allow("ecr:*", "*", like)] });
  const most = await user({ inline: [allow("ecr:*"), deny(push, "*", { Condition: { StringLike: { [key]: "prod-*" } } })] });
  const rows: readonly (readonly [string | readonly string[] | undefined, boolean, boolean])[] = [
    ["dev-1", true, true],
    ["prod-1", false, false],
    [undefined, false, true],
    [["dev-1", "dev-2"], true, true],
    [["dev-1", "prod-1"], false, false],
    [["prod-1", "dev-1"], false, false],
    [["dev-1", ""], false, true],
    [[], false, true],
  ];
  for (const [tags, forSome, forMost] of rows) {
    const keys = tags === undefined ? undefined : { [key]: tags };
    assert.equal((await ask(some, push, repo("a"), { keys })).allowed, forSome, String(tags));
    assert.equal((await ask(most, push, repo("a"), { keys })).allowed, forMost, String(tags));
  }
});

test("the lock-out question: may the caller still set the policy once it stands", async () => {
  const name = await repository();
  const admin = await user({ attached: [managed("AdministratorAccess")] });
  const request = { action: "ecr:SetRepositoryPolicy", resource: repo(name), region, origin };
  const locked = { document: documentOf([{ Effect: "Deny", Principal: "*", Action: "ecr:*" }]), principals: {} };
  const open = { document: documentOf([{ Effect: "Deny", Principal: "*", Action: push }]), principals: {} };
  assert.equal((await authorizeUnder(access, admin, request, locked)).allowed, false);
  assert.equal((await authorizeUnder(access, admin, request, open)).allowed, true);
  assert.equal((await authorizeUnder(access, rootOf(), request, locked)).allowed, true);
});
