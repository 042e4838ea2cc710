/**
 * Tokens of OpenID Connect providers as proof of who asks (STS API Reference, AssumeRoleWithWebIdentity; IAM User Guide, "Available keys for
 * AWS OIDC federation"). What a token claims becomes condition keys; whether that is enough is for the role's trust policy.
 */
import { findIdentityProvider } from "#metadata/identity-providers.ts";
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import type { JWTPayload } from "jose";
import type { IdentityContext } from "./context.ts";
import { readKeySet } from "./openid-keys.ts";
import type { FoundKeys, OpenIdKeys } from "./openid-keys.ts";
import type { SessionMarks, SessionTag } from "./session-tags.ts";

/** What a good token says. */
export interface WebIdentity {
  /** `arn:aws:iam::<account>:oidc-provider/<issuer without its scheme>` */
  readonly providerArn: string;
  readonly subject: string;
  readonly audience: string;
  /** `<issuer without its scheme>:<claim>`, as conditions name them. */
  readonly keys: Readonly<Record<string, string | readonly string[]>>;
  /** What the token wants to be on record of its session. */
  readonly marks: SessionMarks;
}

/** Why a token is not accepted. Times are seconds since the epoch. */
export type WebIdentityProblem =
  | { readonly kind: "not-a-jwt" }
  | { readonly kind: "no-provider"; readonly issuer: string }
  /** The provider's keys could not be had, or none of them fits. */
  | { readonly kind: "no-key"; readonly cause: Extract<FoundKeys, { ok: false }>["kind"] | "no-match" }
  | { readonly kind: "bad-signature" }
  | { readonly kind: "expired"; readonly now: number; readonly expiresAt: number }
  /** A claim that must be there is not, or is not what it must be. */
  | { readonly kind: "bad-claim"; readonly claim: string }
  | { readonly kind: "wrong-audience" };

/** What reading a token answers. */
export type ReadWebIdentity =
  | { readonly ok: true; readonly value: WebIdentity }
  | { readonly ok: false; readonly problem: WebIdentityProblem };

/** Asymmetric ones only: with HMAC the issuer's public key would be the secret. */
const algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
const maxTokenLength = 20_000;
const maxIssuerLength = 255;
const leewaySeconds = 60;
const maxSessionName = 64;
const tagsClaim = "https://aws.amazon.com/tags";
const sourceIdentityClaim = "https://aws.amazon.com/source_identity";
const sourceIdentityForm = /^[\w+=,.@-]{2,64}$/;
const maxTags = 50;
const tagKeyForm = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u;
const tagValueForm = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u;
/** An issuer of such a name could write keys that are the server's own to write. */
const reservedPrefixes = new Set(["aws", "sts", "iam", "ecr", "kms", "secretsmanager", "supercargo"]);

interface TokenHead {
  readonly issuer: string;
  readonly keyId: string | undefined;
}

/**
 * Checks a token against the identity providers of the context's account, in this order: form and algorithm, issuer, signature, times,
 * audience, subject. Keys that stand in the token itself (`jwk`, `jku`, `x5u`) are not looked at.
 */
export async function readWebIdentity(ctx: IdentityContext, openIdKeys: OpenIdKeys, token: string): Promise<ReadWebIdentity> {
  const head = readHead(token);
  if (head === undefined) return refused({ kind: "not-a-jwt" });
  const { issuer, keyId } = head;
  const name = issuer.replace(/^https?:\/\//, "");
  const provider = await findIdentityProvider(ctx.core.metadata, { accountId: ctx.accountId, kind: "oidc", name });
  // Only a fetch can tell that the operator trusts an issuer without TLS.
  const isAsked = provider?.settings.jwks === undefined;
  if (provider === undefined || (!isAsked && !issuer.startsWith("https://"))) return refused({ kind: "no-provider", issuer });
  const { clientIds, jwks } = provider.settings;
  const found = isAsked ? await openIdKeys.find(issuer, keyId) : readKeySet(jwks);
  if (!found.ok) return refused({ kind: "no-key", cause: found.kind });
  const now = ctx.core.clock.now();
  const verified = await verify(token, issuer, found, now);
  if ("problem" in verified) return refused(verified.problem);
  const identity = identityOf(verified.claims, { name, clientIds, accountId: ctx.accountId });
  return "kind" in identity ? refused(identity) : { ok: true, value: identity };
}

function refused(problem: WebIdentityProblem): ReadWebIdentity {
  return { ok: false, problem };
}

/**
 * A name for the session of whoever comes with this token, where nobody chose one: what the token calls its subject, in the letters that names of
 * sessions have. Nothing is proven here, and nothing needs to be: whoever calls AssumeRoleWithWebIdentity chooses the name.
 */
export function sessionNameFor(token: string): string {
  let subject = "";
  try {
    if (token.length <= maxTokenLength) subject = decodeJwt(token).sub ?? "";
  } catch {
    // No token; that is said by who reads it.
  }
  const name = typeof subject === "string" ? subject.replaceAll(/[^\w+=,.@-]+/g, "-").slice(-maxSessionName) : "";
  return name.length < 2 ? "web-identity" : name;
}

/** What the token says of itself before anything is proven. */
function readHead(token: string): TokenHead | undefined {
  if (token.length > maxTokenLength) return undefined;
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    const { iss } = decodeJwt(token);
    if (alg === undefined || !algorithms.includes(alg) || (kid !== undefined && typeof kid !== "string")) return undefined;
    if (typeof iss !== "string" || iss.length > maxIssuerLength || !/^https?:\/\/[!-~]+$/.test(iss)) return undefined;
    return { issuer: iss, keyId: kid };
  } catch {
    // Whatever is wrong with a stranger's text, it is no token.
    return undefined;
  }
}

