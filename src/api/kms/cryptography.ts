import type { ConditionKeys } from "#access/condition-keys.ts";
import { kmsKeyArn } from "#kms/arn.ts";
import { decrypt, encrypt, generateDataKey, keyOfCiphertext } from "#kms/crypt.ts";
import { checkEncryptionContext } from "#kms/encryption-context.ts";
import type { EncryptionContext } from "#kms/encryption-context.ts";
import { refuse } from "#kms/errors.ts";
import { openGrantToken } from "#kms/grant.ts";
import { getKey, lookUpKey } from "#kms/key-lookup.ts";
import type { NamedKey } from "#kms/key-lookup.ts";
import { requireUsable } from "#kms/key-state.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { validationFault } from "./errors.ts";
import type { EncryptionAlgorithmSpec, GenerateDataKeyRequest, ReEncryptRequest } from "./model/shapes.ts";
import { keyConditions, kmsOf, contextConditions, namedKeys, onKey } from "./scope.ts";
import type { Key } from "./scope.ts";
import type { KmsRows } from "./table.ts";

const algorithm = "SYMMETRIC_DEFAULT";
const algorithmConditions: ConditionKeys = { "kms:EncryptionAlgorithm": algorithm };

interface ContextInput {
  readonly KeyId: string;
  readonly EncryptionContext?: EncryptionContext;
}

/** Encrypting, decrypting, and keys for what is encrypted elsewhere. */
export const cryptographyOperations: KmsRows<
  "Encrypt" | "Decrypt" | "ReEncrypt" | "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" | "GenerateRandom"
