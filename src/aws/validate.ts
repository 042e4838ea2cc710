/**
 * Reads untrusted JSON as a shape of a service model. What comes out has exactly the model's members: unknown ones and nulls are
 * left out, blobs are bytes, timestamps are milliseconds. Invariant: work and the number of problems are bounded by the input's size.
 */
import { unreachable } from "#std/assert.ts";
import type { Json } from "#std/json.ts";
import { shapeOf, type BlobShape, type ListShape, type MapShape, type NumberShape, type ServiceModel, type Shape } from "./model.ts";
import type { StringShape, StructureShape } from "./model.ts";
import { constraintTexts, shownValue, type Problem, type ProblemRule } from "./problem.ts";

/** A value of a shape, after reading: JSON's values, and bytes for blobs. */
export type ShapeValue = null | boolean | number | string | Uint8Array | readonly ShapeValue[] | { readonly [member: string]: ShapeValue };

/** The value as the model means it, or what is wrong with it: either one problem of the rule `type`, or one or more of other rules. */
export type Validated =
  | { readonly ok: true; readonly value: { readonly [member: string]: ShapeValue } }
  | { readonly ok: false; readonly problems: readonly [Problem, ...Problem[]] };

/** What the caller knows of the input. */
export interface ValidateOptions {
  /** Top-level members that come another way (streamed): not looked for, and not in the value. */
  readonly omit?: readonly string[];
}

/** More than this are found by nobody who looks for them. */
const maxProblems = 20;
const maxInt32 = 2_147_483_647;
/** The last moment that a JavaScript date can hold, in seconds. */
const maxEpochSeconds = 8_640_000_000_000;

interface Reading {
  readonly model: ServiceModel;
  readonly problems: Problem[];
  typeProblem: Problem | undefined;
}

/** Reads `value` as the structure named `shapeName`. */
export function validateShape(model: ServiceModel, shapeName: string, value: Json, options: ValidateOptions = {}): Validated {
  const reading: Reading = { model, problems: [], typeProblem: undefined };
  const read = readShape(reading, shapeName, value, "", options.omit);
  const [first, ...others] = reading.typeProblem === undefined ? reading.problems : [reading.typeProblem];
  if (first !== undefined) return { ok: false, problems: [first, ...others] };
  return { ok: true, value: read as { readonly [member: string]: ShapeValue } };
}

/** Reads a value; null stands for one that has a problem. */
function readShape(reading: Reading, shapeName: string, value: Json, path: string, omit?: readonly string[]): ShapeValue {
  // Once an input is not of the operation's form, the rest of it says nothing.
  if (reading.typeProblem !== undefined) return null;
  const shape = shapeOf(reading.model, shapeName);
  switch (shape.type) {
    case "structure":
      return readStructure(reading, shape, value, path, omit ?? []);
    case "list":
      return readList(reading, shape, value, path);
    case "map":
      return readMap(reading, shape, value, path);
    case "string":
      return typeof value === "string" ? readString(reading, shape, value, path) : mistyped(reading, value, path, "a String");
    case "blob":
      return typeof value === "string" ? readBlob(reading, shape, value, path) : mistyped(reading, value, path, "a Blob");
    case "boolean":
      return typeof value === "boolean" ? value : mistyped(reading, value, path, "a Boolean");
    case "timestamp":
      return readTimestamp(reading, value, path);
    case "integer":
    case "long":
    case "float":
    case "double":
      return readNumber(reading, shape, value, path);
    default:
      return unreachable(shape);
  }
}

function readStructure(reading: Reading, shape: StructureShape, value: Json, path: string, omit: readonly string[]): ShapeValue {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return mistyped(reading, value, path, "a Structure");
  const members: [string, ShapeValue][] = [];
  for (const [name, reference] of Object.entries(shape.members)) {
    if (omit.includes(name)) continue;
    const member = Object.hasOwn(value, name) ? (value[name] ?? null) : null;
    const memberPath = joinPath(path, name);
    if (member !== null) members.push([name, readShape(reading, reference.shape, member, memberPath)]);
    else if (shape.required.includes(name))
      pushProblem(reading, { path: memberPath, rule: "required", constraint: "Member must not be null" }, "null");
  }
  return Object.fromEntries(members);
}

function readList(reading: Reading, shape: ListShape, value: Json, path: string): ShapeValue {
  if (!Array.isArray(value)) return mistyped(reading, value, path, "a List");
  const element = shapeOf(reading.model, shape.member.shape);
  const isScalar = element.type !== "structure" && element.type !== "list" && element.type !== "map";
  const shown = shownList(value, element);
  if (!checkLength(reading, shape, value.length, path, shown)) return null;
  return value.map((item, index) => {
    const before = reading.problems.length;
    const read = readShape(reading, shape.member.shape, item, `${path}.${index + 1}.member`);
    if (isScalar && reading.problems.length > before) blameList(reading, before, element, path, shown);
    return read;
  });
}

/** AWS blames the list for elements that are plain values, once, and names all constraints of an element. */
function blameList(reading: Reading, before: number, element: Shape, path: string, shown: string | undefined): void {
  const rule = reading.problems[before]?.rule ?? "pattern";
  reading.problems.length = before;
  if (reading.problems.at(-1)?.path === path) return;
  const constraint = `Member must satisfy constraint: [${Object.values(constraintTexts(element)).join(", ")}]`;
  pushProblem(reading, { path, rule, constraint }, shown);
}

