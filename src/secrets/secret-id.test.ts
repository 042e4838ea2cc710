import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemRandom } from "#std/random.ts";
import { isSecretName, makeSuffix, readSecretId, secretArn } from "./secret-id.ts";

const ctx = { accountId: "111111111111", region: "eu-west-1" };
const name = fc.stringMatching(/^[\w/+=.@-]{1,20}$/);

test("an ARN names its secret, whole and without its last letters", () => {
  fc.assert(
    fc.property(name, (text) => {
      const secret = { accountId: "222222222222", region: "us-east-1", name: text, suffix: makeSuffix(systemRandom) };
      const arn = secretArn(secret);
      assert.deepEqual(readSecretId(ctx, arn)[0], secret);
      assert.deepEqual(readSecretId(ctx, arn.slice(0, -7)).at(-1), { ...secret, suffix: undefined });
      assert.deepEqual(readSecretId(ctx, text), [{ ...ctx, name: text, suffix: undefined }]);
    }),
  );
});

test("letters are letters, and all of them come up", () => {
  const suffixes = Array.from({ length: 400 }, () => makeSuffix(systemRandom));
  for (const suffix of suffixes) assert.match(suffix, /^[A-Za-z]{6}$/);
  assert.equal(new Set(suffixes.join("")).size, 52);
});

test("what names no secret", () => {
  const texts = [
    "",
    "a b",
    "a:b",
    "*",
    "x".repeat(513),
    "arn:aws:secretsmanager:eu-west-1:1:secret:a",
    "arn:aws:secretsmanager:eu-west-1:111111111111:secret:",
    "arn:aws:secretsmanager:eu-west-1:111111111111:other:a",
    "arn:aws:ecr:eu-west-1:111111111111:secret:a",
    `arn:aws:secretsmanager:eu-west-1:111111111111:secret:${"x".repeat(520)}`,
    "arn:aws:secretsmanager:eu-west-1:111111111111:secret:a-??????",
  ];
  for (const text of texts) assert.deepEqual(readSecretId(ctx, text), [], text);
  assert.equal(isSecretName("x".repeat(512)), true);
});
