/** `node bench/lifecycle-select.ts`: how long a policy of 50 rules takes to choose among 100,000 images, and the longest single step on the way. */
import { parseLifecyclePolicy } from "../src/lifecycle/policy.ts";
import type { LifecyclePolicy } from "../src/lifecycle/policy.ts";
import { selectCandidatesInSteps } from "../src/lifecycle/select.ts";
import type { LifecycleCandidate } from "../src/lifecycle/select.ts";

const imageCount = 100_000;
const ruleCount = 50;
const rounds = 5;
const dayMs = 86_400_000;
const now = 1_000 * dayMs;

/** A digest-like text from a number, by multiplying with an odd constant; no two numbers share one. */
function digestOf(index: number): string {
  return `sha256:${(Math.imul(index, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0").repeat(8)}`;
}

/** A tenth untagged, a tenth with two tags, a twentieth in the archive, a tenth children of an index, a twentieth referrers. */
function imageOf(_: unknown, index: number): LifecycleCandidate {
  const tag = `team${index % 60}-v${index}`;
  return {
    digest: digestOf(index),
    tags: index % 10 === 0 ? [] : index % 10 === 1 ? [tag, `rc-${tag}`] : [tag],
    pushedAt: now - ((index * 7_919) % 60_000) * (dayMs / 100),
    ...(index % 20 === 7 && { archivedAt: now - ((index * 31) % 500) * dayMs }),
    ...(index % 3 === 0 && { pulledAt: now - ((index * 17) % 200) * dayMs }),
    ...(index % 20 === 10 && { subject: digestOf(index - 1) }),
    storageClass: index % 20 === 7 ? "archive" : "standard",
    parents: index % 10 === 2 ? [digestOf(index - 1)] : [],
  };
}

/** Rules of every kind: a pattern or prefix for each team by count, age and last pull, then the untagged, the rest, and the archive. */
function policyOf(pattern: (team: number) => string): LifecyclePolicy {
  const days = { countUnit: "days", countNumber: 90 };
  const criteria = [
    { countType: "imageCountMoreThan", countNumber: 100 },
    { countType: "sinceImagePushed", ...days },
    { countType: "sinceImagePulled", ...days },
  ];
  const teams = Array.from({ length: ruleCount - 3 }, (_, team) => ({
    selection: { tagStatus: "tagged", tagPatternList: [pattern(team)], ...criteria[team % 3] },
    action: team % 3 === 2 ? { type: "transition", targetStorageClass: "archive" } : { type: "expire" },
  }));
  const others = [
    { selection: { tagStatus: "untagged", countType: "sinceImagePushed", ...days }, action: { type: "expire" } },
    { selection: { tagStatus: "any", storageClass: "archive", countType: "sinceImageTransitioned", ...days }, action: { type: "expire" } },
    { selection: { tagStatus: "any", countType: "imageCountMoreThan", countNumber: 20_000 }, action: { type: "expire" } },
  ];
  const rules = [...teams, ...others].map((rule, index) => ({ rulePriority: index + 1, ...rule }));
  const read = parseLifecyclePolicy(JSON.stringify({ rules }));
  if (!read.ok) throw new Error(read.message);
  return read.value;
}

interface Measured {
  readonly totalMs: number;
  readonly longestStepMs: number;
  readonly actions: number;
}

function measure(policy: LifecyclePolicy, images: readonly LifecycleCandidate[]): Measured {
  const start = performance.now();
  const steps = selectCandidatesInSteps(policy, images, now);
  let longestStepMs = 0;
  for (;;) {
    const before = performance.now();
    const step = steps.next();
    longestStepMs = Math.max(longestStepMs, performance.now() - before);
    if (step.done === true) return { totalMs: performance.now() - start, longestStepMs, actions: step.value.actions.length };
  }
}

const images = Array.from({ length: imageCount }, imageOf);
const kinds = {
  "one asterisk at the end": policyOf((team) => `team${team}-*`),
  "four asterisks": policyOf((team) => `*t*am${team}-*v*`),
};
for (const [kind, policy] of Object.entries(kinds)) {
  measure(policy, images);
  const results = Array.from({ length: rounds }, () => measure(policy, images)).sort((a, b) => a.totalMs - b.totalMs);
  const { totalMs, actions } = results[rounds >> 1] ?? { totalMs: 0, actions: 0 };
  const longest = Math.max(...results.map(({ longestStepMs }) => longestStepMs));
  process.stdout.write(
    `lifecycle-select, ${kind}: ${Math.round(totalMs)} ms for ${imageCount} images and ${ruleCount} rules (median of ${rounds}), ` +
      `${actions} actions, longest step ${Math.round(longest)} ms\n`,
  );
}
