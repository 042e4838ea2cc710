import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { effectiveRange, isKnownToClient, namespaceHeaders } from "./conditional.ts";

describe("If-None-Match", () => {
  const cases: readonly (readonly [header: string | undefined, expected: boolean])[] = [
    [undefined, false],
    ['"sha256:aa"', true],
    ["sha256:aa", true],
    ['W/"sha256:aa"', true],
    ['"sha256:bb", "sha256:aa"', true],
    ["*", true],
    ['"sha256:aab"', false],
    ["", false],
  ];
  for (const [header, expected] of cases)
    test(`${header}`, () => assert.equal(isKnownToClient(header === undefined ? {} : { "if-none-match": header }, "sha256:aa"), expected));
});

test("If-Range keeps the range only for the same content", () => {
  const range = "bytes=0-1";
  assert.equal(effectiveRange({ range }, "sha256:aa"), range);
  assert.equal(effectiveRange({ range, "if-range": '"sha256:aa"' }, "sha256:aa"), range);
  assert.equal(effectiveRange({ range, "if-range": '"sha256:bb"' }, "sha256:aa"), undefined);
  assert.equal(effectiveRange({ range, "if-range": "Wed, 21 Oct 2015 07:28:00 GMT" }, "sha256:aa"), undefined);
});

test("only a plain source is echoed", () => {
  assert.deepEqual(namespaceHeaders(new URLSearchParams("ns=docker.io")), ["OCI-Namespace", "docker.io"]);
  for (const ns of ["a\r\nb", "", "é", "x".repeat(256)]) assert.deepEqual(namespaceHeaders(new URLSearchParams([["ns", ns]])), []);
});
