/** What goes wrong with another registry, as a closed set of kinds. */
import type { IncomingHttpHeaders } from "node:http";

/**
 * `not-found`: it does not have it. `denied`: it does not let us (401, 403, or its token server does not). `rate-limited`: it wants to be
 * asked later. `unavailable`: no answer, or one of its own failures. `invalid`: an answer that cannot be right.
 */
export type UpstreamFailureKind = "not-found" | "denied" | "rate-limited" | "unavailable" | "invalid";

/** A failure as a value. `problem` is for the log: it may name addresses of this network. */
export interface UpstreamFailure {
  readonly outcome: UpstreamFailureKind;
  readonly problem: string;
  /** When `rate-limited` and the registry said so: how long it wants to rest. */
  readonly retryAfterMs?: number;
}

/** A failure, thrown. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: UpstreamFailure;
  constructor(failure: UpstreamFailure, options?: ErrorOptions) {
    super(`${failure.outcome}: ${failure.problem}`, options);
    this.failure = failure;
  }
}

/** A pause that somebody else asks for is kept, but not for longer than this. */
const maxRetryAfterMs = 3_600_000;

/** The failure that a status other than 2xx and 3xx stands for. */
export function failureOfStatus(status: number, headers: IncomingHttpHeaders, now: number, what: string): UpstreamFailure {
  const problem = `${what}: status ${status}`;
  if (status === 404) return { outcome: "not-found", problem };
  if (status === 401 || status === 403) return { outcome: "denied", problem };
  if (status === 429) {
    const retryAfterMs = readRetryAfter(headers["retry-after"], now);
    return { outcome: "rate-limited", problem, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  return { outcome: status >= 500 ? "unavailable" : "invalid", problem };
}

/** `Retry-After` in milliseconds from now, seconds or a date (RFC 9110 section 10.2.3); undefined when it says nothing. */
function readRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const waitMs = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text.slice(0, 64)) - now;
  return waitMs > 0 ? Math.min(waitMs, maxRetryAfterMs) : undefined;
}
