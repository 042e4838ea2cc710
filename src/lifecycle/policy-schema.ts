/**
 * The shape of a lifecycle policy's document. ECR checks it with a JSON Schema validator whose sentences it shows, so these are the sentences
 * of that validator (the Java library `json-schema-validator`).
 */
import type { Json } from "#std/json.ts";
import type { LifecycleRuleSelection } from "./policy.ts";

/** A document whose shape was checked. */
export interface WrittenPolicy {
  readonly rules: readonly WrittenRule[];
}

/** A rule as it is written. Whether its members go together is still open. */
export interface WrittenRule {
  readonly rulePriority: number;
  readonly description?: string;
  readonly selection: LifecycleRuleSelection;
  readonly action: { readonly type: "expire" | "transition"; readonly targetStorageClass?: "archive" };
}

type Members = Readonly<Record<string, Json>>;
/** What is wrong with a value, or undefined. */
type Check = (value: Json) => string | undefined;

const maxRules = 50;
/** ECR keeps these numbers as 32-bit integers. */
const maxNumber = 2_147_483_647;
/** How much of what somebody wrote a message repeats. */
const maxQuoted = 64;
const maxNames = 10;

const noneOfTwo = "instance failed to match exactly one schema (matched 0 out of 2)";
const unmappable = "Could not map policyString into LifecyclePolicy.";

/** The first thing wrong with the shape of the document, in the order in which it is written, or undefined. */
export function findSchemaProblem(document: Json): string | undefined {
  return checkDocument(document);
}

const checkNumber: Check = (value) => {
  if (!Number.isInteger(value)) return wrongType(value, "integer");
  if (Number(value) < 1) return `numeric instance is lower than the required minimum (minimum: 1, found: ${Number(value)})`;
  return Number(value) > maxNumber ? unmappable : undefined;
};

const checkText: Check = (value) => (typeof value === "string" ? undefined : wrongType(value, "string"));

const checkTagText: Check = (value) => {
  // An empty prefix would be every tag, an empty pattern none.
  if (value === "") return 'string "" is too short (length: 0, required minimum: 1)';
  return checkText(value);
};

const checkTagList: Check = (value) => (Array.isArray(value) ? firstProblem(value, checkTagText) : wrongType(value, "array"));

const checkSelectionMembers = object(
  {
    countNumber: checkNumber,
    countType: oneOf("imageCountMoreThan", "sinceImagePulled", "sinceImagePushed", "sinceImageTransitioned"),
    tagStatus: oneOf("any", "tagged", "untagged"),
  },
  { countUnit: oneOf("days"), storageClass: oneOf("archive", "standard"), tagPatternList: checkTagList, tagPrefixList: checkTagList },
);

const checkSelection: Check = (value) => {
  if (hasNull(value, ["countUnit", "storageClass"])) return noneOfTwo;
  const problem = checkSelectionMembers(value);
  if (problem !== undefined) return problem;
  const { countType, countUnit } = value as Members;
  return (countType === "imageCountMoreThan") === (countUnit === undefined) ? undefined : noneOfTwo;
};

const checkActionMembers = object({ type: oneOf("expire", "transition") }, { targetStorageClass: oneOf("archive") });

const checkAction: Check = (value) => {
  if (hasNull(value, ["targetStorageClass"])) return noneOfTwo;
  const problem = checkActionMembers(value);
  if (problem !== undefined) return problem;
  const { type, targetStorageClass } = value as Members;
  return type === "expire" && targetStorageClass !== undefined ? noneOfTwo : undefined;
};

const checkRule = object({ action: checkAction, rulePriority: checkNumber, selection: checkSelection }, { description: checkText });

const checkRules: Check = (value) => {
  if (!Array.isArray(value)) return wrongType(value, "array");
  if (value.length < 1) return "array is too short: must have at least 1 elements but instance has 0 elements";
  if (value.length > maxRules) return `array is too long: must have at most ${maxRules} elements but instance has ${value.length} elements`;
  return firstProblem(value, checkRule);
};

const checkDocument = object({ rules: checkRules }, {});

/** The check of an object: all required members, no unknown ones, then each member by itself as written. */
function object(required: Readonly<Record<string, Check>>, optional: Readonly<Record<string, Check>>): Check {
  const checks = new Map([...Object.entries(required), ...Object.entries(optional)]);
  const requiredNames = Object.keys(required).toSorted();
  return (value) => {
    if (!isObject(value)) return wrongType(value, "object");
    const missing = requiredNames.filter((name) => !Object.hasOwn(value, name));
    if (missing.length > 0) return `object has missing required properties (${JSON.stringify(missing)})`;
    const unknown = Object.keys(value).filter((name) => !checks.has(name));
    if (unknown.length > 0) return `object instance has properties which are not allowed by the schema: (${quoteNames(unknown)})`;
    return firstProblem(Object.entries(value), ([name, member]) => checks.get(name)?.(member));
  };
}

function oneOf(...names: readonly string[]): Check {
  const all = JSON.stringify(names);
  return (value) =>
    typeof value === "string" && names.includes(value)
      ? undefined
      : `instance value (${quote(value)}) not found in enum (possible values: ${all})`;
}

function firstProblem<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = find(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Members that are there without a value fit neither of ECR's two schemas, whatever else is wrong. */
function hasNull(value: Json, names: readonly string[]): boolean {
  return isObject(value) && names.some((name) => Object.hasOwn(value, name) && value[name] === null);
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrongType(value: Json, allowed: string): string {
  return `instance type (${typeName(value)}) does not match any allowed primitive type (allowed: ["${allowed}"])`;
}

function typeName(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

/** What somebody wrote, cut to a length that a message can carry. JSON writes half of a surrogate pair as an escape. */
function quote(value: Json): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, maxQuoted)) : JSON.stringify(value).slice(0, maxQuoted).toWellFormed();
}

function quoteNames(names: readonly string[]): string {
  return `[${names.toSorted().slice(0, maxNames).map(quote).join(",")}]`;
}
