import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerFault } from "#upstream/registry-push-call.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import { failureOf } from "./failure.ts";

test("whatever a peer calls its exception, it is a failure that can be told", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["AccessDeniedException", "AccessDenied", true],
    ["RepositoryNotFoundException", "RepositoryNotFound", false],
    ["NeverHeardOfException", "InternalError", false],
    ["constructor", "InternalError", false],
    ["__proto__", "InternalError", false],
    ["toString", "InternalError", false],
    ["", "InternalError", false],
  ];
  for (const [name, code, isPermanent] of cases) {
    const failure = failureOf(new PeerFault(name, "text"));
    assert.deepEqual([failure.code, failure.isPermanent], [code, isPermanent], name);
  }
});

test("what the network does is tried again, and a refusal is not", () => {
  const outcomes = (["denied", "unavailable", "rate-limited", "invalid"] as const).map((outcome) => {
    const { code, isPermanent } = failureOf(new UpstreamError({ outcome, problem: "text" }));
    return [outcome, code, isPermanent];
  });
  assert.deepEqual(outcomes, [
    ["denied", "AccessDenied", true],
    ["unavailable", "DestinationUnavailable", false],
    ["rate-limited", "DestinationUnavailable", false],
    ["invalid", "DestinationUnavailable", false],
  ]);
});
