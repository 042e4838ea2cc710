/**
 * Strict JSON (RFC 8259) for text that strangers send. `JSON.parse` keeps the last of two equal keys in silence, so two readers of one
 * document may see two documents; here everything that readers are known to disagree about is refused. One pass, linear time.
 */
import { assert } from "./assert.ts";
import { parsed, problem } from "./parsed.ts";
import type { Parsed } from "./parsed.ts";

/** A JSON value. Objects are plain objects; a member named `__proto__` is an own property like any other. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** How deep arrays and objects may be nested when the caller does not say. */
const defaultMaxDepth = 64;
/** The parser recurses once per level; this stays far below what the stack holds. */
const hardMaxDepth = 1_000;

/** Any whole number of so many digits is exact in a double, and so are the sums on the way to it. */
const exactDigits = 15;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Where the reader stands. The first problem wins; readers answer undefined, which is no JSON value, once there is one. */
interface Cursor {
  readonly text: string;
  readonly maxDepth: number;
  at: number;
  problem: string | undefined;
}

/**
 * Parses one JSON text. Refuses what `JSON.parse` refuses, and also: duplicate keys (compared after escapes are resolved), a byte order
 * mark, invalid UTF-8 (when given bytes), lone surrogates whether raw or escaped, numbers beyond the range of a double, and nesting
 * deeper than `maxDepth` arrays and objects (64 unless told otherwise, at most 1000). Everything else it reads as `JSON.parse` does.
 */
export function parseJson(input: Uint8Array | string, options?: { readonly maxDepth?: number }): Parsed<Json> {
  const maxDepth = options?.maxDepth ?? defaultMaxDepth;
  assert(Number.isInteger(maxDepth) && maxDepth >= 0 && maxDepth <= hardMaxDepth, "maxDepth is 0 to 1000");
  const text = typeof input === "string" ? input : decodeUtf8(input);
  if (text === undefined) return problem("JSON: the text is not valid UTF-8");
  if (!text.isWellFormed()) return problem("JSON: the text holds half of a surrogate pair");
  if (text.charCodeAt(0) === 0xfeff) return problem("JSON: the text begins with a byte order mark");
  const cursor: Cursor = { text, maxDepth, at: 0, problem: undefined };
  skipSpace(cursor);
  const value = readValue(cursor, 0);
  if (value === undefined) return problem(`JSON: ${cursor.problem}`);
  skipSpace(cursor);
  if (cursor.at < text.length) return problem(`JSON: text after the end of the value at character ${cursor.at}`);
  return parsed(value);
}

/**
 * Reads JSON that this program has written. `JSON.parse` is faster, but in V8 14.6 (Node 26.10) it can take an object's name that has an
 * escape in it for another one that it has seen in that place; so whatever has an escape is read here. Throws SyntaxError for what is no JSON.
 */
export function readJson(text: string): unknown {
  if (!text.includes("\\")) return JSON.parse(text);
  const result = parseJson(text, { maxDepth: hardMaxDepth });
  // What is refused here and not by JSON.parse (half a surrogate pair) is no matter of names.
  return result.ok ? result.value : JSON.parse(text);
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    // "ignoreBOM" means that the mark is kept instead of dropped, so that it can be refused.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function fail(cursor: Cursor, text: string, at: number = cursor.at): undefined {
  cursor.problem ??= `${text} at character ${at}`;
  return undefined;
}

