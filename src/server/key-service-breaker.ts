/** Stops asking a server that does not answer: whoever needs it is refused at once, with the reason, until one of them may try again. */
import type { Clock } from "#std/clock.ts";

/** What a breaker is made with. */
export interface BreakerOptions {
  readonly clock: Clock;
  /** So many failures in a row, and nobody is let through. */
  readonly failures: number;
  /** How long. */
  readonly restMs: number;
}

/** Counts what comes of questions to one server. */
export interface Breaker {
  /**
   * Takes leave to ask; whoever has it says later what came of it. The text instead is why the last question failed. After a rest one caller
   * at a time is let through.
   */
  enter(): string | undefined;
  /** The server answered, whatever it said. True: it had not for a while. */
  succeed(): boolean;
  /** It did not. True: from now on nobody is let through. */
  fail(reason: string): boolean;
}

/** Makes a breaker that lets everybody through. */
export function createBreaker({ clock, failures, restMs }: BreakerOptions): Breaker {
  let inARow = 0;
  let lastReason = "";
  let restUntil = 0;
  return {
    enter() {
      if (inARow < failures) return undefined;
      const now = clock.now();
      if (now < restUntil) return lastReason;
      // This one tries. Should it never come back, the next may after another rest.
      restUntil = now + restMs;
      return undefined;
    },
    succeed() {
      const wasOpen = inARow >= failures;
      inARow = 0;
      return wasOpen;
    },
    fail(reason) {
      inARow += 1;
      lastReason = reason;
      if (inARow < failures) return false;
      restUntil = clock.now() + restMs;
      return inARow === failures;
    },
  };
}
