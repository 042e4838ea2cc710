/** Patterns in which `*` stands for any run of characters, as in ECR's filters and IAM's policies. */

/** Searching is done the simple way where that can take no more steps than this. */
const simpleSteps = 16_384;

/**
 * Does the whole text match the pattern? `*` matches any run of characters, the empty one included; every other character matches
 * itself, case included. Takes time linear in the two lengths together, whatever they hold.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  return compileWildcard(pattern)(text);
}

/** Makes a pattern ready to be held against many texts. What it returns is {@link matchesWildcard} for this pattern. */
export function compileWildcard(pattern: string): (text: string) => boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return (text) => text === pattern;
  const pieces = others.filter((piece) => piece !== "");
  const fixedLength = pattern.length - (others.length + 1);
  return (text) => {
    if (text.length < fixedLength || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    // What stands between the stars must appear in order. Taking each at its first place leaves the most room for the next.
    let at = first.length;
    for (const piece of pieces) {
      at = endOfFirst(piece, text, at, end);
      if (at === -1) return false;
    }
    return true;
  };
}

/**
 * Where the first occurrence of the piece inside `text[from, to)` ends, or -1. This is Knuth, Morris and Pratt's search where lengths matter:
 * `indexOf` needs the product of the lengths for texts such as `aaaa…` and pieces such as `aaa…b`.
 */
function endOfFirst(piece: string, text: string, from: number, to: number): number {
  if (piece.length > to - from) return -1;
  if (piece.length * (text.length - from) <= simpleSteps) {
    const found = text.indexOf(piece, from);
    return found === -1 || found + piece.length > to ? -1 : found + piece.length;
  }
  const borders = bordersOf(piece);
  let matched = 0;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    while (matched > 0 && piece.charCodeAt(matched) !== code) matched = borders[matched - 1] ?? 0;
    if (piece.charCodeAt(matched) === code) matched++;
    if (matched === piece.length) return at + 1;
  }
  return -1;
}

/** For each prefix of the piece, the length of its longest proper prefix that is also its suffix. */
function bordersOf(piece: string): Int32Array {
  const borders = new Int32Array(piece.length);
  let border = 0;
  for (let at = 1; at < piece.length; at++) {
    const code = piece.charCodeAt(at);
    while (border > 0 && piece.charCodeAt(border) !== code) border = borders[border - 1] ?? 0;
    if (piece.charCodeAt(border) === code) border++;
    borders[at] = border;
  }
  return borders;
}
