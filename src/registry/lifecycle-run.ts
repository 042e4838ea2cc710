/**
 * Runs lifecycle policies: decides about a whole repository, then acts batch by batch. Every batch is judged again under the repository's lock, so
 * what was pushed, tagged, pulled or put into an index meanwhile stays. A run that is cut short is simply run again.
 */
import { setTimeout } from "node:timers/promises";
import { parseLifecyclePolicy } from "#lifecycle/policy.ts";
import type { LifecycleAction } from "#lifecycle/select.ts";
import type { Author } from "#metadata/changes.ts";
import type { PolicyHolder } from "#metadata/lifecycle-policies.ts";
import { carryOut, recordLifecycleFailures } from "#metadata/lifecycle-runs.ts";
import type { EndedRun, JudgedManifest, LifecycleFailure } from "#metadata/lifecycle-runs.ts";
import type { RegistryCore } from "./context.ts";
import { evaluateLifecycle } from "./lifecycle-evaluation.ts";
import type { Candidate, Evaluation } from "./lifecycle-evaluation.ts";

/** What a run did by one rule, or would do. */
export interface LifecycleRuleReport {
  /** 0 for referrers that follow their subjects; no rule chose them. */
  readonly priority: number;
  readonly action: "expire" | "archive";
  readonly done: number;
  /** Held by indexes, or changed since they were judged; later runs look at them again. */
  readonly held: number;
}

/** What a run did to a repository, or would do. */
export interface LifecycleReport {
  readonly repositoryName: string;
  /** Manifests that were looked at. */
  readonly looked: number;
  readonly rules: readonly LifecycleRuleReport[];
  /** The policy or the repository went or changed while it ran; nothing more was done then. */
  readonly isCutShort: boolean;
}

/** A run with what is still to be written down about it: that is done for several at once. */
export interface FinishedRun {
  readonly report: LifecycleReport;
  /** For `settleLifecycleRuns`; undefined when it did not come to its end, or changed nothing because it was not to. */
  readonly ended?: EndedRun;
}

/** How to run. */
export interface LifecycleRunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Only decides. */
  readonly isDryRun?: boolean | undefined;
}

/** Manifests and tags in one transaction: it must not keep pushes waiting for more than some milliseconds. */
const maxBatchWeight = 40;
/** The rest after a batch, as a multiple of the time that it took. */
const restShare = 3;
const maxRestMs = 200;
/** Failures that are kept to be told; the others are counted. */
const maxFailures = 100;

/** Who expires and archives, as the change log names them. */
function serviceRole(accountId: string): string {
  return `arn:aws:iam::${accountId}:role/aws-service-role/ecr.amazonaws.com/AWSServiceRoleForECRLifecycle`;
}

/** Runs the policy of a repository. Throws the signal's reason when it is told to end. */
export async function runLifecycle(core: RegistryCore, holder: PolicyHolder, options: LifecycleRunOptions = {}): Promise<FinishedRun> {
  const { signal, isDryRun = false } = options;
  const { repository, policyId, version } = holder;
  const { repositoryId } = repository;
  const read = parseLifecyclePolicy(holder.policy);
  if (!read.ok) throw new Error(`the lifecycle policy of repository ${repositoryId} cannot be read: ${read.message}`);
  const evaluatedAt = core.clock.now();
  const evaluation = await evaluateLifecycle(core, repositoryId, read.value, { now: evaluatedAt, signal });
  const tally = createTally();
  const reportOf = (isCutShort: boolean): LifecycleReport => ({
    repositoryName: repository.name,
    looked: evaluation.candidates.size,
    rules: tally.rules(),
    isCutShort,
  });
  if (isDryRun) {
    for (const action of evaluation.actions) tally.count(action, action.blockedBy === undefined ? "done" : "held");
    return { report: reportOf(false) };
  }
  const requestId = core.random.uuid();
  const author = (): Author => ({ principalArn: serviceRole(repository.accountId), requestId, now: core.clock.now() });
  const run = { repositoryId, policy: { policyId, version } };
  const failures = createFailures();
  for (const batch of batchesOf(evaluation, tally, failures)) {
    signal?.throwIfAborted();
    const { action, judged } = batch;
    const began = core.clock.now();
    const input = { ...run, action, judged, linkGraceMs: core.limits.linkGraceMs, author: author() };
    const result = await carryOut(core.metadata, input);
    if (result.outcome === "policy-changed") return { report: reportOf(true) };
    const failed = new Set(result.failures.map(({ manifest }) => manifest.digest));
    for (const manifest of judged) tally.count({ ...manifest, action }, failed.has(manifest.digest) ? "held" : "done");
    failures.add(...result.failures);
    batch.done(result.digests);
    // Most of the time belongs to requests; and where they are many, a batch takes longer.
    await setTimeout(Math.min(restShare * (core.clock.now() - began), maxRestMs));
  }
  if (failures.kept.length > 0)
    await recordLifecycleFailures(core.metadata, {
      ...run,
      failures: failures.kept,
      failureCount: failures.count(),
      author: author(),
    });
  return { report: reportOf(false), ended: { ...run, evaluatedAt } };
}

