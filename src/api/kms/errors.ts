/** What AWS KMS says about each refusal of `kms/`: the exception and its sentence (AWS KMS API Reference, and what its clients have been seen to print). */
import type { KmsErrorDetails, KmsErrorKind, KmsQuota, KmsRefusal } from "#kms/errors.ts";
import { ApiFault } from "../fault.ts";

/** How one kind of refusal is shown; 400 where no status is given. */
interface KmsFaultRow<Kind extends KmsErrorKind> {
  readonly exception: string;
  readonly status?: number;
  readonly message: (detail: KmsErrorDetails[Kind]) => string;
}

const quotas: Readonly<Record<KmsQuota, string>> = {
  keys: "keys in this account and region",
  aliases: "aliases of a key",
  grants: "grants on a key",
  tags: "tags of a key",
  "on-demand-rotations": "on-demand rotations of a key",
};

/** Every refusal of `kms/` in KMS's words. */
export const kmsFaults: { readonly [Kind in KmsErrorKind]: KmsFaultRow<Kind> } = {
  "key-not-found": { exception: "NotFoundException", message: (d) => `Key '${d.keyArn}' does not exist` },
  "alias-not-found": { exception: "NotFoundException", message: (d) => `Alias ${d.aliasArn} is not found.` },
  "key-reference-invalid": { exception: "NotFoundException", message: (d) => `Invalid keyId '${d.reference.slice(0, 256)}'` },
  "arn-elsewhere": { exception: "NotFoundException", message: (d) => `Invalid arn ${d.arn.split(":")[3] ?? ""}` },
  "principal-invalid": {
    exception: "InvalidArnException",
    message: (d) => `ARN does not refer to a valid principal: ${d.principal}`,
  },
  "key-disabled": { exception: "DisabledException", message: (d) => `${d.keyArn} is disabled.` },
  "key-pending-deletion": { exception: "KMSInvalidStateException", message: (d) => `${d.keyArn} is pending deletion.` },
  "key-not-pending-deletion": { exception: "KMSInvalidStateException", message: (d) => `${d.keyArn} is not pending deletion.` },
  "key-managed": {
    exception: "UnsupportedOperationException",
    message: (d) => `The operation is not supported on ${d.keyArn}, which is an AWS managed key.`,
  },
  "key-incorrect": {
    exception: "IncorrectKeyException",
    message: () => "The key ID in the request does not identify a CMK that can perform this operation.",
  },
  // KMS says nothing more, so that nobody learns from it.
  "ciphertext-invalid": { exception: "InvalidCiphertextException", message: () => "" },
  "ciphertext-key-unknown": {
    exception: "AccessDeniedException",
    message: () =>
      "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
  },
  "material-unavailable": {
    exception: "KeyUnavailableException",
    status: 500,
    message: (d) => `${d.keyArn} cannot be used: it is sealed under an instance key that this server does not have.`,
  },
  "context-invalid": { exception: "ValidationException", message: (d) => `The encryption context is not valid: ${d.problem}` },
  "alias-exists": { exception: "AlreadyExistsException", message: (d) => `An alias with the name ${d.aliasArn} already exists` },
  "alias-name-invalid": {
    exception: "InvalidAliasNameException",
    message: (d) =>
      d.reserved
        ? `Alias ${d.name} is not valid: names that begin with alias/aws/ are reserved.`
        : `Alias ${d.name} is not valid: it must begin with alias/ and have letters, digits, and the characters / _ - only.`,
  },
  "grant-not-found": { exception: "NotFoundException", message: (d) => `Grant ID ${d.grantId} not found` },
  "grant-token-invalid": { exception: "InvalidGrantTokenException", message: () => "The grant token is not valid." },
  "grant-invalid": { exception: "ValidationException", message: (d) => d.problem },
  "not-granted": { exception: "AccessDeniedException", message: (d) => `No grant on ${d.keyArn} allows this use of it.` },
  "policy-malformed": { exception: "MalformedPolicyDocumentException", message: (d) => d.message },
  "policy-not-found": { exception: "NotFoundException", message: () => "No such policy exists" },
  "tag-invalid": { exception: "TagException", message: (d) => d.problem },
  limit: { exception: "LimitExceededException", message: (d) => `There can be at most ${d.limit} ${quotas[d.quota]}.` },
  "rotation-conflict": {
    exception: "ConflictException",
    message: (d) => `Another rotation of ${d.keyArn} is under way. Try again later.`,
  },
  "dry-run": {
    exception: "DryRunOperationException",
    message: () => "The request would have succeeded, but the DryRun option is set.",
  },
};

/** Turns a refusal into KMS's answer. */
export function kmsFault(refusal: KmsRefusal): ApiFault {
  // The row and the detail belong together by the refusal's own type, which an index cannot show the compiler.
  const row = kmsFaults[refusal.kind] as KmsFaultRow<KmsErrorKind>;
  return new ApiFault(row.exception, row.message(refusal.detail), row.status ?? 400);
}

/** An input whose members contradict each other. */
export function validationFault(message: string): ApiFault {
  return new ApiFault("ValidationException", message);
}

/** KMS's sentence for a number outside its range. */
export function rangeFault(member: string, value: number, bound: "greater" | "less", limit: number): ApiFault {
  return validationFault(
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have value ${bound} than or equal to ${limit}`,
  );
}
