/**
 * Key sets that an operator uploads for an issuer that cannot be reached from here, such as the one of a cluster without a way out (RFC 7517).
 * Unlike those that are fetched they are read strictly: whoever uploads them is there to mend them.
 */
import { createPublicKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** A public key as it is stored: what a signature is checked with, and no other member. */
export type UploadedKey = Readonly<Partial<Record<"kty" | "kid" | "alg" | "use" | "n" | "e" | "crv" | "x" | "y", string>>>;

const maxKeys = 100;
const maxKeyId = 256;
const shortestRsaBits = 2_048;
/** Checking a signature takes longer with the square of it. */
const longestRsaBits = 8_192;
const kept = ["kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"] as const;
/** RFC 7518, sections 6.2.2, 6.3.2 and 6.4. */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/** What tokens are taken with, by key type and curve. */
const algorithms: Readonly<Record<string, readonly string[]>> = {
  RSA: ["RS256", "RS384", "RS512"],
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
};

/**
 * Reads a key set. Refuses private and symmetric keys wherever they stand, RSA keys of less than 2048 bits, keys that are none, and two of one id;
 * leaves out public keys that no token is taken with, such as those for encryption. At least one key must remain.
 */
export function parseUploadedKeys(value: unknown): Parsed<readonly UploadedKey[]> {
  const listed: unknown = isObject(value) ? value["keys"] : undefined;
  if (!Array.isArray(listed)) return problem("A key set is an object with a list of 'keys'.");
  if (listed.length > maxKeys) return problem(`A key set has at most ${maxKeys} keys.`);
  const keys: UploadedKey[] = [];
  for (const [at, key] of listed.entries()) {
    const place = `Key ${at + 1}`;
    const read = isObject(key) ? parseKey(place, key) : problem(`${place} is no object.`);
    if (!read.ok) return read;
    if (read.value === undefined) continue;
    const { kid } = read.value;
    if (kid !== undefined && keys.some((other) => other.kid === kid)) return problem(`${place} has the id of an earlier key.`);
    keys.push(read.value);
  }
  if (keys.length === 0)
    return problem("No key is one that tokens can be checked with: RSA, or EC on P-256, P-384 or P-521, for signatures.");
  return parsed(keys);
}

/** The key, or undefined for a public one that is left out. */
function parseKey(place: string, key: Readonly<Record<string, unknown>>): Parsed<UploadedKey | undefined> {
  // First of all: a secret that was uploaded by mistake must be seen to be one.
  const secret = privateMembers.find((member) => key[member] !== undefined);
  if (key["kty"] === "oct" || secret !== undefined) return problem(`${place} is a secret key; a key set for others has public keys only.`);
  const texts = textMembersOf(key);
  if (texts === undefined) return problem(`${place} has members that are not text.`);
  const { kty = "", crv = "", kid, alg, use } = texts;
  const fitting = algorithms[kty === "EC" ? crv : kty];
  const isForTokens = fitting !== undefined && (kty === "RSA" || kty === "EC") && (alg === undefined || fitting.includes(alg));
  if (!isForTokens || (use !== undefined && use !== "sig")) return parsed(undefined);
  if (kid !== undefined && (kid === "" || kid.length > maxKeyId))
    return problem(`${place} has an id of other than 1 to ${maxKeyId} characters.`);
  const weakness = kty === "RSA" ? weaknessOf(importKey(texts)) : importKey(texts) === undefined ? "is no key." : undefined;
  return weakness === undefined ? parsed(texts) : problem(`${place} ${weakness}`);
}

function textMembersOf(key: Readonly<Record<string, unknown>>): UploadedKey | undefined {
  const given = kept.filter((member) => key[member] !== undefined).map((member) => [member, key[member]] as const);
  return given.every(([, text]) => typeof text === "string") ? Object.fromEntries(given) : undefined;
}

function importKey(key: UploadedKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...key }, format: "jwk" });
  } catch {
    // Members are missing, or are no point of the curve.
    return undefined;
  }
}

function weaknessOf(key: KeyObject | undefined): string | undefined {
  const { modulusLength = 0, publicExponent = 0n } = key?.asymmetricKeyDetails ?? {};
  if (key === undefined) return "is no key.";
  if (modulusLength < shortestRsaBits) return `has ${modulusLength} bits; at least ${shortestRsaBits} are needed.`;
  if (modulusLength > longestRsaBits) return `has ${modulusLength} bits; at most ${longestRsaBits} are taken.`;
  return publicExponent < 3n || publicExponent % 2n === 0n ? "has an exponent that is none." : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
