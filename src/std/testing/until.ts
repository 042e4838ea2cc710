/** Waiting in tests for what ends a moment later: with a limit, so that what never happens is a failure and not a test without an end. */
import { setTimeout as sleep } from "node:timers/promises";

/** How often, for how long, and what to say in vain. */
export interface Patience {
  readonly withinMs?: number;
  readonly everyMs?: number;
  /** Said when it did not happen. */
  readonly otherwise?: string | (() => string);
}

/** Waits until the condition holds, by default for half a minute, which a busy machine may need. Throws when it does not come to hold. */
export async function until(condition: () => boolean | Promise<boolean>, patience: Patience = {}): Promise<void> {
  const { withinMs = 30_000, everyMs = 5, otherwise = "it did not happen in time" } = patience;
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(typeof otherwise === "string" ? otherwise : otherwise());
    await sleep(everyMs);
  }
}
