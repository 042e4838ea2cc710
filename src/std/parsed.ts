/** What a parser answers: the value, or the problem in words that can be shown to the person who sent the text. Parsers do not throw. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

/** A successful parse. */
export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

/** A failed parse; `problem` says what was wrong, where, and what would be right. */
export function problem(text: string): Parsed<never> {
  return { ok: false, problem: text };
}
