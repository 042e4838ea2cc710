/**
 * A client of other OCI registries (OCI distribution specification 1.1; the token protocol of Docker's registry). It goes where the
 * address guard lets it, shows credentials to nobody but the registry and its own token server, streams blobs, and believes nothing:
 * what comes back is checked here where it can be, and by digest where it is stored.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { digestAlgorithm, digestOf, parseDigest } from "#oci/digest.ts";
import type { Digest } from "#oci/digest.ts";
import { manifestLimitBytes } from "#oci/manifest.ts";
import { bareMediaType, isManifestMediaType, mediaTypes } from "#oci/media-type.ts";
import type { ManifestMediaType } from "#oci/media-type.ts";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import type { GuardedConnections, IncomingAnswer } from "./connections.ts";
import { ConnectionRefusal } from "./guarded-connection.ts";
import { readBytes } from "./read-bytes.ts";
import { createRegistryAuthorization } from "./registry-authorization.ts";
import type { RegistryScope, UpstreamCredentials } from "./registry-authorization.ts";
import { UpstreamError, failureOfStatus } from "./upstream-error.ts";
import type { UpstreamFailure } from "./upstream-error.ts";

/** Where a registry is, and as whom it is asked. */
export interface RegistryEndpoint {
  /** `https://host[:port]`; `http://…` for trusted hosts only. */
  readonly origin: string;
  /** Asked for when the registry wants to know who asks; undefined means anonymously. What it throws is thrown by the request. */
  readonly credentials?: () => Promise<UpstreamCredentials | undefined>;
}

/** What a client is made with. */
export interface RegistryClientOptions {
  readonly connections: GuardedConnections;
  readonly endpoint: RegistryEndpoint;
  readonly clock: Clock;
  readonly log: Log;
}

/** One request to the registry. */
export interface RegistryRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** From the root, with query: `/v2/…`; or an absolute URL (an upload's Location), which gets the Authorization only on the registry's own origin. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable | Uint8Array;
  /** Undefined for what concerns no repository. */
  readonly scope?: RegistryScope | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The manifest that was asked for; its bytes have the digest that is named here. */
export interface FoundManifest {
  readonly outcome: "found";
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly bytes: Uint8Array;
}

/** What the registry says of a manifest without its bytes. */
export interface FoundManifestFacts {
  readonly outcome: "found";
  readonly digest: Digest;
}

/** A blob that begins to arrive. Nothing of it has been checked yet. */
export interface FoundBlob {
  readonly outcome: "found";
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
  /** Of the whole blob, as the registry claims it; undefined when it does not say. */
  readonly sizeBytes: number | undefined;
}

/** A client of one registry, as one user. */
export interface RegistryClient {
  /**
   * Asks, with authorization; follows up to five redirects of GET and HEAD. Any status is an answer. Throws UpstreamError when there is
   * none: `unavailable` for the network, `rate-limited` while the registry rests, `denied` by the token server. A streamed body is sent
   * once: a 401 in answer to it is not tried again.
   */
  request(request: RegistryRequest): Promise<IncomingAnswer>;
  getManifest(repository: string, reference: string, signal?: AbortSignal): Promise<FoundManifest | UpstreamFailure>;
  headManifest(repository: string, reference: string, signal?: AbortSignal): Promise<FoundManifestFacts | UpstreamFailure>;
  /** `from` asks for the bytes from that offset on; a registry that cannot do so is `invalid`. */
  getBlob(
    repository: string,
    digest: Digest,
    options: { readonly from?: number },
    signal?: AbortSignal,
  ): Promise<FoundBlob | UpstreamFailure>;
}

const maxRedirects = 5;
const redirectStatuses = [301, 302, 303, 307, 308];
/** What is left of a body that nobody wants, before its connection is given up. */
const maxDrainBytes = 65_536;
const repositoryPath = /^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/;
const acceptManifests = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest, mediaTypes.dockerManifestList].join(", ");

