/** Keys from their making to their end. */
import { createKmsKey, destroyKmsKey, listDueKmsDeletions, listKmsKeys, updateKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey, KmsKeyPatch, KmsKeyState } from "#metadata/kms-keys.ts";
import { assert } from "#std/assert.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsContext, KmsCore } from "./context.ts";
import { refuse } from "./errors.ts";
import { checkPolicy, defaultPolicy, refuseLockOut } from "./key-policy.ts";
import type { LockOutCheck } from "./key-policy.ts";
import { changeableStates, requireCustomers, stateRefusal } from "./key-state.ts";
import { dayMs, maxKeys } from "./limits.ts";
import { makeMaterial } from "./material.ts";
import { checkTags } from "./tag.ts";
import type { KeyTag } from "./tag.ts";

/** What a key is made from. */
export interface KeyRequest {
  readonly description: string;
  /** The default policy when absent. */
  readonly policy: string | undefined;
  readonly tags: readonly KeyTag[];
  /** Left out where the caller takes the risk of locking everyone out. */
  readonly lockOutCheck: LockOutCheck | undefined;
}

/** Makes a key. Throws `policy-malformed`, `tag-invalid`, `limit`. */
export async function createKey(ctx: KmsContext, request: KeyRequest): Promise<KmsKey> {
  const { core, accountId, region } = ctx;
  const tags = checkTags(request.tags);
  const keyId = core.random.uuid();
  const policy = request.policy === undefined ? defaultPolicy(accountId) : await checkPolicy(ctx, request.policy);
  if (request.policy !== undefined && request.lockOutCheck !== undefined)
    await refuseLockOut(request.lockOutCheck, kmsKeyArn({ accountId, region, keyId }), policy);
  const made = await createKmsKey(core.metadata, {
    accountId,
    region,
    keyId,
    description: request.description,
    manager: "CUSTOMER",
    policy,
    tags,
    rotation: undefined,
    ...makeMaterial(core, keyId, 1),
    alias: undefined,
    now: core.clock.now(),
    limit: maxKeys,
  });
  if (made.outcome === "limit") throw refuse("limit", { quota: "keys", limit: maxKeys });
  assert(made.outcome === "created", "a key without an alias meets no other");
  return made.key;
}

/** A page of the ids of the account's keys in the region. */
export async function listKeys(
  ctx: KmsContext,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly string[]> {
  return listKmsKeys(ctx.core.metadata, { accountId: ctx.accountId, region: ctx.region, ...page });
}

/** Sets what people read about a key. Throws `key-pending-deletion`, `key-managed`. */
export async function describeKeyAs(ctx: KmsContext, key: KmsKey, description: string): Promise<void> {
  await change(ctx.core, key, changeableStates, { description });
}

/** Lets a key encrypt and decrypt again. Throws `key-pending-deletion`, `key-managed`. */
export async function enableKey(ctx: KmsContext, key: KmsKey): Promise<void> {
  await change(ctx.core, key, changeableStates, { state: "Enabled" });
}

/** Stops a key from encrypting and decrypting until it is enabled. Throws `key-pending-deletion`, `key-managed`. */
export async function disableKey(ctx: KmsContext, key: KmsKey): Promise<void> {
  await change(ctx.core, key, changeableStates, { state: "Disabled" });
}

/** Stops a key, to be destroyed so many days from now. Throws `key-pending-deletion`, `key-managed`. */
export async function scheduleKeyDeletion(ctx: KmsContext, key: KmsKey, windowDays: number): Promise<KmsKey> {
  const deletionAt = ctx.core.clock.now() + windowDays * dayMs;
  return change(ctx.core, key, changeableStates, { state: { deletionAt } });
}

/** Keeps a key that was to be destroyed; it is disabled then. Throws `key-not-pending-deletion`. */
export async function cancelKeyDeletion(ctx: KmsContext, key: KmsKey): Promise<KmsKey> {
  const result = await updateKmsKey(ctx.core.metadata, { keyId: key.keyId, onlyIn: ["PendingDeletion"], patch: { state: "Disabled" } });
  if (result.outcome === "updated") return result.key;
  throw refuse(result.outcome === "not-found" ? "key-not-found" : "key-not-pending-deletion", { keyArn: kmsKeyArn(key) });
}

/**
 * Destroys keys whose day has come, at most `limit` of them, and answers how many; nothing that was encrypted under them can be read again.
 * Several may run at once.
 */
export async function destroyDueKeys(core: Pick<KmsCore, "metadata" | "clock">, { limit }: { readonly limit: number }): Promise<number> {
  const now = core.clock.now();
  let destroyed = 0;
  for (const keyId of await listDueKmsDeletions(core.metadata, { now, limit }))
    if (await destroyKmsKey(core.metadata, { keyId, now })) destroyed += 1;
  return destroyed;
}

async function change({ metadata }: KmsCore, key: KmsKey, onlyIn: readonly KmsKeyState[], patch: KmsKeyPatch): Promise<KmsKey> {
  requireCustomers(key);
  const result = await updateKmsKey(metadata, { keyId: key.keyId, onlyIn, patch });
  if (result.outcome === "wrong-state") throw stateRefusal(result.key);
  if (result.outcome === "not-found") throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  return result.key;
}
