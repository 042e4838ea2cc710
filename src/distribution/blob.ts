/** Blobs on the wire: HEAD asks, GET sends bytes or a place to get them, DELETE removes. OCI distribution specification, "Pulling blobs". */
import { pipeline } from "node:stream/promises";
import { parseDigest } from "#oci/digest.ts";
import type { Digest } from "#oci/digest.ts";
import { checkBlob, deleteBlob, getBlob } from "#registry/blob.ts";
import type { ReadableBlob } from "#registry/blob.ts";
import { refuse } from "#registry/errors.ts";
import { assert } from "#std/assert.ts";
import { parseRange } from "#std/byte-range.ts";
import type { ByteRange } from "#std/byte-range.ts";
import { beginAnswer, send, sendHead } from "./answer.ts";
import { leftoverOf } from "./body.ts";
import type { RepositoryCall } from "./call.ts";
import { effectiveRange, entityTag, isKnownToClient, namespaceHeaders } from "./conditional.ts";
import { OciFault } from "./errors.ts";
import { pullBlob, sendFetch } from "./pull-through.ts";

/** Never the type that a manifest states: a browser that comes here must not run what somebody pushed. Never content-encoded either. */
const contentHeaders = ["Content-Type", "application/octet-stream", "X-Content-Type-Options", "nosniff", "Accept-Ranges", "bytes"] as const;

/** HEAD `/v2/<name>/blobs/<digest>` (end-2): a yes keeps the blob for a while, so that the push that asked can rely on it. */
export async function headBlob(call: RepositoryCall): Promise<void> {
  const digest = readDigest(call.path.item);
  const pulled = await pullBlob(call, digest);
  // A yes is a promise, which nobody can make for another registry.
  if ("fetch" in pulled) await pulled.fetch.stored;
  const blob = await checkBlob(call.context, call.registry, call.name, digest);
  answerHead(call, digest, blob.sizeBytes);
}

/** GET `/v2/<name>/blobs/<digest>` (end-2). */
export async function readBlob(call: RepositoryCall): Promise<void> {
  await sendBlob(call, readDigest(call.path.item));
}

/** DELETE `/v2/<name>/blobs/<digest>` (end-10). */
export async function removeBlob(call: RepositoryCall): Promise<void> {
  await deleteBlob(call.context, call.registry, call.name, readDigest(call.path.item));
  send(call.exchange, 202, []);
}

/** Answers GET or HEAD with a blob's bytes, the part of them that was asked for, or the place where they are. */
export async function sendBlob(call: RepositoryCall, digest: Digest): Promise<void> {
  const { exchange } = call;
  const { headers, method } = exchange.request;
  const pulled = await pullBlob(call, digest);
  const isWhole = method === "GET" && headers.range === undefined && !isKnownToClient(headers, digest);
  if ("fetch" in pulled && isWhole) return sendFetch(call, pulled.fetch, [...blobHeaders(call, digest), ...connectionHeaders(call)]);
  if ("fetch" in pulled) await pulled.fetch.stored;
  const blob = "blob" in pulled ? pulled.blob : await getBlob(call.context, call.registry, call.name, digest);
  if (method === "HEAD") {
    await blob.checkKey();
    return answerHead(call, digest, blob.sizeBytes);
  }
  if (isKnownToClient(headers, digest)) return send(exchange, 304, ["ETag", entityTag(digest), "Docker-Content-Digest", digest]);
  const range = parseRange(effectiveRange(headers, digest), blob.sizeBytes);
  if (range.kind === "unsatisfiable") {
    throw new OciFault(416, "RANGE_INVALID", `The blob has ${blob.sizeBytes} bytes; the range lies outside`, [
      "Content-Range",
      `bytes */${blob.sizeBytes}`,
    ]);
  }
  if (range.kind === "whole") return sendSpan(call, blob, undefined);
  const [only] = range.spans;
  return range.spans.length === 1 && only !== undefined ? sendSpan(call, blob, only) : sendParts(call, blob, range.spans);
}