function readMap(reading: Reading, shape: MapShape, value: Json, path: string): ShapeValue {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return mistyped(reading, value, path, "a Map");
  const entries = Object.entries(value).filter((entry): entry is [string, Exclude<Json, null>] => entry[1] !== null);
  if (!checkLength(reading, shape, entries.length, path, undefined)) return null;
  const read = entries.map(([key, item], index) => {
    const entryPath = `${path}.${index + 1}`;
    readShape(reading, shape.key.shape, key, `${entryPath}.key`);
    return [key, readShape(reading, shape.value.shape, item, `${entryPath}.value`)] as const;
  });
  return Object.fromEntries(read);
}

function readString(reading: Reading, shape: StringShape, value: string, path: string): ShapeValue {
  const shown = shape.isSensitive ? undefined : shownValue(value);
  if (shape.enum !== undefined && !shape.enum.includes(value)) addProblem(reading, shape, "enum", path, shown);
  if (!checkLength(reading, shape, value.length, path, shown, () => characterCount(value))) return null;
  if (shape.matches !== undefined && !shape.matches(value)) addProblem(reading, shape, "pattern", path, shown);
  return value;
}

/** A surrogate pair is one character. */
function characterCount(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function readBlob(reading: Reading, shape: BlobShape, value: string, path: string): ShapeValue {
  const bytes = Buffer.from(value, "base64");
  // The decoder skips what is not base64 and takes other alphabets: only what it would write itself is right.
  if (bytes.toString("base64") !== value) {
    reading.typeProblem ??= { path, rule: "type", constraint: `${path}: the value is not valid base64` };
    return null;
  }
  return checkLength(reading, shape, bytes.length, path, undefined) ? bytes : null;
}

function readTimestamp(reading: Reading, value: Json, path: string): ShapeValue {
  const isMoment = typeof value === "number" && Math.abs(value) <= maxEpochSeconds;
  return isMoment ? Math.round(value * 1000) : mistyped(reading, value, path, "a Timestamp");
}

function readNumber(reading: Reading, shape: NumberShape, value: Json, path: string): ShapeValue {
  const name = { integer: "an Integer", long: "a Long", float: "a Float", double: "a Double" }[shape.type];
  if (typeof value !== "number" || !Number.isFinite(value)) return mistyped(reading, value, path, name);
  const isWhole = shape.type === "integer" || shape.type === "long";
  const isInRange = Number.isSafeInteger(value) && (shape.type === "long" || (value >= -maxInt32 - 1 && value <= maxInt32));
  if (isWhole && !isInRange) return mistyped(reading, value, path, name);
  if (shape.max !== undefined && value > shape.max) addProblem(reading, shape, "value-max", path, String(value));
  if (shape.min !== undefined && value < shape.min) addProblem(reading, shape, "value-min", path, String(value));
  return value;
}

/**
 * Checks a length. Answers false only when it is too long, for then nothing inside is looked at.
 * `exact` counts where `length` is an upper bound, and is asked only when it can matter.
 */
function checkLength(
  reading: Reading,
  shape: ListShape | MapShape | StringShape | BlobShape,
  length: number,
  path: string,
  shown: string | undefined,
  exact: () => number = () => length,
): boolean {
  const { min = 0, max = Number.POSITIVE_INFINITY } = shape;
  const isSurelyLong = length > max * 2;
  const counted = length > max && !isSurelyLong ? exact() : length < min * 2 ? exact() : length;
  if (counted < min) addProblem(reading, shape, "length-min", path, shown);
  if (counted <= max) return true;
  addProblem(reading, shape, "length-max", path, shown);
  return false;
}

function mistyped(reading: Reading, value: Json, path: string, wanted: string): null {
  const place = path === "" ? "" : `${path}: `;
  reading.typeProblem ??= { path, rule: "type", constraint: `${place}${tokenName(value)} can not be converted to ${wanted}` };
  return null;
}

/** What AWS's reader calls the first token of a value. */
function tokenName(value: Json): string {
  if (value === null) return "NULL_VALUE";
  if (Array.isArray(value)) return "START_ARRAY";
  if (typeof value === "string") return "STRING_VALUE";
  if (typeof value === "number") return Number.isInteger(value) ? "NUMBER_VALUE" : "DECIMAL_VALUE";
  if (typeof value === "boolean") return value ? "TRUE_VALUE" : "FALSE_VALUE";
  return "START_OBJECT";
}

function addProblem(reading: Reading, shape: Shape, rule: ProblemRule, path: string, shown: string | undefined): void {
  const constraint = constraintTexts(shape)[rule] ?? rule;
  const pattern = rule === "pattern" && shape.type === "string" ? shape.pattern : undefined;
  pushProblem(reading, { path, rule, constraint, ...(pattern === undefined ? {} : { pattern }) }, shown);
}

function pushProblem(reading: Reading, problem: Problem, shown: string | undefined): void {
  if (reading.problems.length < maxProblems) reading.problems.push(shown === undefined ? problem : { ...problem, shown });
}

function shownList(value: readonly Json[], element: Shape): string | undefined {
  const isPlain = element.type === "string" ? !element.isSensitive : element.type !== "blob";
  if (!isPlain || !value.every((item) => item === null || typeof item !== "object")) return undefined;
  return shownValue(`[${value.slice(0, 32).join(", ")}]`);
}

function joinPath(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
