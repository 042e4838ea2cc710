/**
 * Turns the patterns of a service model into tests that take bounded time.
 * JavaScript's matcher backtracks, and a model is written for engines and input lengths of its own: what would
 * be tried exponentially often is replaced by an equivalent pattern, and over-long text is refused before any try.
 */

/** Text longer than this does not match any pattern. No patterned shape of the models permits more. */
export const patternInputLimit = 16_384;

/** Tells whether a text, as a whole, is of the form that a pattern describes. */
export type PatternTest = (text: string) => boolean;

/**
 * Patterns that backtrack exponentially, each with one that accepts the same texts and has one way to match each.
 * `x?[y]+` inside a repetition, where `x` contains `y`, is the fault: every text of y's splits in 2^n ways.
 */
const equivalents: ReadonlyMap<string, string> = new Map([
  ["^[a-z0-9*](?:[._\\-/a-z0-9*]?[a-z0-9*]+)*$", "^[a-z0-9*]+(?:[._\\-/][a-z0-9*]+)*$"],
]);

/** Makes the test for a pattern of a model. AWS matches whole texts, whether the pattern is anchored or not. Throws SyntaxError for a pattern that is none. */
export function compilePattern(pattern: string): PatternTest {
  // Only with the flag do property classes exist; without it the needless escapes that some patterns contain are allowed.
  const flags = pattern.includes("\\p{") ? "u" : "";
  const expression = new RegExp(`^(?:${equivalents.get(pattern) ?? pattern})$`, flags);
  return (text) => text.length <= patternInputLimit && expression.test(text);
}