> = {
  Encrypt: {
    action: "kms:Encrypt",
    ...onKey(namedKeys, contextOf),
    check: (input) => checkInput([input.EncryptionContext], [input.EncryptionAlgorithm]),
    handle: async (call, input) => {
      const key = await getKey(kmsOf(call), input.KeyId, namedKeys);
      const { ciphertext } = await encrypt(call.context.core, key, input.Plaintext, input.EncryptionContext ?? {});
      endDryRun(call, input);
      return { CiphertextBlob: ciphertext, KeyId: kmsKeyArn(key), EncryptionAlgorithm: algorithm };
    },
  },

  Decrypt: {
    action: "kms:Decrypt",
    resource: async (call, input) => (await sourceOf(call, input)).arn,
    conditionKeys: async (call, input) => ({
      ...contextConditions(input.EncryptionContext),
      ...algorithmConditions,
      ...(await keyConditions(call, input.KeyId ?? "", (await sourceOf(call, input)).key)),
    }),
    check: (input) => {
      checkInput([input.EncryptionContext], [input.EncryptionAlgorithm], input.Recipient);
      checkSource(input);
    },
    handle: async (call, input) => {
      const { key, ciphertext } = await openSource(call, input);
      const { core } = call.context;
      if (ciphertext === undefined) requireUsable(key);
      const opened = ciphertext && (await decrypt(core, key, ciphertext, input.EncryptionContext ?? {}));
      endDryRun(call, input);
      return {
        KeyId: kmsKeyArn(key),
        EncryptionAlgorithm: algorithm,
        ...(opened !== undefined && { Plaintext: opened.plain, KeyMaterialId: opened.materialId }),
      };
    },
  },

  ReEncrypt: {
    action: "kms:ReEncryptFrom",
    resource: async (call, input) => (await sourceOf(call, sourceInput(input))).arn,
    conditionKeys: async (call, input) => reEncryptConditions(call, input, "from"),
    alsoAsks: async (call, input): Promise<readonly AskedPermission[]> => [
      {
        action: "kms:ReEncryptTo",
        resource: (await lookUpKey(kmsOf(call), input.DestinationKeyId, namedKeys)).arn,
        keys: await reEncryptConditions(call, input, "to"),
      },
    ],
    check: (input) => {
      checkInput(
        [input.SourceEncryptionContext, input.DestinationEncryptionContext],
        [input.SourceEncryptionAlgorithm, input.DestinationEncryptionAlgorithm],
      );
      checkSource(sourceInput(input));
    },
    handle: async (call, input) => {
      const { core } = call.context;
      const source = await openSource(call, sourceInput(input));
      const key = await getKey(kmsOf(call), input.DestinationKeyId, namedKeys);
      requireUsable(source.key);
      const opened = source.ciphertext && (await decrypt(core, source.key, source.ciphertext, input.SourceEncryptionContext ?? {}));
      const { ciphertext, materialId } = await encrypt(
        core,
        key,
        opened?.plain ?? new Uint8Array(1),
        input.DestinationEncryptionContext ?? {},
      );
      endDryRun(call, input);
      return {
        CiphertextBlob: ciphertext,
        SourceKeyId: kmsKeyArn(source.key),
        KeyId: kmsKeyArn(key),
        SourceEncryptionAlgorithm: algorithm,
        DestinationEncryptionAlgorithm: algorithm,
        ...(opened !== undefined && { SourceKeyMaterialId: opened.materialId }),
        DestinationKeyMaterialId: materialId,
      };
    },
  },

  GenerateDataKey: {
    action: "kms:GenerateDataKey",
    ...onKey(namedKeys, contextOf),
    check: (input) => {
      checkInput([input.EncryptionContext], [], input.Recipient);
      lengthOf(input);
    },
    handle: async (call, input) => {
      const { key, made } = await makeDataKey(call, input);
      return { CiphertextBlob: made.ciphertext, Plaintext: made.plain, KeyId: kmsKeyArn(key), KeyMaterialId: made.materialId };
    },
  },

  GenerateDataKeyWithoutPlaintext: {
    action: "kms:GenerateDataKeyWithoutPlaintext",
    ...onKey(namedKeys, contextOf),
    check: (input) => {
      checkInput([input.EncryptionContext], []);
      lengthOf(input);
    },
    handle: async (call, input) => {
      const { key, made } = await makeDataKey(call, input);
      return { CiphertextBlob: made.ciphertext, KeyId: kmsKeyArn(key), KeyMaterialId: made.materialId };
    },
  },

  GenerateRandom: {
    action: "kms:GenerateRandom",
    resource: () => "*",
    check: (input) => {
      checkInput([], [], input.Recipient);
      if (input.CustomKeyStoreId !== undefined) throw unsupported("CustomKeyStoreId");
      if (input.NumberOfBytes === undefined) throw validationFault("Please specify number of bytes.");
    },
    handle: async (call, input) => ({ Plaintext: call.context.core.random.bytes(input.NumberOfBytes ?? 0) }),
  },
};

function contextOf(input: ContextInput): ConditionKeys {
  return { ...contextConditions(input.EncryptionContext), ...algorithmConditions };
}

/** What the model cannot state. Throws ApiFault and KmsError. */
function checkInput(
  contexts: readonly (EncryptionContext | undefined)[],
  algorithms: readonly (EncryptionAlgorithmSpec | undefined)[],
  recipient?: object,
): void {
  for (const context of contexts) if (context !== undefined) checkEncryptionContext(context);
  for (const asked of algorithms)
    if (asked !== undefined && asked !== algorithm)
      throw new ApiFault(
        "InvalidKeyUsageException",
        `The encryption algorithm ${asked} is not valid for a key of the key spec ${algorithm}.`,
      );
  if (recipient !== undefined) throw unsupported("Recipient");
}

function unsupported(member: string): ApiFault {
  return new ApiFault("UnsupportedOperationException", `This key management service does not support ${member}.`);
}

/** What Decrypt and ReEncrypt read. */
interface SourceInput {
  readonly CiphertextBlob?: Uint8Array | undefined;
  readonly KeyId?: string | undefined;
  readonly DryRun?: boolean | undefined;
  readonly DryRunModifiers?: readonly string[] | undefined;
}

