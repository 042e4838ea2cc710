/** JSON documents of other servers that strangers may name: fetched without letting them see this machine's network, hold it, or fill it. */
import { lookup } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { LookupFunction } from "node:net";
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";
import { isPublicAddress, isTrustedHost } from "./address-guard.ts";

/** What a fetch answers. `problem` is for the log: it may name addresses of this network. */
export type FetchedJson =
  | { readonly ok: true; readonly value: Json }
  | {
      readonly ok: false;
      /**
       * `refused`: not asked, for where it is; `unreachable`: no answer in time; `untrusted-certificate`: not the server that it should be;
       * `unusable`: an answer, and no JSON document.
       */
      readonly kind: "refused" | "unreachable" | "untrusted-certificate" | "unusable";
      readonly problem: string;
    };

/** What a guarded fetch is made with. */
export interface GuardedFetchOptions {
  /** `host` or `host:port`, as URLs write them: these may be private, or without TLS. */
  readonly trustedHosts: readonly string[];
  /** For name, connection and answer together. */
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

interface PinnedAddress {
  readonly address: string;
  readonly family: number;
}

const maxUrlLength = 2_048;
/** So many at once; more than that wait for nobody and fail, for each holds a socket. */
const maxAtOnce = 32;
const jsonContentType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

class FetchFailure extends Error {
  override readonly name = "FetchFailure";
  readonly kind: Extract<FetchedJson, { ok: false }>["kind"];
  constructor(kind: FetchFailure["kind"], problem: string) {
    super(problem);
    this.kind = kind;
  }
}

/**
 * Makes the fetcher. It asks by https (by http only trusted hosts), resolves the name itself, refuses when any of its addresses is not
 * public (unless the host is trusted), connects to none but those, and follows no redirect. It answers every failure and never rejects.
 */
export function createGuardedFetch(options: GuardedFetchOptions): (url: string) => Promise<FetchedJson> {
  const { trustedHosts, timeoutMs = 5_000, maxBytes = 262_144 } = options;
  let running = 0;
  return async (text) => {
    if (running >= maxAtOnce) return failed("unreachable", "too many requests to other servers are under way");
    running += 1;
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const url = readUrl(text, trustedHosts);
      const addresses = await resolve(url, isTrustedHost(trustedHosts, url), signal);
      const response = await ask(url, addresses, signal);
      const value = parseJson(await readBody(response, maxBytes));
      return value.ok ? { ok: true, value: value.value } : failed("unusable", value.problem);
    } catch (error) {
      if (error instanceof FetchFailure) return failed(error.kind, error.message);
      const problem = error instanceof Error ? error.message : String(error);
      return failed(isCertificateProblem(error) ? "untrusted-certificate" : "unreachable", problem);
    } finally {
      running -= 1;
    }
  };
}

function failed(kind: FetchFailure["kind"], problem: string): FetchedJson {
  return { ok: false, kind, problem };
}

function readUrl(text: string, trustedHosts: readonly string[]): URL {
  const url = text.length <= maxUrlLength ? URL.parse(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) throw new FetchFailure("refused", "not an http(s) URL");
  if (url.username !== "" || url.password !== "") throw new FetchFailure("refused", "a URL with credentials");
  if (url.protocol === "http:" && !isTrustedHost(trustedHosts, url)) throw new FetchFailure("refused", `${url.host} by plain http`);
  return url;
}

/** All addresses of the host. One that is not public spoils the name: which of them is connected to is not for the name's owner to choose. */
async function resolve(url: URL, isTrusted: boolean, signal: AbortSignal): Promise<readonly PinnedAddress[]> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(host);
  const addresses = family === 0 ? await unlessAborted(lookup(host, { all: true }), signal) : [{ address: host, family }];
  const closed = addresses.find(({ address }) => !isPublicAddress(address));
  if (closed !== undefined && !isTrusted) throw new FetchFailure("refused", `${url.host} is at ${closed.address}, which is not public`);
  return addresses;
}

/** Names cannot be asked for with a signal. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(new FetchFailure("unreachable", "the name was not resolved in time"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function ask(url: URL, addresses: readonly PinnedAddress[], signal: AbortSignal): Promise<IncomingMessage> {
  // The certificate is checked for the name; the connection goes to the addresses that were judged, and no name is asked for again.
  const pinned: LookupFunction = (_host, { all }, answer) => {
    const [first] = addresses;
    if (all === true) answer(null, [...addresses]);
    else if (first === undefined) answer(new Error("the name has no address"), "");
    else answer(null, first.address, first.family);
  };
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolveResponse, reject) => {
    const request = send(url, {
      lookup: pinned,
      signal,
      agent: false,
      maxHeaderSize: 16_384,
      headers: { accept: "application/json", "accept-encoding": "identity", "user-agent": "supercargo" },
    });
    request.once("response", resolveResponse).on("error", reject).end();
  });
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  try {
    if (response.statusCode !== 200) throw new FetchFailure("unusable", `status ${response.statusCode}`);
    const type = response.headers["content-type"] ?? "";
    if (!jsonContentType.test(type)) throw new FetchFailure("unusable", `content type '${type.slice(0, 64)}'`);
    if ((response.headers["content-encoding"] ?? "identity") !== "identity") throw new FetchFailure("unusable", "an encoded answer");
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new FetchFailure("unusable", `more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    response.destroy();
  }
}

/** Node's and OpenSSL's names for certificates that do not prove who is there. */
function isCertificateProblem(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH|ERROR_IN_CERT)/.test(code);
}
