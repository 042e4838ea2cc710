/**
 * Trying out what policies allow, without doing it (IAM API Reference, SimulateCustomPolicy and SimulatePrincipalPolicy). The decision is
 * the one that real requests get; only the policies, the caller and the context are those of the question.
 */
import { setImmediate } from "node:timers/promises";
import type { AccountCaller } from "#iam/caller.ts";
import { compilePolicy } from "#iam/compile.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { contextKeys } from "#iam/context.ts";
import type { ContextKeys } from "#iam/context.ts";
import { contextKeysOf } from "#iam/context-keys.ts";
import { readPolicy } from "#iam/document.ts";
import type { PolicyDocument } from "#iam/document.ts";
import { evaluate } from "#iam/evaluate.ts";
import type { DecidingStatement, Evaluation, EvaluationRequest } from "#iam/evaluate.ts";
import { refuse } from "./errors.ts";
import { statementSpans } from "./statement-span.ts";
import type { TextSpan } from "./statement-span.ts";

/** Where a policy comes from, as answers say it. */
export type PolicySourceKind = "user" | "group" | "role" | "aws-managed" | "user-managed" | "resource" | "none";

/** A policy of a question. */
export interface SimulatedPolicy {
  /** As answers name it. */
  readonly sourceId: string;
  readonly sourceKind: PolicySourceKind;
  readonly document: string;
}