function sourceInput({ SourceKeyId, CiphertextBlob, DryRun, DryRunModifiers }: ReEncryptRequest): SourceInput {
  return { CiphertextBlob, KeyId: SourceKeyId, DryRun, DryRunModifiers };
}

/** A dry run may ask about the permission alone. */
function ignoresCiphertext(input: SourceInput): boolean {
  return input.DryRun === true && input.DryRunModifiers?.includes("IGNORE_CIPHERTEXT") === true;
}

function checkSource(input: SourceInput): void {
  if (!ignoresCiphertext(input)) {
    if (input.CiphertextBlob === undefined)
      throw validationFault("1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must not be null");
  } else if (input.KeyId === undefined) throw validationFault("A dry run that ignores the ciphertext needs the key that it is about.");
}

/** The key that a ciphertext is under; where the request names a key, that one. */
async function sourceOf(call: ApiCall, input: SourceInput): Promise<NamedKey> {
  const ctx = kmsOf(call);
  if (input.KeyId !== undefined) return lookUpKey(ctx, input.KeyId, namedKeys);
  const key = await keyOfCiphertext(ctx.core, ctx.region, input.CiphertextBlob ?? new Uint8Array());
  return { arn: kmsKeyArn(key), key };
}

async function openSource(call: ApiCall, input: SourceInput): Promise<{ readonly key: Key; readonly ciphertext: Uint8Array | undefined }> {
  const ctx = kmsOf(call);
  const ciphertext = ignoresCiphertext(input) ? undefined : input.CiphertextBlob;
  if (input.KeyId !== undefined) return { key: await getKey(ctx, input.KeyId, namedKeys), ciphertext };
  return { key: await keyOfCiphertext(ctx.core, ctx.region, input.CiphertextBlob ?? new Uint8Array()), ciphertext };
}

/** Each side is decided with its own encryption context. */
async function reEncryptConditions(call: ApiCall, input: ReEncryptRequest, side: "from" | "to"): Promise<ConditionKeys> {
  const source = await sourceOf(call, sourceInput(input));
  const destination = await lookUpKey(kmsOf(call), input.DestinationKeyId, namedKeys);
  const [named, context, reference] =
    side === "from"
      ? [source, input.SourceEncryptionContext, input.SourceKeyId ?? ""]
      : [destination, input.DestinationEncryptionContext, input.DestinationKeyId];
  return {
    ...contextConditions(context),
    ...algorithmConditions,
    "kms:ReEncryptOnSameKey": String(source.arn === destination.arn),
    ...(await keyConditions(call, reference, named.key)),
  };
}

function lengthOf(input: Pick<GenerateDataKeyRequest, "KeySpec" | "NumberOfBytes">): number {
  const { KeySpec, NumberOfBytes } = input;
  if (KeySpec !== undefined && NumberOfBytes === undefined) return KeySpec === "AES_128" ? 16 : 32;
  if (NumberOfBytes !== undefined && KeySpec === undefined) return NumberOfBytes;
  throw validationFault("Please specify either number of bytes or key spec.");
}

async function makeDataKey(call: ApiCall, input: Omit<GenerateDataKeyRequest, "Recipient">) {
  const key = await getKey(kmsOf(call), input.KeyId, namedKeys);
  const made = await generateDataKey(call.context.core, key, lengthOf(input), input.EncryptionContext ?? {});
  endDryRun(call, input);
  return { key, made };
}

/** Everything was well: a dry run ends here. Throws KmsError `grant-token-invalid` too, since grant tokens have no other effect. */
function endDryRun(call: ApiCall, input: { readonly DryRun?: boolean; readonly GrantTokens?: readonly string[] }): void {
  for (const token of input.GrantTokens ?? []) openGrantToken(call.context.core, token);
  if (input.DryRun === true) throw refuse("dry-run", {});
}
