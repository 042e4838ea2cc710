/** Access keys in AWS's own form, and how their secrets are kept: sealed, bound to the key's id, opened only to derive a signing key. */
import { createHash } from "node:crypto";
import type { Sealer } from "#sealing/sealer.ts";
import { assert } from "#std/assert.ts";
import type { Random } from "#std/random.ts";

/** A key as its owner is shown it, once. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** What the id of a key begins with: `AKIA` for keys that stay, `ASIA` for temporary ones. */
type AccessKeyPrefix = "AKIA" | "ASIA";

/**
 * Makes a key, a long-term one unless told otherwise. Its id carries the account as AWS's ids do, so tools that read it there name the right one: the first 48 of its
 * 80 bits are a one, the account in 40 bits, and 7 random bits.
 */
export function makeAccessKey(random: Random, accountId: string, prefix: AccessKeyPrefix = "AKIA"): AccessKey {
  assert(/^\d{12}$/.test(accountId), "an account id has 12 digits");
  const bytes = Buffer.from(random.bytes(10));
  const low = (bytes[5] ?? 0) & 0x7f;
  bytes.writeUIntBE(2 ** 47 + Number(accountId) * 128 + low, 0, 6);
  return { accessKeyId: `${prefix}${encodeBase32(bytes)}`, secretAccessKey: random.bytes(30).toString("base64") };
}

/** Seals a secret so that it opens only as that key's. */
export function sealSecret(sealer: Sealer, key: AccessKey): string {
  return sealer.seal(purposeOf(key.accessKeyId), Buffer.from(key.secretAccessKey));
}

/** The secret, or undefined when it was sealed under an instance key that this server does not have, or for another access key. */
export function openSecret(sealer: Sealer, accessKeyId: string, secretSealed: string): string | undefined {
  const plain = sealer.open(purposeOf(accessKeyId), secretSealed);
  return plain === undefined ? undefined : Buffer.from(plain).toString("utf8");
}

/** Tells one secret of a key from the next without giving it away. 12 characters of base64url. */
export function keyVersion(key: AccessKey): string {
  return createHash("sha256").update(`key version\0${key.accessKeyId}\0${key.secretAccessKey}`).digest().toString("base64url", 0, 9);
}

function purposeOf(accessKeyId: string): string {
  return `secret-access-key:${accessKeyId}`;
}

function encodeBase32(bytes: Buffer): string {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  let text = "";
  for (let shift = BigInt(bytes.length * 8 - 5); shift >= 0n; shift -= 5n) text += base32.charAt(Number((bits >> shift) & 31n));
  return text;
}
