/** The secrets of keys: 32 random bytes, sealed under the instance key for one number of one key, so that none can be put in another's place. */
import { findKmsMaterial } from "#metadata/kms-materials.ts";
import type { SealedMaterial } from "#metadata/kms-materials.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsCore } from "./context.ts";
import { refuse } from "./errors.ts";

const materialBytes = 32;

/** A material in the clear, for one call. */
export interface OpenMaterial {
  readonly materialId: string;
  readonly secret: Uint8Array;
}

/** Makes a new secret for that number of a key. Its id says nothing about it. */
export function makeMaterial({ random, sealer }: KmsCore, keyId: string, material: number): SealedMaterial {
  const sealed = sealer.seal(purposeOf(keyId, material), random.bytes(materialBytes));
  return { materialId: random.bytes(32).toString("hex"), sealed };
}

/** Opens the secret of that number; undefined when the key never had it. Throws `material-unavailable`. */
export async function openMaterial({ metadata, sealer }: KmsCore, key: KmsKey, material: number): Promise<OpenMaterial | undefined> {
  const found = await findKmsMaterial(metadata, key.keyId, material);
  if (found === undefined) return undefined;
  const secret = sealer.open(purposeOf(key.keyId, material), found.sealed);
  if (secret?.length !== materialBytes) throw refuse("material-unavailable", { keyArn: kmsKeyArn(key) });
  return { materialId: found.materialId, secret };
}

function purposeOf(keyId: string, material: number): string {
  return `kms-material:${keyId}:${material}`;
}
