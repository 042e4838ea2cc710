/**
 * Sealing: small secrets and statements of ours that leave this process (secret access keys in the database, registry tokens, page tokens,
 * download tickets) as text that nobody else can read, make or alter.
 *
 * Sealed form, base64url without padding: version (1 byte) | key id (8) | salt (12) | nonce (12) | AES-256-GCM ciphertext | tag (16).
 * Each value is encrypted under a key of its own, HMAC-SHA256(instance key, version | salt | purpose): 192 random bits a value,
 * so there is no practical limit on how many values one instance key may seal (plain GCM should stop at 2^32).
 * Version, key id and purpose are authenticated: what was sealed for one purpose never opens for another.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { assert } from "#std/assert.ts";
import type { Random } from "#std/random.ts";
import type { InstanceKey } from "./instance-key.ts";

/** Seals and opens small values under the instance key. */
export interface Sealer {
  /** Seals a value for one purpose. The answer holds only `A-Za-z0-9_-`: 66 characters plus 4 for every 3 bytes. */
  seal(purpose: string, plain: Uint8Array): string;
  /** The value, or undefined for anything forged, damaged, foreign, or sealed for another purpose. Never throws. */
  open(purpose: string, sealed: string): Uint8Array | undefined;
  /** The id of the key that seals. */
  readonly keyId: string;
}

const version = 1;
const keyIdBytes = 8;
const headBytes = 1 + keyIdBytes;
const saltBytes = 12;
const nonceBytes = 12;
const tagBytes = 16;
const overheadBytes = headBytes + saltBytes + nonceBytes + tagBytes;
/** What is sealed here is small; a longer text is not ours, and is refused before it is decoded. */
const maxPlainBytes = 65_536;
const maxSealedLength = Math.ceil(((maxPlainBytes + overheadBytes) * 4) / 3);

/** Makes a sealer. The first key seals, every key opens. */
export function createSealer(keys: readonly InstanceKey[], random: Random): Sealer {
  const [first] = keys;
  assert(first !== undefined, "a sealer needs a key");
  const byId = new Map(keys.map((key) => [key.id, key]));
  return {
    keyId: first.id,
    seal: (purpose, plain) => seal(first, random, purpose, plain),
    open: (purpose, sealed) => open(byId, purpose, sealed),
  };
}

function seal(key: InstanceKey, random: Random, purpose: string, plain: Uint8Array): string {
  assert(plain.length <= maxPlainBytes, "too large to be sealed in one piece");
  const head = Buffer.concat([Buffer.from([version]), Buffer.from(key.id, "hex")]);
  assert(head.length === headBytes, "an instance key id is 16 hexadecimal digits");
  const fresh = random.bytes(saltBytes + nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", valueKey(key, fresh.subarray(0, saltBytes), purpose), fresh.subarray(saltBytes));
  cipher.setAAD(associatedData(head, purpose));
  return Buffer.concat([head, fresh, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString("base64url");
}

function open(keys: ReadonlyMap<string, InstanceKey>, purpose: string, sealed: string): Uint8Array | undefined {
  if (sealed.length > maxSealedLength) return undefined;
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.length < overheadBytes || bytes[0] !== version) return undefined;
  // One value has one spelling: Node's decoder also takes padding, the other alphabet, blanks and stray bits at the end.
  if (bytes.toString("base64url") !== sealed) return undefined;
  const head = bytes.subarray(0, headBytes);
  const key = keys.get(head.toString("hex", 1));
  if (key === undefined) return undefined;
  const nonceAt = headBytes + saltBytes;
  const cipherAt = nonceAt + nonceBytes;
  const tagAt = bytes.length - tagBytes;
  const derived = valueKey(key, bytes.subarray(headBytes, nonceAt), purpose);
  const decipher = createDecipheriv("aes-256-gcm", derived, bytes.subarray(nonceAt, cipherAt), { authTagLength: tagBytes });
  decipher.setAAD(associatedData(head, purpose));
  decipher.setAuthTag(bytes.subarray(tagAt));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(cipherAt, tagAt)), decipher.final()]);
  } catch {
    // The tag does not fit: not sealed by us, or not for this purpose.
    return undefined;
  }
}

function valueKey(key: InstanceKey, salt: Uint8Array, purpose: string): Buffer {
  return createHmac("sha256", key.secret)
    .update("supercargo sealed value\0")
    .update(Buffer.from([version]))
    .update(salt)
    .update(purpose)
    .digest();
}

function associatedData(head: Uint8Array, purpose: string): Buffer {
  return Buffer.concat([head, Buffer.from(purpose)]);
}
