/** `node bench/policy.ts`: decisions per second on one core, over the case files of `src/iam/`. Compiling is not counted: it is done once per policy. */
import { globSync, readFileSync } from "node:fs";
import { compilePolicy } from "../src/iam/compile.ts";
import type { CompiledPolicy } from "../src/iam/compile.ts";
import { contextKeys } from "../src/iam/context.ts";
import { readPolicy } from "../src/iam/document.ts";
import { evaluate } from "../src/iam/evaluate.ts";
import type { EvaluationRequest } from "../src/iam/evaluate.ts";

const rounds = 5;
const roundMs = 400;

interface Case extends Pick<EvaluationRequest, "caller" | "action" | "resource" | "resourceAccountId" | "resourceRule"> {
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
  readonly identity?: readonly object[];
  readonly boundary?: object;
  readonly session?: readonly object[];
  readonly resourcePolicy?: object;
}

function compile(policy: object): CompiledPolicy {
  const read = readPolicy(JSON.stringify(policy));
  if (!read.ok) throw new Error(read.problem.message);
  return compilePolicy(read.value, { name: "policy" });
}

function requestOf({ context, identity, boundary, session, resourcePolicy, ...one }: Case): EvaluationRequest {
  return {
    ...one,
    context: contextKeys(Object.entries(context ?? {})),
    identityPolicies: (identity ?? []).map(compile),
    ...(boundary && { boundary: compile(boundary) }),
    ...(session && { sessionPolicies: session.map(compile) }),
    resourcePolicies: resourcePolicy ? [compile(resourcePolicy)] : [],
  };
}

/** Decisions per second of one round; the count of allows keeps the work from being optimised away. */
function measure(requests: readonly EvaluationRequest[]): { rate: number; allowed: number } {
  const start = performance.now();
  let decisions = 0;
  let allowed = 0;
  while (performance.now() - start < roundMs) {
    for (const request of requests) if (evaluate(request).allowed) allowed++;
    decisions += requests.length;
  }
  return { rate: (decisions / (performance.now() - start)) * 1000, allowed };
}

const folder = new URL("../src/iam/cases/", import.meta.url).pathname;
const requests = globSync("*.json", { cwd: folder })
  .flatMap((file) => (JSON.parse(readFileSync(`${folder}${file}`, "utf8")) as { cases: Case[] }).cases)
  .map(requestOf);
measure(requests);
const rates = Array.from({ length: rounds }, () => measure(requests).rate).sort((a, b) => a - b);
process.stdout.write(`policy: ${Math.round(rates[rounds >> 1] ?? 0)} decisions/s over ${requests.length} cases (median of ${rounds})\n`);
