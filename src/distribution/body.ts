/**
 * Request bodies: handed out in chunks when a handler asks, never before. `Expect: 100-continue` is answered by that first
 * asking, so a client that is refused does not send its bytes. What nobody read is dealt with here too, because a
 * connection whose body was left lying cannot carry the next request.
 */
import type { IncomingMessage } from "node:http";
import type { Exchange } from "#std/exchange.ts";

/** This much of an unread body is swallowed to keep the connection. */
const swallowBytes = 65_536;
/** Before a connection is given up, the rest of a body is swallowed for this long: a close with bytes unread would destroy the answer on its way. */
const lingerMs = 1_000;
const lingerBytes = 33_554_432;

interface BodyState {
  iterator: AsyncIterator<Uint8Array> | undefined;
  continued: boolean;
}

const states = new WeakMap<IncomingMessage, BodyState>();

/** Content-Length, or undefined when the body is chunked or absent. Node has checked its form. */
export function announcedLength(request: IncomingMessage): number | undefined {
  const text = request.headers["content-length"];
  return text === undefined ? undefined : Number(text);
}

/** Whether the request carries a body; a chunked one counts even if it turns out to be empty. */
export function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined || (announcedLength(request) ?? 0) > 0;
}

/**
 * The body's chunks, once. Nothing is asked of the client before the first chunk is wanted. Ending the iteration early leaves the
 * connection open, for the answer has to travel on it. The iteration fails with an error that has a code when the client goes away.
 */
export function receiveBody(exchange: Exchange): AsyncIterable<Uint8Array> {
  const { request, response } = exchange;
  return {
    [Symbol.asyncIterator]() {
      const expects = request.headers.expect !== undefined;
      if (expects && !request.complete && hasBody(request)) response.writeContinue();
      const iterator = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>;
      states.set(request, { iterator, continued: true });
      return iterator;
    },
  };
}

/** What is left of the request's body when the answer is ready. */
export type Leftover = "none" | "small" | "large" | "withheld";

/** Judges by what was announced, not by what has arrived: that may change at any moment. */
export function leftoverOf(request: IncomingMessage): Leftover {
  if (!hasBody(request) || request.readableEnded || request.destroyed) return "none";
  // Nobody can know whether a client that was not told to continue sends its body anyway.
  if (request.headers.expect !== undefined && states.get(request)?.continued !== true) return "withheld";
  const announced = announcedLength(request);
  return announced !== undefined && announced <= swallowBytes ? "small" : "large";
}

/** Reads and forgets what is left of a body. Resolves when it is through, or when that has taken long enough. Never rejects. */
export async function swallowBody(request: IncomingMessage): Promise<void> {
  // An iterator that was left in the middle still holds the stream.
  await states.get(request)?.iterator?.return?.();
  if (request.readableEnded || request.destroyed) return;
  await new Promise<void>((resolve) => {
    let left = lingerBytes;
    const timer = setTimeout(resolve, lingerMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    request.on("data", (chunk: Uint8Array) => {
      left -= chunk.byteLength;
      if (left < 0) done();
    });
    request.once("end", done).once("error", done).once("close", done);
    request.resume();
  });
}

/** A body that is longer than allowed. */
export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

/** How much a body may be, and how long it may take: what is held in memory must not be held by a trickle. */
export interface BodyBounds {
  readonly limitBytes: number;
  readonly timeoutMs: number;
}

/**
 * Reads a whole body. Throws {@link BodyTooLarge}, as early as the client's announcement allows, and an error with a code when the client
 * goes away or takes too long; then the connection is gone.
 */
export async function readWholeBody(exchange: Exchange, bounds: BodyBounds): Promise<Buffer> {
  const { request } = exchange;
  if ((announcedLength(request) ?? 0) > bounds.limitBytes) throw new BodyTooLarge();
  const late = setTimeout(() => request.destroy(tooLate()), bounds.timeoutMs);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of receiveBody(exchange)) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > bounds.limitBytes) throw new BodyTooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined
    ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
    : Buffer.concat(chunks, sizeBytes);
}

function tooLate(): Error {
  return Object.assign(new Error("the body took too long"), { code: "ETIMEDOUT" });
}
