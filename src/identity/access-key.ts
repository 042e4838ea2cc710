/** Long-term access keys (IAM User Guide, "Manage access keys for IAM users"): two a user, so that one can be replaced while the other works. */
import {
  createAccessKey as insertKey,
  deleteAccessKey as removeKey,
  findKeyUse,
  listAccessKeys as readKeys,
  setAccessKeyStatus,
} from "#metadata/access-keys.ts";
import type { KeyChangeOutcome, KeyStatus, KeyUse, ListedKey } from "#metadata/access-keys.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { makeAccessKey, sealSecret } from "./key-material.ts";
import type { AccessKey } from "./key-material.ts";
import { identityQuotas } from "./quota.ts";
import { getUser } from "./user.ts";

/** Whose keys are meant: a user's, or root's own when undefined. */
export type KeyHolderName = string | undefined;

/** A new key; the secret is shown this once. `createdAt` is in milliseconds since the epoch. */
export interface CreatedKey extends AccessKey {
  readonly userName: KeyHolderName;
  readonly createdAt: number;
}

/** Keys of a holder. */
export interface KeyPage {
  /** The user's name as it was made. */
  readonly userName: KeyHolderName;
  readonly keys: readonly ListedKey[];
  /** The last id when there are more. */
  readonly next: string | undefined;
}

/** The operator of the server makes root's key and replaces it; the API can list, disable and delete it, and make one when there is none. */
const rootKeyLimit = 1;

/** Makes a key. Throws IdentityError `not-found` for the user, or `limit`. */
export async function createAccessKey({ core, accountId }: IdentityContext, userName: KeyHolderName): Promise<CreatedKey> {
  const key = makeAccessKey(core.random, accountId);
  const createdAt = core.clock.now();
  const limit = userName === undefined ? rootKeyLimit : identityQuotas.AccessKeysPerUser;
  const secretSealed = sealSecret(core.sealer, key);
  const made = await insertKey(core.metadata, { accountId, userName, accessKeyId: key.accessKeyId, secretSealed, now: createdAt, limit });
  if (made.outcome === "user-not-found") throw refuse("not-found", { noun: "user", name: userName ?? "" });
  if (made.outcome === "limit") throw refuse("limit", { quota: "AccessKeysPerUser", limit });
  return { ...key, userName: made.userName, createdAt };
}

/** Allows or forbids signing with a key. Throws IdentityError `not-found` for the user or the key, which must be that user's. */
export async function updateAccessKey(
  { core, accountId }: IdentityContext,
  userName: KeyHolderName,
  accessKeyId: string,
  status: KeyStatus,
): Promise<void> {
  checkFound(await setAccessKeyStatus(core.metadata, { accountId, userName, accessKeyId, status }), userName, accessKeyId);
}

/** Deletes a key. Throws IdentityError `not-found` for the user or the key, which must be that user's. */
export async function deleteAccessKey({ core, accountId }: IdentityContext, userName: KeyHolderName, accessKeyId: string): Promise<void> {
  checkFound(await removeKey(core.metadata, { accountId, userName, accessKeyId }), userName, accessKeyId);
}

/** A page of keys by id. Throws IdentityError `not-found` for the user. */
export async function listAccessKeys(
  ctx: IdentityContext,
  userName: KeyHolderName,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<KeyPage> {
  const user = userName === undefined ? undefined : await getUser(ctx, userName);
  const found = await readKeys(ctx.core.metadata, { accountId: ctx.accountId, identityId: user?.identityId, ...page });
  return { userName: user?.name, ...found };
}

/** Whose a key of this account is and when it last signed a request. Throws IdentityError `not-found`. */
export async function getAccessKeyUse({ core, accountId }: IdentityContext, accessKeyId: string): Promise<KeyUse> {
  const use = await findKeyUse(core.metadata, accessKeyId);
  // Of a key of another account nothing is told, not even that it is there.
  if (use?.accountId !== accountId) throw refuse("not-found", { noun: "access-key", name: accessKeyId });
  return use;
}

function checkFound(outcome: KeyChangeOutcome, userName: KeyHolderName, accessKeyId: string): void {
  if (outcome === "user-not-found") throw refuse("not-found", { noun: "user", name: userName ?? "" });
  if (outcome === "key-not-found") throw refuse("not-found", { noun: "access-key", name: accessKeyId });
}
