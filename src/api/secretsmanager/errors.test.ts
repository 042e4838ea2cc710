import assert from "node:assert/strict";
import { test } from "node:test";
import { refuse } from "#secrets/errors.ts";
import type { SecretsError } from "#secrets/errors.ts";
import { secretsModel } from "./service-model.ts";
import { secretsFault, secretsFaults } from "./errors.ts";

const cases: readonly (readonly [SecretsError, string, RegExp])[] = [
  [refuse("not-found", {}), "ResourceNotFoundException", /^Secrets Manager can't find the specified secret\.$/],
  [refuse("value-not-found", { stage: "S" }), "ResourceNotFoundException", /secret value for staging label: S$/],
  [refuse("value-not-found", { versionId: "V" }), "ResourceNotFoundException", /secret value for VersionId: V$/],
  [refuse("stage-mismatch", {}), "InvalidRequestException", /VersionStage that is not associated/],
  [
    refuse("stage-elsewhere", { stage: "S", holder: "V", named: false }),
    "InvalidParameterException",
    /^The parameter RemoveFromVersionId can't be empty\. Staging label S is currently attached to version V, so/,
  ],
  [refuse("stage-elsewhere", { stage: "S", holder: "V", named: true }), "InvalidParameterException", /^When you move staging label S, if/],
  [
    refuse("stage-elsewhere", { stage: "S", holder: undefined, named: true }),
    "InvalidParameterException",
    /S is not attached to any version/,
  ],
  [refuse("current-removed", {}), "InvalidParameterException", /move staging label AWSCURRENT to a different/],
  [refuse("impossible-password", { problem: "no-characters" }), "InvalidParameterException", /^All characters have been excluded/],
  [refuse("impossible-password", { problem: "no-characters-of-a-kind" }), "InvalidParameterException", /of the desired type have been/],
  [refuse("impossible-password", { problem: "too-short" }), "InvalidParameterException", /^Password length is too short/],
  [refuse("exists", { name: "n" }), "ResourceExistsException", /the secret n already exists/],
  [refuse("name-marked-deleted", {}), "InvalidRequestException", /already scheduled for deletion/],
  [refuse("marked-deleted", {}), "InvalidRequestException", /was marked for deletion/],
  [refuse("version-exists", { versionId: "v", arn: "a" }), "ResourceExistsException", /ClientRequestToken v .* secret a\.$/],
  [refuse("invalid-name", {}), "ValidationException", /^Invalid name/],
  [refuse("value-too-large", { limitBytes: 5 }), "InvalidParameterException", /5 bytes/],
  [refuse("invalid-recovery-window", { least: 7, most: 30 }), "InvalidParameterException", /between 7 and 30 days/],
  [refuse("invalid-tag", { problem: "p" }), "InvalidParameterException", /^p\.$/],
  [refuse("limit", { quota: "secrets", limit: 3 }), "LimitExceededException", /quota of 3 secrets/],
  [refuse("limit", { quota: "tags", limit: 50 }), "InvalidParameterException", /quota of 50 tags/],
  [refuse("malformed-policy", { message: "m", detail: "d" }), "MalformedPolicyDocumentException", /^m d$/],
  [refuse("public-policy", {}), "PublicPolicyException", /BlockPublicPolicy/],
  [refuse("undecryptable", {}), "DecryptionFailure", /can't decrypt/],
];

test("every refusal has an exception that the service has, and its words", () => {
  for (const [{ refusal }, exception, text] of cases) {
    const fault = secretsFault(refusal);
    assert.equal(fault.code, exception);
    assert.match(fault.message, text);
    assert.equal(fault.status, 400);
    assert.ok(exception === "ValidationException" || secretsModel.shapes.has(exception), exception);
  }
  assert.deepEqual(new Set(cases.map(([{ refusal }]) => refusal.kind)), new Set(Object.keys(secretsFaults)));
});
