/**
 * Registry tokens: the password of `docker login`. A token says who asked for it, with which key, for which region and until when, sealed
 * under the instance key. It carries the principal's unique id and no rights: what it may do is decided at each request.
 */
import type { Sealer } from "#sealing/sealer.ts";
import { assert } from "#std/assert.ts";

/** What a token says. */
export interface TokenClaims {
  readonly accessKeyId: string;
  readonly principalId: string;
  /** Of the key's secret at the time; empty for a `--dev` key that does not exist. */
  readonly keyVersion: string;
  readonly region: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What an Authorization header holds, once its encoding is taken off. */
export type Credentials =
  | { readonly kind: "password"; readonly password: string }
  | { readonly kind: "malformed" }
  | { readonly kind: "other-user" };

/** ECR's life of a token. */
export const tokenLifetimeMs = 43_200_000;
/** Credential stores and clients that print or cut passwords are kept happy by short ones. */
const maxTokenLength = 400;
const purpose = "registry-token";
const form = 1;
const maxHeaderLength = 4096;

/** Seals claims into a password: under 400 characters, `A-Za-z0-9_-` only, so clients that split at `:` get two parts. */
export function sealToken(sealer: Sealer, claims: TokenClaims): string {
  const members = [form, claims.accessKeyId, claims.principalId, claims.keyVersion, claims.region, claims.expiresAt];
  const token = sealer.seal(purpose, Buffer.from(JSON.stringify(members)));
  assert(token.length < maxTokenLength, "a registry token has under 400 characters");
  return token;
}

/** What a token says, or undefined when it is not one of ours. Expiry, region and key are for the caller to check. */
export function openToken(sealer: Sealer, token: string): TokenClaims | undefined {
  const plain = sealer.open(purpose, token);
  if (plain === undefined) return undefined;
  const members = JSON.parse(Buffer.from(plain).toString("utf8")) as unknown[];
  // A later version of this program may seal another form; this one must not read it halfway.
  if (members[0] !== form) return undefined;
  const [, accessKeyId, principalId, version, region, expiresAt] = members as [number, string, string, string, string, number];
  return { accessKeyId, principalId, keyVersion: version, region, expiresAt };
}

/** Reads `Basic base64(AWS:<password>)`, or the same after `Bearer`, which is what GetAuthorizationToken hands out verbatim. */
export function readCredentials(header: string): Credentials {
  if (header.length > maxHeaderLength) return { kind: "malformed" };
  const [, encoded] = /^(?:basic|bearer) +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header) ?? [];
  if (encoded === undefined) return { kind: "malformed" };
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) return { kind: "malformed" };
  return text.slice(0, colon) === "AWS" ? { kind: "password", password: text.slice(colon + 1) } : { kind: "other-user" };
}
