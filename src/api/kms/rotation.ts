import { getKey } from "#kms/key-lookup.ts";
import { defaultRotationDays } from "#kms/limits.ts";
import { disableRotation, enableRotation, listMaterials, rotateNow } from "#kms/rotation.ts";
import type { EnableKeyRotationRequest, RotationsListEntry } from "./model/shapes.ts";
import { readPage } from "./page.ts";
import { anyKeys, kmsOf, onKey, ownKeys } from "./scope.ts";
import type { Key } from "./scope.ts";
import type { KmsRows } from "./table.ts";

/** New secrets for old keys. */
export const rotationOperations: KmsRows<
  "EnableKeyRotation" | "DisableKeyRotation" | "GetKeyRotationStatus" | "RotateKeyOnDemand" | "ListKeyRotations"
> = {
  EnableKeyRotation: {
    action: "kms:EnableKeyRotation",
    ...onKey(ownKeys, (input: EnableKeyRotationRequest) => ({ "kms:RotationPeriodInDays": String(periodOf(input)) })),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await enableRotation(ctx, await getKey(ctx, input.KeyId, ownKeys), periodOf(input));
      return {};
    },
  },

  DisableKeyRotation: {
    action: "kms:DisableKeyRotation",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await disableRotation(ctx, await getKey(ctx, input.KeyId, ownKeys));
      return {};
    },
  },

  GetKeyRotationStatus: {
    action: "kms:GetKeyRotationStatus",
    ...onKey(anyKeys),
    handle: async (call, input) => {
      const key = await getKey(kmsOf(call), input.KeyId, anyKeys);
      const { keyId, rotationPeriodDays, nextRotationAt } = key;
      // A key that waits for its deletion is not rotated; should it be kept, it goes on as before.
      if (rotationPeriodDays === undefined || nextRotationAt === undefined || key.state === "PendingDeletion")
        return { KeyId: keyId, KeyRotationEnabled: false };
      return { KeyId: keyId, KeyRotationEnabled: true, RotationPeriodInDays: rotationPeriodDays, NextRotationDate: nextRotationAt };
    },
  },

  RotateKeyOnDemand: {
    action: "kms:RotateKeyOnDemand",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, ownKeys);
      await rotateNow(ctx, key);
      return { KeyId: key.keyId };
    },
  },

  ListKeyRotations: {
    action: "kms:ListKeyRotations",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, ownKeys);
      const included = input.IncludeKeyMaterial ?? "ROTATIONS_ONLY";
      const { items, end } = await readPage(
        call,
        ["ListKeyRotations", key.keyId, included],
        { ...input, defaultLimit: 100 },
        {
          // The first material is no rotation.
          start: included === "ROTATIONS_ONLY" ? 1 : 0,
          items: ({ after = 0, limit }) => listMaterials(ctx, key, { after, limit }),
          positionOf: (item: Material) => item.material,
        },
      );
      return { Rotations: items.map((item) => rotationShape(key, item)), ...end };
    },
  },
};

type Material = Awaited<ReturnType<typeof listMaterials>>[number];

function periodOf(input: EnableKeyRotationRequest): number {
  return input.RotationPeriodInDays ?? defaultRotationDays;
}

function rotationShape(key: Key, { material, materialId, rotation, createdAt }: Material): RotationsListEntry {
  return {
    KeyId: key.keyId,
    KeyMaterialId: materialId,
    KeyMaterialState: material === key.material ? "CURRENT" : "NON_CURRENT",
    ...(rotation !== undefined && { RotationType: rotation, RotationDate: createdAt }),
  };
}
