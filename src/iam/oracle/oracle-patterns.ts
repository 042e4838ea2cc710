/**
 * Wildcards, policy variables and ARNs for the oracle. Everything is written the way the IAM user guide says it ("IAM JSON policy elements:
 * Variables and tags", "… Resource"), with plain recursion and no thought of speed. Only tests may import this.
 */

/** Context keys by lower-cased name. */
export type Keys = ReadonlyMap<string, string | readonly string[]>;

/** A pattern, symbol by symbol: a character that stands for itself, exactly one of any character, or any run of characters. */
export type Pattern = readonly ({ readonly char: string } | "one" | "run")[];

/** What a policy text may contain besides characters that stand for themselves. */
export interface Reading {
  /** Policy variables are replaced; only documents of version 2012-10-17 have them. */
  readonly variables: boolean;
  /** `*` and `?` are wildcards. */
  readonly wildcards: boolean;
}

const literal = (text: string): Pattern => text.split("").map((char) => ({ char }));

/**
 * Reads a policy text as a pattern. Undefined when it holds a variable that has no value, or what only looks like one: such a text matches
 * nothing.
 */
export function readPattern(text: string, keys: Keys, reading: Reading): Pattern | undefined {
  if (text === "") return [];
  const isVariable = reading.variables && text.startsWith("${");
  const [whole = "", sign, name, fallback] = (isVariable ? /^\$\{(?:([*?$])|([^},']+)(?:, '([^']*)')?)\}/.exec(text) : null) ?? [];
  if (isVariable && whole === "") return undefined;
  const head = isVariable ? valueOf(sign, name, fallback, keys) : symbol(text.charAt(0), reading);
  const tail = readPattern(text.slice(isVariable ? whole.length : 1), keys, reading);
  return head === undefined || tail === undefined ? undefined : [...head, ...tail];
}

function symbol(char: string, reading: Reading): Pattern {
  if (reading.wildcards && char === "*") return ["run"];
  if (reading.wildcards && char === "?") return ["one"];
  return [{ char }];
}

/** What a variable stands for is taken literally, whatever it holds. The default is for a key that is absent, not for one that has many values. */
function valueOf(sign: string | undefined, name: string | undefined, fallback: string | undefined, keys: Keys): Pattern | undefined {
  if (sign !== undefined) return literal(sign);
  const value = name === undefined ? undefined : keys.get(name.toLowerCase());
  if (typeof value === "string") return literal(value);
  const isAbsent = value === undefined || value.length === 0;
  return isAbsent && fallback !== undefined ? literal(fallback) : undefined;
}

/** Does the whole text match? Exponential for unkind patterns. */
export function matches(pattern: Pattern, text: string): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text === "";
  if (first === "run") return matches(rest, text) || (text !== "" && matches(pattern, text.slice(1)));
  if (text === "" || (first !== "one" && first.char !== text.charAt(0))) return false;
  return matches(rest, text.slice(1));
}

/** The segments of an ARN or of a pattern of one: at most six, of which the sixth takes the rest, colons included. */
export function arnSegments(pattern: Pattern): Pattern[] {
  const segments: Pattern[] = [[]];
  for (const symbol of pattern) {
    if (typeof symbol === "object" && symbol.char === ":" && segments.length < 6) segments.push([]);
    else segments.push([...(segments.pop() ?? []), symbol]);
  }
  return segments;
}

/** The segments of an ARN as texts, or undefined for what is none. */
export function arnTexts(arn: string): string[] | undefined {
  const segments = arnSegments(literal(arn)).map((segment) =>
    segment.map((symbol) => (typeof symbol === "object" ? symbol.char : "")).join(""),
  );
  return segments.length === 6 && segments[0] === "arn" ? segments : undefined;
}

/** Does every segment match its counterpart? */
export function segmentsMatch(patterns: readonly Pattern[], texts: readonly string[]): boolean {
  return patterns.length === texts.length && patterns.every((pattern, index) => matches(pattern, texts[index] ?? ""));
}
