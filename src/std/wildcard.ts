/** Patterns in which `*` stands for any run of characters, as in ECR's filters and IAM's policies. */

/**
 * Does the whole text match the pattern? `*` matches any run of characters, the empty one included; every other character matches
 * itself, case included. Takes time linear in the two lengths together, whatever they hold.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  const firstStar = pattern.indexOf("*");
  if (firstStar === -1) return pattern === text;
  const lastStar = pattern.lastIndexOf("*");
  const end = text.length - (pattern.length - lastStar - 1);
  if (end < firstStar || !text.startsWith(pattern.slice(0, firstStar)) || !text.endsWith(pattern.slice(lastStar + 1))) return false;
  // What stands between the stars must appear in order. Taking each at its first place leaves the most room for the next.
  let at = firstStar;
  let pieceStart = firstStar + 1;
  while (pieceStart <= lastStar) {
    const pieceEnd = pattern.indexOf("*", pieceStart);
    if (pieceEnd > pieceStart) {
      at = endOfFirst(pattern.slice(pieceStart, pieceEnd), text, at, end);
      if (at === -1) return false;
    }
    pieceStart = pieceEnd + 1;
  }
  return true;
}

/**
 * Where the first occurrence of the piece inside `text[from, to)` ends, or -1. This is Knuth, Morris and Pratt's search: `indexOf` needs
 * the product of the lengths for texts such as `aaaa…` and pieces such as `aaa…b`.
 */
function endOfFirst(piece: string, text: string, from: number, to: number): number {
  if (piece.length > to - from) return -1;
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
