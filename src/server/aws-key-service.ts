/**
 * Keys of AWS KMS, or of a server that speaks like it, for encrypted repositories. Three operations are all it takes: DescribeKey when a
 * repository is made, GenerateDataKey once, Decrypt whenever content is read or written. No grants are made: the credentials of this
 * deployment need these permissions from the key's policy, and whoever keeps the key takes them back there, also for single repositories by
 * the encryption context (`kms:EncryptionContext:aws:ecr:arn`).
 */
import type { KeyMetadata } from "@aws-sdk/client-kms";
import { KeyRefusal } from "#registry/key-service.ts";
import type { KeyUse } from "#registry/key-service.ts";
import type { Clock } from "#std/clock.ts";
import { createKmsClients } from "./aws-key-service-client.ts";
import type { KmsClientOptions, KmsClients } from "./aws-key-service-client.ts";
import type { OtherKeys } from "./key-service.ts";

/** The alias of the key of repositories that name none. */
const defaultKey = "alias/aws/ecr";
const keyArnForm = /^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,64}):[0-9]{12}:key\/[\w-]{1,128}$/;
const dataKeyBytes = 32;
/** How long an opened key may be used again: a pull of many blobs asks once a second, and a key that is disabled stops it after a second. */
const maxAgeMs = 1_000;
const maxOpened = 1_000;

/** Makes the service. It asks nobody before it is needed. */
export function createAwsKeyService(options: KmsClientOptions): OtherKeys {
  const clients = createKmsClients(options);
  return {
    resolve: ({ region }, reference = defaultKey) => resolve(clients, region, reference),
    wrap: (use) => wrap(clients, use),
    unwrap: rememberBriefly(options.clock, (use, ciphertext) => unwrap(clients, use, ciphertext)),
  };
}

async function resolve(clients: KmsClients, region: string, reference: string): Promise<string> {
  const { KeyMetadata: key } = await clients.ask(region, (client, { DescribeKeyCommand }, options) =>
    client.send(new DescribeKeyCommand({ KeyId: reference }), options),
  );
  return usableKey(key, region);
}

/** The ARN of a key that can be used as repositories use it. Throws KeyRefusal with the exception that KMS would have for it. */
function usableKey(key: KeyMetadata | undefined, region: string): string {
  const { Arn: arn = "", KeyState, KeyUsage = "ENCRYPT_DECRYPT", KeySpec = "SYMMETRIC_DEFAULT" } = key ?? {};
  if (keyArnForm.exec(arn)?.[1] !== region) throw new KeyRefusal("NotFoundException", `There is no such key in ${region}.`);
  if (KeyUsage !== "ENCRYPT_DECRYPT" || KeySpec !== "SYMMETRIC_DEFAULT")
    throw new KeyRefusal("InvalidKeyUsageException", `${arn} is a key for ${KeyUsage} (${KeySpec}), and no symmetric encryption key.`);
  if (KeyState === "Disabled") throw new KeyRefusal("DisabledException", `${arn} is disabled.`);
  if (KeyState !== "Enabled") throw new KeyRefusal("KMSInvalidStateException", `${arn} is in the state ${KeyState ?? "unknown"}.`);
  return arn;
}

async function wrap(clients: KmsClients, use: KeyUse): Promise<{ readonly plain: Uint8Array; readonly wrapped: Uint8Array }> {
  const { keyArn, region } = use;
  try {
    const answer = await clients.ask(region, (client, { GenerateDataKeyCommand }, options) =>
      client.send(new GenerateDataKeyCommand({ KeyId: keyArn, KeySpec: "AES_256", EncryptionContext: contextOf(use) }), options),
    );
    const { Plaintext: plain, CiphertextBlob: wrapped, KeyId } = answer;
    if (KeyId !== keyArn || plain?.length !== dataKeyBytes || wrapped === undefined)
      throw new KeyRefusal("KMSInternalException", `The answer of GenerateDataKey for ${keyArn} is not one.`);
    return { plain, wrapped };
  } catch (error) {
    throw await explainManagedKey(clients, use, error);
  }
}

/** The key that is meant where none is named can be one that nobody but AWS's own services may use; its refusal does not say so. */
async function explainManagedKey(clients: KmsClients, { keyArn, region }: KeyUse, error: unknown): Promise<unknown> {
  if (!(error instanceof KeyRefusal) || error.kmsError !== "AccessDeniedException") return error;
  const described = await clients
    .ask(region, (client, { DescribeKeyCommand }, options) => client.send(new DescribeKeyCommand({ KeyId: keyArn }), options))
    .catch(() => undefined);
  if (described?.KeyMetadata?.KeyManager !== "AWS") return error;
  const hint = `${keyArn} is an AWS managed key, which only services of AWS itself may use: name a key of your own.`;
  return new KeyRefusal(error.kmsError, `${error.message} (${hint})`);
}

async function unwrap(clients: KmsClients, use: KeyUse, ciphertext: Uint8Array): Promise<Uint8Array> {
  const { keyArn, region } = use;
  const { Plaintext: plain, KeyId } = await clients.ask(region, (client, { DecryptCommand }, options) =>
    client.send(new DecryptCommand({ KeyId: keyArn, CiphertextBlob: ciphertext, EncryptionContext: contextOf(use) }), options),
  );
  if (KeyId !== keyArn || plain?.length !== dataKeyBytes)
    throw new KeyRefusal("InvalidCiphertextException", `The answer of Decrypt for ${keyArn} is not the key of a repository.`);
  return plain;
}

/** As ECR binds what it encrypts to its repository (Amazon ECR User Guide, "Encryption at rest"). */
function contextOf({ repositoryArn }: KeyUse): Record<string, string> {
  return { "aws:ecr:arn": repositoryArn };
}

type Unwrap = OtherKeys["unwrap"];

/**
 * Lets those who ask for the same key within a second share an answer, counted from when the question was put, so that nothing is opened
 * by a permission that is older. Refusals are not kept: a key that is enabled again works at once.
 */
function rememberBriefly(clock: Clock, unwrapNow: Unwrap): Unwrap {
  const opened = new Map<string, { readonly askedAt: number; readonly plain: Promise<Uint8Array> }>();
  return async (use, ciphertext) => {
    const name = `${use.keyArn} ${use.repositoryArn} ${Buffer.from(ciphertext).toString("base64")}`;
    const now = clock.now();
    const known = opened.get(name);
    const age = known === undefined ? maxAgeMs : now - known.askedAt;
    if (known !== undefined && age >= 0 && age < maxAgeMs) return known.plain;
    const plain = unwrapNow(use, ciphertext);
    if (known === undefined && opened.size >= maxOpened) return plain;
    const entry = { askedAt: now, plain };
    const forget = (): void => {
      if (opened.get(name) === entry) opened.delete(name);
    };
    opened.set(name, entry);
    setTimeout(forget, maxAgeMs).unref();
    plain.catch(forget);
    return plain;
  };
}
