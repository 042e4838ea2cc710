/** Requests to other servers over kept connections, each made to an address that was judged. Streams both ways; nothing is buffered here. */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import type { Readable } from "node:stream";
import { ConnectionRefusal, pinnedLookup, readGuardedUrl, resolveGuarded } from "./guarded-connection.ts";

/** A request to another server. */
export interface OutgoingRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A stream is consumed, or destroyed when the request fails. */
  readonly body?: Readable | Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What came back. The body must be read to its end or destroyed; it fails when it stops short. */
export interface IncomingAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
}

/** The connections of a process to other servers. */
export interface GuardedConnections {
  /** Sends one request and answers when the headers are there. Follows no redirect. Rejects with ConnectionRefusal or what the network says. */
  send(request: OutgoingRequest): Promise<IncomingAnswer>;
  /** Why nothing would be sent to that URL, as far as that can be said now; undefined when it would, or when its name has no address yet. */
  judge(url: string): Promise<ConnectionRefusal | undefined>;
  /** Drops all connections. */
  close(): void;
}

/** What connections are made with. Times in milliseconds. */
export interface ConnectionOptions {
  /** `host` or `host:port`, as URLs write them: these may be private, or without TLS. */
  readonly trustedHosts: readonly string[];
  /** For waiting for a free connection, for name, connection and TLS. */
  readonly connectMs?: number;
  /** From the end of the request to the headers of its answer. */
  readonly headersMs?: number;
  /** How long a body may stand still. A reader that does not read is not counted. */
  readonly idleMs?: number;
  readonly maxPerHost?: number;
  readonly maxTotal?: number;
}

type Timings = Required<Pick<ConnectionOptions, "connectMs" | "headersMs" | "idleMs">>;

/** Headers of an answer, at most; a challenge and a presigned redirect fit with room to spare. */
const maxHeaderSize = 32_768;

/** Makes a pool of connections that ask by https (by http only trusted hosts) and reach public addresses and trusted hosts only. */
export function createGuardedConnections(options: ConnectionOptions): GuardedConnections {
  const { trustedHosts, connectMs = 15_000, headersMs = 30_000, idleMs = 30_000, maxPerHost = 32, maxTotal = 128 } = options;
  const pool = {
    keepAlive: true,
    keepAliveMsecs: 15_000,
    maxSockets: maxPerHost,
    maxTotalSockets: maxTotal,
    maxFreeSockets: 4,
    timeout: 15_000,
  };
  const agents = { "http:": new HttpAgent(pool), "https:": new HttpsAgent(pool) };

  async function once(request: OutgoingRequest): Promise<IncomingAnswer> {
    const url = readGuardedUrl(request.url, trustedHosts);
    const addresses = await resolveGuarded(url, trustedHosts, request.signal ?? AbortSignal.timeout(connectMs));
    const isSecure = url.protocol === "https:";
    const { body } = request;
    const sent = (isSecure ? httpsRequest : httpRequest)(url, {
      method: request.method,
      agent: agents[isSecure ? "https:" : "http:"],
      lookup: pinnedLookup(addresses),
      maxHeaderSize,
      headers: {
        "user-agent": "supercargo",
        "accept-encoding": "identity",
        ...(body instanceof Uint8Array && { "content-length": String(body.byteLength) }),
        ...request.headers,
      },
      ...(request.signal !== undefined && { signal: request.signal }),
    });
    const answer = answerOf(sent, { connectMs, headersMs, idleMs });
    if (body === undefined || body instanceof Uint8Array) sent.end(body);
    // The request's own failure is the one that is told; the body is destroyed with it.
    else pipeline(body, sent, () => {});
    return answer;
  }

  return {
    async send(request) {
      try {
        return await once(request);
      } catch (error) {
        const { body, signal } = request;
        const isStream = body !== undefined && !(body instanceof Uint8Array);
        if (isStream) body.destroy();
        // Node says only that it was aborted, not whether because of a timeout.
        if (signal?.aborted === true) throw signal.reason;
        // A kept connection may be closed by the other side at the moment it is used again; nothing was answered, so it is asked anew.
        if (!isStream && error instanceof StaleConnection) return once(request);
        throw error;
      }
    },
    async judge(text) {
      try {
        await resolveGuarded(readGuardedUrl(text, trustedHosts), trustedHosts, AbortSignal.timeout(connectMs));
        return undefined;
      } catch (error) {
        return error instanceof ConnectionRefusal && error.kind === "refused" ? error : undefined;
      }
    },
    close() {
      agents["http:"].destroy();
      agents["https:"].destroy();
    },
  };
}

class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

/** The answer's headers, or why there are none. Each phase has its own time. */
function answerOf(sent: ClientRequest, { connectMs, headersMs, idleMs }: Timings): Promise<IncomingAnswer> {
  return new Promise((resolve, reject) => {
    const late = (what: string) => (): void => void sent.destroy(new ConnectionRefusal("unreachable", `${what} took too long`));
    let timer = setTimeout(late("the connection"), connectMs);
    const next = (ms: number, what: string): void => {
      clearTimeout(timer);
      timer = setTimeout(late(what), ms);
    };
    let response: IncomingMessage | undefined;
    sent.setTimeout(idleMs, () => {
      const isWaitedFor = response === undefined ? !sent.writableFinished : response.readableLength === 0 && !response.complete;
      if (isWaitedFor) late("a body")();
      else sent.socket?.setTimeout(idleMs);
    });
    sent.once("socket", (socket) => {
      const connected = (): void => (sent.writableFinished ? next(headersMs, "the answer") : clearTimeout(timer));
      if (!socket.connecting) return connected();
      socket.once("encrypted" in socket ? "secureConnect" : "connect", connected);
    });
    sent.once("finish", () => {
      if (sent.socket?.connecting === false && response === undefined) next(headersMs, "the answer");
    });
    sent.once("response", (message) => {
      clearTimeout(timer);
      response = message;
      // A body that breaks before anybody reads it must not end the process.
      message.on("error", () => {});
      resolve({ status: message.statusCode ?? 0, headers: message.headers, body: message });
    });
    sent.on("error", (error) => {
      clearTimeout(timer);
      const isReset = "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(sent.reusedSocket && isReset ? new StaleConnection(error.message, { cause: error }) : error);
    });
    sent.once("close", () => clearTimeout(timer));
  });
}
