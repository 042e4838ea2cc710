/**
 * Blobs on their way from an upstream into a repository. However many ask for one blob at the same time, this process fetches it once; the
 * fetch goes on when they leave; another node's fetch is waited for a little. What does not have its digest is not kept, and no reader gets its last byte.
 */
import type { Readable } from "node:stream";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { getBlob } from "#registry/blob.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError, refuse } from "#registry/errors.ts";
import { repositoryDetail } from "#registry/scope.ts";
import { uploadWhole } from "#registry/upload.ts";
import { createByteBudget } from "#std/byte-budget.ts";
import type { ByteBudget } from "#std/byte-budget.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import type { UpstreamFailure } from "#upstream/upstream-error.ts";
import { takeFetchTurn } from "./fetch-turn.ts";
import { createPassingBytes } from "./passing-bytes.ts";
import type { PassingBytes } from "./passing-bytes.ts";
import type { Upstream } from "./upstream.ts";

/** What is to be fetched, and where it goes. */
export interface BlobErrand {
  /** As whom it is stored. */
  readonly ctx: RegistryContext;
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly digest: Digest;
  readonly upstream: Upstream;
  /** The repository's name there. */
  readonly upstreamName: string;
  /** As a manifest states it. */
  readonly sizeBytes?: number | undefined;
}

/** A blob that is being fetched. */
export interface BlobFetch {
  /** Resolves when the upstream has begun to answer, with the size that it claims. Rejects when it does not give the blob. */
  readonly started: Promise<{ readonly sizeBytes: number | undefined }>;
  /** Resolves when the blob is stored. Rejects with RegistryError. */
  readonly stored: Promise<void>;
  /** All bytes from the first one on, in time with the fetch. Fails when the fetch does. */
  follow(): AsyncGenerator<Uint8Array>;
}

/** The fetches of a process. */
export interface BlobFetches {
  /** Joins the fetch of that blob into that repository, or begins it. */
  join(errand: BlobErrand): BlobFetch;
}

/** Of one account: an upstream that lets all of them wait holds up nobody else's. */
const maxAtOnce = 16;
/** Of each fetch; readers that are further behind read from the store. */
const windowBytes = 4_194_304;
const maxAttempts = 3;

/** Makes the register of fetches, empty. Unless this is the only node that there can be, fetches take turns with those of other nodes. */
export function createBlobFetches({ isOnlyNode }: { readonly isOnlyNode: boolean }): BlobFetches {
  const running = new Map<string, BlobFetch>();
  const slots = new Map<string, ByteBudget>();
  const slotsOf = (accountId: string): ByteBudget => {
    const found = slots.get(accountId) ?? createByteBudget(maxAtOnce);
    slots.set(accountId, found);
    return found;
  };
  return {
    join(errand) {
      const { registry, name, digest } = errand;
      const key = `${registry.accountId}/${registry.region}/${name}@${digest}`;
      const known = running.get(key);
      if (known !== undefined) return known;
      const fetch = begin(errand, isOnlyNode, () => slotsOf(registry.accountId).acquire(1));
      running.set(key, fetch);
      const leave = (): void => void running.delete(key);
      fetch.stored.then(leave, leave);
      return fetch;
    },
  };
}

function begin(errand: BlobErrand, isOnlyNode: boolean, acquireSlot: () => Promise<() => void>): BlobFetch {
  const started = Promise.withResolvers<{ readonly sizeBytes: number | undefined }>();
  const passing = createPassingBytes(windowBytes);
  const run = async (): Promise<void> => {
    let endTurn: (() => Promise<void>) | undefined;
    let release: (() => void) | undefined;
    try {
      if (!isOnlyNode) endTurn = await takeFetchTurn(errand, async () => (await findStored(errand)) !== undefined);
      release = await acquireSlot();
      await fetchOne(errand, passing, started.resolve);
      passing.finish();
    } catch (error) {
      const refusal = refusalFor(errand, error);
      passing.fail(refusal);
      started.reject(refusal);
      throw refusal;
    } finally {
      release?.();
      await endTurn?.();
    }
  };
  const stored = run();
  // Those who wait are told; when nobody does, nobody has to be.
  stored.catch(() => {});
  started.promise.catch(() => {});
  return { started: started.promise, stored, follow: () => passing.follow((offset) => readStored(errand, offset)) };
}

