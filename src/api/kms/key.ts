import { authorizeUnder } from "#access/authorize.ts";
import type { ConditionKeys } from "#access/condition-keys.ts";
import { kmsKeyArn } from "#kms/arn.ts";
import { cancelKeyDeletion, createKey, describeKeyAs, disableKey, enableKey, listKeys, scheduleKeyDeletion } from "#kms/key.ts";
import type { LockOutCheck } from "#kms/key-policy.ts";
import { getKey } from "#kms/key-lookup.ts";
import { pendingWindowDays } from "#kms/limits.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { rangeFault } from "./errors.ts";
import type { CreateKeyRequest, KeyMetadata } from "./model/shapes.ts";
import { readPage } from "./page.ts";
import { kmsOf, namedKeys, newKeyConditions, onKey, ownKeys } from "./scope.ts";
import type { Key } from "./scope.ts";
import type { KmsRows } from "./table.ts";
import { requestTagConditions, tagsOf } from "./tagging.ts";

/** Keys from their making to their end. */
export const keyOperations: KmsRows<
  | "CreateKey"
  | "DescribeKey"
  | "ListKeys"
  | "UpdateKeyDescription"
  | "EnableKey"
  | "DisableKey"
  | "ScheduleKeyDeletion"
  | "CancelKeyDeletion"
> = {
  CreateKey: {
    action: "kms:CreateKey",
    resource: () => "*",
    alsoNeeds: (input) => ((input.Tags ?? []).length === 0 ? [] : ["kms:TagResource"]),
    conditionKeys: (call, input) => ({
      ...requestTagConditions(input.Tags ?? []),
      ...lockOutConditions(input),
      ...newKeyConditions(call),
    }),
    check: refuseOtherKinds,
    handle: async (call, input) => {
      const key = await createKey(kmsOf(call), {
        description: input.Description ?? "",
        policy: input.Policy,
        tags: tagsOf(input.Tags ?? []),
        lockOutCheck: lockOutCheck(call, input, newKeyConditions(call)),
      });
      return { KeyMetadata: keyShape(key) };
    },
  },

  DescribeKey: {
    action: "kms:DescribeKey",
    ...onKey(namedKeys),
    handle: async (call, input) => ({ KeyMetadata: keyShape(await getKey(kmsOf(call), input.KeyId, namedKeys)) }),
  },

  ListKeys: {
    action: "kms:ListKeys",
    resource: () => "*",
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const { items, end } = await readPage(
        call,
        ["ListKeys", ctx.region],
        { ...input, defaultLimit: 100 },
        { start: undefined, items: (page) => listKeys(ctx, page), positionOf: (keyId: string) => keyId },
      );
      return { Keys: items.map((keyId) => ({ KeyId: keyId, KeyArn: kmsKeyArn({ ...ctx, keyId }) })), ...end };
    },
  },

  UpdateKeyDescription: {
    action: "kms:UpdateKeyDescription",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await describeKeyAs(ctx, await getKey(ctx, input.KeyId, ownKeys), input.Description);
      return {};
    },
  },

  EnableKey: {
    action: "kms:EnableKey",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await enableKey(ctx, await getKey(ctx, input.KeyId, ownKeys));
      return {};
    },
  },

  DisableKey: {
    action: "kms:DisableKey",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await disableKey(ctx, await getKey(ctx, input.KeyId, ownKeys));
      return {};
    },
  },

  ScheduleKeyDeletion: {
    action: "kms:ScheduleKeyDeletion",
    ...onKey(ownKeys, (input: WindowInput) => ({ "kms:ScheduleKeyDeletionPendingWindowInDays": String(windowOf(input)) })),
    check: checkWindow,
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const days = windowOf(input);
      const key = await scheduleKeyDeletion(ctx, await getKey(ctx, input.KeyId, ownKeys), days);
      const when = key.deletionAt === undefined ? {} : { DeletionDate: key.deletionAt };
      return { KeyId: kmsKeyArn(key), KeyState: key.state, PendingWindowInDays: days, ...when };
    },
  },

  CancelKeyDeletion: {
    action: "kms:CancelKeyDeletion",
    ...onKey(ownKeys),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      return { KeyId: kmsKeyArn(await cancelKeyDeletion(ctx, await getKey(ctx, input.KeyId, ownKeys))) };
    },
  },
};

interface WindowInput {
  readonly KeyId: string;
  readonly PendingWindowInDays?: number;
}

function windowOf(input: WindowInput): number {
  return input.PendingWindowInDays ?? pendingWindowDays.default;
}

function checkWindow(input: WindowInput): void {
  const days = windowOf(input);
  const { min, max } = pendingWindowDays;
  if (days < min) throw rangeFault("pendingWindowInDays", days, "greater", min);
  if (days > max) throw rangeFault("pendingWindowInDays", days, "less", max);
}

/** Keys are symmetric, of one region, and made here. */
function refuseOtherKinds(input: CreateKeyRequest): void {
  const { KeySpec, CustomerMasterKeySpec, KeyUsage, Origin, MultiRegion, CustomKeyStoreId, XksKeyId } = input;
  for (const spec of [KeySpec, CustomerMasterKeySpec])
    if (spec !== undefined && spec !== "SYMMETRIC_DEFAULT") throw unsupported(`the key spec ${spec}`);
  if (KeyUsage !== undefined && KeyUsage !== "ENCRYPT_DECRYPT") throw unsupported(`the key usage ${KeyUsage}`);
  if (Origin !== undefined && Origin !== "AWS_KMS") throw unsupported(`the origin ${Origin}`);
  if (CustomKeyStoreId !== undefined || XksKeyId !== undefined) throw unsupported("custom key stores");
  if (MultiRegion === true) throw unsupported("multi-Region keys");
}

function unsupported(what: string): ApiFault {
  return new ApiFault(
    "UnsupportedOperationException",
    `This key management service does not support ${what}: keys are SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT, with the origin AWS_KMS, in one Region.`,
  );
}

interface LockOutInput {
  readonly BypassPolicyLockoutSafetyCheck?: boolean;
}

/** What conditions may ask about taking the risk. */
export function lockOutConditions(input: LockOutInput): ConditionKeys {
  return { "kms:BypassPolicyLockoutSafetyCheck": String(input.BypassPolicyLockoutSafetyCheck === true) };
}

/** Could the caller put a policy again under a new one? Undefined where the caller takes the risk. */
export function lockOutCheck(call: ApiCall, input: LockOutInput, keys: ConditionKeys): LockOutCheck | undefined {
  if (input.BypassPolicyLockoutSafetyCheck === true) return undefined;
  return async (keyArn, policy) => {
    const ask = {
      action: "kms:PutKeyPolicy",
      resource: keyArn,
      region: call.region,
      origin: call.origin,
      keys: { ...keys, ...lockOutConditions({}) },
    };
    return (await authorizeUnder(call.access, call.principal, ask, policy)).allowed;
  };
}

function keyShape(key: Key): KeyMetadata {
  return {
    AWSAccountId: key.accountId,
    KeyId: key.keyId,
    Arn: kmsKeyArn(key),
    CreationDate: key.createdAt,
    Enabled: key.state === "Enabled",
    Description: key.description,
    KeyUsage: "ENCRYPT_DECRYPT",
    KeyState: key.state,
    ...(key.deletionAt !== undefined && { DeletionDate: key.deletionAt }),
    Origin: "AWS_KMS",
    KeyManager: key.manager,
    CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
    KeySpec: "SYMMETRIC_DEFAULT",
    EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
    MultiRegion: false,
    CurrentKeyMaterialId: key.materialId,
  };
}
