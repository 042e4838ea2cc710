/** What the operations on one key have in common: how the key is named, which ARN permission is asked on, what conditions may ask about it. */
import type { ConditionKeys } from "#access/condition-keys.ts";
import { resolvePrincipals } from "#identity/principal-resolution.ts";
import { aliasesOf } from "#kms/alias.ts";
import type { KmsContext } from "#kms/context.ts";
import type { EncryptionContext } from "#kms/encryption-context.ts";
import { lookUpKey } from "#kms/key-lookup.ts";
import type { KeyNaming, NamedKey } from "#kms/key-lookup.ts";
import type { ApiCall, OperationRow } from "../call.ts";

/** The key as the kms room hands it out. */
export type Key = NonNullable<NamedKey["key"]>;

/** Operations that manage a key take keys of the own account, by id or ARN. */
export const ownKeys: KeyNaming = { byAlias: false, ofOthers: false };
/** Some of them take keys of other accounts too. */
export const anyKeys: KeyNaming = { byAlias: false, ofOthers: true };
/** Operations that use a key also take its aliases. */
export const namedKeys: KeyNaming = { byAlias: true, ofOthers: true };

/** Every key is of this kind; conditions may ask. */
const kindKeys: ConditionKeys = {
  "kms:KeySpec": "SYMMETRIC_DEFAULT",
  "kms:KeyUsage": "ENCRYPT_DECRYPT",
  "kms:KeyOrigin": "AWS_KMS",
  "kms:MultiRegion": "false",
};

interface KeyInput {
  readonly KeyId: string;
}

type KeyColumns<Input> = Required<Pick<OperationRow<Input, unknown>, "resource" | "conditionKeys">>;

/** The caller's account and the signature's region, whose keys are meant. */
export function kmsOf(call: ApiCall): KmsContext {
  const { core } = call.context;
  return {
    core,
    accountId: call.principal.accountId,
    region: call.region,
    resolvePrincipals: (principals) => resolvePrincipals({ core }, principals),
  };
}

/** The columns of an operation on the key that its `KeyId` names; `more` are condition keys of its own. */
export function onKey<Input extends KeyInput>(naming: KeyNaming, more?: (input: Input) => ConditionKeys): KeyColumns<Input> {
  return {
    resource: async (call, input) => (await lookUpKey(kmsOf(call), input.KeyId, naming)).arn,
    conditionKeys: async (call, input) => ({
      ...more?.(input),
      ...(await keyConditions(call, input.KeyId, (await lookUpKey(kmsOf(call), input.KeyId, naming)).key)),
    }),
  };
}

/** What conditions may ask about a key, and about how the request names it. */
export async function keyConditions(call: ApiCall, reference: string, key: Key | undefined): Promise<ConditionKeys> {
  return {
    ...callerConditions(call),
    ...kindKeys,
    ...requestAlias(reference),
    ...(key !== undefined && { "kms:ResourceAliases": await aliasesOf(kmsOf(call), key) }),
  };
}

/** For a key that is only going to be there. */
export function newKeyConditions(call: ApiCall): ConditionKeys {
  return { ...callerConditions(call), ...kindKeys };
}

function callerConditions(call: ApiCall): ConditionKeys {
  return { "kms:CallerAccount": call.principal.accountId };
}

function requestAlias(reference: string): ConditionKeys {
  const name = /(?:^|:)(alias\/.+)$/.exec(reference)?.[1];
  return name === undefined ? {} : { "kms:RequestAlias": name };
}

/** What conditions and grants may ask about an encryption context. */
export function contextConditions(context: EncryptionContext | undefined): ConditionKeys {
  const pairs = Object.entries(context ?? {});
  if (pairs.length === 0) return {};
  const values = Object.fromEntries(pairs.map(([key, value]) => [`kms:EncryptionContext:${key}`, value]));
  return { ...values, "kms:EncryptionContextKeys": pairs.map(([key]) => key) };
}
