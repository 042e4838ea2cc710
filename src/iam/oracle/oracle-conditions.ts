/**
 * Conditions for the oracle, after the IAM user guide's "IAM JSON policy elements: Condition operators" and "Single-valued vs.
 * multivalued context keys". Only tests may import this.
 */
import { arnSegments, arnTexts, matches, readPattern, segmentsMatch } from "./oracle-patterns.ts";
import type { Keys } from "./oracle-patterns.ts";

/** A Condition element: operator → key → one value or several. */
export type Condition = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Do all operators hold for all of their keys? */
export function conditionHolds(condition: Condition, keys: Keys, variables: boolean): boolean {
  return Object.entries(condition).every(([operator, byKey]) =>
    Object.entries(byKey).every(([key, values]) =>
      operatorHolds(operator, keys.get(key.toLowerCase()), texts(values), { keys, variables }),
    ),
  );
}

const texts = (values: unknown): string[] => (Array.isArray(values) ? values : [values]).map(String);

interface Surroundings {
  readonly keys: Keys;
  readonly variables: boolean;
}

function operatorHolds(
  name: string,
  actual: string | readonly string[] | undefined,
  wanted: readonly string[],
  around: Surroundings,
): boolean {
  const [, set, base = "", ifExists] = /^(forallvalues:|foranyvalue:)?(.*?)(ifexists)?$/.exec(name.toLowerCase()) ?? [];
  const isAbsent = actual === undefined || (typeof actual !== "string" && actual.length === 0);
  if (base === "null") return wanted.some((value) => (isAbsent ? "true" : "false") === value.toLowerCase());

  const { negated, compare } = operatorOf(base);
  const holdsFor = (value: string): boolean => wanted.some((text) => compare(value, text, around)) !== negated;
  if (isAbsent) {
    if (ifExists !== undefined || set === "forallvalues:") return true;
    return set === undefined && negated;
  }
  if (set === "forallvalues:") return [actual].flat().every(holdsFor);
  if (set === "foranyvalue:") return [actual].flat().some(holdsFor);
  // Several values without a word on how to quantify over them never match, however the operator compares.
  return typeof actual === "string" && holdsFor(actual);
}

type Compare = (actual: string, wanted: string, around: Surroundings) => boolean;

/** A negated operator says the contrary of its positive twin about the whole list of values. */
function operatorOf(base: string): { negated: boolean; compare: Compare } {
  const positive = base.replace(/^not/, "").replace("not", "");
  const compare = positives[positive];
  if (compare === undefined) throw new Error(`the oracle does not know the operator ${base}`);
  return { negated: positive !== base, compare };
}

const positives: Readonly<Record<string, Compare>> = {
  stringequals: (actual, wanted, around) => equals(actual, wanted, around, (text) => text),
  stringequalsignorecase: (actual, wanted, around) => equals(actual, wanted, around, (text) => text.toLowerCase()),
  stringlike: (actual, wanted, around) => {
    const pattern = readPattern(wanted, around.keys, { variables: around.variables, wildcards: true });
    return pattern !== undefined && matches(pattern, actual);
  },
  numericequals: (actual, wanted) => ordered(numberOf, actual, wanted, (a, b) => a === b),
  numericlessthan: (actual, wanted) => ordered(numberOf, actual, wanted, (a, b) => a < b),
  numericlessthanequals: (actual, wanted) => ordered(numberOf, actual, wanted, (a, b) => a <= b),
  numericgreaterthan: (actual, wanted) => ordered(numberOf, actual, wanted, (a, b) => a > b),
  numericgreaterthanequals: (actual, wanted) => ordered(numberOf, actual, wanted, (a, b) => a >= b),
  dateequals: (actual, wanted) => ordered(instantOf, actual, wanted, (a, b) => a === b),
  datelessthan: (actual, wanted) => ordered(instantOf, actual, wanted, (a, b) => a < b),
  datelessthanequals: (actual, wanted) => ordered(instantOf, actual, wanted, (a, b) => a <= b),
  dategreaterthan: (actual, wanted) => ordered(instantOf, actual, wanted, (a, b) => a > b),
  dategreaterthanequals: (actual, wanted) => ordered(instantOf, actual, wanted, (a, b) => a >= b),
  bool: (actual, wanted, around) => /^(?:true|false)$/i.test(actual) && equals(actual, wanted, around, (text) => text.toLowerCase()),
  binaryequals: (actual, wanted) => actual === wanted,
  ipaddress: (actual, wanted) => isInRange(actual, wanted),
  arnequals: isArnLike,
  arnlike: isArnLike,
};

