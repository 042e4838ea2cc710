/** JSON documents of other servers that strangers may name: fetched without letting them see this machine's network, hold it, or fill it. */
import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";
import { ConnectionRefusal, isCertificateProblem, pinnedLookup, readGuardedUrl, resolveGuarded } from "./guarded-connection.ts";
import type { PinnedAddress } from "./guarded-connection.ts";

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
      const url = readGuardedUrl(text, trustedHosts, maxUrlLength);
      const addresses = await resolveGuarded(url, trustedHosts, signal);
      const response = await ask(url, addresses, signal);
      const value = parseJson(await readBody(response, maxBytes));
      return value.ok ? { ok: true, value: value.value } : failed("unusable", value.problem);
    } catch (error) {
      if (error instanceof FetchFailure || error instanceof ConnectionRefusal) return failed(error.kind, error.message);
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

function ask(url: URL, addresses: readonly PinnedAddress[], signal: AbortSignal): Promise<IncomingMessage> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolveResponse, reject) => {
    const request = send(url, {
      lookup: pinnedLookup(addresses),
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
