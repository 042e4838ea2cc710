/**
 * The front door: one port, many faces. It gives each request its id, finds out who is really asking and under which name,
 * picks the plane that answers, and writes the access log and the metrics when the answer is out. It knows no registry rule.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "#std/clock.ts";
import type { AuditFacts, AuditedDecision, Exchange, ExchangeNotes } from "#std/exchange.ts";
import type { Log } from "#std/log.ts";
import type { Random } from "#std/random.ts";
import { noAuditLog } from "./audit-log.ts";
import type { AuditLog } from "./audit-log.ts";
import { auditLine } from "./audit-record.ts";
import type { AuditedExchange } from "./audit-record.ts";
import type { Metrics } from "./metrics.ts";
import type { AddressSet } from "./setting-values.ts";

/** A plane: answers an exchange completely, and never rejects for what a client did. */
export type Plane = (exchange: Exchange) => Promise<void>;

/** What the front door needs. */
export interface FrontOptions {
  /** `/v2/…` and `/download/…`. */
  readonly distribution: Plane;
  /** `POST /` and signed `GET /`. */
  readonly api: Plane;
  /** `/v1/credentials` and what is below it. */
  readonly machineCredentials: Plane;
  /** `/`, `/healthz`, `/readyz`, `/metrics`. */
  readonly pages: Plane;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly auditLog: AuditLog;
  readonly metrics: Metrics;
  readonly trustedProxies: AddressSet;
  readonly scheme: "http" | "https";
  /** In `--dev` an unknown Host is refused: a web page must not reach this server through a name of its own. */
  readonly hostIsKnown: ((host: string | undefined) => boolean) | undefined;
}

/** Makes the listener for `request` and `checkContinue`. */
export function createFront(options: FrontOptions): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const exchange = new HttpExchange(request, response, options);
    options.metrics.started();
    response.once("close", () => exchange.finished());
    void answer(exchange, options);
  };
}

const noDecisions: readonly AuditedDecision[] = [];
const requestIdHeader = "x-amzn-requestid";

async function answer(exchange: HttpExchange, options: FrontOptions): Promise<void> {
  const { request, response } = exchange;
  try {
    const plane = misaddressed(exchange, options) ?? planeOf(request, options);
    // The data plane writes the id into its own list of headers: a header set here would take Node's slower way on the hottest path.
    if (plane !== options.distribution) response.setHeader(requestIdHeader, exchange.requestId);
    await plane(exchange);
  } catch (error) {
    options.log.error({ requestId: exchange.requestId, error: describeError(error) }, "request failed");
    if (response.headersSent) response.destroy();
    else {
      response.setHeader(requestIdHeader, exchange.requestId);
      respondJson(response, 500, { message: `Internal failure. Request id: ${exchange.requestId}` });
    }
  }
}

/** What answers a request that does not say whom it is for, or means somebody else; undefined for a good one. */
function misaddressed({ request, host }: Exchange, options: FrontOptions): Plane | undefined {
  if (host === undefined && request.httpVersion === "1.1") return answerNoHost;
  return options.hostIsKnown?.(host) === false ? answerUnknownHost : undefined;
}

async function answerNoHost(exchange: Exchange): Promise<void> {
  exchange.note({ route: "no-host" });
  exchange.response.setHeader("Connection", "close");
  respondJson(exchange.response, 400, { message: "A request must carry a Host header (RFC 9112, section 3.2)." });
}

/** In a form that clients of both planes show to their users. */
async function answerUnknownHost(exchange: Exchange): Promise<void> {
  const { host, response } = exchange;
  exchange.note({ route: "unknown-host" });
  const name = host !== undefined && /^[\w.:[\]-]{1,200}$/.test(host) ? `'${host}'` : "that name";
  const message = `This server runs with --dev and does not answer to ${name}: only to localhost, to addresses, and to the names in SUPERCARGO_PUBLIC_URL and SUPERCARGO_DOMAIN.`;
  respondJson(response, 421, { __type: "MisdirectedRequestException", message, errors: [{ code: "DENIED", message }] });
}

function planeOf(request: IncomingMessage, options: FrontOptions): Plane {
  const target = request.url ?? "/";
  if (target.startsWith("/v2/") || target === "/v2" || target.startsWith("/v2?") || target.startsWith("/download/"))
    return options.distribution;
  const atRoot = target === "/" || target.startsWith("/?");
  if (atRoot && (request.method === "POST" || target.includes("Action="))) return options.api;
  if (/^\/v1\/credentials(?:[/?]|$)/.test(target)) return options.machineCredentials;
  return options.pages;
}

/** Answers with a small JSON body. */
export function respondJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

/** An error for the log: name, message and stack, nothing of the request. */
export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);
}