/** Makes a client. Throws TypeError when the origin is no http(s) origin. */
export function createRegistryClient({ connections, endpoint, clock, log }: RegistryClientOptions): RegistryClient {
  const origin = new URL(endpoint.origin);
  const authorization = createRegistryAuthorization({ connections, origin, credentials: endpoint.credentials, clock });
  let restUntil = 0;

  /** Sends, and follows redirects; the Authorization goes to the registry's own origin and nowhere else. */
  async function follow(request: RegistryRequest, header: string | undefined): Promise<IncomingAnswer & { readonly isOwn: boolean }> {
    let url = new URL(request.path, origin);
    for (let hops = 0; ; hops++) {
      const isOwn = url.origin === origin.origin;
      const headers = { ...request.headers, ...(isOwn && header !== undefined && { authorization: header }) };
      const { method, body, signal } = request;
      const answer = await connections.send({ method, url: url.href, headers, body, signal });
      if (!redirectStatuses.includes(answer.status) || (method !== "GET" && method !== "HEAD")) return { ...answer, isOwn };
      await drain(answer.body);
      const next = URL.parse(answer.headers.location ?? "", url);
      if (next === null || hops >= maxRedirects) throw new UpstreamError({ outcome: "invalid", problem: "redirects that lead nowhere" });
      url = next;
    }
  }

  /** A streamed body cannot be sent twice, so how the registry wants to be asked is found out before. */
  async function askHow(scope: RegistryScope | undefined, signal: AbortSignal | undefined): Promise<void> {
    const answer = await follow({ method: "GET", path: "/v2/", scope, signal }, undefined);
    await drain(answer.body);
    if (answer.status === 401 && answer.isOwn) authorization.learn(answer.headers["www-authenticate"], scope, undefined);
    else authorization.noteOpen();
  }

  async function send(request: RegistryRequest): Promise<IncomingAnswer> {
    const { body, scope, signal } = request;
    const isStream = body !== undefined && !(body instanceof Uint8Array);
    if (isStream && !authorization.isKnown) await askHow(scope, signal);
    const header = await authorization.header(scope, signal);
    const answer = await follow(request, header);
    if (answer.status !== 401) {
      if (answer.status < 400) authorization.noteOpen();
      return answer;
    }
    // Whoever stands behind a redirect has no say in how the registry is asked.
    if (!answer.isOwn) return answer;
    const canTry = authorization.learn(answer.headers["www-authenticate"], scope, header) && !isStream;
    if (!canTry) return answer;
    await drain(answer.body);
    return follow(request, await authorization.header(scope, signal));
  }

  async function request(asked: RegistryRequest): Promise<IncomingAnswer> {
    try {
      if (clock.now() < restUntil)
        throw new UpstreamError({ outcome: "rate-limited", problem: `${origin.host} rests`, retryAfterMs: restUntil - clock.now() });
      const answer = await send(asked);
      if (answer.status === 429) rest(failureOfStatus(answer.status, answer.headers, clock.now(), origin.host));
      return answer;
    } catch (error) {
      if (asked.body !== undefined && !(asked.body instanceof Uint8Array)) asked.body.destroy();
      throw rethrown(error);
    }
  }

  function rest({ retryAfterMs }: UpstreamFailure): void {
    if (retryAfterMs !== undefined) restUntil = Math.max(restUntil, clock.now() + retryAfterMs);
  }

  function rethrown(error: unknown): unknown {
    if (error instanceof UpstreamError) rest(error.failure);
    if (error instanceof UpstreamError || !isNetworkError(error)) return error;
    log.warn({ host: origin.host, problem: messageOf(error) }, "another registry did not answer");
    return new UpstreamError({ outcome: "unavailable", problem: messageOf(error) }, { cause: error });
  }

  async function get(method: "GET" | "HEAD", path: string, repository: string, more: Pick<RegistryRequest, "headers" | "signal">) {
    if (!repositoryPath.test(repository)) throw new UpstreamError({ outcome: "invalid", problem: "no repository has such a name" });
    const answer = await request({ method, path: `/v2/${repository}/${path}`, scope: { repository, actions: "pull" }, ...more });
    if (answer.status === 200 || answer.status === 206) return answer;
    await drain(answer.body);
    throw new UpstreamError(failureOfStatus(answer.status, answer.headers, clock.now(), `${origin.host} ${method} ${path}`));
  }

  const getManifest: RegistryClient["getManifest"] = (repository, reference, signal) =>
    asOutcome(async () => {
      const answer = await get("GET", `manifests/${reference}`, repository, { headers: { accept: acceptManifests }, signal });
      const mediaType = bareMediaType(answer.headers["content-type"] ?? "");
      if (!isManifestMediaType(mediaType)) throw unusable(answer, `a manifest of type '${mediaType.slice(0, 64)}'`);
      if (isEncoded(answer.headers)) throw unusable(answer, "an encoded manifest");
      const bytes = await readBytes(answer.body, manifestLimitBytes);
      const asked = parseDigest(reference);
      // The header is a claim about the same bytes; one that is not true says that something stands between us and the registry.
      const claimed = parseDigest(String(answer.headers["docker-content-digest"] ?? ""));
      const digest = digestOf(asked.ok ? digestAlgorithm(asked.value) : "sha256", bytes);
      if (asked.ok && asked.value !== digest) throw unusable(answer, "a manifest of another digest");
      if (claimed.ok && digestOf(digestAlgorithm(claimed.value), bytes) !== claimed.value)
        throw unusable(answer, "a manifest of another digest");
      return { outcome: "found", digest, mediaType, bytes };
    });

  return {
    request,
    getManifest,
    async headManifest(repository, reference, signal) {
      const facts = await asOutcome<FoundManifestFacts | undefined>(async () => {
        const { headers, body } = await get("HEAD", `manifests/${reference}`, repository, { headers: { accept: acceptManifests }, signal });
        await drain(body);
        const digest = parseDigest(String(headers["docker-content-digest"] ?? ""));
        return digest.ok ? { outcome: "found", digest: digest.value } : undefined;
      });
      if (facts !== undefined) return facts;
      // The header is not required of a registry; the bytes always say it.
      return getManifest(repository, reference, signal);
    },
    getBlob: (repository, digest, { from = 0 }, signal) =>
      asOutcome(async () => {
        const headers = { accept: "*/*", ...(from > 0 && { range: `bytes=${from}-` }) };
        const answer = await get("GET", `blobs/${digest}`, repository, { headers, signal });
        if (isEncoded(answer.headers)) throw unusable(answer, "an encoded blob");
        const sizeBytes = sizeOf(answer, from);
        if (sizeBytes === "wrong-range") throw unusable(answer, "another range than was asked for");
        return { outcome: "found", body: answer.body, sizeBytes };
      }),
  };
}

