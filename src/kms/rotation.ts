/** New secrets for old keys: the newest encrypts, all of them decrypt what they encrypted. */
import { findKmsKey, listDueKmsRotations, updateKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey, KmsKeyPatch } from "#metadata/kms-keys.ts";
import { addKmsMaterial, listKmsMaterials } from "#metadata/kms-materials.ts";
import type { KmsMaterial } from "#metadata/kms-materials.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsContext, KmsCore } from "./context.ts";
import { refuse } from "./errors.ts";
import { requireCustomers, requireUsable, stateRefusal, usableStates } from "./key-state.ts";
import { dayMs, maxOnDemandRotations } from "./limits.ts";
import { makeMaterial } from "./material.ts";

/** Rotates a key by itself, every so many days from now on. Throws `key-disabled`, `key-pending-deletion`, `key-managed`. */
export async function enableRotation(ctx: KmsContext, key: KmsKey, periodDays: number): Promise<void> {
  await setRotation(ctx, key, { periodDays, nextAt: ctx.core.clock.now() + periodDays * dayMs });
}

/** Leaves a key's newest secret as it is. Throws as {@link enableRotation}. */
export async function disableRotation(ctx: KmsContext, key: KmsKey): Promise<void> {
  await setRotation(ctx, key, null);
}

async function setRotation(ctx: KmsContext, key: KmsKey, rotation: NonNullable<KmsKeyPatch["rotation"]> | null): Promise<void> {
  requireCustomers(key);
  const result = await updateKmsKey(ctx.core.metadata, { keyId: key.keyId, onlyIn: usableStates, patch: { rotation } });
  if (result.outcome === "wrong-state") throw stateRefusal(result.key);
  if (result.outcome === "not-found") throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
}

/** Rotates a key now. The time of its next rotation by itself stays. Throws `key-disabled`, `key-pending-deletion`, `key-managed`, `limit`, `rotation-conflict`. */
export async function rotateNow(ctx: KmsContext, key: KmsKey): Promise<void> {
  requireCustomers(key);
  requireUsable(key);
  if (key.onDemandRotations >= maxOnDemandRotations) throw refuse("limit", { quota: "on-demand-rotations", limit: maxOnDemandRotations });
  if (!(await rotate(ctx.core, key, "ON_DEMAND", undefined))) throw refuse("rotation-conflict", { keyArn: kmsKeyArn(key) });
}

/** Rotates keys whose day has come, at most `limit` of them, and answers how many. Several may run at once. */
export async function rotateDueKeys(core: KmsCore, { limit }: { readonly limit: number }): Promise<number> {
  const now = core.clock.now();
  let rotated = 0;
  for (const keyId of await listDueKmsRotations(core.metadata, { now, limit })) {
    const key = await findKmsKey(core.metadata, keyId);
    if (key?.rotationPeriodDays === undefined || (key.nextRotationAt ?? Infinity) > now) continue;
    if (await rotate(core, key, "AUTOMATIC", now + key.rotationPeriodDays * dayMs)) rotated += 1;
  }
  return rotated;
}

/** A page of a key's materials in the order they were made; the first one is no rotation. */
export async function listMaterials(
  ctx: KmsContext,
  key: KmsKey,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly KmsMaterial[]> {
  return listKmsMaterials(ctx.core.metadata, { keyId: key.keyId, ...page });
}

async function rotate(
  core: KmsCore,
  key: KmsKey,
  rotation: "AUTOMATIC" | "ON_DEMAND",
  nextRotationAt: number | undefined,
): Promise<boolean> {
  const { outcome } = await addKmsMaterial(core.metadata, {
    ...makeMaterial(core, key.keyId, key.material + 1),
    keyId: key.keyId,
    after: key.material,
    rotation,
    nextRotationAt,
    now: core.clock.now(),
  });
  return outcome === "added";
}
