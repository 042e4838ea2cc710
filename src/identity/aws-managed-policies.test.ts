import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePolicy } from "#iam/compile.ts";
import { parsePolicy } from "#iam/document.ts";
import { evaluate } from "#iam/evaluate.ts";
import { parseIdentityArn } from "./arn.ts";
import { awsManagedPolicies, awsManagedPolicy } from "./aws-managed-policies.ts";

const accountId = "123456789012";

/** Does the policy of that name allow a user of the account the action? */
function allows(name: string, action: string, resource = "*"): boolean {
  const arn = `arn:aws:iam::aws:policy/${name}`;
  const read = parsePolicy(awsManagedPolicy(arn)?.document ?? "", "managed");
  assert.ok(read.ok, name);
  return evaluate({
    caller: { kind: "user", accountId, arn: `arn:aws:iam::${accountId}:user/u`, uniqueId: "AIDA" },
    action,
    resource,
    resourceAccountId: accountId,
    context: new Map([["iam:awsservicename", "ec2.amazonaws.com"]]),
    identityPolicies: [compilePolicy(read.value, { name })],
    resourcePolicies: [],
    resourceRule: "grants",
  }).allowed;
}

test("each is a policy that could be written, with an ARN, an id and a time of its own", () => {
  assert.equal(new Set(awsManagedPolicies.map(({ policyId }) => policyId)).size, awsManagedPolicies.length);
  for (const { arn, name, path, policyId, versionId, document, createdAt, updatedAt } of awsManagedPolicies) {
    assert.deepEqual(parsePolicy(document, "managed").ok, true, name);
    assert.deepEqual(parseIdentityArn(arn), { accountId: "aws", kind: "policy", path, name });
    assert.match(policyId, /^ANPA[A-Z2-7]{17}$/, name);
    assert.match(versionId, /^v[1-9][0-9]?$/);
    // Only the first version is as old as the policy.
    assert.equal(versionId === "v1", createdAt === updatedAt, name);
    assert.ok(createdAt <= updatedAt, name);
    assert.ok(createdAt > 1_400_000_000_000, name);
  }
  assert.equal(awsManagedPolicy("arn:aws:iam::aws:policy/Nothing"), undefined);
});

test("they allow what their names say, and no more", () => {
  const registry = "AmazonEC2ContainerRegistry";
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["AdministratorAccess", "iam:CreateUser", true],
    ["PowerUserAccess", "ecr:DeleteRepository", true],
    ["PowerUserAccess", "iam:CreateUser", false],
    ["PowerUserAccess", "iam:ListRoles", true],
    ["PowerUserAccess", "account:GetPrimaryEmail", true],
    ["PowerUserAccess", "account:CloseAccount", false],
    ["IAMReadOnlyAccess", "iam:GetUser", true],
    ["IAMReadOnlyAccess", "iam:CreateUser", false],
    ["IAMFullAccess", "iam:CreateUser", true],
    ["IAMFullAccess", "ecr:PutImage", false],
    [`${registry}ReadOnly`, "ecr:BatchGetImage", true],
    [`${registry}ReadOnly`, "ecr:PutImage", false],
    [`${registry}PowerUser`, "ecr:PutImage", true],
    [`${registry}PowerUser`, "ecr:DeleteRepository", false],
    [`${registry}FullAccess`, "ecr:DeleteRepository", true],
    [`${registry}FullAccess`, "iam:CreateServiceLinkedRole", false],
    [`${registry}PullOnly`, "ecr:BatchGetImage", true],
    [`${registry}PullOnly`, "ecr:DescribeImages", false],
    ["AWSKeyManagementServicePowerUser", "kms:CreateKey", true],
    ["AWSKeyManagementServicePowerUser", "kms:Decrypt", false],
  ];
  for (const [name, action, expected] of cases) assert.equal(allows(name, action), expected, `${name} ${action}`);
});
