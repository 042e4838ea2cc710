/**
 * Policy documents: text to meaning. This room is the policy language and nothing else; who has which policy, and what a request's context
 * is, it is told.
 */
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";
import { legacyProblem, isObject, readStatement } from "./statement.ts";
import type { Statement } from "./statement.ts";
import { findSizeProblem } from "./policy-size.ts";
import { findWritingProblem, syntaxProblem } from "./writing-rules.ts";

/** Where a policy stands decides its grammar. */
export type PolicyKind =
  | "managed"
  | "inline"
  | "boundary"
  | "session"
  | "trust"
  | "repository"
  | "registry"
  | "registry-v1"
  | "key"
  | "secret";

/** Why a document is refused, in AWS's words. */
export interface PolicyProblem {
  readonly message: string;
  /** What is wrong with the document, where AWS's sentence does not say. */
  readonly detail?: string;
  /** The document is larger than its kind may be. */
  readonly isTooLong?: boolean;
}

/** A document with one meaning. */
export interface PolicyDocument {
  /** A document without a version has the old one: `${…}` is text in it. */
  readonly version: "2008-10-17" | "2012-10-17";
  readonly id: string | undefined;
  readonly statements: readonly Statement[];
}

/** What reading a document answers. */
export type ReadPolicy = { readonly ok: true; readonly value: PolicyDocument } | { readonly ok: false; readonly problem: PolicyProblem };

/** No service takes longer documents (the length of PolicyDocument in the IAM API). */
const maxTextLength = 131_072;
/** A document needs six levels. */
const maxDepth = 20;
const documentElements = new Set(["Version", "Id", "Statement"]);

/**
 * Reads what has a meaning, without asking whether it may be written: documents that were accepted once, or are accepted elsewhere, decide
 * as they stand. Strict JSON: duplicate keys are refused.
 */
export function readPolicy(text: string): ReadPolicy {
  if (text.length > maxTextLength) return refuse(syntaxProblem, `the text has more than ${maxTextLength} characters`, true);
  const json = parseJson(text, { maxDepth });
  return json.ok ? readDocument(json.value) : refuse(syntaxProblem, json.problem);
}

/**
 * Reads a policy as strictly as AWS does when it is written: the grammar, what stands where, and the size, which for inline policies is the
 * most that all policies of one role may have together.
 */
export function parsePolicy(text: string, kind: PolicyKind): ReadPolicy {
  const sizeProblem = findSizeProblem(text, kind);
  if (sizeProblem !== undefined) return { ok: false, problem: inWordsOf(kind, sizeProblem) };
  const read = readPolicy(text);
  if (!read.ok) return { ok: false, problem: inWordsOf(kind, read.problem) };
  const problem = findWritingProblem(text, read.value, kind);
  return problem === undefined ? read : { ok: false, problem: inWordsOf(kind, problem) };
}

/**
 * The AWS principals that the document names, each once and as written: ARNs of accounts, users, roles and sessions, unique ids, account
 * ids. Not `*`, services and identity providers.
 */
export function principalsOf(document: PolicyDocument): readonly string[] {
  const names = new Set<string>();
  for (const { principals } of document.statements) {
    for (const { type, name } of principals?.entries ?? []) if (type === "AWS" && name !== "*") names.add(name);
  }
  return [...names];
}

function readDocument(json: Json): ReadPolicy {
  if (!isObject(json)) return refuse(syntaxProblem, "a policy must be an object");
  const unknown = Object.keys(json).find((key) => !documentElements.has(key));
  if (unknown !== undefined) return refuse(syntaxProblem, `a policy has no element ${JSON.stringify(unknown.slice(0, 64))}`);
  const { Version: version = "2008-10-17", Id: id, Statement: written } = json;
  if (version !== "2008-10-17" && version !== "2012-10-17") return refuse(syntaxProblem, "Version must be 2012-10-17 or 2008-10-17");
  if (id !== undefined && typeof id !== "string") return refuse(syntaxProblem, "Id must be a string");
  const list = Array.isArray(written) ? written : written === undefined ? [] : [written];
  if (list.length === 0) return refuse(syntaxProblem, "a policy needs a statement");
  const statements: Statement[] = [];
  for (const [index, one] of list.entries()) {
    const statement = readStatement(one);
    if (!statement.ok) {
      return statement.problem === legacyProblem
        ? refuse(legacyProblem, `statement ${index}: Effect is Allow or Deny, with this case`)
        : refuse(syntaxProblem, `statement ${index}: ${statement.problem}`);
    }
    statements.push(statement.value);
  }
  return { ok: true, value: { version, id, statements } };
}

function refuse(message: string, detail: string, isTooLong = false): ReadPolicy {
  return { ok: false, problem: { message, detail, ...(isTooLong && { isTooLong }) } };
}

/** ECR has one sentence for whatever is wrong with a policy; the cause is kept as the detail. */
function inWordsOf(kind: PolicyKind, problem: PolicyProblem): PolicyProblem {
  if (kind !== "repository" && kind !== "registry" && kind !== "registry-v1") return problem;
  const detail = problem.detail === undefined ? problem.message : `${problem.message} ${problem.detail}`;
  const message = `Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid ${kind === "repository" ? kind : "registry"} policy provided'`;
  return { ...problem, message, detail };
}