/** Turns what is thrown into an outcome; what is no failure of the upstream goes on. */
async function asOutcome<T>(work: () => Promise<T>): Promise<T | UpstreamFailure> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UpstreamError) return error.failure;
    // A body that breaks off.
    if (isNetworkError(error)) return { outcome: "unavailable", problem: messageOf(error) };
    throw error;
  }
}

function unusable({ body }: IncomingAnswer, problem: string): UpstreamError {
  body.destroy();
  return new UpstreamError({ outcome: "invalid", problem });
}

function isEncoded(headers: IncomingHttpHeaders): boolean {
  return (headers["content-encoding"] ?? "identity").toLowerCase() !== "identity";
}

/** The size of the whole blob that an answer claims; `wrong-range` when its bytes do not begin where they should. */
function sizeOf({ status, headers }: IncomingAnswer, from: number): number | undefined | "wrong-range" {
  if (from === 0 && status === 200) {
    const text = headers["content-length"];
    return text === undefined ? undefined : Number(text);
  }
  const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(headers["content-range"] ?? "");
  if (status !== 206 || range === null || Number(range[1]) !== from) return "wrong-range";
  return range[2] === "*" ? undefined : Number(range[2]);
}

/** Reads what is left of a small body, so that its connection can be used again. Never rejects. */
async function drain(body: Readable): Promise<void> {
  try {
    await readBytes(body, maxDrainBytes);
  } catch {
    body.destroy();
  }
}

function isNetworkError(error: unknown): boolean {
  if (error instanceof ConnectionRefusal || error instanceof AggregateError) return true;
  if (!(error instanceof Error)) return false;
  return (
    error.name === "TimeoutError" ||
    error.name === "StaleConnection" ||
    ("code" in error && typeof error.code === "string" && error.name !== "AbortError")
  );
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
