import type { Random } from "#std/random.ts";

/** The shape of the waiting between attempts. */
export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/**
 * How long to wait after the given attempt (1 for the first) has failed: anything from nothing to a ceiling that doubles with every
 * attempt ("full jitter"), so that jobs which failed together do not come back together.
 */
export function retryDelayMs(backoff: Backoff, attempt: number, random: Random): number {
  const ceiling = Math.min(backoff.longestMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 52));
  return Math.floor((random.bytes(4).readUInt32BE() / 2 ** 32) * (ceiling + 1));
}
