/** A SAML identity provider that signs whatever a test wants it to. */
import { createHash, generateKeyPairSync, sign as signBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { createRequire } from "node:module";

/** What a response says; everything has a good default. */
export interface SamlClaimsOfTest {
  readonly issuer?: string;
  readonly subject?: string;
  readonly format?: string;
  readonly recipient?: string;
  readonly audience?: string;
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
  readonly sessionNotOnOrAfter?: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt?: number;
  readonly status?: string;
}

/** How a message is signed. */
export interface SigningOfTest {
  /** What is signed; of both, the assertion first. */
  readonly over?: readonly ("Assertion" | "Response")[];
  /** The element that the signature refers to, when it is not the one that it stands in. */
  readonly reference?: string;
  readonly signature?: string;
  readonly digest?: string;
  readonly canonicalization?: string;
  readonly transforms?: readonly string[];
  /** Another's key, of which nobody knows the certificate. */
  readonly key?: KeyObject;
}

/** An identity provider. */
export interface SamlIssuer {
  readonly entityId: string;
  readonly privateKey: KeyObject;
  /** Base64 of the DER. */
  readonly certificate: string;
  /** Its metadata document, of at least AWS's thousand characters. */
  readonly metadata: string;
  /** A response that is not signed. */
  message(claims: SamlClaimsOfTest): string;
  /** Signs a response; its assertion unless told otherwise. */
  sign(xml: string, how?: SigningOfTest): string;
}

interface Signer {
  privateKey: string;
  signatureAlgorithm: string;
  canonicalizationAlgorithm: string;
  addReference(reference: { readonly xpath: string; readonly transforms: readonly string[]; readonly digestAlgorithm: string }): void;
  computeSignature(xml: string, options: object): void;
  getSignedXml(): string;
}

const { SignedXml } = createRequire(import.meta.url)("xml-crypto") as { readonly SignedXml: new () => Signer };

/** Where AWS has assertions sent. */
export const awsEndpoint = "https://signin.aws.amazon.com/saml";
/** The beginning of the names of AWS's own attributes. */
export const awsAttribute = "https://aws.amazon.com/SAML/Attributes/";
/** Canonical XML without what is around it. */
export const exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
/** The transform that takes the signature out. */
export const enveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/** Makes an identity provider with a key of its own. */
export function makeSamlIssuer(entityId = "https://idp.example/saml", modulusLength = 2048): SamlIssuer {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
  const certificate = makeCertificate(publicKey, privateKey);
  return {
    entityId,
    privateKey,
    certificate,
    metadata: metadataOf(entityId, [certificate]),
    message: (claims) => messageOf({ issuer: entityId, ...claims }),
    sign(xml, how = {}) {
      let signed = xml;
      for (const name of how.over ?? ["Assertion"]) signed = signElement(signed, name, how.key ?? privateKey, how);
      return signed;
    },
  };
}

/** A metadata document. */
export function metadataOf(entityId: string, certificates: readonly string[], attributes = ""): string {
  const keys = certificates.map(
    (certificate) =>
      `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>${certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entityId}"${attributes}>
  <!-- ${"made for a test ".repeat(40)}-->
  <IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    ${keys.join("\n    ")}
    <NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</NameIDFormat>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/>
  </IDPSSODescriptor>
</EntityDescriptor>`;
}

/** A message as clients send it. */
export function encoded(xml: string): string {
  return Buffer.from(xml).toString("base64");
}

function messageOf(claims: SamlClaimsOfTest & { readonly issuer: string }): string {
  const { issuer, subject = "alice@example.com", recipient = awsEndpoint, audience = awsEndpoint, attributes = {}, issuedAt = 0 } = claims;
  const { format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", status = "urn:oasis:names:tc:SAML:2.0:status:Success" } = claims;
  const at = (seconds: number): string => new Date(issuedAt + seconds * 1000).toISOString();
  const ends = claims.sessionNotOnOrAfter === undefined ? "" : ` SessionNotOnOrAfter="${claims.sessionNotOnOrAfter}"`;
  const listed = Object.entries(attributes).map(
    ([name, values]) =>
      `<saml:Attribute Name="${name}">${values.map((value) => `<saml:AttributeValue>${value}</saml:AttributeValue>`).join("")}</saml:Attribute>`,
  );
  return `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response" Version="2.0" IssueInstant="${at(0)}" Destination="${recipient}"><saml:Issuer>${issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="${status}"/></samlp:Status><saml:Assertion ID="_assertion" Version="2.0" IssueInstant="${at(0)}"><saml:Issuer>${issuer}</saml:Issuer><saml:Subject><saml:NameID Format="${format}">${subject}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${at(300)}" Recipient="${recipient}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at(-5)}" NotOnOrAfter="${at(300)}"><saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${at(0)}"${ends}><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>${listed.join("")}</saml:AttributeStatement></saml:Assertion></samlp:Response>`;
}

function signElement(xml: string, name: string, key: KeyObject, how: SigningOfTest): string {
  const signer = new SignedXml();
  signer.privateKey = key.export({ type: "pkcs8", format: "pem" });
  signer.signatureAlgorithm = how.signature ?? "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
  signer.canonicalizationAlgorithm = how.canonicalization ?? exclusive;
  const element = `//*[local-name(.)='${name}']`;
  signer.addReference({
    xpath: how.reference === undefined ? element : `//*[local-name(.)='${how.reference}']`,
    transforms: how.transforms ?? [enveloped, exclusive],
    digestAlgorithm: how.digest ?? "http://www.w3.org/2001/04/xmlenc#sha256",
  });
  signer.computeSignature(xml, { prefix: "ds", location: { reference: `${element}/*[local-name(.)='Issuer']`, action: "after" } });
  return signer.getSignedXml();
}

/** A certificate of a key, signed by itself: Node reads them, but does not make them. */
function makeCertificate(publicKey: KeyObject, privateKey: KeyObject): string {
  const algorithm = der(0x30, der(0x06, Buffer.from("2a864886f70d01010b", "hex")), der(0x05));
  const commonName = der(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from("idp.example")));
  const name = der(0x30, der(0x31, commonName));
  // Long over, because AWS does not look at it.
  const validity = der(0x30, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("210101000000Z")));
  const spki = publicKey.export({ type: "spki", format: "der" });
  const serial = createHash("sha256").update(spki).digest().subarray(0, 8);
  const toBeSigned = der(0x30, der(0x02, Buffer.from([1, ...serial])), algorithm, name, validity, name, spki);
  const signature = signBytes("sha256", toBeSigned, privateKey);
  return der(0x30, toBeSigned, algorithm, der(0x03, Buffer.from([0]), signature)).toString("base64");
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}
