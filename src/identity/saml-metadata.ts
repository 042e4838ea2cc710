/**
 * Metadata documents of SAML identity providers (OASIS "Metadata for the SAML V2.0"; IAM User Guide, "Create a SAML identity provider in
 * IAM"): who signs, and with which certificates. Whoever may make a provider is believed; a signature on the document itself says nothing.
 */
import { X509Certificate } from "node:crypto";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";
import { parseSamlTime, samlNamespaces } from "./saml-words.ts";
import { attributeOf, childrenOf, parseXml } from "./saml-xml.ts";
import type { XmlElement } from "./saml-xml.ts";

/** What a document says. */
export interface SamlMetadata {
  readonly entityId: string;
  /** The certificates that sign, each base64 of its DER. Their times are not looked at, as AWS documents it. */
  readonly certificates: readonly string[];
  /** Milliseconds since the epoch. */
  readonly validUntil?: number;
}

/** AWS takes ten million characters; a call of the Query protocol is bounded to less than that here, and real documents are far below. */
const maxDocumentLength = 262_144;
const maxEntityIdLength = 1_024;
const maxCertificates = 20;
const minKeyBits = 1_024;
const limits = { maxElements: 8_000, maxAttributes: 16_000, maxDepth: 32, comments: true };
const { md, ds } = samlNamespaces;
/** What AWS says about every document that it cannot read. */
const unreadable = "Could not parse metadata";

/** Reads a document: one entity that is an identity provider, with at least one RSA certificate that it signs with. */
export function parseSamlMetadata(document: string): Parsed<SamlMetadata> {
  if (document.length > maxDocumentLength) return problem(`SAML metadata documents may have at most ${maxDocumentLength} characters here`);
  const root = parseXml(document, limits);
  if (root === undefined || root.namespace !== md || root.name !== "EntityDescriptor") return problem(unreadable);
  const entityId = attributeOf(root, "entityID") ?? "";
  const roles = childrenOf(root, md, "IDPSSODescriptor").filter(speaksSaml2);
  if (entityId === "" || entityId.length > maxEntityIdLength || roles.length === 0) return problem(unreadable);
  const certificates = new Set<string>();
  for (const text of roles.flatMap(signingCertificates)) {
    const certificate = readCertificate(text);
    if (certificate === undefined) return problem(unreadable);
    certificates.add(certificate);
  }
  if (certificates.size === 0 || certificates.size > maxCertificates) return problem(unreadable);
  const times = [root, ...roles].flatMap((element) => attributeOf(element, "validUntil") ?? []).map(parseSamlTime);
  if (times.includes(undefined)) return problem(unreadable);
  const validUntil = Math.min(...times.map(Number));
  return parsed({ entityId, certificates: [...certificates], ...(times.length > 0 && { validUntil }) });
}

function speaksSaml2(role: XmlElement): boolean {
  return (attributeOf(role, "protocolSupportEnumeration") ?? "").split(/\s+/).includes(samlNamespaces.samlp);
}

/** Keys without a use are for everything. */
function signingCertificates(role: XmlElement): readonly string[] {
  return childrenOf(role, md, "KeyDescriptor")
    .filter((descriptor) => ["signing", undefined].includes(attributeOf(descriptor, "use")))
    .flatMap((descriptor) => childrenOf(descriptor, ds, "KeyInfo"))
    .flatMap((info) => childrenOf(info, ds, "X509Data"))
    .flatMap((data) => childrenOf(data, ds, "X509Certificate"))
    .map(({ text }) => text ?? "");
}

/** Undefined for what is no certificate of an RSA key of a size that AWS takes. */
function readCertificate(text: string): string | undefined {
  const base64 = text.replaceAll(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  try {
    const { publicKey, raw } = new X509Certificate(Buffer.from(base64, "base64"));
    const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
    return publicKey.asymmetricKeyType === "rsa" && bits >= minKeyBits ? raw.toString("base64") : undefined;
  } catch {
    return undefined;
  }
}
