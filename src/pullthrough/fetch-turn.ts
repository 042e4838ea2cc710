/** Several nodes that are asked for one blob at the same time: one fetches it, and the others wait for it as long as clients do not mind. */
import { setTimeout as sleep } from "node:timers/promises";
import { claimUpstreamFetch, endUpstreamFetch } from "#metadata/upstream-fetches.ts";
import { repositoryKey } from "#registry/scope.ts";
import type { BlobErrand } from "./blob-fetch.ts";

/** Longer than this a client should not wait for its first byte: then it is fetched here as well. */
const patienceMs = 10_000;
/** A claim is not renewed: a node that is asked later than this fetches by itself. */
const leaseMs = 60_000;
const pollMs = 200;

/**
 * Resolves when this node may fetch, when the blob is stored, or when waiting has taken too long; with what has to be called when the fetch
 * has ended.
 */
export async function takeFetchTurn(
  { ctx, registry, name, digest }: BlobErrand,
  isStored: () => Promise<boolean>,
): Promise<() => Promise<void>> {
  const { metadata, clock, random, log } = ctx.core;
  const fetchId = random.uuid();
  const key = repositoryKey(registry, name);
  for (const until = clock.now() + patienceMs; clock.now() < until; await sleep(pollMs)) {
    if (await claimUpstreamFetch(metadata, { key, digest, fetchId, now: clock.now(), leaseMs })) {
      const failed = (error: unknown): void =>
        log.warn({ error: String(error) }, "a claim on a blob was not given back; it ends by itself");
      return () => endUpstreamFetch(metadata, fetchId).catch(failed);
    }
    if (await isStored()) break;
  }
  return async () => {};
}
