/** What Secrets Manager says about each refusal of `secrets/` (AWS Secrets Manager API Reference, and what its clients have been seen to print). */
import type { SecretsErrorDetails, SecretsErrorKind, SecretsRefusal } from "#secrets/errors.ts";
import { ApiFault } from "../fault.ts";

/** How one kind of refusal is shown; every status is 400. */
interface SecretsFaultRow<Kind extends SecretsErrorKind> {
  readonly exception: string | ((detail: SecretsErrorDetails[Kind]) => string);
  readonly message: (detail: SecretsErrorDetails[Kind]) => string;
}

const quotas: Readonly<Record<SecretsErrorDetails["limit"]["quota"], { readonly exception: string; readonly things: string }>> = {
  secrets: { exception: "LimitExceededException", things: "secrets in this region" },
  stages: { exception: "LimitExceededException", things: "staging labels on the versions of a secret" },
  // TagResource has no exception for a limit.
  tags: { exception: "InvalidParameterException", things: "tags on a secret" },
};

const impossiblePasswords: Readonly<Record<SecretsErrorDetails["impossible-password"]["problem"], string>> = {
  "no-characters": "All characters have been excluded from selection.",
  "no-characters-of-a-kind": "All characters of the desired type have been excluded.",
  "too-short": "Password length is too short based on the required types.",
};

/** Every refusal of `secrets/` in Secrets Manager's words. */
export const secretsFaults: { readonly [Kind in SecretsErrorKind]: SecretsFaultRow<Kind> } = {
  "not-found": { exception: "ResourceNotFoundException", message: () => "Secrets Manager can't find the specified secret." },
  "value-not-found": {
    exception: "ResourceNotFoundException",
    message: (wanted) =>
      `Secrets Manager can't find the specified secret value for ${"versionId" in wanted ? `VersionId: ${wanted.versionId}` : `staging label: ${wanted.stage}`}`,
  },
  "stage-mismatch": {
    exception: "InvalidRequestException",
    message: () => "You provided a VersionStage that is not associated to the provided VersionId.",
  },
  "stage-elsewhere": { exception: "InvalidParameterException", message: stageElsewhereText },
  "current-removed": {
    exception: "InvalidParameterException",
    message: () => "You can only move staging label AWSCURRENT to a different secret version. It can\u2019t be completely removed.",
  },
  exists: {
    exception: "ResourceExistsException",
    message: ({ name }) => `The operation failed because the secret ${name} already exists.`,
  },
  "name-marked-deleted": {
    exception: "InvalidRequestException",
    message: () => "You can't create this secret because a secret with this name is already scheduled for deletion.",
  },
  "marked-deleted": {
    exception: "InvalidRequestException",
    message: () => "You can't perform this operation on the secret because it was marked for deletion.",
  },
  "version-exists": {
    exception: "ResourceExistsException",
    message: ({ versionId, arn }) =>
      `You can't use ClientRequestToken ${versionId} because that value is already in use for a version of secret ${arn}.`,
  },
  "invalid-name": {
    exception: "ValidationException",
    message: () => "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@",
  },
  "value-too-large": {
    exception: "InvalidParameterException",
    message: ({ limitBytes }) => `The secret value must not be longer than ${limitBytes} bytes.`,
  },
  "invalid-recovery-window": {
    exception: "InvalidParameterException",
    message: ({ least, most }) => `The RecoveryWindowInDays value must be between ${least} and ${most} days (inclusive).`,
  },
  "invalid-tag": { exception: "InvalidParameterException", message: ({ problem }) => `${problem}.` },
  limit: {
    exception: ({ quota }) => quotas[quota].exception,
    message: ({ quota, limit }) => `You have reached the quota of ${limit} ${quotas[quota].things}.`,
  },
  "malformed-policy": {
    exception: "MalformedPolicyDocumentException",
    message: ({ message, detail }) => (detail === undefined ? message : `${message} ${detail}`),
  },
  "public-policy": {
    exception: "PublicPolicyException",
    message: () => "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the secret.",
  },
  "impossible-password": { exception: "InvalidParameterException", message: ({ problem }) => impossiblePasswords[problem] },
  undecryptable: {
    exception: "DecryptionFailure",
    message: () => "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
  },
};

function stageElsewhereText({ stage, holder, named }: SecretsErrorDetails["stage-elsewhere"]): string {
  if (holder === undefined) return `The staging label ${stage} is not attached to any version of the secret.`;
  if (named)
    return `When you move staging label ${stage}, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label ${stage}.`;
  return `The parameter RemoveFromVersionId can't be empty. Staging label ${stage} is currently attached to version ${holder}, so you must explicitly reference that version in RemoveFromVersionId.`;
}

/** Turns a refusal into Secrets Manager's answer. */
export function secretsFault(refusal: SecretsRefusal): ApiFault {
  // The row and the detail belong together by the refusal's own type, which an index cannot show the compiler.
  const row = secretsFaults[refusal.kind] as SecretsFaultRow<SecretsErrorKind>;
  const exception = typeof row.exception === "string" ? row.exception : row.exception(refusal.detail);
  return new ApiFault(exception, row.message(refusal.detail));
}
