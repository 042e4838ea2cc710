/** A budget of bytes that all requests of the process share, so that many large bodies at once wait instead of exhausting the memory. */
import { assert } from "./assert.ts";

/** Hands out shares of a fixed number of bytes, first come, first served. */
export interface ByteBudget {
  /**
   * Waits for a share of the budget and resolves with the function that gives it back, to be called exactly once (a second call is a
   * programmer's error). `bytes` is a whole number up to the limit. Nobody overtakes: a small request waits behind a large one, which
   * otherwise might never come. When the signal aborts first, rejects with its reason and nothing is held.
   */
  acquire(bytes: number, signal?: AbortSignal): Promise<() => void>;
  /** What is handed out now. */
  readonly inUseBytes: number;
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/** Makes a budget of `limitBytes`. */
export function createByteBudget(limitBytes: number): ByteBudget {
  assert(Number.isSafeInteger(limitBytes) && limitBytes > 0, "a byte budget is a positive whole number");
  let inUseBytes = 0;
  // A set keeps the order of arrival and lets an aborted waiter leave from the middle at once.
  const waiting = new Set<Waiter>();

  function take(bytes: number): () => void {
    inUseBytes += bytes;
    let isHeld = true;
    return () => {
      assert(isHeld, "a share of the byte budget is given back once");
      isHeld = false;
      inUseBytes -= bytes;
      admitWaiting();
    };
  }

  function admitWaiting(): void {
    for (const waiter of waiting) {
      if (inUseBytes + waiter.bytes > limitBytes) return;
      waiting.delete(waiter);
      waiter.admit();
    }
  }

  async function acquire(bytes: number, signal?: AbortSignal): Promise<() => void> {
    assert(Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= limitBytes, `a share of the byte budget is 0 to ${limitBytes} bytes`);
    signal?.throwIfAborted();
    if (waiting.size === 0 && inUseBytes + bytes <= limitBytes) return take(bytes);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        admit() {
          signal?.removeEventListener("abort", leave);
          resolve(take(bytes));
        },
      };
      function leave(): void {
        waiting.delete(waiter);
        reject(signal?.reason);
        // Those behind may fit where the one that left did not.
        admitWaiting();
      }
      signal?.addEventListener("abort", leave, { once: true });
      waiting.add(waiter);
    });
  }

  return {
    acquire,
    get inUseBytes() {
      return inUseBytes;
    },
  };
}
