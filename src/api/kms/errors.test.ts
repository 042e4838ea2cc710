import assert from "node:assert/strict";
import { test } from "node:test";
import type { KmsRefusal } from "#kms/errors.ts";
import { kmsFault, kmsFaults } from "./errors.ts";

const keyArn = "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";
const aliasArn = "arn:aws:kms:eu-central-1:123456789012:alias/web";

/** One refusal of every kind with the exception and the whole text that clients see. */
const cases: readonly (readonly [KmsRefusal, string, string])[] = [
  // KMS's own words
  [{ kind: "key-not-found", detail: { keyArn } }, "NotFoundException", `Key '${keyArn}' does not exist`],
  [{ kind: "alias-not-found", detail: { aliasArn } }, "NotFoundException", `Alias ${aliasArn} is not found.`],
  [{ kind: "key-reference-invalid", detail: { reference: "x" } }, "NotFoundException", "Invalid keyId 'x'"],
  [{ kind: "arn-elsewhere", detail: { arn: keyArn } }, "NotFoundException", "Invalid arn eu-central-1"],
  [{ kind: "key-disabled", detail: { keyArn } }, "DisabledException", `${keyArn} is disabled.`],
  [{ kind: "key-pending-deletion", detail: { keyArn } }, "KMSInvalidStateException", `${keyArn} is pending deletion.`],
  [{ kind: "key-not-pending-deletion", detail: { keyArn } }, "KMSInvalidStateException", `${keyArn} is not pending deletion.`],
  [
    { kind: "key-incorrect", detail: {} },
    "IncorrectKeyException",
    "The key ID in the request does not identify a CMK that can perform this operation.",
  ],
  [{ kind: "ciphertext-invalid", detail: {} }, "InvalidCiphertextException", ""],
  [
    { kind: "ciphertext-key-unknown", detail: {} },
    "AccessDeniedException",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
  ],
  [{ kind: "alias-exists", detail: { aliasArn } }, "AlreadyExistsException", `An alias with the name ${aliasArn} already exists`],
  [{ kind: "policy-malformed", detail: { message: "m" } }, "MalformedPolicyDocumentException", "m"],
  [{ kind: "policy-not-found", detail: {} }, "NotFoundException", "No such policy exists"],
  [{ kind: "dry-run", detail: {} }, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."],
  // ours, in its manner
  [{ kind: "principal-invalid", detail: { principal: "p" } }, "InvalidArnException", "ARN does not refer to a valid principal: p"],
  [
    { kind: "key-managed", detail: { keyArn } },
    "UnsupportedOperationException",
    `The operation is not supported on ${keyArn}, which is an AWS managed key.`,
  ],
  [
    { kind: "material-unavailable", detail: { keyArn } },
    "KeyUnavailableException",
    `${keyArn} cannot be used: it is sealed under an instance key that this server does not have.`,
  ],
  [{ kind: "context-invalid", detail: { problem: "p" } }, "ValidationException", "The encryption context is not valid: p"],
  [
    { kind: "alias-name-invalid", detail: { name: "alias/aws/x", reserved: true } },
    "InvalidAliasNameException",
    "Alias alias/aws/x is not valid: names that begin with alias/aws/ are reserved.",
  ],
  [{ kind: "grant-not-found", detail: { grantId: "g" } }, "NotFoundException", "Grant ID g not found"],
  [{ kind: "grant-token-invalid", detail: {} }, "InvalidGrantTokenException", "The grant token is not valid."],
  [{ kind: "grant-invalid", detail: { problem: "p" } }, "ValidationException", "p"],
  [{ kind: "not-granted", detail: { keyArn } }, "AccessDeniedException", `No grant on ${keyArn} allows this use of it.`],
  [{ kind: "tag-invalid", detail: { problem: "p" } }, "TagException", "p"],
  [{ kind: "limit", detail: { quota: "aliases", limit: 50 } }, "LimitExceededException", "There can be at most 50 aliases of a key."],
  [{ kind: "rotation-conflict", detail: { keyArn } }, "ConflictException", `Another rotation of ${keyArn} is under way. Try again later.`],
];

test("every refusal has its exception and its text", () => {
  for (const [refusal, exception, message] of cases) {
    const fault = kmsFault(refusal);
    assert.deepEqual([fault.code, fault.message, fault.status], [exception, message, refusal.kind === "material-unavailable" ? 500 : 400]);
  }
  assert.deepEqual(new Set(cases.map(([{ kind }]) => kind)), new Set(Object.keys(kmsFaults)));
});
