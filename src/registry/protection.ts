/**
 * How content of repositories is encrypted at rest under keys that others keep.
 *
 * A *protection domain* is an account's use of one key (and of one generation: see {@link createProtection}). It has a secret; in
 * `KMS_DSSE` repositories a second one, sealed under the instance key. Each repository keeps the secret sealed under a key of its own, which
 * the key service has encrypted under the customer's key by the repository's own grant. So whoever reads or writes content asks the service
 * first, each time, and a key that is disabled, deleted or no longer granted stops every repository that stands on it, or just that one.
 * Secrets are in the clear only for the length of one request.
 */
import { createHmac } from "node:crypto";
import type { EncryptionFilter, NewRepositoryEncryption, RepositoryEncryption } from "#metadata/repository-encryption.ts";
import { findRepositoryEncryption, listRepositoryEncryptions } from "#metadata/repository-encryption.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { FrameKey } from "#sealing/frames.ts";
import { createSealer } from "#sealing/sealer.ts";
import type { Sealer } from "#sealing/sealer.ts";
import { assert } from "#std/assert.ts";
import type { RegistryCore, RegistryRef } from "./context.ts";
import type { RegistryRefusal, RepositoryDetail } from "./errors.ts";
import { RegistryError, refuse } from "./errors.ts";
import type { KeyUse } from "./key-service.ts";
import { KeyRefusal } from "./key-service.ts";
import { repositoryDetail } from "./scope.ts";

/** The protection domain of repositories without a key of their own: the driver's business. */
export const plainDomain = "AES256";

/** How a new repository is to be encrypted. */
export interface NewProtection {
  readonly type: "KMS" | "KMS_DSSE";
  /** Key id, ARN or alias; the account's default key when undefined. */
  readonly kmsKey: string | undefined;
}

/** The open secrets of a protection domain: one for each layer of encryption, the outermost first. */
export interface Protection {
  readonly secrets: readonly Uint8Array[];
}

const secretBytes = 32;
/** Other repositories of the same key that are asked for the secret of their domain, newest first. */
const maxDonors = 10;

/** Opens the secrets of a repository. Throws `key-unusable`. */
export async function openProtection(core: RegistryCore, repositoryId: number, detail: RepositoryDetail): Promise<Protection> {
  const encryption = await findRepositoryEncryption(core.metadata, repositoryId);
  // Between two statements the repository was deleted for good.
  if (encryption === undefined) return refuse("repository-not-found", detail);
  return openEncryption(core, encryption);
}

/** Opens the secrets of a domain through any of its repositories; undefined when none is left. Throws `key-unusable` when none can be used. */
export async function openDomain(core: RegistryCore, accountId: string, protectionDomain: string): Promise<Protection | undefined> {
  const donors = await listDonors(core, accountId, { protectionDomain });
  let refusal: unknown;
  for (const donor of donors) {
    try {
      return await openEncryption(core, donor);
    } catch (error) {
      if (!isKeyRefusal(error)) throw error;
      refusal = error;
    }
  }
  if (refusal !== undefined) throw refusal;
  return undefined;
}

async function openEncryption(core: RegistryCore, encryption: RepositoryEncryption): Promise<Protection> {
  const { accountId, region, repositoryName, keyArn, contentGrantId, protectionDomain, sealedInnerSecret } = encryption;
  const registry = { accountId, region };
  const detail = { registryId: accountId, repositoryName };
  const use: KeyUse = { keyArn, grantId: contentGrantId, region, repositoryArn: repositoryArn(registry, repositoryName) };
  const own = await asRefusal(detail, () => core.keys.unwrap(use, Buffer.from(encryption.wrappedKey, "base64")));
  const purpose = secretPurpose(protectionDomain);
  const secrets = [sealerUnder(own, core).open(purpose, encryption.sealedSecret)];
  if (sealedInnerSecret !== undefined) secrets.push(core.sealer.open(purpose, sealedInnerSecret));
  return {
    secrets: secrets.map((secret) => {
      if (secret?.length === secretBytes) return secret;
      return refuse("key-unusable", { ...detail, kmsError: "KeyUnavailableException", reason: "a secret of the repository does not open" });
    }),
  };
}

/** What is stored of the encryption of a new repository, and its protection domain. */
export interface CreatedProtection {
  readonly protectionDomain: string;
  readonly encryption: NewRepositoryEncryption;
}

/**
 * Prepares the encryption of a new repository: its grants, and the secret of its domain. It joins the domain of another repository of the
 * same account, key and type when the secret of that can be opened, and begins a new generation of the domain otherwise; two that
 * begin at the same time share no blobs, and that is all. Throws `key-unusable`; then no grant is left.
 */