class HttpExchange implements Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly host: string | undefined;
  readonly scheme: "http" | "https";
  readonly remoteAddress: string;
  #notes: ExchangeNotes = {};
  #audit: Partial<AuditFacts> | undefined;
  #decisions: readonly AuditedDecision[] = noDecisions;
  readonly #options: FrontOptions;
  readonly #startedAt: number;

  constructor(request: IncomingMessage, response: ServerResponse, options: FrontOptions) {
    this.request = request;
    this.response = response;
    this.#options = options;
    this.#startedAt = performance.now();
    this.requestId = options.random.uuid();
    const peer = request.socket.remoteAddress ?? "";
    const viaProxy = peer !== "" && options.trustedProxies.contains(peer);
    this.remoteAddress = viaProxy ? clientBehind(request, peer, options.trustedProxies) : peer;
    this.host = (viaProxy ? lastOf(request.headers["x-forwarded-host"]) : undefined) ?? request.headers.host;
    const forwardedScheme = viaProxy ? lastOf(request.headers["x-forwarded-proto"]) : undefined;
    this.scheme = forwardedScheme === "https" || forwardedScheme === "http" ? forwardedScheme : options.scheme;
  }

  note(notes: ExchangeNotes): void {
    this.#notes = { ...this.#notes, ...notes };
  }

  audit(facts: Partial<AuditFacts>): void {
    this.#audit = this.#audit === undefined ? facts : { ...this.#audit, ...facts };
  }

  decided(decision: AuditedDecision): void {
    this.#decisions = this.#decisions.length === 0 ? [decision] : [...this.#decisions, decision];
  }

  finished(): void {
    const { request, response } = this;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const route = this.#notes.route ?? "other";
    const complete = response.writableFinished;
    // 499 is what proxies write for a client that went away before its answer was out.
    const status = complete ? response.statusCode : 499;
    const { receivedBytes, sentBytes } = countBytes(request.socket);
    this.#options.metrics.finished({ route, status, seconds, receivedBytes, sentBytes });
    this.#writeAudit(status);
    this.#options.log.info(
      {
        requestId: this.requestId,
        remote: this.remoteAddress,
        method: request.method,
        path: loggedPath(request.url ?? ""),
        status,
        milliseconds: Math.round(seconds * 1e4) / 10,
        sentBytes,
        ...this.#notes,
      },
      "request",
    );
  }

  #writeAudit(status: number): void {
    const { auditLog, clock, random } = this.#options;
    if (auditLog === noAuditLog || !isComplete(this.#audit)) return;
    const audited: AuditedExchange = {
      facts: this.#audit,
      decisions: this.#decisions,
      requestId: this.requestId,
      eventId: random.uuid(),
      at: clock.now(),
      sourceIp: this.remoteAddress,
      userAgent: this.request.headers["user-agent"],
      errorCode: this.#notes.errorCode,
      status,
    };
    auditLog.write(() => auditLine(audited));
  }
}

/** Does it say whose request it was, and for what? */
function isComplete(facts: Partial<AuditFacts> | undefined): facts is AuditFacts {
  return facts?.eventName !== undefined && facts.eventSource !== undefined && facts.userIdentity !== undefined;
}

/** What each connection had moved when its last request ended. */
const counted = new WeakMap<Socket, { read: number; written: number }>();

/** What moved on a connection since its last request ended. The head of a request has been read before anybody knows of it. */
function countBytes(socket: Socket): { readonly receivedBytes: number; readonly sentBytes: number } {
  const { bytesRead, bytesWritten } = socket;
  let before = counted.get(socket);
  if (before === undefined) counted.set(socket, (before = { read: 0, written: 0 }));
  const moved = { receivedBytes: Math.max(0, bytesRead - before.read), sentBytes: Math.max(0, bytesWritten - before.written) };
  before.read = bytesRead;
  before.written = bytesWritten;
  return moved;
}

/**
 * The path without its query (upload states, presigned signatures) and without a download ticket: those are credentials,
 * also in a URL that was put together wrongly.
 */
function loggedPath(target: string): string {
  if (!target.startsWith("/")) return "(no path)";
  const end = target.search(/[?#]/);
  const path = end === -1 ? target : target.slice(0, end);
  const ticketAt = path.startsWith("/v2/") ? -1 : path.toLowerCase().indexOf("/download");
  return ticketAt === -1 ? path.slice(0, 300) : `${path.slice(0, ticketAt)}/download/…`.slice(-300);
}

/** The right-most entry that no trusted proxy wrote about itself; entries further left are the client's own claim. */
function clientBehind(request: IncomingMessage, peer: string, trusted: AddressSet): string {
  const hops = String(request.headers["x-forwarded-for"] ?? "")
    .split(",")
    .map((hop) => hop.trim())
    .filter((hop) => hop !== "");
  for (const hop of hops.toReversed()) if (!trusted.contains(hop)) return hop.slice(0, 64);
  return peer;
}

function lastOf(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header.at(-1) : header;
  const last = text?.split(",").at(-1)?.trim();
  return last === "" ? undefined : last;
}
