/** Encrypting and decrypting under keys. Plain texts are small here: what is large is encrypted under a data key. */
import { findKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { assert } from "#std/assert.ts";
import { kmsKeyArn } from "./arn.ts";
import { decryptUnder, encryptUnder, readMaterialReference } from "./ciphertext.ts";
import type { KmsCore } from "./context.ts";
import { checkEncryptionContext } from "./encryption-context.ts";
import type { EncryptionContext } from "./encryption-context.ts";
import { refuse } from "./errors.ts";
import { requireUsable } from "./key-state.ts";
import { openMaterial } from "./material.ts";

/** What was encrypted, and under which of the key's materials. */
export interface Encrypted {
  readonly ciphertext: Buffer;
  readonly materialId: string;
}

/** What was decrypted. */
export interface Decrypted {
  readonly plain: Buffer;
  readonly materialId: string;
}

/** Encrypts under a key's newest material. Throws `key-disabled`, `key-pending-deletion`, `material-unavailable`, `context-invalid`. */
export async function encrypt(core: KmsCore, key: KmsKey, plain: Uint8Array, context: EncryptionContext): Promise<Encrypted> {
  requireUsable(key);
  checkEncryptionContext(context);
  const material = await openMaterial(core, key, key.material);
  // Materials go with their key: it was destroyed this moment.
  if (material === undefined) throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  const ciphertext = encryptUnder(material.secret, key, plain, context, core.random);
  return { ciphertext, materialId: material.materialId };
}

/** The key that a ciphertext says it is under, in any account of the region. Throws `ciphertext-invalid`, `ciphertext-key-unknown`. */
export async function keyOfCiphertext(core: KmsCore, region: string, ciphertext: Uint8Array): Promise<KmsKey> {
  const reference = readMaterialReference(ciphertext);
  if (reference === undefined) throw refuse("ciphertext-invalid", {});
  const key = await findKmsKey(core.metadata, reference.keyId);
  if (key?.region !== region) throw refuse("ciphertext-key-unknown", {});
  return key;
}

/**
 * Decrypts what was encrypted under a key. Throws `key-disabled`, `key-pending-deletion`, `material-unavailable`, `key-incorrect` for a
 * ciphertext of another key, and `ciphertext-invalid` for anything that was not encrypted so, with this context.
 */
export async function decrypt(core: KmsCore, key: KmsKey, ciphertext: Uint8Array, context: EncryptionContext): Promise<Decrypted> {
  requireUsable(key);
  checkEncryptionContext(context);
  const reference = readMaterialReference(ciphertext);
  if (reference === undefined) throw refuse("ciphertext-invalid", {});
  if (reference.keyId !== key.keyId) throw refuse("key-incorrect", {});
  const material = await openMaterial(core, key, reference.material);
  const plain = material === undefined ? undefined : decryptUnder(material.secret, ciphertext, context);
  if (material === undefined || plain === undefined) throw refuse("ciphertext-invalid", {});
  return { plain, materialId: material.materialId };
}

/** Fresh random bytes, and the same encrypted under a key. Throws as {@link encrypt}. */
export async function generateDataKey(
  core: KmsCore,
  key: KmsKey,
  lengthBytes: number,
  context: EncryptionContext,
): Promise<Encrypted & { readonly plain: Buffer }> {
  assert(lengthBytes > 0 && lengthBytes <= 1024, "a data key has 1 to 1024 bytes");
  const plain = core.random.bytes(lengthBytes);
  return { ...(await encrypt(core, key, plain, context)), plain };
}
