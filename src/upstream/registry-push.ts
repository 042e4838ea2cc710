/**
 * Pushing blobs to another deployment (OCI distribution specification 1.1, "Pushing a blob in chunks"). Each chunk is durable there once it
 * is answered, and after a broken link the session says where to go on: what has arrived is not sent again.
 */
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Digest } from "#oci/digest.ts";
import type { ByteRange } from "#std/byte-range.ts";
import type { IncomingAnswer } from "./connections.ts";
import type { RegistryClient } from "./registry-client.ts";
import { UpstreamError, failureOfStatus } from "./upstream-error.ts";
import type { UpstreamFailureKind } from "./upstream-error.ts";

/** A blob that is to be pushed. */
export interface PushedBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Opens bytes of it, both ends inclusive. */
  open(span: ByteRange): Promise<Readable>;
}

/** Where an upload stands is kept here, beyond the life of this process. */
export interface PushSessions {
  /** Path and query of the session that was begun for this blob. */
  find(): Promise<string | undefined>;
  keep(location: string): Promise<void>;
  forget(): Promise<void>;
}

/** What a push is made with. */
export interface BlobPush {
  readonly client: RegistryClient;
  /** As the peer calls the host of the registry. The connection goes to the client's origin all the same. */
  readonly host: string;
  readonly repository: string;
  readonly now: () => number;
  readonly sessions: PushSessions;
  readonly signal: AbortSignal;
  /** What one request carries, and so what a broken link can cost. */
  readonly chunkBytes?: number | undefined;
}

const usualChunkBytes = 16_777_216;
/** Failures in a row without any progress, before it is left to the next run. */
const maxStalls = 5;
const firstPauseMs = 200;
const longestPauseMs = 5_000;
/** A session that is not found is begun anew; one that is busy is still being left by the request whose link broke. */
const transient: readonly UpstreamFailureKind[] = ["unavailable", "not-found", "rate-limited"];

/** Pushes a blob, or mounts it where the peer allows that. Throws UpstreamError; what has arrived by then stays there for the next try. */
export async function pushBlob(push: BlobPush, blob: PushedBlob): Promise<void> {
  let reached = -1;
  for (let stalls = 0; ;) {
    const attempt = { offset: 0 };
    try {
      return await pushOnce(push, blob, attempt);
    } catch (error) {
      if (!(error instanceof UpstreamError) || !transient.includes(error.failure.outcome) || push.signal.aborted) throw error;
      stalls = attempt.offset > reached ? 1 : stalls + 1;
      reached = Math.max(reached, attempt.offset);
      if (stalls > maxStalls) throw error;
      const pauseMs = Math.max(firstPauseMs * 2 ** (stalls - 1), Math.min(error.failure.retryAfterMs ?? 0, longestPauseMs));
      await sleep(pauseMs, undefined, { signal: push.signal });
    }
  }
}

/** One go from where the session stands to its end. */
async function pushOnce(push: BlobPush, blob: PushedBlob, attempt: { offset: number }): Promise<void> {
  const { chunkBytes = usualChunkBytes } = push;
  const session = (await resume(push, attempt)) ?? (await begin(push, blob));
  if (session === "mounted") return;
  attempt.offset = session.offset;
  while (attempt.offset < blob.sizeBytes) {
    const span = { first: attempt.offset, last: Math.min(attempt.offset + chunkBytes, blob.sizeBytes) - 1 };
    const answer = await ask(push, "PATCH", session.location, {
      body: await blob.open(span),
      headers: {
        "content-type": "application/octet-stream",
        "content-range": `${span.first}-${span.last}`,
        "content-length": String(span.last - span.first + 1),
      },
    });
    if (answer.status === 416 && span.first === 0) await push.sessions.forget();
    if (answer.status !== 202) throw await refused(push, answer);
    attempt.offset = span.last + 1;
  }
  const closing = withQuery(session.location, `digest=${blob.digest}`);
  const closed = await ask(push, "PUT", closing, { headers: { "content-length": "0" } });
  // Whatever the peer has against it, this session is over.
  await push.sessions.forget();
  if (closed.status !== 201) throw await refused(push, closed);
}

interface PushSession {
  readonly location: string;
  readonly offset: number;
}

/** The session of an earlier go, where it stands now. */
async function resume(push: BlobPush, attempt: { offset: number }): Promise<PushSession | undefined> {
  const location = await push.sessions.find();
  if (location === undefined) return undefined;
  const { status, headers } = await ask(push, "GET", location);
  const last = /^0-(\d{1,15})$/.exec(headers.range ?? "")?.[1];
  if (status === 204 && last !== undefined) {
    // No byte yet is written as `0-0`, as one byte is; that one is sent again, refused by its range, and the session begun anew.
    const offset = last === "0" ? 0 : Number(last) + 1;
    attempt.offset = offset;
    return { location, offset };
  }
  if (status >= 500 || status === 429) throw new UpstreamError(failureOfStatus(status, headers, push.now(), "an upload"));
  await push.sessions.forget();
  return undefined;
}

async function begin(push: BlobPush, blob: PushedBlob): Promise<PushSession | "mounted"> {
  const path = `/v2/${push.repository}/blobs/uploads/?mount=${blob.digest}`;
  const answer = await ask(push, "POST", path, { headers: { "content-length": "0" } });
  if (answer.status === 201) return "mounted";
  if (answer.status !== 202) throw await refused(push, answer);
  // Only path and query count: the connection goes where it went, whatever the peer believes its address to be.
  const location = URL.parse(answer.headers.location ?? "", "http://peer");
  // A path that begins with two slashes would be read as a host when it is used.
  if (location === null || location.pathname.startsWith("//"))
    throw new UpstreamError({ outcome: "invalid", problem: "an upload without a location" });
  const place = `${location.pathname}${location.search}`;
  await push.sessions.keep(place);
  return { location: place, offset: 0 };
}

async function ask(
  push: BlobPush,
  method: "GET" | "POST" | "PATCH" | "PUT",
  path: string,
  more: { readonly headers?: Readonly<Record<string, string>>; readonly body?: Readable } = {},
): Promise<IncomingAnswer> {
  const scope = { repository: push.repository, actions: "pull,push" } as const;
  const headers = { host: push.host, ...more.headers };
  const answer = await push.client.request({ method, path, scope, signal: push.signal, ...more, headers });
  answer.body.resume();
  return answer;
}

/** A refusal; the session goes with it where the peer does not know it, or knows another state of it. */
async function refused(push: BlobPush, { status, headers }: IncomingAnswer): Promise<UpstreamError> {
  if (status === 416) return new UpstreamError({ outcome: "unavailable", problem: "the upload stands elsewhere" });
  if (status === 404) await push.sessions.forget();
  return new UpstreamError(failureOfStatus(status, headers, push.now(), `the peer about ${push.repository}`));
}

function withQuery(path: string, query: string): string {
  return `${path}${path.includes("?") ? "&" : "?"}${query}`;
}