interface Batch {
  readonly action: "expire" | "archive";
  readonly judged: readonly JudgedManifest[];
  /** Says which of them were acted on, before the next batch is asked for. */
  done(digests: readonly string[]): void;
}

/** What is to be done, in its order; then the referrers of what expired, and theirs. */
function* batchesOf(evaluation: Evaluation, tally: Tally, failures: Failures): Generator<Batch> {
  let followers: Wanted[] = [];
  const note = (action: Batch["action"], digests: readonly string[]): void => {
    if (action === "archive") return;
    for (const digest of digests)
      for (const referrer of evaluation.referrers.get(digest) ?? [])
        followers.push({ action, manifest: { ...judge(referrer, 0), hasSubject: false } });
  };
  yield* inWeights(feasible(evaluation, tally, failures), note);
  while (followers.length > 0) {
    const level = followers;
    followers = [];
    yield* inWeights(level, note);
  }
}

interface Wanted {
  readonly action: Batch["action"];
  readonly manifest: JudgedManifest;
}

/** What no index forbids. What one does is counted and told. */
function* feasible({ actions, candidates }: Evaluation, tally: Tally, failures: Failures): Generator<Wanted> {
  for (const chosen of actions) {
    const candidate = candidates.get(chosen.digest);
    if (candidate === undefined) continue;
    const hasSubject = candidate.subject !== undefined && candidates.has(candidate.subject);
    const manifest: JudgedManifest = { ...judge(candidate, chosen.priority), hasSubject };
    if (chosen.blockedBy === undefined) {
      yield { action: chosen.action, manifest };
      continue;
    }
    tally.count(chosen, "held");
    failures.add({ manifest, reason: "referenced", parents: chosen.blockedBy });
  }
}

/** Neighbours with the same action, as many as one transaction should take. */
function* inWeights(wanted: Iterable<Wanted>, note: (action: Batch["action"], digests: readonly string[]) => void): Generator<Batch> {
  let judged: JudgedManifest[] = [];
  let action: Batch["action"] = "expire";
  let weight = 0;
  const batch = (): Batch => {
    const own = action;
    return { action: own, judged, done: (digests) => note(own, digests) };
  };
  for (const { action: next, manifest } of wanted) {
    const own = 1 + manifest.tags.length;
    if (judged.length > 0 && (next !== action || weight + own > maxBatchWeight)) {
      yield batch();
      [judged, weight] = [[], 0];
    }
    action = next;
    judged.push(manifest);
    weight += own;
  }
  if (judged.length > 0) yield batch();
}

function judge(candidate: Candidate, priority: number): Omit<JudgedManifest, "hasSubject"> {
  const { manifestId, digest, tags, pushedAt, status, lastActivatedAt, pulledAt, subject } = candidate;
  return {
    manifestId,
    digest,
    tags,
    pushedAt,
    status,
    ...(lastActivatedAt !== undefined && { lastActivatedAt }),
    ...(pulledAt !== undefined && { pulledAt }),
    ...(subject !== undefined && { subjectDigest: subject }),
    priority,
  };
}

interface Tally {
  count(action: Pick<LifecycleAction, "priority" | "action">, how: "done" | "held"): void;
  /** By priority. */
  rules(): readonly LifecycleRuleReport[];
}

function createTally(): Tally {
  const rules = new Map<string, { priority: number; action: "expire" | "archive"; done: number; held: number }>();
  return {
    count({ priority, action }, how) {
      const key = `${priority} ${action}`;
      const rule = rules.get(key) ?? { priority, action, done: 0, held: 0 };
      rule[how] += 1;
      rules.set(key, rule);
    },
    rules: () => [...rules.values()].toSorted((a, b) => a.priority - b.priority || (a.action < b.action ? -1 : 1)),
  };
}

interface Failures {
  readonly kept: readonly LifecycleFailure[];
  add(...failures: readonly LifecycleFailure[]): void;
  count(): number;
}

function createFailures(): Failures {
  const kept: LifecycleFailure[] = [];
  let count = 0;
  return {
    kept,
    add(...failures) {
      count += failures.length;
      kept.push(...failures.slice(0, maxFailures - kept.length));
    },
    count: () => count,
  };
}
