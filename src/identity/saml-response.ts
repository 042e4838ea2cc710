/**
 * Responses of SAML identity providers (SAML 2.0 Core and Profiles, "Web Browser SSO"), from base64 to an assertion that was signed. Only
 * the form and the signatures are judged here; what the assertion says is `saml-assertion.ts`'s.
 */
import { checkSignature } from "./saml-signature.ts";
import { samlNamespaces } from "./saml-words.ts";
import { allElements, attributeOf, childrenOf, onlyChild, parseXml } from "./saml-xml.ts";
import type { XmlElement } from "./saml-xml.ts";

/** Why a response proves nothing. */
export type SamlResponseProblem =
  | { readonly kind: "not-base64" }
  /** No response of SAML 2.0 with one assertion, or more than its form allows. */
  | { readonly kind: "malformed" }
  | { readonly kind: "encrypted" }
  | { readonly kind: "bad-signature" }
  | { readonly kind: "refused-algorithm"; readonly algorithm: string }
  /** The identity provider itself says that it did not work. */
  | { readonly kind: "rejected" };

/** The one assertion of a response, read from what was signed. */
export interface SignedAssertion {
  readonly assertion: XmlElement;
  /** Who the response says it is from and where it was sent, if it says so. Good for refusing only: these need not have been signed. */
  readonly responseIssuer: string | undefined;
  readonly destination: string | undefined;
}

/** What reading a response answers. */
export type ReadSamlResponse =
  | { readonly ok: true; readonly value: SignedAssertion }
  | { readonly ok: false; readonly problem: SamlResponseProblem };

/** 100,000 characters of base64 come to 75,000 bytes. */
const limits = { maxElements: 4_000, maxAttributes: 4_000, maxDepth: 32, comments: false };
const { saml, samlp, ds } = samlNamespaces;
const success = "urn:oasis:names:tc:SAML:2.0:status:Success";
const base64Form = /^[A-Za-z0-9+/]+={0,2}$/;
const encryptedNames = new Set(["EncryptedAssertion", "EncryptedID", "EncryptedAttribute", "EncryptedData"]);

/** Reads a response and checks its signatures by the certificates (base64 of DER): one over the response, one over its assertion, or both. */
export function readSamlResponse(encoded: string, certificates: readonly string[]): ReadSamlResponse {
  const text = decode(encoded);
  if (text === undefined) return refused({ kind: "not-base64" });
  const response = parseXml(text, limits);
  if (response === undefined) return refused({ kind: "malformed" });
  const all = allElements(response);
  if (all.some(({ name }) => encryptedNames.has(name))) return refused({ kind: "encrypted" });
  // Before its form, because a provider that refuses sends no assertion.
  if (isResponse(response) && !isSuccess(response)) return refused({ kind: "rejected" });
  const assertion = assertionOf(response, all);
  if (assertion === undefined) return refused({ kind: "malformed" });
  let signed: XmlElement | undefined;
  // Of two signatures both must be good: one that is not right is a sign that somebody has been at the message.
  for (const owner of [response, assertion]) {
    const check = checkSignature(text, owner, { certificates, limits });
    if (check.ok) signed = check.signed;
    else if (check.kind !== "unsigned") return refused(check);
  }
  if (signed === undefined) return refused({ kind: "bad-signature" });
  const proven = signed.name === "Response" ? assertionOf(signed, allElements(signed)) : signed;
  if (proven === undefined) return refused({ kind: "bad-signature" });
  const responseIssuer = onlyChild(response, saml, "Issuer")?.text?.trim();
  return { ok: true, value: { assertion: proven, responseIssuer, destination: attributeOf(response, "Destination") } };
}

function refused(problem: SamlResponseProblem): ReadSamlResponse {
  return { ok: false, problem };
}

function decode(encoded: string): string | undefined {
  const compact = encoded.replaceAll(/[\t\n\r ]+/g, "");
  if (!base64Form.test(compact)) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(compact, "base64"));
    // What reads XML does this to line ends first of all (XML 1.0, section 2.11), and digests are made of the result.
    return text.replaceAll(/\r\n?/g, "\n");
  } catch {
    return undefined;
  }
}

function isResponse(element: XmlElement): boolean {
  return element.namespace === samlp && element.name === "Response" && attributeOf(element, "Version") === "2.0";
}

function isSuccess(response: XmlElement): boolean {
  const status = onlyChild(response, samlp, "Status");
  const code = status === undefined ? undefined : onlyChild(status, samlp, "StatusCode");
  return code !== undefined && attributeOf(code, "Value") === success;
}

/**
 * The assertion of a response that has exactly one, in its place. Undefined where anything stands where it does not belong that could be
 * taken for something else: further assertions, responses and signatures at any depth, or an ID that two elements have.
 */
function assertionOf(response: XmlElement, all: readonly XmlElement[]): XmlElement | undefined {
  const assertion = onlyChild(response, saml, "Assertion");
  if (!isResponse(response) || assertion === undefined || attributeOf(assertion, "Version") !== "2.0") return undefined;
  const own = new Set([response, assertion].flatMap((owner) => childrenOf(owner, ds, "Signature")));
  for (const element of all) {
    if (element.name === "Assertion" && element !== assertion) return undefined;
    if (element.name === "Response" && element !== response) return undefined;
    if (element.name === "Signature" && !own.has(element)) return undefined;
  }
  const ids = all.flatMap(({ attributes }) => attributes.filter(({ name }) => name.toLowerCase() === "id").map(({ value }) => value));
  return new Set(ids).size === ids.length ? assertion : undefined;
}
