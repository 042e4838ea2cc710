/**
 * Access keys as requests need them: the row, its principal and its signing keys, cached until an identity changes anywhere.
 * Invariant: an entry is stamped with the epoch read before its row, and is used only while the epoch is still that one. So a key that was
 * disabled or replaced stops working with the first request after its change is visible.
 */
import { deriveSigningKey } from "#aws/sigv4.ts";
import { findAccessKey } from "#metadata/accounts.ts";
import { readIdentityEpoch } from "#metadata/identity-epoch.ts";
import type { Database } from "#metadata/database.ts";
import { findSession } from "#metadata/sessions.ts";
import type { Session } from "#metadata/sessions.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Log } from "#std/log.ts";
import { LRUCache } from "lru-cache";
import { keyVersion, openSecret } from "#identity/key-material.ts";
import type { PrincipalLoader } from "./principal-loading.ts";
import type { Principal } from "./principal.ts";

/** A key that the database holds. */
export interface KnownKey {
  readonly principal: Principal;
  readonly isActive: boolean;
  /** Of temporary credentials, which are worth nothing without their token. */
  readonly session: Session | undefined;
  readonly secretSealed: string;
  /** When the row was read, in identity epochs. */
  readonly epoch: number;
}

/** The scope of a signing key, as a signature names it. */
interface SigningScope {
  readonly scopeDate: string;
  readonly region: string;
  readonly service: string;
}

/** Finds keys and derives signing keys. */
export interface KeyRing {
  /** The identity epoch as of now. */
  epoch(): Promise<number>;
  /** The key as of now, or undefined when there is none of that id, its owner is gone, or its secret cannot be opened. Temporary ones may have expired. */
  find(accessKeyId: string): Promise<KnownKey | undefined>;
  /** The signing key of a key just found. */
  signingKey(key: KnownKey, scope: SigningScope): Buffer;
}

/** What a key ring is made from. */
export interface KeyRingDeps {
  readonly metadata: Database;
  readonly sealer: Sealer;
  readonly log: Log;
  readonly principals: PrincipalLoader;
}

/** What a key is, whatever it belongs to. */
interface KeyRow {
  readonly secretSealed: string;
  readonly isActive: boolean;
  readonly session: Session | undefined;
  readonly principal: () => Promise<Principal | undefined>;
}

const maxKeys = 5000;
const maxSigningKeys = 5000;
const maxKeyIdLength = 128;
/** AWS's ids of temporary credentials begin so. */
const sessionPrefix = "ASIA";

/** Makes an empty key ring. */
export function createKeyRing(deps: KeyRingDeps): KeyRing {
  const { metadata, sealer } = deps;
  const known = new LRUCache<string, KnownKey>({ max: maxKeys });
  const signing = new LRUCache<string, { readonly epoch: number; readonly key: Buffer }>({ max: maxSigningKeys });
  const epoch = (): Promise<number> => readIdentityEpoch(metadata);

  return {
    epoch,
    async find(accessKeyId) {
      if (accessKeyId.length > maxKeyIdLength) return undefined;
      const now = await epoch();
      const cached = known.get(accessKeyId);
      if (cached?.epoch === now) return cached;
      const key = await readKey(deps, accessKeyId, now);
      // Ids that do not exist are not remembered: anyone can make up as many as the cache holds.
      if (key === undefined) known.delete(accessKeyId);
      else known.set(accessKeyId, key);
      return key;
    },
    signingKey(key, scope) {
      const { accessKeyId } = key.principal;
      const name = `${accessKeyId}/${scope.scopeDate}/${scope.region}/${scope.service}`;
      const cached = signing.get(name);
      if (cached?.epoch === key.epoch) return cached.key;
      // `find` opened this very text a moment ago; an empty secret could only make signatures fail, never match.
      const secret = openSecret(sealer, accessKeyId, key.secretSealed) ?? "";
      const derived = deriveSigningKey(secret, scope.scopeDate, scope.region, scope.service);
      signing.set(name, { epoch: key.epoch, key: derived });
      return derived;
    },
  };
}

async function readKey(deps: KeyRingDeps, accessKeyId: string, epoch: number): Promise<KnownKey | undefined> {
  const row = await findRow(deps, accessKeyId, epoch);
  if (row === undefined) return undefined;
  const secretAccessKey = openSecret(deps.sealer, accessKeyId, row.secretSealed);
  if (secretAccessKey === undefined) {
    deps.log.error(
      { accessKeyId },
      "a secret access key was sealed under an instance key that is not in the key file; its key cannot be used",
    );
    return undefined;
  }
  const principal = await row.principal();
  if (principal === undefined) return undefined;
  const { isActive, session, secretSealed } = row;
  const version = keyVersion({ accessKeyId, secretAccessKey });
  return { principal: { ...principal, keyVersion: version }, isActive, session, secretSealed, epoch };
}

/** Long-term keys first: an operator may give root a key of any id. */
async function findRow({ metadata, principals }: KeyRingDeps, accessKeyId: string, epoch: number): Promise<KeyRow | undefined> {
  const key = await findAccessKey(metadata, accessKeyId);
  if (key !== undefined) {
    const { accountId, secretSealed, user } = key;
    const loaded = { accountId, accessKeyId, epoch };
    const principal = (): Promise<Principal> => (user === undefined ? principals.ofRoot(loaded) : principals.ofUser(loaded, user));
    return { secretSealed, isActive: key.status === "Active", session: undefined, principal };
  }
  if (!accessKeyId.startsWith(sessionPrefix)) return undefined;
  const session = await findSession(metadata, accessKeyId);
  if (session === undefined) return undefined;
  const { accountId, secretSealed } = session;
  const principal = (): Promise<Principal | undefined> => principals.ofSession({ accountId, accessKeyId, epoch }, session);
  return { secretSealed, isActive: true, session, principal };
}
