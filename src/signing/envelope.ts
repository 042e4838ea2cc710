/** Signature envelopes and manifests of the Notary Project, the former as JSON Web Signatures (Notary Project signature specification). Pure. */
import { createHash, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { digestOf } from "#oci/digest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import { notarySignatureType } from "#registry/signing-rule.ts";

/** What is signed: the descriptor of a manifest. */
export interface SignedDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Who signs. */
export interface Signer {
  /** A key on the curve P-384. */
  readonly privateKey: KeyObject;
  /** Its self-signed certificate in DER: the whole chain. */
  readonly certificate: Uint8Array;
}

const envelopeType = "application/jose+json";
const payloadType = "application/vnd.cncf.notary.payload.v1+json";
const signingScheme = "io.cncf.notary.signingScheme";
const thumbprints = "io.cncf.notary.x509chain.thumbprint#S256";

/** Makes the signature envelope of a manifest. `signedAt` is in milliseconds since the epoch; whole seconds count. */
export function makeEnvelope(signer: Signer, target: SignedDescriptor, signedAt: number): string {
  const { mediaType, digest, size } = target;
  const protectedHeader = {
    // By the key: ECDSA on P-384 with SHA-384.
    alg: "ES384",
    cty: payloadType,
    crit: [signingScheme],
    [signingScheme]: "notary.x509",
    "io.cncf.notary.signingTime": new Date(signedAt).toISOString().replace(/\.\d+Z$/, "Z"),
  };
  const payload = encode({ targetArtifact: { mediaType, digest, size } });
  const header = encode(protectedHeader);
  const signature = sign("sha384", Buffer.from(`${header}.${payload}`, "ascii"), { key: signer.privateKey, dsaEncoding: "ieee-p1363" });
  return JSON.stringify({
    payload,
    protected: header,
    header: { x5c: [Buffer.from(signer.certificate).toString("base64")], "io.cncf.notary.signingAgent": "supercargo" },
    signature: signature.toString("base64url"),
  });
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value), "utf8").toString("base64url");
}

/** The content of a signature's config, which nobody reads. */
export const emptyConfig = Buffer.from("{}", "ascii");

/** Makes the manifest that attaches an envelope to what it signs. */
export function makeSignatureManifest(certificate: Uint8Array, target: SignedDescriptor, envelope: Uint8Array): Buffer {
  const { mediaType, digest, size } = target;
  const thumbprint = createHash("sha256").update(certificate).digest("hex").toUpperCase();
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptorOf(notarySignatureType, emptyConfig),
    layers: [descriptorOf(envelopeType, envelope)],
    subject: { mediaType, digest, size },
    annotations: { [thumbprints]: JSON.stringify([thumbprint]) },
  };
  return Buffer.from(JSON.stringify(manifest), "utf8");
}

function descriptorOf(mediaType: string, content: Uint8Array): SignedDescriptor {
  return { mediaType, digest: digestOf("sha256", content), size: content.byteLength };
}
