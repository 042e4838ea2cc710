/** Digests: the names of content (OCI image specification, descriptor.md, "Digests"). */
import { hash } from "node:crypto";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** `sha256:<64 hex>` or `sha512:<128 hex>`, always in lower case. */
export type Digest = string & { readonly __brand: "Digest" };

/** The registered algorithms that we compute. */
export type DigestAlgorithm = "sha256" | "sha512";

const hexLengths: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };
/** Both algorithms' names have this length; the colon stands behind it. */
const algorithmLength = 6;

/** Parses a digest. Registered algorithms only; the hex is lower case and as long as the algorithm makes it. */
export function parseDigest(text: string): Parsed<Digest> {
  const algorithm = text.slice(0, algorithmLength);
  if ((algorithm !== "sha256" && algorithm !== "sha512") || text[algorithmLength] !== ":")
    return problem("a digest begins with 'sha256:' or 'sha512:'");
  const hexLength = hexLengths[algorithm];
  if (text.length !== algorithmLength + 1 + hexLength) return problem(`a ${algorithm} digest has ${hexLength} hexadecimal digits`);
  for (let at = algorithmLength + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const isHex = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
    if (!isHex) return problem("a digest consists of the hexadecimal digits 0-9 and a-f, in lower case");
  }
  return parsed(text as Digest);
}

/** The algorithm of a digest. */
export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, algorithmLength) as DigestAlgorithm;
}

/** The hexadecimal part of a digest. */
export function digestHex(digest: Digest): string {
  return digest.slice(algorithmLength + 1);
}

/** Computes the digest of bytes that are in memory. */
export function digestOf(algorithm: DigestAlgorithm, bytes: Uint8Array): Digest {
  return digestFromHex(algorithm, hash(algorithm, bytes, "hex"));
}

/** Puts a digest together from a hash that was computed elsewhere. The hex must come from a hash, never from a client. */
export function digestFromHex(algorithm: DigestAlgorithm, hex: string): Digest {
  return `${algorithm}:${hex}` as Digest;
}