/** A question. */
export interface Scenario {
  readonly caller: AccountCaller;
  readonly policies: readonly SimulatedPolicy[];
  readonly boundary: SimulatedPolicy | undefined;
  readonly resourcePolicy: SimulatedPolicy | undefined;
  /** The account of resources whose ARN does not tell one. */
  readonly resourceAccountId: string;
  /** Condition keys as written, with their values; of keys that differ only in case the last one holds. */
  readonly context: readonly (readonly [name: string, value: string | readonly string[]])[];
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

/** What was decided. */
export type SimulatedDecision = "allowed" | "explicitDeny" | "implicitDeny";

/** A statement that decided. */
export interface MatchedStatement {
  readonly policy: SimulatedPolicy;
  readonly span: TextSpan | undefined;
}

/** The answer for one action on one resource. */
export interface SimulatedResult {
  readonly action: string;
  readonly resource: string;
  readonly decision: SimulatedDecision;
  readonly statements: readonly MatchedStatement[];
  /** Keys that the policies ask for and the question does not have. */
  readonly missingKeys: readonly string[];
  /** Does the boundary allow it? Undefined without a boundary. */
  readonly allowedByBoundary: boolean | undefined;
  /** What the caller's and the resource's side say; only where they belong to two accounts. */
  readonly sides: { readonly identity: SimulatedDecision; readonly resource: SimulatedDecision } | undefined;
}

/** A scenario with its policies read. Policies are compiled under their place in `sources`. */
interface Prepared {
  readonly scenario: Scenario;
  readonly sources: readonly SimulatedPolicy[];
  readonly spans: Map<number, readonly TextSpan[]>;
  readonly identityPolicies: readonly CompiledPolicy[];
  readonly boundary: CompiledPolicy | undefined;
  readonly resourcePolicies: readonly CompiledPolicy[];
  readonly context: ContextKeys;
  readonly missingKeys: readonly string[];
  /** How much work one decision is: characters of the policies that may be compared with each character of the request. */
  readonly characters: number;
}

/** A page costs at most so many comparisons of characters, some tenths of a second; one result at least is in it. */
const pageCost = 200_000_000;
/** After so many the other requests have their turn. */
const turnCost = 5_000_000;
/** Writing a character of an answer takes about as long as comparing so many. */
const writingCost = 50;
const actionForm = /^[A-Za-z0-9-]+:[A-Za-z0-9]+$/;
const resourceForm = /^(?:\*|arn:[^:]*:[^:]*:[^:]*:([^:]*):.+)$/s;

/**
 * A page of results: every action on every resource, actions outermost. `after` is the number of results in the pages before. The page may
 * be shorter than `limit` where policies are large. Throws IdentityError `invalid-input`.
 */
export async function simulate(
  scenario: Scenario,
  page: { readonly after: number; readonly limit: number },
): Promise<{ readonly results: readonly SimulatedResult[]; readonly next: number | undefined }> {
  check(scenario);
  const prepared = prepare(scenario);
  const { actions, resources } = scenario;
  const total = actions.length * resources.length;
  const answerCost = writingCost * prepared.missingKeys.join().length;
  const results: SimulatedResult[] = [];
  let cost = 0;
  let turn = 0;
  let at = page.after;
  for (; at < total && results.length < page.limit && cost < pageCost; at += 1) {
    const action = actions[Math.floor(at / resources.length)] ?? "";
    const resource = resources[at % resources.length] ?? "";
    results.push(simulateOne(prepared, action, resource));
    cost += prepared.characters * resource.length + answerCost;
    if (cost - turn < turnCost) continue;
    turn = cost;
    await setImmediate();
  }
  return { results, next: at < total ? at : undefined };
}

function check({ actions, resources }: Scenario): void {
  const action = actions.find((text) => !actionForm.test(text));
  if (action !== undefined) throw refuse("invalid-input", { message: `Invalid action name: ${action}` });
  const resource = resources.find((text) => !resourceForm.test(text));
  if (resource !== undefined) throw refuse("invalid-input", { message: `Resource ${resource} must be in ARN format or "*".` });
}

function prepare(scenario: Scenario): Prepared {
  const sources: SimulatedPolicy[] = [];
  const documents: PolicyDocument[] = [];
  const compile = (policy: SimulatedPolicy): CompiledPolicy => {
    const document = read(policy);
    documents.push(document);
    sources.push(policy);
    return compilePolicy(document, { name: String(sources.length - 1) });
  };
  const { policies, boundary, resourcePolicy } = scenario;
  const context = contextKeys(scenario.context);
  const prepared = {
    identityPolicies: policies.map(compile),
    boundary: boundary === undefined ? undefined : compile(boundary),
    resourcePolicies: resourcePolicy === undefined ? [] : [compile(resourcePolicy)],
  };
  const missingKeys = distinctKeys(documents).filter((key) => !context.has(key.toLowerCase()));
  const characters = sources.reduce((sum, { document }) => sum + document.length, 0);
  return { ...prepared, scenario, sources, spans: new Map(), context, missingKeys, characters };
}

/** The context keys that policies ask for, as one of them writes it; each once, whatever its case. Throws IdentityError `invalid-input`. */
export function contextKeysOfPolicies(policies: readonly Pick<SimulatedPolicy, "sourceId" | "document">[]): readonly string[] {
  return distinctKeys(policies.map(readDocument));
}

function distinctKeys(documents: readonly PolicyDocument[]): readonly string[] {
  return [...new Map(documents.flatMap(contextKeysOf).map((key) => [key.toLowerCase(), key])).values()];
}

function readDocument({ sourceId, document }: Pick<SimulatedPolicy, "sourceId" | "document">): PolicyDocument {
  const policy = readPolicy(document);
  if (policy.ok) return policy.value;
  const { message, detail } = policy.problem;
  throw refuse("invalid-input", { message: `${sourceId}: ${message}${detail === undefined ? "" : ` ${detail}`}` });
}

function read({ sourceId, sourceKind, document }: SimulatedPolicy): PolicyDocument {
  const policy = readDocument({ sourceId, document });
  const names = policy.statements.map(({ principals }) => principals !== undefined);
  if (sourceKind === "resource" ? names.includes(false) : names.includes(true)) {
    const problem = sourceKind === "resource" ? "must specify a principal" : "should not specify a principal";
    throw refuse("invalid-input", { message: `${sourceId}: Policy document ${problem}.` });
  }
  return policy;
}

function simulateOne(prepared: Prepared, action: string, resource: string): SimulatedResult {
  const { scenario, identityPolicies, boundary, resourcePolicies, context, missingKeys } = prepared;
  const { caller } = scenario;
  const owner = resource === "*" ? caller.accountId : resourceForm.exec(resource)?.[1] || scenario.resourceAccountId;
  const asked = { caller, action, resource, context, resourceRule: "grants" as const };
  const decide = (policies: Pick<EvaluationRequest, "resourceAccountId" | "identityPolicies" | "resourcePolicies" | "boundary">) =>
    evaluate({ ...asked, ...policies });
  // Inside the caller's own account and without a policy of the resource, only the policies given decide.
  const alone = (policies: readonly CompiledPolicy[]) =>
    decisionOf(decide({ resourceAccountId: caller.accountId, identityPolicies: policies, resourcePolicies: [] }));
  const evaluation = decide({ resourceAccountId: owner, identityPolicies, resourcePolicies, ...(boundary !== undefined && { boundary }) });
  return {
    action,
    resource,
    decision: decisionOf(evaluation),
    statements: evaluation.statements.map((statement) => matched(prepared, statement)),
    missingKeys,
    allowedByBoundary: boundary === undefined ? undefined : alone([boundary]) === "allowed",
    sides:
      owner === caller.accountId
        ? undefined
        : {
            identity: alone(identityPolicies),
            resource: decisionOf(decide({ resourceAccountId: owner, identityPolicies: [everything], resourcePolicies })),
          },
  };
}

/** For the question what the resource's side alone would say. */
const everything = compilePolicy(
  {
    version: "2012-10-17",
    id: undefined,
    statements: [
      {
        sid: undefined,
        effect: "Allow",
        principals: undefined,
        actions: { isNegated: false, patterns: ["*"] },
        resources: { isNegated: false, patterns: ["*"] },
        conditions: [],
      },
    ],
  },
  { name: "everything" },
);

function decisionOf(evaluation: Evaluation): SimulatedDecision {
  if (evaluation.allowed) return "allowed";
  return evaluation.explicit ? "explicitDeny" : "implicitDeny";
}

/** Texts are searched for their statements only where one decided. */
function matched({ sources, spans }: Prepared, { policy, statement }: DecidingStatement): MatchedStatement {
  const place = Number(policy);
  const source = sources[place];
  if (source === undefined) throw new RangeError(`no policy ${policy} in the scenario`);
  const known = spans.get(place) ?? statementSpans(source.document);
  spans.set(place, known);
  return { policy: source, span: known[statement] };
}
