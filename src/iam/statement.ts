/**
 * The grammar of policy documents (IAM User Guide, "Grammar of the IAM JSON policy language"): JSON to statements. What a place or an
 * author may write is for the rules of writing; here every document is read that has one meaning.
 */
import type { Json } from "#std/json.ts";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** A list with its sense: `Action` and `NotAction`, `Resource` and `NotResource`. */
export interface Patterns {
  readonly isNegated: boolean;
  readonly patterns: readonly string[];
}

/** One entry of Principal; the bare `"*"` is `{type: "AWS", name: "*"}`. */
export interface PrincipalEntry {
  readonly type: "AWS" | "Service" | "Federated" | "CanonicalUser";
  readonly name: string;
}

/** Principal or NotPrincipal. */
export interface Principals {
  readonly isNegated: boolean;
  readonly entries: readonly PrincipalEntry[];
}

/** One operator with one key; numbers and booleans have become their text. */
export interface Condition {
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
}

/** One statement. A missing element is undefined; an empty list stays an empty list, and then the statement has no effect. */
export interface Statement {
  readonly sid: string | undefined;
  readonly effect: "Allow" | "Deny";
  readonly principals: Principals | undefined;
  readonly actions: Patterns | undefined;
  readonly resources: Patterns | undefined;
  readonly conditions: readonly Condition[];
}

/** AWS's sentence for an Effect in the wrong case, among others. */
export const legacyProblem = "The policy failed legacy parsing";

const statementElements = new Set([
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
]);
const principalTypes: ReadonlySet<string> = new Set<PrincipalEntry["type"]>(["AWS", "Service", "Federated", "CanonicalUser"]);
/** Longer than any ARN or action; keeps the time of one match small. */
const maxPatternLength = 2_048;

type JsonObject = { [key: string]: Json };

/** Is the value an object, and no array? */
export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Reads one statement. The problem is {@link legacyProblem} or says what is not grammatical. */
export function readStatement(json: Json): Parsed<Statement> {
  if (!isObject(json)) return problem("a statement must be an object");
  const unknown = Object.keys(json).find((key) => !statementElements.has(key));
  if (unknown !== undefined) return problem(`a statement has no element ${JSON.stringify(unknown.slice(0, 64))}`);
  const { Sid: sid, Effect: effect } = json;
  if (sid !== undefined && typeof sid !== "string") return problem("Sid must be a string");
  if (effect !== "Allow" && effect !== "Deny") {
    const isMisspelt = typeof effect === "string" && ["allow", "deny"].includes(effect.toLowerCase());
    return problem(isMisspelt ? legacyProblem : "Effect must be Allow or Deny");
  }
  const principals = readPrincipals(json);
  if (!principals.ok) return principals;
  const actions = readPatterns(json, "Action");
  if (!actions.ok) return actions;
  const resources = readPatterns(json, "Resource");
  if (!resources.ok) return resources;
  const conditions = readConditions(json["Condition"]);
  if (!conditions.ok) return conditions;
  return parsed({
    sid,
    effect,
    principals: principals.value,
    actions: actions.value,
    resources: resources.value,
    conditions: conditions.value,
  });
}

/** Takes the element or its negation; both at once have no meaning. */
function elementOf(json: JsonObject, name: string): Parsed<{ isNegated: boolean; value: Json } | undefined> {
  const plain = json[name];
  const negated = json[`Not${name}`];
  if (plain !== undefined && negated !== undefined) return problem(`${name} and Not${name} exclude each other`);
  const value = plain ?? negated;
  return parsed(value === undefined ? undefined : { isNegated: negated !== undefined, value });
}

function readPatterns(json: JsonObject, name: string): Parsed<Patterns | undefined> {
  const element = elementOf(json, name);
  if (!element.ok) return element;
  if (element.value === undefined) return parsed(undefined);
  const patterns = readStrings(element.value.value);
  if (patterns === undefined) return problem(`${name} must be a string or an array of strings of at most ${maxPatternLength} characters`);
  return parsed({ isNegated: element.value.isNegated, patterns });
}

function readPrincipals(json: JsonObject): Parsed<Principals | undefined> {
  const element = elementOf(json, "Principal");
  if (!element.ok) return element;
  if (element.value === undefined) return parsed(undefined);
  const { isNegated, value } = element.value;
  if (value === "*") return parsed({ isNegated, entries: [{ type: "AWS", name: "*" }] });
  if (!isObject(value)) return problem('Principal must be "*" or an object');
  const entries: PrincipalEntry[] = [];
  for (const [type, names] of Object.entries(value)) {
    if (!isPrincipalType(type)) return problem("Principal has the keys AWS, Service, Federated and CanonicalUser");
    const strings = readStrings(names);
    if (strings === undefined) return problem("the names of principals must be a string or an array of strings");
    for (const name of strings) entries.push({ type, name });
  }
  return parsed({ isNegated, entries });
}

function isPrincipalType(type: string): type is PrincipalEntry["type"] {
  return principalTypes.has(type);
}

function readConditions(json: Json | undefined): Parsed<readonly Condition[]> {
  if (json === undefined) return parsed([]);
  if (!isObject(json)) return problem("Condition must be an object");
  const conditions: Condition[] = [];
  for (const [operator, keys] of Object.entries(json)) {
    if (!isObject(keys)) return problem("a condition operator must hold an object of condition keys");
    for (const [key, value] of Object.entries(keys)) {
      const values = readStrings(value, true);
      if (values === undefined) return problem(`the values of a condition key must be texts of at most ${maxPatternLength} characters`);
      conditions.push({ operator, key, values });
    }
  }
  return parsed(conditions);
}

/** A value or an array of values, as texts; undefined where one is no text, or too long. */
function readStrings(json: Json, takesScalars = false): readonly string[] | undefined {
  const strings: string[] = [];
  for (const value of Array.isArray(json) ? json : [json]) {
    const isText = typeof value === "string" || (takesScalars && (typeof value === "number" || typeof value === "boolean"));
    const text = isText ? String(value) : undefined;
    if (text === undefined || text.length > maxPatternLength) return undefined;
    strings.push(text);
  }
  return strings;
}
