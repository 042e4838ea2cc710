/** The root key of the default account: given by the environment, or made once; never a default password, never kept in the clear. */
import { timingSafeEqual } from "node:crypto";
import { ensureAccount, findAccessKey, findRootKey, putRootKey } from "#metadata/accounts.ts";
import type { Database } from "#metadata/database.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";
import { makeAccessKey, openSecret, sealSecret } from "#identity/key-material.ts";
import type { AccessKey } from "#identity/key-material.ts";

/** What the root key's keeping needs. */
export interface RootKeyDeps {
  readonly metadata: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly random: Random;
  readonly accountId: string;
}

/** The root key cannot be used as it is; the message is for the operator. */
export class RootKeyUnusable extends Error {
  override readonly name = "RootKeyUnusable";
}

/**
 * Makes sure that the account has a root key. A given one wins at each start and ends every other root key of the account; without one,
 * a key is made when there is none, and returned that one time.
 * Throws {@link RootKeyUnusable} when the stored key was sealed under another instance key and none is given, and when the given id is
 * a key of another account.
 */
export async function ensureRootKey(
  deps: RootKeyDeps,
  options: { readonly given?: AccessKey | undefined },
): Promise<{ readonly created?: AccessKey }> {
  await ensureAccount(deps.metadata, { accountId: deps.accountId, now: deps.clock.now() });
  const stored = await findRootKey(deps.metadata, deps.accountId);
  const secret = stored === undefined ? undefined : openSecret(deps.sealer, stored.accessKeyId, stored.secretSealed);
  const { given } = options;
  if (given !== undefined) {
    // An unchanged key is not written again: that would move the identity epoch and empty the caches of every node.
    const isSame = stored?.accessKeyId === given.accessKeyId && stored.status === "Active" && secretsEqual(secret, given.secretAccessKey);
    if (!isSame) await storeGivenKey(deps, given);
    return {};
  }
  if (stored === undefined) return { created: await resetRootKey(deps) };
  if (secret === undefined)
    throw new RootKeyUnusable(
      "the root key in the database was sealed under an instance key that is not in the key file; restore that key file, or make a new root key with: supercargo root reset",
    );
  return {};
}

/** Makes a new root key. The old one, and every token that was asked for with it, stops working at once. */
export async function resetRootKey(deps: RootKeyDeps): Promise<AccessKey> {
  const key = makeAccessKey(deps.random, deps.accountId);
  await ensureAccount(deps.metadata, { accountId: deps.accountId, now: deps.clock.now() });
  await storeRootKey(deps, key);
  return key;
}

async function storeGivenKey(deps: RootKeyDeps, key: AccessKey): Promise<void> {
  const holder = await findAccessKey(deps.metadata, key.accessKeyId);
  if (holder !== undefined && holder.accountId !== deps.accountId)
    throw new RootKeyUnusable(
      `the root access key id that was given belongs to account ${holder.accountId}; give another one for account ${deps.accountId}`,
    );
  await storeRootKey(deps, key);
}

function storeRootKey(deps: RootKeyDeps, key: AccessKey): Promise<unknown> {
  return putRootKey(deps.metadata, {
    accessKeyId: key.accessKeyId,
    accountId: deps.accountId,
    secretSealed: sealSecret(deps.sealer, key),
    now: deps.clock.now(),
  });
}

function secretsEqual(stored: string | undefined, given: string): boolean {
  if (stored === undefined) return false;
  const [left, right] = [Buffer.from(stored), Buffer.from(given)];
  return left.length === right.length && timingSafeEqual(left, right);
}
