/**
 * What a signed assertion says, and whether it is meant for here and for now (SAML 2.0 Profiles, section 4.1.4; IAM User Guide, "Configure
 * SAML assertions for the authentication response"). Everything is read by names in their namespaces; what is there twice is not there.
 */
import { parseSamlTime, samlNamespaces } from "./saml-words.ts";
import { allElements, attributeOf, childrenOf, onlyChild } from "./saml-xml.ts";
import type { XmlElement } from "./saml-xml.ts";

/** Values by the attribute's name, in the order of the assertion. */
export type SamlAttributes = ReadonlyMap<string, readonly string[]>;

/** An assertion that is good here and now. */
export interface SamlAssertion {
  readonly issuer: string;
  readonly subject: string;
  /** The format of the subject, `persistent` and the like without its prefix, as AWS shows it. */
  readonly subjectType: string;
  /** Where the assertion was to be sent. */
  readonly recipient: string;
  readonly attributes: SamlAttributes;
  /** When the session at the identity provider ends, if it says so; milliseconds since the epoch. */
  readonly sessionEndsAt: number | undefined;
}

/** What an assertion must be meant for. */
export interface SamlDestination {
  readonly entityId: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Is this an address where assertions for this server are sent? */
  readonly isRecipient: (text: string) => boolean;
  /** Is this a name of this server? */
  readonly isAudience: (text: string) => boolean;
}

/** Why an assertion is not taken. */
export type SamlAssertionProblem =
  | { readonly kind: "wrong-issuer" }
  | { readonly kind: "no-subject" }
  | { readonly kind: "wrong-recipient" }
  | { readonly kind: "wrong-audience" }
  /** More than five minutes old. */
  | { readonly kind: "too-old" }
  | { readonly kind: "expired" }
  | { readonly kind: "not-yet-valid" }
  /** Something that must be there is not, or is not what it must be. */
  | { readonly kind: "bad-element"; readonly element: string };

/** What reading an assertion answers. */
export type ReadSamlAssertion =
  | { readonly ok: true; readonly value: SamlAssertion }
  | { readonly ok: false; readonly problem: SamlAssertionProblem };

const { saml } = samlNamespaces;
const bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const unspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
const formatPrefix = "urn:oasis:names:tc:SAML:2.0:nameid-format:";
const maxSubjectLength = 256;
const maxFormatLength = 256;
/** Statements, attributes and values together. */
const maxAttributeElements = 1_500;
/** AWS takes an assertion for five minutes after it was made, as often as it comes: tools take several roles by one. */
const redeemableMs = 300_000;
const leewayMs = 60_000;
/** OneTimeUse says that it is not to be kept, which it is not; conditions that nobody here knows cannot be met. */
const knownConditions = new Set(["AudienceRestriction", "OneTimeUse", "ProxyRestriction"]);

/** Reads an assertion whose signature was found good, and holds it against where and when it must be meant for. */
export function readSamlAssertion(assertion: XmlElement, meant: SamlDestination): ReadSamlAssertion {
  const issuer = onlyChild(assertion, saml, "Issuer")?.text?.trim();
  if (issuer === undefined || issuer !== meant.entityId) return refused({ kind: "wrong-issuer" });
  const subject = subjectOf(assertion);
  if (subject === undefined) return refused({ kind: "no-subject" });
  const recipient = confirmedRecipient(subject.element, meant);
  const problem = typeof recipient === "string" ? undefined : recipient;
  const refusal = ageProblem(assertion, meant.now) ?? problem ?? conditionProblem(assertion, meant);
  if (refusal !== undefined || typeof recipient !== "string") return refused(refusal ?? { kind: "wrong-recipient" });
  const sessionEndsAt = sessionEndOf(assertion);
  if (sessionEndsAt === "bad") return refused({ kind: "bad-element", element: "AuthnStatement" });
  if (sessionEndsAt !== undefined && sessionEndsAt <= meant.now) return refused({ kind: "expired" });
  const attributes = attributesOf(assertion);
  if (attributes === undefined) return refused({ kind: "bad-element", element: "AttributeStatement" });
  const { name, type } = subject;
  return { ok: true, value: { issuer, subject: name, subjectType: type, recipient, attributes, sessionEndsAt } };
}

function refused(problem: SamlAssertionProblem): ReadSamlAssertion {
  return { ok: false, problem };
}

