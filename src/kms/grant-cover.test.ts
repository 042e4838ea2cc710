import assert from "node:assert/strict";
import { test } from "node:test";
import type { KmsGrant } from "#metadata/kms-grants.ts";
import { grantCovers, granteeKeysOf, mayRetire } from "./grant-cover.ts";
import type { GrantUse } from "./grant-cover.ts";

const grantOf = (facts: Partial<KmsGrant>): KmsGrant => ({
  position: 1,
  grantId: "g",
  keyId: "k",
  name: undefined,
  grantee: "arn:aws:iam::111111111111:user/bob",
  granteeKey: "AIDABOB",
  retiring: undefined,
  retiringKey: undefined,
  issuingAccount: "111111111111",
  operations: ["Decrypt", "Encrypt", "DescribeKey"],
  constraint: undefined,
  createdAt: 0,
  ...facts,
});
const use = (facts: Partial<GrantUse> = {}): GrantUse => ({
  callerKeys: ["AIDABOB"],
  operation: "Decrypt",
  encryptionContext: {},
  ...facts,
});
const equals = { kind: "equals", context: { a: "1" } } as const;
const subset = { kind: "subset", context: { a: "1" } } as const;
const child = (
  operations: readonly string[],
  constraintKind?: "equals" | "subset",
  encryptionContext: GrantUse["encryptionContext"] = {},
): GrantUse => use({ operation: "CreateGrant", encryptionContext, child: { operations, constraintKind } });
const parent = { operations: ["CreateGrant", "Decrypt"] };

const cases: readonly (readonly [string, Partial<KmsGrant>, GrantUse, boolean])[] = [
  ["its grantee and operation", {}, use(), true],
  ["somebody else", {}, use({ callerKeys: ["AIDAEVE", "arn:aws:iam::111111111111:user/bob"] }), false],
  ["another operation", {}, use({ operation: "GenerateDataKey" }), false],
  ["equals: the same", { constraint: equals }, use({ encryptionContext: { a: "1" } }), true],
  ["equals: more", { constraint: equals }, use({ encryptionContext: { a: "1", b: "2" } }), false],
  ["equals: none", { constraint: equals }, use(), false],
  ["equals: another value", { constraint: equals }, use({ encryptionContext: { a: "2" } }), false],
  ["equals: case counts", { constraint: equals }, use({ encryptionContext: { A: "1" } }), false],
  ["subset: the same", { constraint: subset }, use({ encryptionContext: { a: "1" } }), true],
  ["subset: more", { constraint: subset }, use({ encryptionContext: { b: "2", a: "1" } }), true],
  ["subset: less", { constraint: subset }, use({ encryptionContext: { b: "2" } }), false],
  ["inherited names are no pairs", { constraint: { kind: "subset", context: { constructor: "x" } } }, use(), false],
  ["an operation without context", { constraint: equals }, use({ operation: "DescribeKey" }), true],
  ["a grant for no more", parent, child(["Decrypt"]), true],
  ["a grant for more", parent, child(["Decrypt", "Encrypt"]), false],
  ["a grant without a constraint under one that has it", { ...parent, constraint: subset }, child(["Decrypt"]), false],
  ["a narrower grant", { ...parent, constraint: subset }, child(["Decrypt"], "equals", { a: "1", b: "2" }), true],
  ["an equally narrow grant", { ...parent, constraint: subset }, child(["Decrypt"], "subset", { a: "1" }), true],
  ["a wider grant", { ...parent, constraint: subset }, child(["Decrypt"], "subset", { b: "1" }), false],
  ["a subset under equals", { ...parent, constraint: equals }, child(["Decrypt"], "subset", { a: "1" }), false],
  ["equals under equals", { ...parent, constraint: equals }, child(["Decrypt"], "equals", { a: "1" }), true],
  ["a grant whose content is not told", parent, use({ operation: "CreateGrant" }), false],
];

for (const [name, grant, asked, expected] of cases) test(name, () => assert.equal(grantCovers(grantOf(grant), asked), expected));

test("who may retire a grant", () => {
  assert.equal(mayRetire(grantOf({}), ["AIDABOB"]), false);
  assert.equal(mayRetire(grantOf({ operations: ["RetireGrant"] }), ["AIDABOB"]), true);
  assert.equal(mayRetire(grantOf({ retiringKey: "AIDAEVE" }), ["AIDAEVE"]), true);
  assert.equal(mayRetire(grantOf({ operations: ["RetireGrant"], retiringKey: "AIDAEVE" }), ["AIDAMAL"]), false);
});

test("grants know users and roles by their ids, and nobody by an account", () => {
  const accountId = "111111111111";
  const arn = `arn:aws:iam::${accountId}:user/bob`;
  assert.deepEqual(granteeKeysOf({ kind: "user", accountId, arn, uniqueId: "AIDABOB" }), ["AIDABOB", arn]);
  assert.deepEqual(granteeKeysOf({ kind: "role-session", accountId, arn: "s", roleArn: "r", uniqueId: "AROAX" }), ["AROAX", "r", "s"]);
  assert.deepEqual(granteeKeysOf({ kind: "root", accountId, arn: "root" }), ["root"]);
  assert.deepEqual(granteeKeysOf({ kind: "service", service: "ecr.eu-west-1.amazonaws.com" }), ["ecr.eu-west-1.amazonaws.com"]);
  assert.deepEqual(granteeKeysOf({ kind: "anonymous" }), []);
});
