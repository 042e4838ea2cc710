/**
 * Everything the identity room refuses: closed kinds with details, no sentences. What AWS says about each stands in one table,
 * `api/iam/errors.ts`, and a new kind does not compile until it has a row there.
 */

/** What may be missing, or be there already. */
export type IdentityNoun =
  | "user"
  | "group"
  | "role"
  | "policy"
  | "policy-version"
  | "attachable-policy"
  | "user-policy"
  | "group-policy"
  | "role-policy"
  | "attachment"
  | "instance-profile"
  | "machine"
  | "access-key"
  | "login-profile"
  | "oidc-provider"
  | "saml-provider"
  | "account-alias"
  | "password-policy"
  | "membership";

/** What still hangs on something that is to be deleted. */
export type DeleteConflict =
  | "access-keys"
  | "login-profile"
  | "policies"
  | "attached-policies"
  | "group-members"
  | "group-memberships"
  | "instance-profile-roles"
  | "role-in-instance-profiles"
  | "policy-attached"
  | "policy-versions"
  | "default-version";

/** The kinds of refusals and what each tells. */
export interface IdentityErrorDetails {
  "not-found": { readonly noun: IdentityNoun; readonly name: string; readonly version?: string };
  exists: { readonly noun: IdentityNoun; readonly name: string };
  "delete-conflict": { readonly conflict: DeleteConflict };
  /** `quota` is AWS's name of it, such as `AccessKeysPerUser`. */
  limit: { readonly quota: string; readonly limit: number };
  /** The policies inside a user, group or role have more characters together than `limit`; `holder` as in `user alice`. */
  "inline-policy-size": { readonly holder: string; readonly limit: number };
  /** A policy of AWS that somebody wants to change. */
  "foreign-policy": { readonly arn: string };
  /** A document that is not a policy of its kind; the message is AWS's. */
  "malformed-policy": { readonly message: string };
  /** A value that contradicts another or a rule; the message is AWS's. */
  "invalid-input": { readonly message: string };
  /** A service-linked role. */
  unmodifiable: { readonly name: string; readonly service: string };
  "not-attachable": { readonly arn: string };
  "password-violation": { readonly message: string };
  /** The old password that a change of the password was asked with is not the user's. */
  "wrong-password": { readonly userName: string };
}

/** The name of a kind. */
export type IdentityErrorKind = keyof IdentityErrorDetails;

/** A kind with its details. */
export type IdentityRefusal = {
  readonly [Kind in IdentityErrorKind]: { readonly kind: Kind; readonly detail: IdentityErrorDetails[Kind] };
}[IdentityErrorKind];

/** Thrown by the identity room; caught once, by the control plane. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  readonly refusal: IdentityRefusal;
  constructor(refusal: IdentityRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

/** Makes the error; `throw refuse("exists", { noun: "user", name })`. */
export function refuse<Kind extends IdentityErrorKind>(kind: Kind, detail: IdentityErrorDetails[Kind]): IdentityError {
  return new IdentityError({ kind, detail } as IdentityRefusal);
}
