/**
 * Self-signed certificates for signing content (RFC 5280; Notary Project signature specification, "Certificate Requirements"): the only
 * certificate of its chain is the leaf, and who trusts the profile puts it into a trust store.
 */
import { createHash, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import * as der from "./der.ts";

/** Whose certificate it is. */
export interface CertificateSubject {
  readonly country: string;
  readonly state: string;
  readonly organization: string;
  readonly unit: string;
  /** At most 64 characters count. */
  readonly commonName: string;
}

/** What a certificate says. */
export interface NewCertificate {
  readonly subject: CertificateSubject;
  /** A key on the curve P-384. */
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Random bytes, at most 20. */
  readonly serial: Uint8Array;
  /** Milliseconds since the epoch; whole seconds count. */
  readonly notBefore: number;
  readonly notAfter: number;
}

const ecdsaWithSha384 = der.sequence(der.objectIdentifier("1.2.840.10045.4.3.3"));
/** The upper bound of RFC 5280, appendix A.1. */
const longestCommonName = 64;
const version3 = der.tagged(0, der.unsignedInteger(Uint8Array.of(2)));

/** Makes the certificate, in DER, signed by its own key. */
export function makeCertificate({ subject, privateKey, publicKey, serial, notBefore, notAfter }: NewCertificate): Buffer {
  const name = nameOf(subject);
  const spki = publicKey.export({ type: "spki", format: "der" });
  const toBeSigned = der.sequence(
    version3,
    der.unsignedInteger(serial),
    ecdsaWithSha384,
    name,
    der.sequence(der.time(notBefore), der.time(notAfter)),
    name,
    spki,
    der.tagged(3, extensions(spki)),
  );
  return der.sequence(toBeSigned, ecdsaWithSha384, der.bitString(sign("sha384", toBeSigned, privateKey)));
}

function nameOf({ country, state, organization, unit, commonName }: CertificateSubject): Buffer {
  const part = (oid: string, value: Buffer): Buffer => der.setOf(der.sequence(der.objectIdentifier(oid), value));
  return der.sequence(
    part("2.5.4.6", der.printableString(country)),
    part("2.5.4.8", der.utf8String(state)),
    part("2.5.4.10", der.utf8String(organization)),
    part("2.5.4.11", der.utf8String(unit)),
    part("2.5.4.3", der.utf8String(commonName.slice(0, longestCommonName))),
  );
}

/** No authority; signs content and nothing else. */
function extensions(spki: Uint8Array): Buffer {
  const critical = (oid: string, value: Buffer): Buffer =>
    der.sequence(der.objectIdentifier(oid), der.booleanTrue(), der.octetString(value));
  const plain = (oid: string, value: Buffer): Buffer => der.sequence(der.objectIdentifier(oid), der.octetString(value));
  // RFC 7093, section 2: the leftmost 160 bits of a SHA-256 digest.
  const keyId = createHash("sha256").update(spki).digest().subarray(0, 20);
  return der.sequence(
    critical("2.5.29.19", der.sequence()),
    // Of nine bits only the first, digitalSignature, is set.
    critical("2.5.29.15", der.bitString(Uint8Array.of(0x80), 7)),
    plain("2.5.29.37", der.sequence(der.objectIdentifier("1.3.6.1.5.5.7.3.3"))),
    plain("2.5.29.14", der.octetString(keyId)),
  );
}
