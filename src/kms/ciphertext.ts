/**
 * What Encrypt and its kin answer: version (1 byte) | key id (16) | number of the material (4, big endian) | salt (32) | AES-256-GCM
 * ciphertext | tag (16).
 * Each ciphertext has a key and a nonce of its own, HKDF-SHA256(material, salt): with 256 random bits for each there is no limit on how
 * much one material may encrypt (plain GCM with random nonces should stop at 2^32). The header and the encryption context are authenticated.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Random } from "#std/random.ts";
import { canonicalContext } from "./encryption-context.ts";
import type { EncryptionContext } from "./encryption-context.ts";

/** Which secret a ciphertext is under. */
export interface MaterialReference {
  readonly keyId: string;
  readonly material: number;
}

const version = 1;
const keyIdAt = 1;
const materialAt = 17;
const saltAt = 21;
const saltBytes = 32;
const headBytes = saltAt + saltBytes;
const tagBytes = 16;
const keyBytes = 32;
const nonceBytes = 12;
const info = "supercargo kms ciphertext 1";

/** Encrypts under a material of 32 bytes. */
export function encryptUnder(
  material: Uint8Array,
  reference: MaterialReference,
  plain: Uint8Array,
  context: EncryptionContext,
  random: Random,
): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(version);
  head.write(reference.keyId.replaceAll("-", ""), keyIdAt, "hex");
  head.writeUInt32BE(reference.material, materialAt);
  random.bytes(saltBytes).copy(head, saltAt);
  const { key, nonce } = derive(material, head);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(Buffer.concat([head, canonicalContext(context)]));
  return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The secret that a ciphertext says it is under; undefined for what has not the form of one. Nothing is proven by it yet. */
export function readMaterialReference(ciphertext: Uint8Array): MaterialReference | undefined {
  const bytes = Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength);
  if (bytes.length <= headBytes + tagBytes || bytes[0] !== version) return undefined;
  const hex = bytes.toString("hex", keyIdAt, materialAt);
  const keyId = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  return { keyId, material: bytes.readUInt32BE(materialAt) };
}

/** What was encrypted, or undefined when the ciphertext is not whole, or the material or the context is another. Never throws. */
export function decryptUnder(material: Uint8Array, ciphertext: Uint8Array, context: EncryptionContext): Buffer | undefined {
  const head = ciphertext.subarray(0, headBytes);
  const tagAt = ciphertext.length - tagBytes;
  if (tagAt <= headBytes) return undefined;
  const { key, nonce } = derive(material, head);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.concat([head, canonicalContext(context)]));
  decipher.setAuthTag(ciphertext.subarray(tagAt));
  try {
    return Buffer.concat([decipher.update(ciphertext.subarray(headBytes, tagAt)), decipher.final()]);
  } catch {
    // The tag does not fit.
    return undefined;
  }
}

function derive(material: Uint8Array, head: Uint8Array): { readonly key: Buffer; readonly nonce: Buffer } {
  const bytes = Buffer.from(hkdfSync("sha256", material, head.subarray(saltAt), info, keyBytes + nonceBytes));
  return { key: bytes.subarray(0, keyBytes), nonce: bytes.subarray(keyBytes) };
}