function subjectOf(assertion: XmlElement): { readonly element: XmlElement; readonly name: string; readonly type: string } | undefined {
  const element = onlyChild(assertion, saml, "Subject");
  const nameId = element === undefined ? undefined : onlyChild(element, saml, "NameID");
  const name = nameId?.text?.trim() ?? "";
  if (element === undefined || nameId === undefined || name === "" || name.length > maxSubjectLength) return undefined;
  const format = attributeOf(nameId, "Format") ?? unspecified;
  if (format.length > maxFormatLength) return undefined;
  return { element, name, type: format.startsWith(formatPrefix) ? format.slice(formatPrefix.length) : format };
}

/** AWS wants exactly one confirmation, that whoever bears the assertion is its subject. */
function confirmedRecipient(subject: XmlElement, { now, isRecipient }: SamlDestination): string | SamlAssertionProblem {
  const confirmation = onlyChild(subject, saml, "SubjectConfirmation");
  const data = confirmation === undefined ? undefined : onlyChild(confirmation, saml, "SubjectConfirmationData");
  if (confirmation === undefined || data === undefined || attributeOf(confirmation, "Method") !== bearer) {
    return { kind: "bad-element", element: "SubjectConfirmation" };
  }
  const recipient = attributeOf(data, "Recipient") ?? "";
  if (!isRecipient(recipient)) return { kind: "wrong-recipient" };
  if (attributeOf(data, "NotOnOrAfter") === undefined) return { kind: "bad-element", element: "SubjectConfirmationData" };
  return timeProblem(data, now) ?? recipient;
}

function ageProblem(assertion: XmlElement, now: number): SamlAssertionProblem | undefined {
  const issuedAt = parseSamlTime(attributeOf(assertion, "IssueInstant") ?? "");
  if (issuedAt === undefined) return { kind: "bad-element", element: "IssueInstant" };
  if (issuedAt > now + leewayMs) return { kind: "not-yet-valid" };
  return now - issuedAt > redeemableMs ? { kind: "too-old" } : undefined;
}

function conditionProblem(assertion: XmlElement, { now, isAudience }: SamlDestination): SamlAssertionProblem | undefined {
  const conditions = onlyChild(assertion, saml, "Conditions");
  const restrictions = conditions === undefined ? [] : childrenOf(conditions, saml, "AudienceRestriction");
  if (conditions === undefined || restrictions.length === 0) return { kind: "wrong-audience" };
  if (!conditions.children.every(({ namespace, name }) => namespace === saml && knownConditions.has(name))) {
    return { kind: "bad-element", element: "Conditions" };
  }
  const isMeant = restrictions.every((restriction) =>
    childrenOf(restriction, saml, "Audience").some(({ text }) => isAudience(text?.trim() ?? "")),
  );
  return isMeant ? timeProblem(conditions, now) : { kind: "wrong-audience" };
}

/** By the element's `NotBefore` and `NotOnOrAfter`, for clocks that differ by up to a minute. */
function timeProblem(element: XmlElement, now: number): SamlAssertionProblem | undefined {
  const [from, until] = ["NotBefore", "NotOnOrAfter"].map((name) => attributeOf(element, name));
  const [start, end] = [from, until].map((text) => (text === undefined ? undefined : (parseSamlTime(text) ?? Number.NaN)));
  if (Number.isNaN(start) || Number.isNaN(end)) return { kind: "bad-element", element: element.name };
  if (start !== undefined && now + leewayMs < start) return { kind: "not-yet-valid" };
  return end !== undefined && now - leewayMs >= end ? { kind: "expired" } : undefined;
}

/** That the subject signed in is what the assertion is about; the earliest end of those sessions. */
function sessionEndOf(assertion: XmlElement): number | undefined | "bad" {
  const statements = childrenOf(assertion, saml, "AuthnStatement");
  const ends = statements.flatMap((statement) => attributeOf(statement, "SessionNotOnOrAfter") ?? []).map(parseSamlTime);
  if (statements.length === 0 || ends.includes(undefined)) return "bad";
  return ends.length === 0 ? undefined : Math.min(...ends.map(Number));
}

/** Values that are elements themselves are left out: nothing here can ask for them. */
function attributesOf(assertion: XmlElement): SamlAttributes | undefined {
  const attributes = new Map<string, string[]>();
  const statements = childrenOf(assertion, saml, "AttributeStatement");
  if (statements.flatMap(allElements).length > maxAttributeElements) return undefined;
  for (const attribute of statements.flatMap((statement) => childrenOf(statement, saml, "Attribute"))) {
    const name = attributeOf(attribute, "Name");
    if (name === undefined) return undefined;
    const values = childrenOf(attribute, saml, "AttributeValue").flatMap(({ text }) => (text === undefined ? [] : [text.trim()]));
    attributes.set(name, [...(attributes.get(name) ?? []), ...values]);
  }
  return attributes;
}