async function fetchOne(
  errand: BlobErrand,
  passing: PassingBytes,
  tellStarted: (facts: { readonly sizeBytes: number | undefined }) => void,
): Promise<void> {
  const { ctx, registry, name, digest } = errand;
  // A fetch that has just ended may have stored it since the caller looked.
  const present = await findStored(errand);
  if (present !== undefined) {
    tellStarted({ sizeBytes: present });
    for await (const chunk of await readStored(errand, 0)) passing.append(chunk);
    return;
  }
  const source = await openSource(errand);
  const { sizeBytes } = source;
  tellStarted({ sizeBytes });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source.bytes()) {
      passing.append(chunk);
      yield chunk;
    }
  }
  try {
    await uploadWhole(ctx, registry, name, { digest, incoming: { chunks: chunks(), announcedBytes: sizeBytes } });
  } finally {
    source.close();
  }
}

/** An answer of the upstream, which may break off and be taken up again. */
interface Source {
  readonly sizeBytes: number | undefined;
  bytes(): AsyncGenerator<Uint8Array>;
  close(): void;
}

/** Throws UpstreamError. */
async function openSource(errand: BlobErrand): Promise<Source> {
  const { upstream, upstreamName, digest, ctx } = errand;
  const ask = async (from: number) => {
    const found = await upstream.getBlob(upstreamName, digest, { from });
    if (found.outcome !== "found") throw new UpstreamError(found);
    return found;
  };
  const first = await ask(0);
  let body: Readable = first.body;
  const { sizeBytes } = first;
  const expected = errand.sizeBytes ?? sizeBytes;
  const limit = Math.min(expected ?? Infinity, ctx.core.limits.blobMaxBytes);
  if ((sizeBytes ?? 0) > limit || (sizeBytes !== undefined && sizeBytes !== expected)) {
    body.destroy();
    throw new UpstreamError({ outcome: "invalid", problem: `a blob of ${sizeBytes} bytes, where ${limit} were expected` });
  }
  async function* bytes(): AsyncGenerator<Uint8Array> {
    let received = 0;
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          received += chunk.byteLength;
          // An endless body ends here.
          if (received > limit) throw new UpstreamError({ outcome: "invalid", problem: `more than ${limit} bytes` });
          yield chunk;
        }
        if (expected === undefined || received === expected) return;
        throw new UpstreamError({ outcome: "invalid", problem: `${received} bytes instead of ${expected}` });
      } catch (error) {
        const isBroken = !(error instanceof UpstreamError);
        if (!isBroken) throw error;
        if (attempt >= maxAttempts) throw new UpstreamError({ outcome: "unavailable", problem: String(error) }, { cause: error });
        ({ body } = await ask(received));
      }
    }
  }
  return { sizeBytes: expected, bytes, close: () => void body.destroy() };
}

async function findStored({ ctx, registry, name, digest }: BlobErrand): Promise<number | undefined> {
  try {
    return (await getBlob(ctx, registry, name, digest)).sizeBytes;
  } catch (error) {
    if (error instanceof RegistryError && error.refusal.kind === "blob-not-found") return undefined;
    throw error;
  }
}

async function readStored({ ctx, registry, name, digest }: BlobErrand, offset: number): Promise<AsyncIterable<Uint8Array>> {
  const blob = await getBlob(ctx, registry, name, digest);
  const stored = await blob.open(offset === 0 ? undefined : { first: offset, last: blob.sizeBytes - 1 });
  if (stored.kind === "bytes") return stored.stream as AsyncIterable<Uint8Array>;
  throw new Error("the stored copy is reached by URL only");
}

/** What those who wait are told. What the upstream did wrong is in the log. */
function refusalFor({ ctx, registry, name, digest }: BlobErrand, error: unknown): unknown {
  const detail = repositoryDetail(registry, name);
  const isLie = error instanceof RegistryError && ["digest-mismatch", "upload-size", "body-aborted"].includes(error.refusal.kind);
  if (error instanceof UpstreamError || isLie) {
    ctx.core.log.warn({ repository: name, digest, problem: error.message }, "a blob could not be fetched from its upstream");
    return upstreamRefusal(isLie ? { outcome: "invalid", problem: error.message } : (error as UpstreamError).failure, detail, () =>
      refuse("blob-not-found", { ...detail, digest }),
    );
  }
  return error;
}

/** The refusal that a failure of an upstream becomes; `notFound` throws the one for what is not there. */
export function upstreamRefusal(
  failure: UpstreamFailure,
  detail: { readonly registryId: string; readonly repositoryName: string },
  notFound: () => never,
): RegistryError {
  try {
    switch (failure.outcome) {
      case "not-found":
        return notFound();
      case "denied":
        return refuse("upstream-denied", detail);
      case "rate-limited":
        return refuse("upstream-rate-limited", detail);
      case "unavailable":
      case "invalid":
      default:
        return refuse("upstream-unavailable", detail);
    }
  } catch (error) {
    return error as RegistryError;
  }
}
