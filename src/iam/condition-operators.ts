/** The condition operators (IAM User Guide, "IAM JSON policy elements: Condition operators"), a row of facts each. */
import { arnGlobs, cutsOf, matchesSegments } from "./arn.ts";
import type { ContextKeys } from "./context.ts";
import { globOf, matchesGlob } from "./glob.ts";
import type { GlobPart } from "./glob.ts";
import { parseInstant } from "./instant.ts";
import { isInRange, parseIpAddress, parseIpRange } from "./ip.ts";
import { fillTemplate, isFixed, textOf } from "./variables.ts";
import type { Template } from "./variables.ts";

/** Does a value of the request fit the value that the comparison was made of? */
export type Comparison = (value: string, context: ContextKeys) => boolean;

/** What is to know about an operator. */
export interface ConditionOperator {
  /**
   * The operator holds where the comparison does not. A value that cannot be compared, and a variable without a value, equals nothing, and
   * so a negated operator holds for it.
   */
  readonly isNegated: boolean;
  /** May the values hold policy variables? Elsewhere `${…}` is text. */
  readonly hasVariables: boolean;
  /** Does writing such a policy allow one value only? */
  readonly takesOneValue: boolean;
  /** Makes the comparison of a written value, or undefined where the value is not of the operator's type. */
  readonly compare: (written: Template) => Comparison | undefined;
}

/** An operator as a document names it: with its set prefix and its suffix. */
export interface OperatorUse {
  /** The row, or `Null`, which asks about the key and not about values. */
  readonly operator: ConditionOperator | "Null";
  readonly quantifier: "ForAllValues" | "ForAnyValue" | undefined;
  readonly ifExists: boolean;
}

/** Makes a comparison of filled-in text: once where there are no variables, else for each request. */
function onFilled(make: (parts: readonly GlobPart[]) => Comparison | undefined): ConditionOperator["compare"] {
  return (written) => {
    if (isFixed(written)) return make(written) ?? never;
    return (value, context) => {
      const filled = fillTemplate(written, context);
      return filled !== undefined && (make(filled)?.(value, context) ?? false);
    };
  };
}

const never: Comparison = () => false;

const equals = onFilled((parts) => {
  const text = textOf(parts);
  return (value) => value === text;
});

const equalsIgnoringCase = onFilled((parts) => {
  const text = textOf(parts).toLowerCase();
  return (value) => value.toLowerCase() === text;
});

const like = onFilled((parts) => {
  const glob = globOf(parts);
  return (value) => matchesGlob(glob, value);
});

const arnLike = onFilled((parts) => {
  const globs = arnGlobs(parts);
  if (globs === undefined) return undefined;
  return (value) => {
    const cuts = cutsOf(value);
    return cuts !== undefined && matchesSegments(globs, value, cuts);
  };
});

/** A row of operators on values that are read as something ordered. */
function ordered(
  read: (text: string) => number | undefined,
  holds: (value: number, bound: number) => boolean,
): ConditionOperator["compare"] {
  return (written) => {
    const bound = isFixed(written) ? read(textOf(written)) : undefined;
    if (bound === undefined) return undefined;
    return (value) => {
      const number = read(value);
      return number !== undefined && holds(number, bound);
    };
  };
}

function readNumber(text: string): number | undefined {
  return /^[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?$/.test(text) ? Number(text) : undefined;
}

const bool: ConditionOperator["compare"] = (written) => {
  if (isFixed(written) && readBool(textOf(written)) === undefined) return undefined;
  return onFilled((parts) => {
    const flag = readBool(textOf(parts));
    return flag === undefined ? undefined : (value) => readBool(value) === flag;
  })(written);
};

function readBool(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return lower === "true" ? true : lower === "false" ? false : undefined;
}

const binary: ConditionOperator["compare"] = (written) => {
  const bytes = isFixed(written) ? readBase64(textOf(written)) : undefined;
  return bytes === undefined ? undefined : (value) => readBase64(value) === bytes;
};

/** The text of the bytes that base64 stands for, one character each. */
function readBase64(text: string): string | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? Buffer.from(text, "base64").toString("latin1") : undefined;
}

const inRange: ConditionOperator["compare"] = (written) => {
  const range = isFixed(written) ? parseIpRange(textOf(written)) : undefined;
  if (range === undefined) return undefined;
  return (value) => {
    const address = parseIpAddress(value);
    return address !== undefined && isInRange(range, address);
  };
};

const isEqual = (value: number, bound: number): boolean => value === bound;
const isLess = (value: number, bound: number): boolean => value < bound;
const isAtMost = (value: number, bound: number): boolean => value <= bound;
const isGreater = (value: number, bound: number): boolean => value > bound;
const isAtLeast = (value: number, bound: number): boolean => value >= bound;

function row(compare: ConditionOperator["compare"], isNegated: boolean, hasVariables: boolean, takesOneValue = false): ConditionOperator {
  return { compare, isNegated, hasVariables, takesOneValue };
}

/** By name in lower case: operators are found without regard to case. */
const operators: ReadonlyMap<string, ConditionOperator> = new Map([
  ["stringequals", row(equals, false, true)],
  ["stringnotequals", row(equals, true, true)],
  ["stringequalsignorecase", row(equalsIgnoringCase, false, true)],
  ["stringnotequalsignorecase", row(equalsIgnoringCase, true, true)],
  ["stringlike", row(like, false, true)],
  ["stringnotlike", row(like, true, true)],
  ["numericequals", row(ordered(readNumber, isEqual), false, false)],
  ["numericnotequals", row(ordered(readNumber, isEqual), true, false)],
  ["numericlessthan", row(ordered(readNumber, isLess), false, false)],
  ["numericlessthanequals", row(ordered(readNumber, isAtMost), false, false)],
  ["numericgreaterthan", row(ordered(readNumber, isGreater), false, false)],
  ["numericgreaterthanequals", row(ordered(readNumber, isAtLeast), false, false)],
  ["dateequals", row(ordered(parseInstant, isEqual), false, false)],
  ["datenotequals", row(ordered(parseInstant, isEqual), true, false)],
  ["datelessthan", row(ordered(parseInstant, isLess), false, false)],
  ["datelessthanequals", row(ordered(parseInstant, isAtMost), false, false)],
  ["dategreaterthan", row(ordered(parseInstant, isGreater), false, false)],
  ["dategreaterthanequals", row(ordered(parseInstant, isAtLeast), false, false)],
  ["bool", row(bool, false, true, true)],
  ["binaryequals", row(binary, false, false)],
  ["ipaddress", row(inRange, false, false)],
  ["notipaddress", row(inRange, true, false)],
  ["arnequals", row(arnLike, false, true)],
  ["arnlike", row(arnLike, false, true)],
  ["arnnotequals", row(arnLike, true, true)],
  ["arnnotlike", row(arnLike, true, true)],
]);

const written = /^(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?$/;

/** Reads an operator's name, without regard to case. Undefined for an operator that does not exist; `Null` takes no suffix. */
export function findOperator(name: string): OperatorUse | undefined {
  const match = written.exec(name.toLowerCase());
  if (match === null) return undefined;
  const [, prefix, base = "", suffix] = match;
  const quantifier = prefix === undefined ? undefined : prefix === "forallvalues" ? "ForAllValues" : "ForAnyValue";
  if (base === "null") return suffix === undefined ? { operator: "Null", quantifier, ifExists: false } : undefined;
  const operator = operators.get(base);
  return operator === undefined ? undefined : { operator, quantifier, ifExists: suffix !== undefined };
}
