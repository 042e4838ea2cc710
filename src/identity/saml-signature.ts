/**
 * Signatures in SAML messages (SAML 2.0 Core, section 5.4; W3C "XML Signature Syntax and Processing"). What a signature may look like is
 * narrow: it stands directly in what it signs, has one reference to that by its ID, and names algorithms from a short list. The bytes that
 * were digested are parsed anew, and nothing else of the message is ever believed: so wrapping them in other elements gains nothing.
 */
import { constants, verify, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { createRequire } from "node:module";
import { samlNamespaces } from "./saml-words.ts";
import { attributeOf, childrenOf, parseXml } from "./saml-xml.ts";
import type { XmlElement, XmlLimits } from "./saml-xml.ts";

/** What checking a signature answers; `signed` is read from the signed bytes alone. */
export type CheckedSignature =
  | { readonly ok: true; readonly signed: XmlElement }
  | { readonly ok: false; readonly kind: "unsigned" }
  | { readonly ok: false; readonly kind: "bad-signature" }
  | { readonly ok: false; readonly kind: "refused-algorithm"; readonly algorithm: string };

/** The parts of the library that are used. Its own types would bring the browser's into the whole program. */
interface SignedXml {
  /** Must be there; which keys count is the algorithm's. */
  publicCert: string;
  getCertFromKeyInfo: () => null;
  idAttributes: readonly string[];
  SignatureAlgorithms: Record<string, unknown>;
  HashAlgorithms: Record<string, unknown>;
  CanonicalizationAlgorithms: Record<string, unknown>;
  loadSignature(node: object): void;
  checkSignature(text: string): boolean;
  getSignedReferences(): readonly string[];
}

interface SignatureLibrary {
  readonly SignedXml: new () => SignedXml;
}

const require = createRequire(import.meta.url);
const { ds } = samlNamespaces;
const exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
const enveloped = `${ds}enveloped-signature`;
/** By the keys of certificates only: with HMAC the provider's public certificate would be the secret. And nothing with SHA-1. */
const signatureAlgorithms: Readonly<Record<string, { readonly hash: string; readonly padding: number }>> = {
  "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": { hash: "sha256", padding: constants.RSA_PKCS1_PADDING },
  "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": { hash: "sha384", padding: constants.RSA_PKCS1_PADDING },
  "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": { hash: "sha512", padding: constants.RSA_PKCS1_PADDING },
  "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1": { hash: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING },
};
const digestAlgorithms = ["http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmlenc#sha512"];
/** No quotes, so that an ID is an ID to whatever looks for it. */
const idForm = /^[A-Za-z_][\w.-]{0,255}$/;

/**
 * Checks the signature that stands directly in `owner`, which is part of the document `text`, by any of the certificates (base64 of DER).
 * Certificates and keys in the signature itself are not looked at.
 */
export function checkSignature(
  text: string,
  owner: XmlElement,
  { certificates, limits }: { readonly certificates: readonly string[]; readonly limits: XmlLimits },
): CheckedSignature {
  const [signature, ...others] = childrenOf(owner, ds, "Signature");
  if (signature === undefined) return { ok: false, kind: "unsigned" };
  const id = attributeOf(owner, "ID") ?? "";
  const named = others.length === 0 && idForm.test(id) ? algorithmsOf(signature, id) : undefined;
  if (named === undefined) return { ok: false, kind: "bad-signature" };
  const refused = refusedOf(named);
  if (refused !== undefined) return { ok: false, kind: "refused-algorithm", algorithm: refused };
  const bytes = signedBytes(text, signature, certificates);
  const signed = bytes === undefined ? undefined : parseXml(bytes, limits);
  const isOwner = signed?.namespace === owner.namespace && signed.name === owner.name && attributeOf(signed, "ID") === id;
  return signed !== undefined && isOwner ? { ok: true, signed } : { ok: false, kind: "bad-signature" };
}

interface NamedAlgorithms {
  readonly signature: string;
  readonly digest: string;
  readonly canonicalizations: readonly string[];
}

function refusedOf({ signature, digest, canonicalizations }: NamedAlgorithms): string | undefined {
  if (!Object.hasOwn(signatureAlgorithms, signature)) return signature;
  if (!digestAlgorithms.includes(digest)) return digest;
  return canonicalizations.find((name) => name !== exclusive);
}

/** The algorithms of a signature that is built as it must be and refers to `id`; undefined for any other. */
function algorithmsOf(signature: XmlElement, id: string): NamedAlgorithms | undefined {
  const [info, value, keyInfo, ...rest] = signature.children;
  if (!isNamed(info, "SignedInfo") || !isNamed(value, "SignatureValue") || rest.length > 0) return undefined;
  if (keyInfo !== undefined && !isNamed(keyInfo, "KeyInfo")) return undefined;
  const [canonicalization, method, reference, ...references] = info.children;
  if (!isNamed(canonicalization, "CanonicalizationMethod") || !isNamed(method, "SignatureMethod")) return undefined;
  if (!isNamed(reference, "Reference") || references.length > 0 || attributeOf(reference, "URI") !== `#${id}`) return undefined;
  const [transforms, digestMethod, digest, ...more] = reference.children;
  if (!isNamed(transforms, "Transforms") || !isNamed(digestMethod, "DigestMethod") || !isNamed(digest, "DigestValue")) return undefined;
  // The signature is taken out first, and then the rest made canonical.
  const [takenOut, madeCanonical, ...further] = transforms.children;
  if (!isNamed(takenOut, "Transform") || !isNamed(madeCanonical, "Transform") || further.length > 0) return undefined;
  // Parameters such as a truncated length of the output are for what is not taken here; a list of prefixes is all that there may be.
  const isPlain = [value, method, takenOut, digestMethod, digest].every(({ children }) => children.length === 0);
  const isListed = [canonicalization, madeCanonical].every(hasOnlyPrefixes);
  if (!isPlain || !isListed || more.length > 0 || attributeOf(takenOut, "Algorithm") !== enveloped) return undefined;
  return {
    signature: attributeOf(method, "Algorithm") ?? "",
    digest: attributeOf(digestMethod, "Algorithm") ?? "",
    canonicalizations: [madeCanonical, canonicalization].map((element) => attributeOf(element, "Algorithm") ?? ""),
  };
}

function isNamed(element: XmlElement | undefined, name: string): element is XmlElement {
  return element?.namespace === ds && element.name === name;
}

function hasOnlyPrefixes({ children }: XmlElement): boolean {
  const isPrefixes = (child: XmlElement): boolean =>
    child.namespace === exclusive && child.name === "InclusiveNamespaces" && child.children.length === 0;
  return children.length <= 1 && children.every(isPrefixes);
}

/** The one digested part of the document in canonical form, when the signature over it is of a certificate's key. */
function signedBytes(text: string, signature: XmlElement, certificates: readonly string[]): string | undefined {
  // Loaded by its first use: a registry that nobody comes to by SAML does without.
  const { SignedXml } = require("xml-crypto") as SignatureLibrary;
  const check = new SignedXml();
  const keys = certificates.map((certificate) => new X509Certificate(Buffer.from(certificate, "base64")).publicKey);
  // The library falls back on nothing that is not listed here.
  check.SignatureAlgorithms = algorithmsBy(keys);
  check.HashAlgorithms = only(check.HashAlgorithms, digestAlgorithms);
  check.CanonicalizationAlgorithms = only(check.CanonicalizationAlgorithms, [enveloped, exclusive]);
  check.publicCert = "the keys are the algorithms' own";
  check.getCertFromKeyInfo = () => null;
  check.idAttributes = ["ID"];
  try {
    check.loadSignature(signature.node);
    if (!check.checkSignature(text)) return undefined;
  } catch {
    // A digest or a signature that is not right, or not readable: each is none.
    return undefined;
  }
  const [bytes, ...others] = check.getSignedReferences();
  return others.length === 0 ? bytes : undefined;
}

/** The algorithms as the library calls them. Each tries all keys at once: what is signed is put together once, however many there are. */
function algorithmsBy(keys: readonly KeyObject[]): Record<string, unknown> {
  const entries = Object.entries(signatureAlgorithms).map(([name, { hash, padding }]) => {
    const algorithm = {
      getAlgorithmName: () => name,
      verifySignature: (material: string, _key: unknown, value: string) =>
        keys.some((key) => verify(hash, Buffer.from(material), { key, padding }, Buffer.from(value, "base64"))),
    };
    return [name, algorithm] as const;
  });
  // Called with `new`, a function that answers an object makes that object.
  return Object.fromEntries(
    entries.map(([name, algorithm]) => [
      name,
      function makeAlgorithm() {
        return algorithm;
      },
    ]),
  );
}

function only(known: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.flatMap((name) => (known[name] === undefined ? [] : [[name, known[name]]])));
}