function equals(actual: string, wanted: string, around: Surroundings, fold: (text: string) => string): boolean {
  const pattern = readPattern(wanted, around.keys, { variables: around.variables, wildcards: false });
  const text = pattern?.map((symbol) => (typeof symbol === "object" ? symbol.char : "")).join("");
  return text !== undefined && fold(text) === fold(actual);
}

function isArnLike(actual: string, wanted: string, around: Surroundings): boolean {
  const pattern = readPattern(wanted, around.keys, { variables: around.variables, wildcards: true });
  const texts = arnTexts(actual);
  return pattern !== undefined && texts !== undefined && segmentsMatch(arnSegments(pattern), texts);
}

function ordered(
  read: (text: string) => number | undefined,
  actual: string,
  wanted: string,
  compare: (actual: number, wanted: number) => boolean,
): boolean {
  const [left, right] = [read(actual), read(wanted)];
  return left !== undefined && right !== undefined && compare(left, right);
}

const numberOf = (text: string): number | undefined => (/^-?[0-9]+(?:\.[0-9]+)?$/.test(text) ? Number(text) : undefined);

/** Epoch seconds, or a date of the W3C profile of ISO 8601, to the month, the day, the minute, the second or its fractions; UTC unless it says. */
function instantOf(text: string): number | undefined {
  if (/^(?:[0-9]{1,3}|[0-9]{5,})$/.test(text)) return Number(text) * 1000;
  const form = /^([0-9]{4})-([0-9]{2})(?:-([0-9]{2})(T([0-9]{2}):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?)?$/;
  const [whole, year, month, day = "01", time = "T00:00Z", hour = "00"] = form.exec(text) ?? [];
  if (whole === undefined || hour === "24") return undefined;
  // JavaScript turns the 30th of February into a day of March; there is no such day.
  const daysInMonth = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  const instant = Date.parse(`${year}-${month}-${day}${time}`);
  return Number.isNaN(instant) || Number(day) > daysInMonth ? undefined : instant;
}

/** IPv4 is the part of IPv6 below `::ffff:0:0/96`, and nothing wider takes it in. */
function isInRange(address: string, range: string): boolean {
  const [network = "", length] = range.split("/");
  const [inside, outside] = [addressBits(address), addressBits(network)];
  const width = network.includes(":") ? 128 : 32;
  const size = length === undefined ? width : /^(?:0|[1-9][0-9]*)$/.test(length) ? Number(length) : Number.NaN;
  if (inside === undefined || outside === undefined || !(size <= width)) return false;
  const bits = 128 - width + size;
  return isV4(inside) === (isV4(outside) && bits >= 96) && inside.slice(0, bits) === outside.slice(0, bits);
}

const isV4 = (bits: string): boolean => bits.startsWith("0".repeat(80) + "1".repeat(16));

/** An address as a text of 128 zeros and ones; an IPv4 address in its IPv6 clothes. Undefined for what is no address. */
function addressBits(text: string): string | undefined {
  const [, before = "", dotted] = /^(.*:)?([0-9]+(?:\.[0-9]+){3})$/.exec(text) ?? [undefined, text];
  const bytes = dotted?.split(".").map((byte) => (/^(?:0|[1-9][0-9]{0,2})$/.test(byte) ? Number(byte) : 256)) ?? [];
  if (bytes.some((byte) => byte > 255)) return undefined;
  const words =
    dotted === undefined
      ? []
      : [bitsOf(bytes.slice(0, 2), 8), bitsOf(bytes.slice(2), 8)].map((bits) => Number.parseInt(bits, 2).toString(16));
  const [left = "", right, ...more] = ((before === "" ? "::ffff:" : before) + words.join(":")).split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const missing = 8 - groups(left).length - groups(right ?? "").length;
  if (more.length > 0 || (right === undefined ? missing !== 0 : missing < 1)) return undefined;
  const all = [...groups(left), ...Array.from({ length: missing }, () => "0"), ...groups(right ?? "")];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return bitsOf(
    all.map((group) => Number.parseInt(group, 16)),
    16,
  );
}

const bitsOf = (numbers: readonly number[], width: number): string =>
  numbers.map((number) => number.toString(2).padStart(width, "0")).join("");