type Verified = { readonly claims: JWTPayload } | { readonly problem: WebIdentityProblem };

async function verify(token: string, issuer: string, found: Extract<FoundKeys, { ok: true }>, now: number): Promise<Verified> {
  try {
    const { payload } = await jwtVerify(token, found.keys, {
      algorithms,
      issuer,
      currentDate: new Date(now),
      clockTolerance: leewaySeconds,
      requiredClaims: ["exp", "iat"],
    });
    return badTime(payload, now) ?? { claims: payload };
  } catch (error) {
    return { problem: problemOf(error, now) };
  }
}

/** The signature is looked at first, so the claims that these problems tell of are the issuer's own. */
function problemOf(error: unknown, now: number): WebIdentityProblem {
  if (error instanceof errors.JWTExpired) {
    return { kind: "expired", now: Math.floor(now / 1000), expiresAt: Number(error.payload.exp) };
  }
  if (error instanceof errors.JWTClaimValidationFailed) return { kind: "bad-claim", claim: error.claim };
  if (error instanceof errors.JWSSignatureVerificationFailed) return { kind: "bad-signature" };
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return { kind: "no-key", cause: "no-match" };
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return { kind: "not-a-jwt" };
  if (error instanceof errors.JOSENotSupported || error instanceof errors.JOSEAlgNotAllowed) return { kind: "not-a-jwt" };
  // A key that cannot be used: too short, or not what it says it is.
  return { kind: "no-key", cause: "unusable" };
}

function badTime({ exp, iat }: JWTPayload, now: number): { readonly problem: WebIdentityProblem } | undefined {
  if (!Number.isSafeInteger(exp)) return { problem: { kind: "bad-claim", claim: "exp" } };
  const isInTime = Number.isSafeInteger(iat) && Number(iat) <= now / 1000 + leewaySeconds;
  return isInTime ? undefined : { problem: { kind: "bad-claim", claim: "iat" } };
}

interface KnownProvider {
  readonly name: string;
  readonly clientIds: readonly string[];
  readonly accountId: string;
}

function identityOf(claims: JWTPayload, { name, clientIds, accountId }: KnownProvider): WebIdentity | WebIdentityProblem {
  const { sub, azp } = claims;
  const audiences = textsOf(claims.aud);
  // Who asked for the token is its audience, where the token says so.
  const audience = (typeof azp === "string" ? [azp] : audiences).find((text) => clientIds.includes(text));
  if (audience === undefined) return { kind: "wrong-audience" };
  if (typeof sub !== "string" || sub === "") return { kind: "bad-claim", claim: "sub" };
  const marks = marksOf(claims);
  if ("kind" in marks) return marks;
  return {
    providerArn: `arn:aws:iam::${accountId}:oidc-provider/${name}`,
    subject: sub,
    audience,
    keys: reservedPrefixes.has(name.toLowerCase()) ? {} : keysOf(name, claims),
    marks,
  };
}

/** Every claim that is text, number or truth, or a list of those. With `azp` that is the audience, and `oaud` what the token calls so. */
function keysOf(name: string, claims: JWTPayload): WebIdentity["keys"] {
  const { [tagsClaim]: _tags, [sourceIdentityClaim]: _sourceIdentity, ...others } = claims;
  const shown = typeof claims["azp"] === "string" ? { ...others, aud: claims["azp"], oaud: claims.aud } : others;
  return Object.fromEntries(
    Object.entries(shown).flatMap(([claim, value]) => {
      const texts = textsOf(value);
      if (texts.length === 0) return [];
      const isSingle = !Array.isArray(value) || (claim === "aud" && texts.length === 1);
      return [[`${name}:${claim}`, isSingle ? (texts[0] ?? "") : texts]];
    }),
  );
}

function textsOf(value: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.flatMap((one) => (["string", "number", "boolean"].includes(typeof one) ? [String(one)] : []));
}

/** Session tags and source identity as AWS reads them from tokens (IAM User Guide, "Passing session tags using AssumeRoleWithWebIdentity"). */
function marksOf(claims: JWTPayload): SessionMarks | WebIdentityProblem {
  const { [tagsClaim]: tagging, [sourceIdentityClaim]: sourceIdentity } = claims;
  const isNamed = typeof sourceIdentity === "string" && sourceIdentityForm.test(sourceIdentity);
  if (sourceIdentity !== undefined && !isNamed) return { kind: "bad-claim", claim: sourceIdentityClaim };
  const marks = { tags: [], transitiveKeys: [], sourceIdentity: isNamed ? sourceIdentity : undefined };
  if (tagging === undefined) return marks;
  if (typeof tagging !== "object" || tagging === null) return { kind: "bad-claim", claim: tagsClaim };
  const { principal_tags: principalTags = {}, transitive_tag_keys: transitiveKeys = [] } = tagging as Readonly<Record<string, unknown>>;
  const tags = tagsOf(principalTags);
  const areTexts =
    Array.isArray(transitiveKeys) && transitiveKeys.length <= maxTags && transitiveKeys.every((key) => typeof key === "string");
  if (tags === undefined || !areTexts) return { kind: "bad-claim", claim: tagsClaim };
  return { ...marks, tags, transitiveKeys };
}

/** `{"key": ["value"]}`; one value each. */
function tagsOf(value: unknown): readonly SessionTag[] | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (entries.length > maxTags) return undefined;
  const tags: SessionTag[] = [];
  for (const [key, listed] of entries) {
    const values: readonly unknown[] = Array.isArray(listed) ? listed : [listed];
    const [text] = values;
    if (values.length !== 1 || typeof text !== "string" || !tagKeyForm.test(key) || !tagValueForm.test(text)) return undefined;
    tags.push({ key, value: text });
  }
  return tags;
}