function answerHead(call: RepositoryCall, digest: Digest, sizeBytes: number): void {
  if (isKnownToClient(call.exchange.request.headers, digest)) send(call.exchange, 304, blobHeaders(call, digest));
  else sendHead(call.exchange, blobHeaders(call, digest), sizeBytes);
}

async function sendSpan(call: RepositoryCall, blob: ReadableBlob, span: ByteRange | undefined): Promise<void> {
  const { exchange } = call;
  const stored = await blob.open(span);
  if (stored.kind === "elsewhere") return redirect(call, blob, stored.url);
  const headers = [...blobHeaders(call, blob.digest), "Content-Length", String(stored.sizeBytes), ...connectionHeaders(call)];
  if (span === undefined) beginAnswer(exchange, 200, headers);
  else beginAnswer(exchange, 206, [...headers, "Content-Range", contentRange(span, blob.sizeBytes)]);
  if (stored.pipeTo === undefined) await pipeline(stored.stream, exchange.response);
  else await stored.pipeTo(exchange.response);
}

/** Several spans of one blob as multipart/byteranges (RFC 9110 section 14.6); zstd:chunked pulls ask for these. */
async function sendParts(call: RepositoryCall, blob: ReadableBlob, spans: readonly ByteRange[]): Promise<void> {
  const { exchange, context } = call;
  const [firstSpan] = spans;
  const first = await blob.open(firstSpan);
  if (first.kind === "elsewhere") return redirect(call, blob, first.url);
  const boundary = context.core.random.bytes(16).toString("hex");
  const end = `--${boundary}--\r\n`;
  let length = end.length;
  const parts = spans.map((span) => {
    const range = contentRange(span, blob.sizeBytes);
    const head = `--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: ${range}\r\n\r\n`;
    length += head.length + (span.last - span.first + 1) + "\r\n".length;
    return { span, head };
  });
  async function* content(): AsyncGenerator<Uint8Array | string> {
    for (const { span, head } of parts) {
      const stored = span === firstSpan ? first : await blob.open(span);
      // A driver either has the bytes or knows where they are; a blob does not move in the middle of an answer.
      assert(stored.kind === "bytes", "all spans of a blob are in one place");
      yield head;
      yield* stored.stream;
      yield "\r\n";
    }
    yield end;
  }
  const [, , ...headers] = blobHeaders(call, blob.digest);
  headers.push("Content-Type", `multipart/byteranges; boundary=${boundary}`, "Content-Length", String(length), ...connectionHeaders(call));
  beginAnswer(exchange, 206, headers);
  try {
    await pipeline(content, exchange.response);
  } finally {
    // When the client was gone before the first byte, nobody has read or closed it.
    first.stream.destroy();
  }
}

/** Sends the client to where the bytes are; its credentials stay here, which is the client's part of the bargain. */
function redirect(call: RepositoryCall, blob: ReadableBlob, url: string): void {
  send(call.exchange, 307, ["Location", url, "Docker-Content-Digest", blob.digest, "Cache-Control", "no-store"]);
}

function blobHeaders(call: RepositoryCall, digest: Digest): string[] {
  const headers = [...contentHeaders, "ETag", entityTag(digest), "Docker-Content-Digest", digest, ...namespaceHeaders(call.query)];
  // Without credentials in the request, a cache on the way would keep the answer for whoever comes with the same URL later.
  if (call.path.kind === "download") headers.push("Cache-Control", "private, no-store");
  return headers;
}

/** A GET with a body is odd but possible; nobody reads that body, so the connection cannot be used again. */
function connectionHeaders(call: RepositoryCall): readonly string[] {
  return leftoverOf(call.exchange.request) === "none" ? [] : ["Connection", "close"];
}

function contentRange(span: ByteRange, sizeBytes: number): string {
  return `bytes ${span.first}-${span.last}/${sizeBytes}`;
}

function readDigest(text: string): Digest {
  const digest = parseDigest(text);
  return digest.ok ? digest.value : refuse("digest-invalid", { digest: text, problem: digest.problem });
}
