/**
 * The listening socket: TLS, limits on what connections may cost, an answer to what is no HTTP, and a graceful end.
 * It listens before anything is opened and says "starting" until it is told who answers: a port that is taken shows before anything is written.
 */
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Log } from "#std/log.ts";
import type { Random } from "#std/random.ts";
import { respondJson } from "./front.ts";
import { SettingsError } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Answers one request. */
export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** A listening socket. */
export interface Listener {
  readonly scheme: "http" | "https";
  readonly port: number;
  /** From now on requests are answered by this. */
  answerWith(front: RequestListener): void;
  /** Reads the certificate again, for connections made from now on. */
  reloadCertificate(): void;
  /** Accepts nothing more, waits until running requests have ended or the time is up, then closes every connection. */
  close(timeoutMs: number): Promise<void>;
}

/** What a listener needs. */
export interface ListenerDeps {
  readonly log: Log;
  readonly random: Random;
  /** A connection on which the client lets nothing move for so long is given up. Default two minutes. */
  readonly quietMs?: number;
}

type AnyServer = HttpServer | HttpsServer;

/** What runs on a connection: its last request, and how many answers are not out yet (several, when requests are pipelined). */
interface Traffic {
  request: IncomingMessage;
  response: ServerResponse;
  open: number;
  quietTimes: number;
}

/** How often a silent connection is waited for while it is this server that has to answer: an hour with the default of two minutes. */
const maxQuietTimes = 30;

/** Listens. Throws {@link SettingsError} when the address or the certificate cannot be used. */
export async function openListener(settings: Settings, deps: ListenerDeps): Promise<Listener> {
  const { log, quietMs = 120_000 } = deps;
  const server = createServer(settings);
  const connections = new Set<Socket>();
  const traffic = new WeakMap<Socket, Traffic>();
  let answer: RequestListener = createStartingAnswer(deps.random);
  let running = 0;
  let whenIdle: (() => void) | undefined;

  const take: RequestListener = (request, response) => {
    const { socket } = request;
    running += 1;
    let current = traffic.get(socket);
    if (current === undefined) traffic.set(socket, (current = { request, response, open: 0, quietTimes: 0 }));
    current.request = request;
    current.response = response;
    current.open += 1;
    current.quietTimes = 0;
    response.on("close", () => {
      running -= 1;
      current.open -= 1;
      if (running === 0) whenIdle?.();
    });
    // The client learns that it has to connect again, which then fails or leads elsewhere.
    if (whenIdle !== undefined) response.setHeader("Connection", "close");
    answer(request, response);
  };
  // An expectation that is not known may be ignored (RFC 9110, section 10.1.1).
  server.on("request", take).on("checkContinue", take).on("checkExpectation", take);
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuseMalformed(error, socket as Socket, traffic, deps));
  server.setTimeout(quietMs, (socket: Socket) => giveUpQuiet(socket, traffic.get(socket), quietMs));
  const port = await listen(server, settings);
  server.on("error", (error) => log.error({ error: String(error) }, "accepting connections failed"));
  return {
    scheme: settings.tlsCert === undefined ? "http" : "https",
    port,
    answerWith: (front) => void (answer = front),
    reloadCertificate: () => reloadCertificate(server, settings, log),
    async close(timeoutMs) {
      const closed = new Promise((resolve) => server.close(resolve));
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        whenIdle = resolve;
        if (running === 0) return resolve();
        server.closeIdleConnections();
        timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
      // Also those that never sent a request, which Node does not count as idle, and those in the middle of a TLS handshake.
      server.closeAllConnections();
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}

function createServer(settings: Settings): AnyServer {
  const limits = {
    // A request's head within half a minute (slow senders hold a connection, not memory); bodies may take as long as they move.
    headersTimeout: 30_000,
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
    maxHeaderSize: 32_768,
    // Registry bodies come in megabytes: larger reads halve the number of turns of the event loop.
    highWaterMark: 262_144,
    // The front door says so itself, with a request id.
    requireHostHeader: false,
    // A client that vanished while it waited for a long answer is noticed.
    keepAlive: true,
    // A request that says that it has no body needs no stream for one: nearly all pulls.
    optimizeEmptyRequests: true,
  };
  const server = settings.tlsCert === undefined ? createHttpServer(limits) : createTlsServer(settings, limits);
  server.maxHeadersCount = 200;
  server.maxConnections = 20_000;
  return server;
}

function createTlsServer(settings: Settings, limits: object): HttpsServer {
  const certificate = readCertificate(settings);
  try {
    return createHttpsServer({ ...limits, ...certificate, minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"] });
  } catch (error) {
    throw new SettingsError(
      `the TLS certificate ${settings.tlsCert} and key ${settings.tlsKey} are not usable together (PEM files of one pair are needed): ${messageOf(error)}`,
    );
  }
}

function readCertificate(settings: Settings): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(settings.tlsCert ?? ""), key: readFileSync(settings.tlsKey ?? "") };
  } catch (error) {
    throw new SettingsError(`the TLS certificate or key cannot be read: ${messageOf(error)}`);
  }
}