export async function createProtection(
  core: RegistryCore,
  registry: RegistryRef,
  name: RepositoryName,
  { type, kmsKey }: NewProtection,
): Promise<CreatedProtection> {
  const detail = repositoryDetail(registry, name);
  const arn = repositoryArn(registry, name);
  return asRefusal(detail, async () => {
    const keyArn = await core.keys.resolve(registry, kmsKey);
    const grants = await core.keys.grant(keyArn, registry, arn);
    try {
      const use: KeyUse = { keyArn, grantId: grants.contentGrantId, region: registry.region, repositoryArn: arn };
      const { plain: own, wrapped } = await core.keys.wrap(use);
      const domain = (await joinDomain(core, registry.accountId, keyArn, type)) ?? beginDomain(core, keyArn, type);
      const { protectionDomain, secret, sealedInnerSecret } = domain;
      const sealedSecret = sealerUnder(own, core).seal(secretPurpose(protectionDomain), secret);
      const wrappedKey = Buffer.from(wrapped).toString("base64");
      return { protectionDomain, encryption: { keyArn, ...grants, wrappedKey, sealedSecret, sealedInnerSecret } };
    } catch (error) {
      await core.keys.retire(keyArn, grants);
      throw error;
    }
  });
}

interface Domain {
  readonly protectionDomain: string;
  readonly secret: Uint8Array;
  readonly sealedInnerSecret: string | undefined;
}

async function joinDomain(
  core: RegistryCore,
  accountId: string,
  keyArn: string,
  encryptionType: NewProtection["type"],
): Promise<Domain | undefined> {
  for (const donor of await listDonors(core, accountId, { keyArn, encryptionType })) {
    try {
      const [secret] = (await openEncryption(core, donor)).secrets;
      assert(secret !== undefined, "a protection has a layer");
      return { protectionDomain: donor.protectionDomain, secret, sealedInnerSecret: donor.sealedInnerSecret };
    } catch (error) {
      if (!isKeyRefusal(error)) throw error;
    }
  }
  return undefined;
}

function beginDomain({ random, sealer }: RegistryCore, keyArn: string, type: NewProtection["type"]): Domain {
  const generation = random.bytes(8).toString("hex");
  const protectionDomain = `${keyArn}${type === "KMS_DSSE" ? "#dsse" : ""}#${generation}`;
  const inner = type === "KMS_DSSE" ? sealer.seal(secretPurpose(protectionDomain), random.bytes(secretBytes)) : undefined;
  return { protectionDomain, secret: random.bytes(secretBytes), sealedInnerSecret: inner };
}

async function listDonors(
  { metadata }: RegistryCore,
  accountId: string,
  filter: EncryptionFilter,
): Promise<readonly RepositoryEncryption[]> {
  return listRepositoryEncryptions(metadata, { accountId, filter, limit: maxDonors });
}

/** The keys of what an upload brings. An upload's id is never used again, so they are nobody else's. */
export function uploadKeys({ secrets }: Protection, uploadId: string): readonly FrameKey[] {
  return secrets.map((secret) => ({ dataKey: dataKeyOf(secret, `upload ${uploadId}`), purpose: "blob" }));
}

/** The keys of a stored copy as its row keeps them: each sealed under the secret of its layer, for this digest only. */
export function sealBlobKeys(core: RegistryCore, { secrets }: Protection, digest: string, keys: readonly FrameKey[]): string {
  return keys.map(({ dataKey }, layer) => sealerUnder(secretAt(secrets, layer), core).seal(`blob ${digest}`, dataKey)).join(".");
}

/** Opens what {@link sealBlobKeys} made; undefined when it was made for another digest, or under other secrets. */
export function openBlobKeys(core: RegistryCore, { secrets }: Protection, digest: string, sealed: string): readonly FrameKey[] | undefined {
  const parts = sealed.split(".");
  const keys = parts.flatMap((part, layer) => {
    const secret = secrets[layer];
    const dataKey = secret === undefined ? undefined : sealerUnder(secret, core).open(`blob ${digest}`, part);
    return dataKey === undefined ? [] : [{ dataKey, purpose: "blob" }];
  });
  return keys.length === secrets.length && parts.length === secrets.length ? keys : undefined;
}

/** The keys of a manifest's bytes. */
export function manifestKeys({ secrets }: Protection, digest: string): readonly FrameKey[] {
  return secrets.map((secret) => ({ dataKey: dataKeyOf(secret, "manifests"), purpose: `manifest ${digest}` }));
}

function dataKeyOf(secret: Uint8Array, label: string): Buffer {
  return createHmac("sha256", secret).update("supercargo data key\0").update(label).digest();
}

function secretAt(secrets: readonly Uint8Array[], layer: number): Uint8Array {
  const secret = secrets[layer];
  assert(secret !== undefined, "every layer has a secret");
  return secret;
}

/** A sealer under one secret: with a single key its name tells nothing. */
function sealerUnder(secret: Uint8Array, { random }: RegistryCore): Sealer {
  return createSealer([{ id: "0000000000000000", secret: Buffer.from(secret) }], random);
}

function secretPurpose(protectionDomain: string): string {
  return `repository-secret ${protectionDomain}`;
}

function repositoryArn({ accountId, region }: RegistryRef, name: string): string {
  return `arn:aws:ecr:${region}:${accountId}:repository/${name}`;
}

async function asRefusal<T>(detail: RepositoryDetail, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof KeyRefusal) return refuse("key-unusable", { ...detail, kmsError: error.kmsError, reason: error.message });
    throw error;
  }
}

type KeyUnusable = Extract<RegistryRefusal, { readonly kind: "key-unusable" }>;

/** Is it a refusal of the key, and nothing worse? */
export function isKeyRefusal(error: unknown): error is RegistryError & { readonly refusal: KeyUnusable } {
  return error instanceof RegistryError && error.refusal.kind === "key-unusable";
}
