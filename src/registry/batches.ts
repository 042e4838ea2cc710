import { setImmediate } from "node:timers/promises";

/** Repeats a bounded piece of work until it finds nothing more, and lets requests through in between; answers how much was done. */
export async function repeatUntilDone(work: () => Promise<number>): Promise<number> {
  let total = 0;
  for (;;) {
    const done = await work();
    if (done === 0) return total;
    total += done;
    await setImmediate();
  }
}

/** Cuts a stream of items into arrays of at most `size`, and lets requests through in between. */
export async function* inBatches<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<readonly Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
    await setImmediate();
  }
  if (batch.length > 0) yield batch;
}
