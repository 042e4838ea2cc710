/** Patterns of the policy language: `*` stands for any run of characters, `?` for exactly one, everything else for itself. */

/** Stands in a pattern for any run of characters, the empty one included. */
export const anyRun = -1;
/** Stands in a pattern for exactly one character (UTF-16 code unit). */
export const anyOne = -2;

/** A part of a pattern: text that stands for itself, or one of the two wildcards. */
export type GlobPart = string | typeof anyRun | typeof anyOne;

/** A pattern that is ready to be matched. */
export interface Glob {
  /** Code units and wildcards, in order. */
  readonly codes: Int32Array;
  /** The whole pattern where it has no wildcard. */
  readonly literal: string | undefined;
  /** How many codes before the first wildcard; most texts that do not match differ there. */
  readonly fixed: number;
}

/** Makes a pattern of its parts. Text is taken as it is: an asterisk inside a string part stands for an asterisk. */
export function globOf(parts: readonly GlobPart[]): Glob {
  const codes: number[] = [];
  let fixed = -1;
  for (const part of parts) {
    if (typeof part === "string") for (let at = 0; at < part.length; at++) codes.push(part.charCodeAt(at));
    else {
      if (fixed === -1) fixed = codes.length;
      // Two runs in a row mean the same as one.
      if (part !== anyRun || codes.at(-1) !== anyRun) codes.push(part);
    }
  }
  return { codes: Int32Array.from(codes), literal: fixed === -1 ? parts.join("") : undefined, fixed: fixed === -1 ? codes.length : fixed };
}

/** Splits written text at its wildcards. */
export function globParts(text: string): GlobPart[] {
  const parts: GlobPart[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== 0x2a && code !== 0x3f) continue;
    if (at > start) parts.push(text.slice(start, at));
    parts.push(code === 0x2a ? anyRun : anyOne);
    start = at + 1;
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}

/**
 * Does the pattern match `text[from, to)` as a whole, case included? Remembers only the last run of any characters and lets that one grow,
 * so the time is bounded by the product of the two lengths, however many wildcards there are; backtracking over all of them would explode.
 */
export function matchesGlob(glob: Glob, text: string, from = 0, to = text.length): boolean {
  const { codes, literal, fixed } = glob;
  if (literal !== undefined) return to - from === literal.length && text.startsWith(literal, from);
  if (to - from < fixed) return false;
  for (let index = 0; index < fixed; index++) if (text.charCodeAt(from + index) !== codes[index]) return false;
  let at = from + fixed;
  let index = fixed;
  let runIndex = -1;
  let runAt = at;
  while (at < to) {
    const code = codes[index];
    if (code === anyRun) {
      if (index === codes.length - 1) return true;
      runIndex = index++;
      runAt = at;
    } else if (code === anyOne || code === text.charCodeAt(at)) {
      index++;
      at++;
    } else if (runIndex !== -1) {
      index = runIndex + 1;
      at = ++runAt;
    } else return false;
  }
  while (codes[index] === anyRun) index++;
  return index === codes.length;
}
