/** The `Authorization` header for a registry of somebody else: credentials when it asks for them, or tokens by scope, kept until they expire. */
import type { Clock } from "#std/clock.ts";
import { parseJson } from "#std/json.ts";
import { mayHoldCredentials, parseChallenge } from "./challenge.ts";
import type { Challenge } from "./challenge.ts";
import type { GuardedConnections } from "./connections.ts";
import { readBytes } from "./read-bytes.ts";
import { UpstreamError, failureOfStatus } from "./upstream-error.ts";

/** What a registry knows a client by. */
export interface UpstreamCredentials {
  readonly username: string;
  readonly password: string;
}

/** What a token is for. */
export interface RegistryScope {
  readonly repository: string;
  readonly actions: "pull" | "pull,push";
}

/** Authorization at one registry. */
export interface RegistryAuthorization {
  /** Is it known how this registry wants to be asked? */
  readonly isKnown: boolean;
  /** Notes that a request was answered without any question. */
  noteOpen(): void;
  /** The header to send, if one is known to be needed. Throws UpstreamError when the token server refuses or fails. */
  header(scope: RegistryScope | undefined, signal?: AbortSignal): Promise<string | undefined>;
  /** Learns from a 401. False when nothing new can be tried: the header that was sent is refused, or the question cannot be answered. */
  learn(wwwAuthenticate: string | undefined, scope: RegistryScope | undefined, sent: string | undefined): boolean;
}

interface CachedToken {
  readonly value: Promise<string>;
  until: number;
}

const maxTokens = 1_000;
const maxTokenAnswerBytes = 65_536;
const maxTokenLength = 16_384;
/** The token protocol's default and least (Docker Registry v2 token authentication). */
const leastTokenMs = 60_000;
const mostTokenMs = 12 * 3_600_000;
/** A token is not used to its very end: the request that carries it takes time. */
const earlyMs = 10_000;
const credentialsMs = 60_000;

