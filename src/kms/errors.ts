/**
 * Everything the kms room refuses: closed kinds with details, no sentences. What AWS says about each stands in one table,
 * `api/kms/errors.ts`, and a new kind does not compile until it has a row there.
 */

/** What AWS KMS limits, with our numbers in `limits.ts`. */
export type KmsQuota = "keys" | "aliases" | "grants" | "tags" | "on-demand-rotations";

interface KeyDetail {
  readonly keyArn: string;
}

/** The kinds of refusals and what each tells. */
export interface KmsErrorDetails {
  "key-not-found": KeyDetail;
  "alias-not-found": { readonly aliasArn: string };
  /** A text that names no key in any of the forms that the operation takes. */
  "key-reference-invalid": { readonly reference: string };
  /** An ARN of another region, or of another service. */
  "arn-elsewhere": { readonly arn: string };
  "principal-invalid": { readonly principal: string };
  "key-disabled": KeyDetail;
  "key-pending-deletion": KeyDetail;
  "key-not-pending-deletion": KeyDetail;
  /** A key that the service itself made and keeps. */
  "key-managed": KeyDetail;
  "key-incorrect": Readonly<Record<string, never>>;
  "ciphertext-invalid": Readonly<Record<string, never>>;
  /** The ciphertext is under a key that there is not, or not in this region. */
  "ciphertext-key-unknown": Readonly<Record<string, never>>;
  /** The key's secret cannot be opened: it was sealed under an instance key that this server does not have. */
  "material-unavailable": KeyDetail;
  "context-invalid": { readonly problem: string };
  "alias-exists": { readonly aliasArn: string };
  /** `reserved`: names that begin with `alias/aws/` are the service's own. */
  "alias-name-invalid": { readonly name: string; readonly reserved: boolean };
  "grant-not-found": { readonly grantId: string };
  "grant-token-invalid": Readonly<Record<string, never>>;
  "grant-invalid": { readonly problem: string };
  /** A service uses a key for somebody who has not granted it that, or not any more. */
  "not-granted": KeyDetail;
  /** The message is AWS's. */
  "policy-malformed": { readonly message: string };
  "policy-not-found": Readonly<Record<string, never>>;
  "tag-invalid": { readonly problem: string };
  limit: { readonly quota: KmsQuota; readonly limit: number };
  "rotation-conflict": KeyDetail;
  /** All was well, and nothing was to be done. */
  "dry-run": Readonly<Record<string, never>>;
}

/** The name of a kind. */
export type KmsErrorKind = keyof KmsErrorDetails;

/** A kind with its details. */
export type KmsRefusal = {
  readonly [Kind in KmsErrorKind]: { readonly kind: Kind; readonly detail: KmsErrorDetails[Kind] };
}[KmsErrorKind];

/** Thrown by the kms room; caught once, by the control plane, and by who encrypts on a user's behalf. */
export class KmsError extends Error {
  override readonly name = "KmsError";
  readonly refusal: KmsRefusal;
  constructor(refusal: KmsRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

/** Makes the error; `throw refuse("key-disabled", { keyArn })`. */
export function refuse<Kind extends KmsErrorKind>(kind: Kind, detail: KmsErrorDetails[Kind]): KmsError {
  return new KmsError({ kind, detail } as KmsRefusal);
}
