/** Sorting that lets others have a turn. */

/** What is sorted at once; some milliseconds' worth. */
const runLength = 4_096;

/**
 * Sorts like `toSorted`, stable, in steps of some thousand comparisons each: runs first, then ever longer runs merged two by two. `items` must
 * not change meanwhile.
 */
export function* sortInSteps<T>(items: readonly T[], compare: (a: T, b: T) => number): Generator<undefined, T[], undefined> {
  let from: T[] = [];
  for (let start = 0; start < items.length; start += runLength) {
    from.push(...items.slice(start, start + runLength).sort(compare));
    yield;
  }
  let to = Array.from<T>({ length: items.length });
  for (let length = runLength; length < items.length; length *= 2) {
    for (let start = 0; start < items.length; start += 2 * length) yield* merge(from, to, { start, length }, compare);
    [from, to] = [to, from];
  }
  return from;
}

/** Merges the two neighbouring sorted runs that begin at `start` in `from` into `to`; the second may be short or missing. */
function* merge<T>(
  from: readonly T[],
  to: T[],
  { start, length }: { readonly start: number; readonly length: number },
  compare: (a: T, b: T) => number,
): Generator<undefined, void, undefined> {
  const middle = Math.min(start + length, from.length);
  const end = Math.min(start + 2 * length, from.length);
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    // Invariant: both indexes are inside `from` where they are read; on equality the left one goes first, which keeps the sort stable.
    const takesLeft = right >= end || (left < middle && compare(from[left] as T, from[right] as T) <= 0);
    to[at] = from[takesLeft ? left++ : right++] as T;
    if (at % runLength === runLength - 1) yield;
  }
}