function skipSpace(cursor: Cursor): void {
  for (;;) {
    const code = cursor.text.charCodeAt(cursor.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    cursor.at++;
  }
}

function readValue(cursor: Cursor, depth: number): Json | undefined {
  const code = cursor.text.charCodeAt(cursor.at);
  switch (code) {
    case quote:
      return readString(cursor);
    case openBrace:
      return readObject(cursor, depth + 1);
    case openBracket:
      return readArray(cursor, depth + 1);
    case 0x74:
      return readWord(cursor, "true", true);
    case 0x66:
      return readWord(cursor, "false", false);
    case 0x6e:
      return readWord(cursor, "null", null);
    default:
      if (code === 0x2d || isDigit(code)) return readNumber(cursor);
      return fail(cursor, cursor.at >= cursor.text.length ? "the text ends where a value is expected" : "a value is expected");
  }
}

function readWord(cursor: Cursor, word: string, value: Json): Json | undefined {
  if (!cursor.text.startsWith(word, cursor.at)) return fail(cursor, "a value is expected");
  cursor.at += word.length;
  return value;
}

function readObject(cursor: Cursor, depth: number): Json | undefined {
  if (depth > cursor.maxDepth) return fail(cursor, `nested deeper than ${cursor.maxDepth} levels`);
  const object: { [key: string]: Json } = {};
  cursor.at++;
  skipSpace(cursor);
  if (cursor.text.charCodeAt(cursor.at) === closeBrace) {
    cursor.at++;
    return object;
  }
  for (;;) {
    const keyAt = cursor.at;
    if (cursor.text.charCodeAt(keyAt) !== quote) return fail(cursor, "a key in quotes is expected");
    const key = readString(cursor);
    if (key === undefined) return undefined;
    if (Object.hasOwn(object, key)) return fail(cursor, `duplicate key ${JSON.stringify(key.slice(0, 64))}`, keyAt);
    skipSpace(cursor);
    if (cursor.text.charCodeAt(cursor.at) !== colon) return fail(cursor, "':' is expected");
    cursor.at++;
    skipSpace(cursor);
    const value = readValue(cursor, depth);
    if (value === undefined) return undefined;
    setMember(object, key, value);
    skipSpace(cursor);
    const code = cursor.text.charCodeAt(cursor.at);
    if (code !== comma && code !== closeBrace) return fail(cursor, "',' or '}' is expected");
    cursor.at++;
    if (code === closeBrace) return object;
    skipSpace(cursor);
  }
}

function setMember(object: { [key: string]: Json }, key: string, value: Json): void {
  // Plain assignment to this one name would replace the prototype instead of adding a member.
  if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

function readArray(cursor: Cursor, depth: number): Json | undefined {
  if (depth > cursor.maxDepth) return fail(cursor, `nested deeper than ${cursor.maxDepth} levels`);
  const array: Json[] = [];
  cursor.at++;
  skipSpace(cursor);
  if (cursor.text.charCodeAt(cursor.at) === closeBracket) {
    cursor.at++;
    return array;
  }
  for (;;) {
    const value = readValue(cursor, depth);
    if (value === undefined) return undefined;
    array.push(value);
    skipSpace(cursor);
    const code = cursor.text.charCodeAt(cursor.at);
    if (code !== comma && code !== closeBracket) return fail(cursor, "',' or ']' is expected");
    cursor.at++;
    if (code === closeBracket) return array;
    skipSpace(cursor);
  }
}

function readString(cursor: Cursor): string | undefined {
  const { text } = cursor;
  const start = cursor.at;
  let at = start + 1;
  let isEscaped = false;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === quote) break;
    if (code === backslash) {
      isEscaped = true;
      // The escaped character is skipped whatever it is, so that an escaped quote does not end the string. Behind the end of the text
      // there is no code, and the last branch answers.
      at += 2;
    } else if (code >= 0x20) at++;
    else return fail(cursor, at >= text.length ? "a string without its end" : "a control character inside a string", at);
  }
  cursor.at = at + 1;
  return isEscaped ? resolveEscapes(cursor, start) : text.slice(start + 1, at);
}

/** Reads the string literal from `start` to the cursor, which holds at least one escape. */
function resolveEscapes(cursor: Cursor, start: number): string | undefined {
  let value: string;
  try {
    value = JSON.parse(cursor.text.slice(start, cursor.at)) as string;
  } catch {
    return fail(cursor, "an escape that JSON does not have inside the string", start);
  }
  return value.isWellFormed() ? value : fail(cursor, "half of a surrogate pair inside the string", start);
}

function readNumber(cursor: Cursor): number | undefined {
  const { text } = cursor;
  const start = cursor.at;
  const isNegative = text.charCodeAt(start) === 0x2d;
  const integer = isNegative ? start + 1 : start;
  let at = skipDigits(text, integer);
  if (at === integer) return fail(cursor, "a digit is expected", at);
  if (text.charCodeAt(integer) === 0x30 && at > integer + 1) return fail(cursor, "a number with a leading zero", start);
  if (at - integer <= exactDigits && !continuesNumber(text.charCodeAt(at))) {
    cursor.at = at;
    const value = sumDigits(text, integer, at);
    return isNegative ? -value : value;
  }
  if (text.charCodeAt(at) === 0x2e) {
    const fraction = at + 1;
    at = skipDigits(text, fraction);
    if (at === fraction) return fail(cursor, "a digit is expected", at);
  }
  if ((text.charCodeAt(at) | 0x20) === 0x65) {
    const sign = text.charCodeAt(at + 1);
    const exponent = sign === 0x2b || sign === 0x2d ? at + 2 : at + 1;
    at = skipDigits(text, exponent);
    if (at === exponent) return fail(cursor, "a digit is expected", at);
  }
  const value = Number(text.slice(start, at));
  if (!Number.isFinite(value)) return fail(cursor, "a number too large to hold", start);
  cursor.at = at;
  return value;
}

/** Is this a decimal point or the letter of an exponent? */
function continuesNumber(code: number): boolean {
  return code === 0x2e || (code | 0x20) === 0x65;
}

/** The whole number that at most `exactDigits` digits write, without cutting them out first. */
function sumDigits(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + (text.charCodeAt(at) - 0x30);
  return value;
}

function skipDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at++;
  return at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
