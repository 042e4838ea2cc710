import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePolicyDocument } from "./policy-text.ts";

test("a document has only characters that no client reads in two ways, and comes back as it was", () => {
  assert.equal(encodePolicyDocument("{\"a b\": '+*!()~'}\n"), "%7B%22a%20b%22%3A%20%27%2B%2A%21%28%29~%27%7D%0A");
  // The characters of policy documents end at U+00FF.
  const text = fc.string({ unit: fc.integer({ min: 9, max: 255 }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(text, (document) => {
      const encoded = encodePolicyDocument(document);
      assert.match(encoded, /^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*$/);
      assert.equal(decodeURIComponent(encoded), document);
    }),
  );
});
