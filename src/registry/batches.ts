import { setImmediate } from "node:timers/promises";

/** Repeats a bounded piece of work until it finds nothing more, and lets requests through in between; answers how much was done. Throws the signal's reason. */
export async function repeatUntilDone(signal: AbortSignal | undefined, work: () => Promise<number>): Promise<number> {
  let total = 0;
  for (;;) {
    signal?.throwIfAborted();
    const done = await work();
    if (done === 0) return total;
    total += done;
    await setImmediate();
  }
}

/** Cuts a stream of items into arrays of at most `size`, and lets requests through in between. Throws the signal's reason. */
export async function* inBatches<Item>(items: AsyncIterable<Item>, size: number, signal?: AbortSignal): AsyncGenerator<readonly Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    signal?.throwIfAborted();
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
    await setImmediate();
  }
  if (batch.length > 0) yield batch;
}
