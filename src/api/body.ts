/**
 * Reading request bodies: never more than the operation's limit, never more than the process's byte budget,
 * and never for longer than a client that is still there would need.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ByteBudget } from "#std/byte-budget.ts";
import { ApiFault } from "./fault.ts";

/** A body that does not move for this long is given up. */
const idleTimeoutMs = 30_000;
/** A body that has come slower than this on the whole, after a while to begin, is given up: whoever drips bytes holds memory that others wait for. */
const slowestBytesPerMs = 32;
/** Bodies of this size are not counted against the budget: a socket's own buffer is larger, and ordinary calls should not wait behind uploads. */
const uncountedBytes = 16_384;
/** What is read and thrown away so that a client that is still sending gets to see why it was refused. */
const discardLimitBytes = 64 * 1_048_576;
const discardTimeoutMs = 2_000;

/** A body as it arrives. `sha256` may be asked once, after the last chunk. */
export interface HashedBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Lower-case hex digest of everything that `chunks` gave. */
  sha256(): string;
}

/** A body in memory; `release` gives its bytes back to the budget and must be called exactly once. */
export interface BufferedBody {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  release(): void;
}

/** Requests with `Expect: 100-continue` that were told to go on. */
const continued = new WeakSet<IncomingMessage>();

/** Before a body is read: refuses bodies that are compressed, which no limit could bound, and sends the client the word that it may be waiting for. Throws ApiFault 415. */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (encoding !== "identity" && encoding !== "") {
    throw new ApiFault("UnsupportedMediaTypeException", "The request body must not be compressed", 415);
  }
  if (request.headers.expect === undefined || request.complete) return;
  continued.add(request);
  response.writeContinue();
}

/** How many bytes the request announces, or `limitBytes` when it does not say. Throws ApiFault 413 when it announces more than the limit. */
export function announcedBytes(request: IncomingMessage, limitBytes: number): number {
  const header = request.headers["content-length"];
  const announced = header === undefined ? (request.headers["transfer-encoding"] === undefined ? 0 : limitBytes) : Number(header);
  if (!(announced <= limitBytes)) throw bodyTooLarge(limitBytes);
  return announced;
}

function bodyTooLarge(limitBytes: number): ApiFault {
  return new ApiFault("RequestEntityTooLargeException", `The request body exceeds the limit of ${limitBytes} bytes`, 413);
}

/** Hashes a body while it is read, by a reader that keeps pace (its pauses count as the client's). Its chunks fail with ApiFault 413 beyond the limit, 408 when the client stalls, 400 when it goes away. */
export function hashBody(request: IncomingMessage, limitBytes: number): HashedBody {
  const hash = createHash("sha256");
  return { chunks: readChunks(request, limitBytes, (chunk) => hash.update(chunk)), sha256: () => hash.digest("hex") };
}

/** Reads a whole body into memory. The budget is taken for all of it before the first byte, so two half-read bodies never wait for each other. */
export async function bufferBody(request: IncomingMessage, limitBytes: number, budget: ByteBudget): Promise<BufferedBody> {
  const capacity = announcedBytes(request, limitBytes);
  const release = capacity <= uncountedBytes ? () => undefined : await budget.acquire(capacity, abortSignal(request));
  try {
    const body = hashBody(request, limitBytes);
    const chunks: Uint8Array[] = [];
    for await (const chunk of body.chunks) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), sha256: body.sha256(), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Aborts when the client's connection goes away, so that nobody waits in the budget's queue for a client that left. */
export function abortSignal(request: IncomingMessage): AbortSignal {
  const controller = new AbortController();
  if (request.destroyed && !request.complete) controller.abort();
  else request.once("close", () => controller.abort());
  return controller.signal;
}

async function* readChunks(request: IncomingMessage, limitBytes: number, seen: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  let receivedBytes = 0;
  const iterator = request.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  const deadline = startDeadline();
  const startedAt = performance.now();
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), deadline.expired]).catch((error: unknown) => {
        throw error instanceof ApiFault ? error : bodyAborted(receivedBytes);
      });
      if (step.done === true) break;
      const chunk = step.value as Buffer;
      receivedBytes += chunk.length;
      if (receivedBytes > limitBytes) throw bodyTooLarge(limitBytes);
      if (isTooSlow(performance.now() - startedAt, receivedBytes)) throw bodyTooSlow();
      deadline.moved();
      seen(chunk);
      yield chunk;
    }
    if (!request.complete) throw bodyAborted(receivedBytes);
  } finally {
    deadline.stop();
    // Not awaited: behind a read that never comes it would wait for ever.
    void iterator.return?.()?.catch(() => undefined);
  }
}

function bodyAborted(receivedBytes: number): ApiFault {
  return new ApiFault("RequestAbortedException", `The request ended before its body was complete; ${receivedBytes} bytes were received`);
}

function bodyTooSlow(): ApiFault {
  return new ApiFault("RequestTimeoutException", "The request body did not arrive in time", 408);
}

/** Whether a body of which this much has come in this time is slower than any that is waited for. */
export function isTooSlow(elapsedMs: number, receivedBytes: number): boolean {
  return elapsedMs > idleTimeoutMs + receivedBytes / slowestBytesPerMs;
}

function startDeadline(): { readonly expired: Promise<never>; moved(): void; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const idle = setTimeout(() => reject(bodyTooSlow()), idleTimeoutMs);
  return { expired: promise, moved: () => void idle.refresh(), stop: () => clearTimeout(idle) };
}

/**
 * Throws away what a refused request still sends, within a bound of bytes and time, so that the answer is read and not lost to a reset.
 * Answers whether the body came to its end; if not, the connection must be closed after the answer.
 */
export async function discardBody(request: IncomingMessage): Promise<boolean> {
  if (request.complete && request.readableEnded) return true;
  // A client that waits to be asked for its body sends none, or may not: nobody can tell where the next request would begin.
  if (request.destroyed || (request.headers.expect !== undefined && !continued.has(request))) return false;
  let discardedBytes = 0;
  return await new Promise<boolean>((resolve) => {
    const settle = (ended: boolean): void => {
      clearTimeout(timer);
      request.off("data", count).off("end", end).off("close", gone);
      resolve(ended);
    };
    const count = (chunk: Buffer): void => {
      discardedBytes += chunk.length;
      if (discardedBytes > discardLimitBytes) {
        request.pause();
        settle(false);
      }
    };
    const end = (): void => settle(true);
    const gone = (): void => settle(false);
    const timer = setTimeout(gone, discardTimeoutMs);
    request.on("data", count).once("end", end).once("close", gone);
    request.resume();
  });
}
