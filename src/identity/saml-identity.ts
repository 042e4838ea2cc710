/**
 * Responses of SAML identity providers as proof of who asks (STS API Reference, AssumeRoleWithSAML). What an assertion says becomes
 * condition keys; whether that is enough is for the role's trust policy.
 */
import { findIdentityProvider } from "#metadata/identity-providers.ts";
import type { IdentityProvider } from "#metadata/identity-providers.ts";
import { parseIdentityArn } from "./arn.ts";
import type { IdentityCore } from "./context.ts";
import { parseProviderArn, providerArn } from "./provider.ts";
import { readSamlAssertion } from "./saml-assertion.ts";
import type { ReadSamlAssertion, SamlAssertion, SamlAssertionProblem } from "./saml-assertion.ts";
import { mayTakeRole, readSamlClaims } from "./saml-claims.ts";
import type { SamlClaimProblem, SamlClaims } from "./saml-claims.ts";
import { nameQualifierOf, samlSessionKeys, samlTrustKeys } from "./saml-condition-keys.ts";
import type { SamlKeys } from "./saml-condition-keys.ts";
import { readSamlResponse } from "./saml-response.ts";
import type { ReadSamlResponse, SamlResponseProblem } from "./saml-response.ts";
import type { SessionMarks } from "./session-tags.ts";

/** Who comes, with what, and for which role. */
export interface SamlRequest {
  readonly roleArn: string;
  readonly providerArn: string;
  /** The response, in base64. */
  readonly response: string;
  /** `http(s)://host[:port]` of this server as clients see it, if that is settled. Never what a request says. */
  readonly publicUrl: string | undefined;
}

/** What a good response says. */
export interface SamlIdentity {
  readonly providerArn: string;
  readonly issuer: string;
  readonly subject: string;
  readonly subjectType: string;
  /** Where the assertion was to be sent; AWS calls it the audience. */
  readonly audience: string;
  readonly nameQualifier: string;
  readonly sessionName: string;
  /** `saml:…`, as trust policies ask for them. */
  readonly trustKeys: SamlKeys;
  /** `saml:…`, as requests of the session have them. */
  readonly sessionKeys: Readonly<Record<string, string>>;
  /** What the assertion wants to be on record of its session. */
  readonly marks: SessionMarks;
  /** How long the session may be at most by what the assertion says; infinite when it says nothing. */
  readonly maxSeconds: number;
}

/** Why a response is not accepted. */
export type SamlProblem =
  | SamlResponseProblem
  | SamlAssertionProblem
  | SamlClaimProblem
  | { readonly kind: "no-provider" }
  /** The metadata document of the provider has come to its end. */
  | { readonly kind: "metadata-expired" }
  /** The assertion does not pair the role with the provider. */
  | { readonly kind: "not-for-role" };

/** What reading a response answers. */
export type ReadSamlIdentity = { readonly ok: true; readonly value: SamlIdentity } | { readonly ok: false; readonly problem: SamlProblem };

/** AWS's own name, under which identity providers know every deployment of this API. */
const awsAudience = "urn:amazon:webservices";
/** AWS's sign-in endpoints, those of its regions too. */
const awsEndpoint = /^https:\/\/(?:[a-z0-9-]{1,32}\.)?signin\.aws\.amazon\.com\/saml$/;

/**
 * Checks a response by the metadata of its provider: form, signature, issuer, times, recipient, audience, AWS's attributes. An assertion
 * may come again while it is less than five minutes old, as at AWS: by one of them, tools take one role after the other.
 */
export async function readSamlIdentity(core: IdentityCore, request: SamlRequest): Promise<ReadSamlIdentity> {
  const key = parseProviderArn("saml", request.providerArn);
  // A role is taken by a provider of its own account.
  const isOfRole = key !== undefined && parseIdentityArn(request.roleArn)?.accountId === key.accountId;
  const provider = isOfRole ? await findIdentityProvider(core.metadata, key) : undefined;
  if (provider === undefined) return refused({ kind: "no-provider" });
  const { validUntil } = provider.settings;
  const now = core.clock.now();
  if (validUntil !== undefined && validUntil <= now) return refused({ kind: "metadata-expired" });
  const assertion = readMeantAssertion(provider, request, now);
  if (!assertion.ok) return assertion;
  const claims = readSamlClaims(assertion.value.attributes);
  if (!claims.ok) return claims;
  if (!mayTakeRole(claims.value, request.roleArn, request.providerArn)) return refused({ kind: "not-for-role" });
  return { ok: true, value: identityOf(provider, assertion.value, { claims: claims.value, now }) };
}

/** The assertion, when it is by this provider and for this server and time. */
function readMeantAssertion(
  { settings }: IdentityProvider<"saml">,
  request: SamlRequest,
  now: number,
): ReadSamlAssertion | Extract<ReadSamlResponse, { readonly ok: false }> {
  const { certificates, entityId } = settings;
  const response = readSamlResponse(request.response, certificates);
  if (!response.ok) return response;
  const { assertion, responseIssuer, destination } = response.value;
  const own = request.publicUrl === undefined ? [] : [request.publicUrl, `${request.publicUrl}/saml`];
  const isRecipient = (text: string): boolean => awsEndpoint.test(text) || own.includes(text);
  const isAudience = (text: string): boolean => text === awsAudience || isRecipient(text);
  if (responseIssuer !== undefined && responseIssuer !== entityId) return { ok: false, problem: { kind: "wrong-issuer" } };
  if (destination !== undefined && !isRecipient(destination)) return { ok: false, problem: { kind: "wrong-recipient" } };
  return readSamlAssertion(assertion, { entityId, now, isRecipient, isAudience });
}

function identityOf(
  provider: IdentityProvider<"saml">,
  assertion: SamlAssertion,
  { claims, now }: { readonly claims: SamlClaims; readonly now: number },
): SamlIdentity {
  const { issuer, subject, subjectType, recipient, sessionEndsAt } = assertion;
  const nameQualifier = nameQualifierOf(issuer, provider);
  const untilEnd = sessionEndsAt === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor((sessionEndsAt - now) / 1000));
  return {
    providerArn: providerArn(provider),
    issuer,
    subject,
    subjectType,
    audience: recipient,
    nameQualifier,
    sessionName: claims.sessionName,
    trustKeys: samlTrustKeys(assertion, provider),
    sessionKeys: samlSessionKeys(assertion, nameQualifier),
    marks: claims.marks,
    maxSeconds: Math.min(untilEnd, claims.maxSeconds ?? Number.POSITIVE_INFINITY),
  };
}

function refused(problem: SamlProblem): ReadSamlIdentity {
  return { ok: false, problem };
}