/** Makes the authorization at the registry behind this origin. */
export function createRegistryAuthorization(options: {
  readonly connections: GuardedConnections;
  readonly origin: URL;
  readonly credentials?: (() => Promise<UpstreamCredentials | undefined>) | undefined;
  readonly clock: Clock;
}): RegistryAuthorization {
  const { connections, origin, clock } = options;
  const tokens = new Map<string, CachedToken>();
  let challenge: Challenge | "open" | undefined;
  let held: { readonly value: Promise<UpstreamCredentials | undefined>; readonly until: number } | undefined;

  function credentials(): Promise<UpstreamCredentials | undefined> {
    if (held === undefined || held.until <= clock.now()) {
      const value = options.credentials?.() ?? Promise.resolve(undefined);
      held = { value, until: clock.now() + credentialsMs };
      value.catch(() => (held = undefined));
    }
    return held.value;
  }

  async function tokenFor(question: Extract<Challenge, { scheme: "bearer" }>, scope: RegistryScope | undefined): Promise<string> {
    const key = keyOf(scope);
    const cached = tokens.get(key);
    if (cached !== undefined && cached.until > clock.now()) return cached.value;
    tokens.delete(key);
    if (tokens.size >= maxTokens) for (const oldest of [...tokens.keys()].slice(0, maxTokens / 10)) tokens.delete(oldest);
    const fetched = fetchToken(question, scope);
    const entry: CachedToken = { value: fetched.then(({ token }) => token), until: Number.MAX_SAFE_INTEGER };
    tokens.set(key, entry);
    // Those who wait for it are told; here it is awaited below.
    entry.value.catch(() => {});
    try {
      entry.until = clock.now() + (await fetched).lifeMs - earlyMs;
    } catch (error) {
      if (tokens.get(key) === entry) tokens.delete(key);
      // The registry may name another token server by now: it is asked again how it wants to be asked.
      if (challenge === question) challenge = undefined;
      throw error;
    }
    return entry.value;
  }

  async function fetchToken(
    { realm, service }: Extract<Challenge, { scheme: "bearer" }>,
    scope: RegistryScope | undefined,
  ): Promise<{ readonly token: string; readonly lifeMs: number }> {
    const url = URL.parse(realm);
    if (url === null) throw new UpstreamError({ outcome: "invalid", problem: "the challenge's realm is no URL" });
    const shown = mayHoldCredentials(origin, url) ? await credentials() : undefined;
    if (service !== undefined) url.searchParams.set("service", service);
    if (scope !== undefined) url.searchParams.set("scope", `repository:${scope.repository}:${scope.actions}`);
    if (shown !== undefined) url.searchParams.set("account", shown.username);
    const headers = { accept: "application/json", ...(shown !== undefined && { authorization: basic(shown) }) };
    // A token is for everybody who waits for one, so no single request's signal ends it.
    const signal = AbortSignal.timeout(30_000);
    const answer = await connections.send({ method: "GET", url: url.href, headers, signal });
    if (answer.status !== 200) {
      answer.body.destroy();
      const failure = failureOfStatus(answer.status, answer.headers, clock.now(), `the token server ${url.host}`);
      throw new UpstreamError(failure.outcome === "not-found" ? { ...failure, outcome: "denied" } : failure);
    }
    return readToken(await readBytes(answer.body, maxTokenAnswerBytes));
  }

  return {
    get isKnown() {
      return challenge !== undefined;
    },
    noteOpen() {
      challenge ??= "open";
    },
    async header(scope, signal) {
      if (challenge === undefined || challenge === "open") return undefined;
      if (challenge.scheme === "basic") {
        const shown = await credentials();
        return shown === undefined ? undefined : basic(shown);
      }
      const token = await unlessAborted(tokenFor(challenge, scope), signal);
      return `Bearer ${token}`;
    },
    learn(wwwAuthenticate, scope, sent) {
      const asked = parseChallenge(wwwAuthenticate);
      if (asked === undefined) return false;
      const isSame = challenge !== undefined && challenge !== "open" && sameQuestion(challenge, asked);
      challenge = asked;
      if (!isSame) tokens.clear();
      if (asked.scheme === "basic") {
        const wasCurrent = sent !== undefined && isSame;
        held = undefined;
        return !wasCurrent;
      }
      // A token that was refused may have been revoked; a new one is worth one try.
      const key = keyOf(scope);
      tokens.delete(key);
      return true;
    },
  };
}

function keyOf(scope: RegistryScope | undefined): string {
  return scope === undefined ? "" : `${scope.repository}:${scope.actions}`;
}

function sameQuestion(one: Challenge, other: Challenge): boolean {
  if (one.scheme !== "bearer" || other.scheme !== "bearer") return one.scheme === other.scheme;
  return one.realm === other.realm && one.service === other.service;
}

function basic({ username, password }: UpstreamCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** What a token server answered. Throws UpstreamError. */
function readToken(bytes: Uint8Array): { readonly token: string; readonly lifeMs: number } {
  const answer = parseJson(bytes);
  if (!answer.ok || typeof answer.value !== "object" || answer.value === null || Array.isArray(answer.value))
    throw new UpstreamError({ outcome: "invalid", problem: "the token server's answer is no JSON object" });
  const { token, access_token: accessToken, expires_in: expiresIn } = answer.value;
  const value = typeof token === "string" && token !== "" ? token : accessToken;
  if (typeof value !== "string" || value.length > maxTokenLength || !/^[\x21-\x7e]+$/.test(value))
    throw new UpstreamError({ outcome: "invalid", problem: "the token server's answer holds no token" });
  const lifeMs = typeof expiresIn === "number" ? expiresIn * 1_000 : leastTokenMs;
  return { token: value, lifeMs: Math.min(Math.max(lifeMs, leastTokenMs), mostTokenMs) };
}

/** Waits for shared work until this request no longer wants it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
