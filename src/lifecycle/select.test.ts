import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseLifecyclePolicy } from "./policy.ts";
import type { LifecyclePolicy } from "./policy.ts";
import { selectCandidates, selectCandidatesInSteps } from "./select.ts";
import type { LifecycleAction, LifecycleCandidate } from "./select.ts";
import { carryOut } from "./testing/run.ts";

interface CaseImage {
  readonly digest: string;
  readonly tags: readonly string[];
  readonly pushedDaysAgo: number;
  readonly activatedDaysAgo?: number;
  readonly archivedDaysAgo?: number;
  readonly pulledDaysAgo?: number;
  readonly storageClass?: "standard" | "archive";
  readonly parents?: readonly string[];
  readonly subject?: string;
  readonly isOrphaned?: true;
}

/** One repository of `cases/selection.json` and what one run after the other does to it. */
interface Case {
  readonly id: string;
  readonly why: string;
  readonly source: string;
  readonly images: readonly CaseImage[];
  readonly rules: readonly object[];
  readonly runs: readonly (readonly LifecycleAction[])[];
}

const { cases } = JSON.parse(readFileSync(new URL("cases/selection.json", import.meta.url), "utf8")) as { cases: Case[] };
const dayMs = 86_400_000;
const now = Date.UTC(2026, 5, 15, 12);

function policyOf(rules: readonly object[]): LifecyclePolicy {
  const read = parseLifecyclePolicy(JSON.stringify({ rules }));
  assert.ok(read.ok, read.ok ? "" : read.message);
  return read.value;
}

function imageOf({ digest, tags, parents = [], storageClass = "standard", subject, isOrphaned, ...times }: CaseImage): LifecycleCandidate {
  const at = (daysAgo: number): number => now - Math.round(daysAgo * dayMs);
  return {
    digest,
    tags,
    parents,
    storageClass,
    pushedAt: at(times.pushedDaysAgo),
    ...(times.activatedDaysAgo !== undefined && { activatedAt: at(times.activatedDaysAgo) }),
    ...(times.archivedDaysAgo !== undefined && { archivedAt: at(times.archivedDaysAgo) }),
    ...(times.pulledDaysAgo !== undefined && { pulledAt: at(times.pulledDaysAgo) }),
    ...(subject !== undefined && { subject }),
    ...(isOrphaned && { isOrphaned }),
  };
}

for (const one of cases) {
  test(`${one.id}: ${one.why}`, () => {
    let images = one.images.map(imageOf);
    for (const expected of one.runs) {
      const { actions } = selectCandidates(policyOf(one.rules), images, now);
      assert.deepEqual(actions, expected);
      images = carryOut(images, actions, now);
    }
  });
}

test("long repositories are judged in short steps, with the same outcome", () => {
  const images = Array.from({ length: 20_000 }, (_, index): CaseImage => {
    const pushedDaysAgo = (index * 7_919) % 1_009;
    return { digest: `sha256:${index}`, tags: [`v${index}`], pushedDaysAgo };
  }).map(imageOf);
  const expire = { type: "expire" };
  const policy = policyOf([
    {
      rulePriority: 1,
      selection: { tagStatus: "tagged", tagPatternList: ["v*7"], countType: "imageCountMoreThan", countNumber: 9 },
      action: expire,
    },
    { rulePriority: 2, selection: { tagStatus: "any", countType: "imageCountMoreThan", countNumber: 100 }, action: expire },
  ]);
  const steps = selectCandidatesInSteps(policy, images, now);
  let count = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) count++;
  assert.ok(count > 10, `${count} steps`);
  assert.deepEqual(step.value, selectCandidates(policy, images, now));
  // 2,000 tags end in 7 and nine of these stay. Of the 100 youngest of all that the other rule keeps, some end in 7.
  const youngest = images.toSorted((a, b) => b.pushedAt - a.pushedAt || (a.digest < b.digest ? 1 : -1)).slice(0, 100);
  const spared = youngest.filter(({ tags }) => !tags[0]?.endsWith("7")).length;
  assert.equal(step.value.actions.length, 2_000 - 9 + 18_000 - spared);
});
