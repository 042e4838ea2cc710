/** How answers leave the data plane: one head, one end, flat header lists, and a connection that stays usable. */
import type { Exchange } from "#std/exchange.ts";
import { leftoverOf, swallowBody } from "./body.ts";
import type { OciFault } from "./errors.ts";

const apiVersion = ["Docker-Distribution-API-Version", "registry/2.0"] as const;

/** Answers completely. `headers` is a flat name, value list; Content-Length is added unless the status forbids a body. HEAD gets no body by itself. */
export function send(exchange: Exchange, status: number, headers: readonly string[], body?: string | Uint8Array): void {
  const length = body === undefined ? 0 : typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
  const noContent = status === 204 || status === 304;
  finish(exchange, status, noContent ? headers : [...headers, "Content-Length", String(length)], body);
}

/** Answers a HEAD request: the headers of the GET, whose body would have `sizeBytes`. */
export function sendHead(exchange: Exchange, headers: readonly string[], sizeBytes: number): void {
  finish(exchange, 200, [...headers, "Content-Length", String(sizeBytes)], undefined);
}

/** Begins an answer whose body the caller writes. */
export function beginAnswer(exchange: Exchange, status: number, headers: readonly string[]): void {
  exchange.response.writeHead(status, [...apiVersion, "x-amzn-requestid", exchange.requestId, ...headers]);
}

/** Answers JSON. */
export function sendJson(exchange: Exchange, status: number, headers: readonly string[], value: unknown): void {
  send(exchange, status, ["Content-Type", "application/json", ...headers], JSON.stringify(value));
}

/** Answers an error: always one entry, always JSON, or docker shows its users a parse error instead of the message. */
export function sendFault(exchange: Exchange, fault: OciFault): void {
  exchange.note({ errorCode: fault.code });
  exchange.audit({ errorMessage: fault.message });
  sendJson(exchange, fault.status, fault.headers, { errors: [{ code: fault.code, message: fault.message }] });
}

/** Below this a body goes out in one piece with its head. */
const joinedBodyBytes = 65_536;

/**
 * Head and body of a small answer leave in one system call: Node joins a latin1 string with the head, which is a latin1 string too,
 * while a buffer would follow it as a second piece. Every byte is one latin1 character, so nothing changes on the way.
 */
function endWith(response: Exchange["response"], body: string | Uint8Array | undefined): void {
  if (body instanceof Uint8Array && body.byteLength <= joinedBodyBytes) {
    response.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1"), "latin1");
  } else response.end(body);
}

function finish(exchange: Exchange, status: number, headers: readonly string[], body: string | Uint8Array | undefined): void {
  const { request, response } = exchange;
  const leftover = leftoverOf(request);
  if (leftover === "none" || leftover === "small") {
    beginAnswer(exchange, status, headers);
    endWith(response, body);
    if (leftover === "small") void swallowBody(request);
    return;
  }
  beginAnswer(exchange, status, [...headers, "Connection", "close"]);
  if (leftover === "withheld") {
    response.end(body);
    return;
  }
  // The answer goes out whole, the connection ends later: see swallowBody.
  if (body === undefined || request.method === "HEAD") response.flushHeaders();
  else response.write(body);
  void swallowBody(request).then(() => response.end());
}
