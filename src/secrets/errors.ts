/**
 * Everything the secrets room refuses: closed kinds with details, no sentences. What AWS says about each stands in one table,
 * `api/secretsmanager/errors.ts`, and a new kind does not compile until it has a row there.
 */

/** The kinds of refusals and what each tells. */
export interface SecretsErrorDetails {
  "not-found": Readonly<Record<string, never>>;
  /** The secret has no such version: neither of that id nor with that label. */
  "value-not-found": { readonly versionId: string } | { readonly stage: string };
  /** The version is there, and the label is on another one. */
  "stage-mismatch": Readonly<Record<string, never>>;
  /** A label is on the version `holder`, and the move says nothing of that one, or (`named`) means another. */
  "stage-elsewhere": { readonly stage: string; readonly holder: string | undefined; readonly named: boolean };
  /** The current version can only become another one. */
  "current-removed": Readonly<Record<string, never>>;
  exists: { readonly name: string };
  /** The name belongs to a secret that waits for its removal. */
  "name-marked-deleted": Readonly<Record<string, never>>;
  "marked-deleted": Readonly<Record<string, never>>;
  /** The version is there with another value. */
  "version-exists": { readonly versionId: string; readonly arn: string };
  "invalid-name": Readonly<Record<string, never>>;
  "value-too-large": { readonly limitBytes: number };
  "invalid-recovery-window": { readonly least: number; readonly most: number };
  /** `problem` says what is wrong with which tag. */
  "invalid-tag": { readonly problem: string };
  limit: { readonly quota: "secrets" | "stages" | "tags"; readonly limit: number };
  /** A document that is not a policy of a secret; the message is AWS's, the detail ours. */
  "malformed-policy": { readonly message: string; readonly detail: string | undefined };
  "public-policy": Readonly<Record<string, never>>;
  /** What is asked of a password leaves nothing to draw it from, or more kinds of characters than it has places. */
  "impossible-password": { readonly problem: "no-characters" | "no-characters-of-a-kind" | "too-short" };
  /** The stored value does not open: the instance key that sealed it is not among those of this deployment, or it was tampered with. */
  undecryptable: Readonly<Record<string, never>>;
}

/** The name of a kind. */
export type SecretsErrorKind = keyof SecretsErrorDetails;

/** A kind with its details. */
export type SecretsRefusal = {
  readonly [Kind in SecretsErrorKind]: { readonly kind: Kind; readonly detail: SecretsErrorDetails[Kind] };
}[SecretsErrorKind];

/** Thrown by the secrets room; caught once, by the control plane. */
export class SecretsError extends Error {
  override readonly name = "SecretsError";
  readonly refusal: SecretsRefusal;
  constructor(refusal: SecretsRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

/** Makes the error; `throw refuse("exists", { name })`. */
export function refuse<Kind extends SecretsErrorKind>(kind: Kind, detail: SecretsErrorDetails[Kind]): SecretsError {
  return new SecretsError({ kind, detail } as SecretsRefusal);
}
