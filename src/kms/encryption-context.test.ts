import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { canonicalContext, checkEncryptionContext } from "./encryption-context.ts";
import { KmsError } from "./errors.ts";

const contexts = fc.dictionary(fc.string({ unit: "grapheme" }), fc.string(), { maxKeys: 5 });

test("two contexts have the same form exactly when they have the same pairs", () => {
  fc.assert(
    fc.property(contexts, contexts, (a, b) => {
      const shuffled = Object.fromEntries(Object.entries(a).toReversed());
      assert.deepEqual(canonicalContext(a), canonicalContext(shuffled));
      const pairs = (context: object): string => JSON.stringify(Object.entries(context).toSorted(([one], [two]) => (one < two ? -1 : 1)));
      assert.equal(canonicalContext(a).equals(canonicalContext(b)), pairs(a) === pairs(b));
    }),
  );
  assert.notDeepEqual(canonicalContext({ ab: "c" }), canonicalContext({ a: "bc" }));
  assert.notDeepEqual(canonicalContext({ a: "" }), canonicalContext({}));
});

test("contexts that are too large, or that conditions could not tell apart, are refused", () => {
  checkEncryptionContext({ a: "x".repeat(8_191) });
  checkEncryptionContext({ a: "1", b: "1" });
  for (const context of [{ a: "x".repeat(8_192) }, { a: "é".repeat(4_096) }, { team: "a", Team: "b" }])
    assert.throws(
      () => checkEncryptionContext(context),
      (error) => error instanceof KmsError && error.refusal.kind === "context-invalid",
    );
});