function reloadCertificate(server: AnyServer, settings: Settings, log: Log): void {
  if (!("setSecureContext" in server)) return;
  try {
    server.setSecureContext({ ...readCertificate(settings), minVersion: "TLSv1.2" });
    log.info({}, "certificate read again");
  } catch (error) {
    log.error({ error: String(error) }, "certificate could not be read again; the old one stays");
  }
}

function listen(server: AnyServer, settings: Settings): Promise<number> {
  const { host, port } = settings.listen;
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const reason = error.code === "EADDRINUSE" ? "something else listens there already" : error.message;
      reject(new SettingsError(`cannot listen on ${host}:${port}: ${reason}. SUPERCARGO_LISTEN chooses another address`));
    };
    server.once("error", refuse);
    server.listen(port, host, () => {
      server.off("error", refuse);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function createStartingAnswer(random: Random): RequestListener {
  return (request, response) => {
    response.setHeader("x-amzn-requestid", random.uuid());
    response.setHeader("Retry-After", "1");
    // Alive, but not ready: a migration may take its time.
    if (request.url === "/healthz") respondJson(response, 200, { status: "ok" });
    else respondJson(response, 503, { message: "The server is starting." });
  };
}

/** Nothing moved for a while. That is the client's fault unless it has sent everything, read everything and waits for this server. */
function giveUpQuiet(socket: Socket, traffic: Traffic | undefined, quietMs: number): void {
  const isOurTurn = traffic !== undefined && traffic.open > 0 && traffic.request.complete && socket.writableLength === 0;
  if (!isOurTurn || ++traffic.quietTimes > maxQuietTimes) socket.destroy();
  else socket.setTimeout(quietMs);
}

/** Answers what could not be read as HTTP: unknown methods, heads that are too large or too slow. */
function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Socket,
  traffic: WeakMap<Socket, Traffic>,
  { log, random }: ListenerDeps,
): void {
  const current = traffic.get(socket);
  const isAnswering = current !== undefined && current.open > 0 && current.response.headersSent;
  if (error.code === "ECONNRESET" || !socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const status = malformedStatus(error.code);
  const requestId = random.uuid();
  log.info({ requestId, remote: socket.remoteAddress, status, code: error.code }, "malformed request");
  const head = [`HTTP/1.1 ${status}`, `x-amzn-requestid: ${requestId}`, "Content-Length: 0", "Connection: close", "", ""];
  socket.end(head.join("\r\n"), () => socket.destroy());
}

function malformedStatus(code: string | undefined): string {
  if (code === "HPE_HEADER_OVERFLOW") return "431 Request Header Fields Too Large";
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "408 Request Timeout";
  return "400 Bad Request";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
