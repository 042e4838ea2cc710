import assert from "node:assert/strict";
import test from "node:test";
import type { Access } from "./access.ts";
import { authorize } from "./authorize.ts";
import { rootPrincipal } from "./principal.ts";

const own = "123456789012";
const principal = rootPrincipal(own, "AKIARZPUZDIKLZYHJPTQ");
/** The decision needs nothing of it yet. */
const access = {} as Access;

test("everything in the own account, nothing in another's", () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["ecr:PutImage", `arn:aws:ecr:us-east-1:${own}:repository/a/b`, true],
    ["ecr:PutImage", `arn:aws:ecr:eu-west-1:${own}:repository/a:b`, true],
    ["ecr:GetAuthorizationToken", "*", true],
    ["sts:GetCallerIdentity", "*", true],
    ["sts:GetCallerIdentity", "arn:aws:sts::000000000000:x", true],
    ["ecr:PutImage", "arn:aws:ecr:us-east-1:210987654321:repository/a/b", false],
    // The account is the fifth field and nothing else; what is no ARN, or names no account, is nobody's to give.
    ["ecr:PutImage", `arn:aws:ecr:us-east-1:210987654321:repository/${own}`, false],
    ["ecr:PutImage", `arn:aws:ecr:${own}:210987654321:repository/a`, false],
    ["ecr:PutImage", `arn:aws:ecr:us-east-1:${own}`, false],
    ["ecr:PutImage", `x:aws:ecr:us-east-1:${own}:repository/a`, false],
    ["ecr:PutImage", `arn:aws:ecr:us-east-1:${own}0:repository/a`, false],
    ["ecr:PutImage", "arn:aws:ecr:us-east-1::repository/a", false],
    ["ecr:PutImage", "", false],
    ["sts:GetCallerIdentityX", "arn:aws:sts::000000000000:x", false],
  ];
  for (const [action, resource, allowed] of rows)
    assert.equal(authorize(access, principal, action, resource).allowed, allowed, `${action} ${resource}`);
});

test("a refusal reads as AWS's", () => {
  const decision = authorize(access, principal, "ecr:BatchGetImage", "arn:aws:ecr:us-east-1:210987654321:repository/a");
  assert.deepEqual(decision, {
    allowed: false,
    message:
      "User: arn:aws:iam::123456789012:root is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:210987654321:repository/a because no resource-based policy allows the ecr:BatchGetImage action",
  });
});
