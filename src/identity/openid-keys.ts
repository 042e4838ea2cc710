/**
 * The keys that identity providers sign with (OpenID Connect Discovery 1.0, section 4). They come from where the issuer's own document says,
 * over a fetch that somebody else guards, or from the provider's settings; never from a token.
 */
import type { Clock } from "#std/clock.ts";
import type { Json } from "#std/json.ts";
import type { Log } from "#std/log.ts";
import { createLocalJWKSet } from "jose";
import type { JWTVerifyGetKey } from "jose";
import { LRUCache } from "lru-cache";

/** Fetches a JSON document of a server that a stranger may have named. Answers failures and never rejects. */
export type FetchJson = (url: string) => Promise<
  | { readonly ok: true; readonly value: Json }
  | {
      readonly ok: false;
      readonly kind: "refused" | "unreachable" | "untrusted-certificate" | "unusable";
      /** For the log. */
      readonly problem: string;
    }
>;

/** What looking for an issuer's keys answers. */
export type FoundKeys =
  | { readonly ok: true; readonly keys: JWTVerifyGetKey; readonly keyIds: ReadonlySet<string> }
  | Extract<Awaited<ReturnType<FetchJson>>, { ok: false }>;

/** Knows the keys of issuers. */
export interface OpenIdKeys {
  /** The issuer's keys; asked for again when they are old, or when none has the wanted id, though not twice within half a minute. */
  find(issuer: string, wantedKeyId: string | undefined): Promise<FoundKeys>;
}

/** Keys are asked for again after so long, so that one that was withdrawn is not good for ever. */
const maxAgeMs = 600_000;
/** However many tokens come with key ids that nobody knows. */
const cooldownMs = 30_000;
/** However many come while the issuer fails. */
const failureCooldownMs = 5_000;
const maxIssuers = 1_000;
const maxKeys = 100;

interface Known {
  readonly found: Promise<FoundKeys>;
  /** When the issuer was last asked, and when it last answered. */
  readonly askedAt: number;
  answeredAt: number;
}

/** Makes a memory of issuers' keys with nothing in it. */
export function createOpenIdKeys(fetchJson: FetchJson, clock: Clock, log: Log): OpenIdKeys {
  const issuers = new LRUCache<string, Known>({ max: maxIssuers });

  const ask = (issuer: string, older: Known | undefined): Promise<FoundKeys> => {
    const now = clock.now();
    const fetchAgain = async (): Promise<FoundKeys> => {
      const fresh = await fetchKeys(fetchJson, issuer);
      if (fresh.ok) known.answeredAt = now;
      else log.warn({ issuer, problem: fresh.problem }, "the keys of an identity provider cannot be had");
      // A token with an unknown key id does not take away keys that are still good.
      return fresh.ok || older === undefined ? fresh : older.found;
    };
    // Begun a turn later, so that `known` is there when the answer comes.
    const known: Known = { askedAt: now, answeredAt: older?.answeredAt ?? now, found: Promise.resolve().then(fetchAgain) };
    issuers.set(issuer, known);
    return known.found;
  };

  return {
    async find(issuer, wantedKeyId) {
      const known = issuers.get(issuer);
      if (known === undefined || clock.now() - known.answeredAt >= maxAgeMs) return ask(issuer, undefined);
      const found = await known.found;
      if (found.ok && (wantedKeyId === undefined || found.keyIds.has(wantedKeyId))) return found;
      if (clock.now() - known.askedAt < (found.ok ? cooldownMs : failureCooldownMs)) return found;
      // Of several that waited, one asks.
      const newer = issuers.get(issuer);
      return newer !== undefined && newer !== known ? newer.found : ask(issuer, found.ok ? known : undefined);
    },
  };
}

/** Reads a key set. What else than public keys is in it is left out. */
export function readKeySet(value: unknown): FoundKeys {
  const listed: unknown = isObject(value) ? value["keys"] : undefined;
  if (!Array.isArray(listed) || listed.length > maxKeys) return unusable("no key set, or one of too many keys");
  const keys = listed.filter((key) => isObject(key) && (key["kty"] === "RSA" || key["kty"] === "EC"));
  try {
    const keySet = createLocalJWKSet({ keys });
    const keyIds = keys.flatMap((key) => (isObject(key) && typeof key["kid"] === "string" ? [key["kid"]] : []));
    return { ok: true, keys: keySet, keyIds: new Set(keyIds) };
  } catch (error) {
    return unusable(error instanceof Error ? error.message : String(error));
  }
}

async function fetchKeys(fetchJson: FetchJson, issuer: string): Promise<FoundKeys> {
  const discovery = await fetchJson(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!discovery.ok) return discovery;
  const document = isObject(discovery.value) ? discovery.value : {};
  // Section 4.3: a document of another issuer must not be used.
  if (document["issuer"] !== issuer) return unusable("the discovery document is another issuer's");
  const location = document["jwks_uri"];
  if (typeof location !== "string") return unusable("the discovery document names no key set");
  const keySet = await fetchJson(location);
  return keySet.ok ? readKeySet(keySet.value) : keySet;
}

function unusable(problem: string): FoundKeys {
  return { ok: false, kind: "unusable", problem };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
