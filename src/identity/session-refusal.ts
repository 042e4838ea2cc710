/** Why temporary credentials are not made: closed kinds with details, no sentences. `api/sts/refusals.ts` has AWS's words for each. */

/** The kinds of refusals and what each tells. */
export interface SessionRefusalDetails {
  /** The role does not exist, or not under that path. The caller is told what it would be told if the role did not trust it. */
  "no-role": { readonly roleArn: string };
  /** A session asks for a role for longer than an hour. */
  "chain-too-long": Readonly<Record<string, never>>;
  /** Longer than the role allows. */
  "role-too-long": Readonly<Record<string, never>>;
  "source-identity-set": Readonly<Record<string, never>>;
  "tag-key-duplicate": Readonly<Record<string, never>>;
  "tag-key-reserved": { readonly key: string };
  /** The tag came through the chain and may not change. */
  "tag-key-inherited": Readonly<Record<string, never>>;
  /** Only tags of the same request can be made transitive. */
  "transitive-key-unknown": Readonly<Record<string, never>>;
  "policy-malformed": { readonly message: string };
  /** An ARN that names no policy of the account, and none of AWS's. */
  "policy-unknown": { readonly arn: string };
  "too-many-policies": { readonly limit: number };
  /** The session policies, or without any the tags, take too much room. */
  "packed-too-large": { readonly percent: number; readonly of: "policy" | "tags" };
}

/** The name of a kind. */
export type SessionRefusalKind = keyof SessionRefusalDetails;

/** A kind with its details. */
export type SessionRefusal = {
  readonly [Kind in SessionRefusalKind]: { readonly kind: Kind; readonly detail: SessionRefusalDetails[Kind] };
}[SessionRefusalKind];

/** Thrown where temporary credentials are made; caught once, in `api/sts/`. */
export class SessionRefused extends Error {
  override readonly name = "SessionRefused";
  readonly refusal: SessionRefusal;
  constructor(refusal: SessionRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

/** Makes the error; `throw refuseSession("no-role", { roleArn })`. */
export function refuseSession<Kind extends SessionRefusalKind>(kind: Kind, detail: SessionRefusalDetails[Kind]): SessionRefused {
  return new SessionRefused({ kind, detail } as SessionRefusal);
}
