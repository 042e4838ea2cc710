/** Documents made ready for decisions: everything that does not depend on the request is done once, here. */
import { cutsOf, matchesArnPattern, readArnPattern } from "./arn.ts";
import type { ArnPattern } from "./arn.ts";
import { compileConditions } from "./conditions.ts";
import type { CompiledCondition } from "./conditions.ts";
import type { ContextKeys } from "./context.ts";
import type { PolicyDocument } from "./document.ts";
import type { DecidingStatement } from "./evaluate.ts";
import { globOf, globParts, matchesGlob } from "./glob.ts";
import type { Glob } from "./glob.ts";
import { compilePrincipals } from "./principal.ts";
import type { CompiledPrincipals } from "./principal.ts";
import type { Patterns, Statement } from "./statement.ts";

/** A policy ready for decisions. Only its name is for others. */
export interface CompiledPolicy {
  /** An ARN or a label, for explanations. */
  readonly name: string;
  readonly allows: readonly CompiledStatement[];
  readonly denies: readonly CompiledStatement[];
}

/** A statement ready for decisions. */
export interface CompiledStatement {
  /** What explanations say about it. */
  readonly deciding: DecidingStatement;
  readonly principals: CompiledPrincipals | undefined;
  readonly actions: ActionMatcher;
  readonly resources: ResourceMatcher;
  readonly conditions: readonly CompiledCondition[];
}

interface ActionMatcher {
  readonly isNegated: boolean;
  readonly isEvery: boolean;
  readonly names: ReadonlySet<string>;
  readonly globs: readonly Glob[];
}

interface ResourceMatcher {
  readonly isNegated: boolean;
  readonly isEvery: boolean;
  readonly patterns: readonly ArnPattern[];
}

/** The resource of a request, with the colons of its ARN found; `cuts` is undefined for `*`. */
export interface RequestedResource {
  readonly text: string;
  readonly cuts: readonly number[] | undefined;
}

/** Makes the resource of a request ready to be matched. */
export function requestedResource(text: string): RequestedResource {
  return { text, cuts: cutsOf(text) };
}

/**
 * Makes a document ready. `name` is for explanations. `resolved` maps principals, as written, to the unique ids (AIDA…, AROA…) that they had
 * when the policy was stored: such a user or role then matches by id only. Without an entry it matches by ARN.
 */
export function compilePolicy(
  document: PolicyDocument,
  options: { readonly name: string; readonly resolved?: ReadonlyMap<string, string> },
): CompiledPolicy {
  const hasVariables = document.version === "2012-10-17";
  const allows: CompiledStatement[] = [];
  const denies: CompiledStatement[] = [];
  for (const [index, statement] of document.statements.entries()) {
    const actions = effectiveActions(statement);
    if (actions === undefined) continue;
    const deciding: DecidingStatement = {
      policy: options.name,
      statement: index,
      ...(statement.sid !== undefined && { sid: statement.sid }),
      effect: statement.effect,
    };
    (statement.effect === "Allow" ? allows : denies).push({
      deciding,
      principals: statement.principals && compilePrincipals(statement.principals, options.resolved),
      actions: compileActions(actions),
      resources: compileResources(statement.resources, hasVariables, statement.principals !== undefined),
      conditions: compileConditions(statement.conditions, statement.effect, hasVariables),
    });
  }
  return { name: options.name, allows, denies };
}

/** The actions of a statement that has an effect: one with an empty list has none, nor one that says neither whom nor what it concerns. */
function effectiveActions({ principals, actions, resources }: Statement): Patterns | undefined {
  if (actions === undefined || actions.patterns.length === 0 || resources?.patterns.length === 0) return undefined;
  const isAboutSomething = principals === undefined ? resources !== undefined : principals.entries.length > 0;
  return isAboutSomething ? actions : undefined;
}

function compileActions({ isNegated, patterns }: Patterns): ActionMatcher {
  const names = new Set<string>();
  const globs: Glob[] = [];
  let isEvery = false;
  for (const pattern of patterns) {
    const lower = pattern.toLowerCase();
    if (lower === "*") isEvery = true;
    // Anything but one service and one name matches no action at all.
    else if (/^[^\s,:]+:[^\s,:]+$/.test(lower)) {
      if (/[*?]/.test(lower)) globs.push(globOf(globParts(lower)));
      else names.add(lower);
    }
  }
  return { isNegated, isEvery, names, globs };
}

/** Resource policies may leave the resource out and then mean the one that they stand on. */
function compileResources(resources: Patterns | undefined, hasVariables: boolean, isResourcePolicy: boolean): ResourceMatcher {
  if (resources === undefined) return { isNegated: false, isEvery: true, patterns: [] };
  const patterns: ArnPattern[] = [];
  for (const text of resources.patterns) {
    // Short ARNs stand for longer ones: always in policies of identities, in resource policies only where they are patterns already.
    const pattern = readArnPattern(text, hasVariables, !isResourcePolicy || /[*?]/.test(text));
    if (pattern !== undefined) patterns.push(pattern);
  }
  return { isNegated: resources.isNegated, isEvery: resources.patterns.includes("*"), patterns };
}

/** Does the statement concern the action, which is in lower case? */
export function matchesAction({ actions }: CompiledStatement, action: string): boolean {
  return isListedAction(actions, action) !== actions.isNegated;
}

function isListedAction({ isEvery, names, globs }: ActionMatcher, action: string): boolean {
  if (isEvery || names.has(action)) return true;
  for (const glob of globs) if (matchesGlob(glob, action)) return true;
  return false;
}

/** Does the statement concern the resource? What has no ARN, `*`, is concerned by the pattern `*` alone. */
export function matchesResource({ resources }: CompiledStatement, resource: RequestedResource, context: ContextKeys): boolean {
  return isListedResource(resources, resource, context) !== resources.isNegated;
}

function isListedResource({ isEvery, patterns }: ResourceMatcher, { text, cuts }: RequestedResource, context: ContextKeys): boolean {
  if (isEvery) return true;
  if (cuts === undefined) return false;
  for (const pattern of patterns) if (matchesArnPattern(pattern, text, cuts, context)) return true;
  return false;
}

/** Do all conditions of the statement hold? */
export function holdsConditions({ conditions }: CompiledStatement, context: ContextKeys): boolean {
  for (const condition of conditions) if (!condition(context)) return false;
  return true;
}
