/**
 * Data keys for who stores much: a key of 32 bytes for each thing that is stored, kept beside it encrypted under a key of the owner's. A
 * service uses the owner's key by a grant, so disabling the key, or taking the grant back, makes what is stored unreadable.
 * Everything here fails closed: without the key's state, the grant and the secret of this moment there is no data key.
 */
import { findKmsGrant } from "#metadata/kms-grants.ts";
import { findKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { kmsKeyArn, parseKeyName } from "./arn.ts";
import type { KmsCore } from "./context.ts";
import { decrypt, generateDataKey } from "./crypt.ts";
import type { EncryptionContext } from "./encryption-context.ts";
import { refuse } from "./errors.ts";
import { grantCovers } from "./grant-cover.ts";

/** A service's use of somebody's key. */
export interface ServiceUse {
  readonly keyArn: string;
  /** The service as grants name it, such as `ecr.eu-central-1.amazonaws.com`. */
  readonly service: string;
  /** The grant that was made for it: with thousands of grants on a key none is searched for. */
  readonly grantId: string;
  readonly context: EncryptionContext;
}

const dataKeyBytes = 32;

/** A data key in the clear, and as it is kept. */
export interface WrappedDataKey {
  readonly plain: Buffer;
  readonly wrapped: Buffer;
}

/** Makes a data key. Throws `key-not-found`, `not-granted`, `key-disabled`, `key-pending-deletion`, `material-unavailable`, `context-invalid`. */
export async function wrapDataKey(core: KmsCore, use: ServiceUse): Promise<WrappedDataKey> {
  const key = await keyFor(core, use, "GenerateDataKey");
  const { plain, ciphertext } = await generateDataKey(core, key, dataKeyBytes, use.context);
  return { plain, wrapped: ciphertext };
}

/** Opens a data key. Throws as {@link wrapDataKey}, and `key-incorrect` or `ciphertext-invalid` for what was not made with this key and context. */
export async function unwrapDataKey(core: KmsCore, use: ServiceUse, wrapped: Uint8Array): Promise<Buffer> {
  const key = await keyFor(core, use, "Decrypt");
  const { plain } = await decrypt(core, key, wrapped, use.context);
  if (plain.length !== dataKeyBytes) throw refuse("ciphertext-invalid", {});
  return plain;
}

async function keyFor(core: KmsCore, { keyArn, service, grantId, context }: ServiceUse, operation: string): Promise<KmsKey> {
  const name = parseKeyName(keyArn);
  const key = name?.kind === "key-arn" ? await findKmsKey(core.metadata, name.keyId) : undefined;
  if (key === undefined || kmsKeyArn(key) !== keyArn) throw refuse("key-not-found", { keyArn });
  const grant = await findKmsGrant(core.metadata, grantId);
  const covers = grant?.keyId === key.keyId && grantCovers(grant, { callerKeys: [service], operation, encryptionContext: context });
  if (!covers) throw refuse("not-granted", { keyArn });
  return key;
}
