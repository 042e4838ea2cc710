import assert from "node:assert/strict";
import { test } from "node:test";
import { contextKeys } from "#iam/context.ts";
import { compilePolicy } from "#iam/compile.ts";
import { readPolicy } from "#iam/document.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import fc from "fast-check";
import { decodeAuthorizationMessage, encodeAuthorizationMessage } from "./authorization-message.ts";
import type { Denial } from "./authorization-message.ts";
import { rootPrincipal } from "./principal.ts";

const own = "123456789012";
const other = "210987654321";
const clock = { time: 1_700_000_000_000, now: () => clock.time };
const sealing = { sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom), clock };
const resource = `arn:aws:ecr:eu-central-1:${other}:repository/app`;

function policyOf(name: string, statement: object) {
  const read = readPolicy(JSON.stringify({ Version: "2012-10-17", Statement: [statement] }));
  assert.ok(read.ok);
  return compilePolicy(read.value, { name });
}

const identity = policyOf("no-push", { Sid: "Never", Effect: "Deny", Action: "ecr:PutImage", Resource: "*" });
const onResource = policyOf(resource, { Effect: "Deny", Principal: "*", Action: "ecr:*" });

function denialOf(change: Partial<Denial> = {}): Denial {
  return {
    principal: {
      ...rootPrincipal(own, "AKIAABCDEFGHIJKLMNOP"),
      kind: "user",
      principalId: "AIDAABCDEFGHIJKLMNOP",
      arn: `arn:aws:iam::${own}:user/alice`,
      grants: { identity: [identity] },
      keys: { "aws:username": "alice" },
    },
    action: "ecr:PutImage",
    resource,
    resourceAccountId: other,
    context: contextKeys([
      ["aws:username", "alice"],
      ["aws:TagKeys", ["a", "b"]],
      ["aws:ResourceTag/team", "red"],
      ["ecr:ResourceTag/team", "red"],
      ["aws:Referer", "https://example.com/?password=secret"],
    ]),
    explicit: true,
    statements: [...identity.denies, ...onResource.denies].map(({ deciding }) => deciding),
    missing: [],
    ...change,
  };
}

test("a message says what AWS's say, and which policies decided", () => {
  const decoded = decodeAuthorizationMessage(sealing, encodeAuthorizationMessage(sealing, denialOf()), other);
  const one = (value: string) => ({ items: [{ value }] });
  assert.deepEqual(decoded, {
    allowed: false,
    explicitDeny: true,
    matchedStatements: {
      items: [
        { statementId: "Never", effect: "DENY", policy: "no-push", statement: 0 },
        { statementId: "", effect: "DENY", policy: resource, statement: 0 },
      ],
    },
    failures: { items: [] },
    context: {
      principal: { id: "AIDAABCDEFGHIJKLMNOP", name: "alice", arn: `arn:aws:iam::${own}:user/alice` },
      action: "ecr:PutImage",
      resource,
      conditions: {
        items: [
          { key: "aws:username", values: one("alice") },
          { key: "aws:tagkeys", values: { items: [{ value: "a" }, { value: "b" }] } },
          { key: "aws:resourcetag/team", values: one("red") },
          { key: "ecr:resourcetag/team", values: one("red") },
        ],
      },
    },
    missing: { items: [] },
    truncated: false,
  });
});

test("the caller's account learns nothing of what stands on another account's resource", () => {
  const decoded = decodeAuthorizationMessage(sealing, encodeAuthorizationMessage(sealing, denialOf()), own);
  assert.deepEqual(
    decoded?.matchedStatements.items.map(({ policy }) => policy),
    ["no-push"],
  );
  assert.deepEqual(
    decoded?.context.conditions.items.map(({ key }) => key),
    ["aws:username", "aws:tagkeys"],
  );
});

test("what stands on the resource leaves no trace for those who may not see it", () => {
  const long = "x".repeat(250);
  const tags = Array.from({ length: 50 }, (_, index) => [`aws:ResourceTag/${index}`, long] as const);
  const plain = ["aws:username", "alice"] as const;
  const ofTagged = encodeAuthorizationMessage(sealing, denialOf({ context: contextKeys([...tags, plain]), statements: [] }));
  const ofMissing = encodeAuthorizationMessage(sealing, denialOf({ context: contextKeys([plain]), statements: [] }));
  assert.equal(ofTagged.length, ofMissing.length);
  assert.deepEqual(decodeAuthorizationMessage(sealing, ofTagged, own), decodeAuthorizationMessage(sealing, ofMissing, own));
  assert.equal(decodeAuthorizationMessage(sealing, ofTagged, other)?.truncated, true);
});

test("strangers, other sealers, other purposes and the week after learn nothing", () => {
  const message = encodeAuthorizationMessage(sealing, denialOf());
  const read = (text = message, reader = own) => decodeAuthorizationMessage(sealing, text, reader);
  assert.equal(read(message, "999999999999"), undefined);
  for (const text of ["", "abcd", message.slice(1), `${message}A`, "A".repeat(3_072)]) assert.equal(read(text), undefined);
  assert.equal(read(sealing.sealer.seal("registry-token", Buffer.from("{}"))), undefined);
  const elsewhere = { sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom), clock };
  assert.equal(decodeAuthorizationMessage(elsewhere, message, own), undefined);
  clock.time += 604_799_999;
  assert.ok(read());
  clock.time += 1;
  assert.equal(read(), undefined);
});

test("a text that only begins like an account is none", () => {
  const message = encodeAuthorizationMessage(sealing, denialOf({ resourceAccountId: `${other}${"0".repeat(3_000)}` }));
  assert.equal(decodeAuthorizationMessage(sealing, message, other), undefined);
  assert.ok(decodeAuthorizationMessage(sealing, message, own));
});

test("whatever is denied, a message has one size, and reads back", () => {
  const text = fc.string({ unit: "binary", maxLength: 3_000 });
  const denials = fc.record({
    action: text,
    resource: text,
    resourceAccountId: text,
    context: fc.array(fc.tuple(text, fc.oneof(text, fc.array(text)))).map(contextKeys),
    statements: fc.array(fc.record({ policy: text, statement: fc.nat(), sid: text, effect: fc.constant("Deny" as const) })),
  });
  fc.assert(
    fc.property(denials, (change) => {
      const message = encodeAuthorizationMessage(sealing, denialOf(change));
      assert.match(message, /^[\w-]{3072}$/);
      assert.equal(decodeAuthorizationMessage(sealing, message, own)?.explicitDeny, true);
    }),
    { numRuns: 60 },
  );
});
