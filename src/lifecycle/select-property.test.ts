import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseLifecyclePolicy } from "./policy.ts";
import type { LifecyclePolicy, LifecycleRule } from "./policy.ts";
import { selectCandidates } from "./select.ts";
import type { LifecycleAction, LifecycleCandidate } from "./select.ts";
import { carryOut } from "./testing/run.ts";

const dayMs = 86_400_000;
const now = 1_000 * dayMs;
const numRuns = 1_000;

const tag = fc.constantFrom("a", "b", "a1", "b1", "ab", "aab", "A");
/** Whole and broken days, with many ties; 90 and more for the archive. */
const time = fc.constantFrom(0, 0.5, 1, 1.5, 2, 3, 3.5, 89, 90, 91, 120).map((days) => now - days * dayMs);

const images: fc.Arbitrary<LifecycleCandidate[]> = fc
  .array(
    fc.record({
      tags: fc.uniqueArray(tag, { maxLength: 3 }),
      pushedAt: time,
      activatedAt: fc.option(time, { nil: undefined, freq: 2 }),
      archivedAt: fc.option(time, { nil: undefined }),
      pulledAt: fc.option(time, { nil: undefined, freq: 2 }),
      isArchived: fc.boolean(),
      // Above: mostly nobody. An image names only earlier ones, as content addresses cannot form circles.
      parent: fc.integer({ min: 0, max: 40 }),
      subject: fc.integer({ min: 0, max: 30 }),
      isOrphaned: fc.boolean(),
    }),
    { maxLength: 14 },
  )
  .map((rows) =>
    rows.map(({ tags, pushedAt, activatedAt, archivedAt, pulledAt, isArchived, parent, subject, isOrphaned }, index) => ({
      digest: `d${index}`,
      tags,
      pushedAt,
      ...(activatedAt !== undefined && { activatedAt }),
      ...(archivedAt !== undefined && { archivedAt }),
      ...(pulledAt !== undefined && { pulledAt }),
      storageClass: isArchived ? "archive" : "standard",
      parents: parent < index ? [`d${parent}`] : [],
      ...(subject < index && { subject: `d${subject}` }),
      ...(subject >= 28 && { subject: "elsewhere", isOrphaned }),
    })),
  );

const list = fc.uniqueArray(fc.constantFrom("a", "b", "a*", "*b", "*", "*a*b*", "ab"), { minLength: 1, maxLength: 2 });
const tags = fc.oneof(
  { weight: 4, arbitrary: list.map((tagPatternList) => ({ tagStatus: "tagged", tagPatternList })) },
  { weight: 2, arbitrary: list.map((tagPrefixList) => ({ tagStatus: "tagged", tagPrefixList })) },
  { weight: 1, arbitrary: fc.constantFrom({ tagStatus: "untagged" }, { tagStatus: "any" }) },
);
const expire = { type: "expire" };
const transition = { type: "transition", targetStorageClass: "archive" };
const count = fc.integer({ min: 1, max: 4 }).map((countNumber) => ({ countType: "imageCountMoreThan", countNumber }));
const age = (countType: string): fc.Arbitrary<object> =>
  fc.integer({ min: 1, max: 3 }).map((countNumber) => ({ countType, countUnit: "days", countNumber }));
const criterion = fc.oneof(
  fc.record({ counts: count, action: fc.constantFrom(expire, transition) }),
  fc.record({ counts: age("sinceImagePushed"), action: fc.constantFrom(expire, transition) }),
  fc.record({ counts: age("sinceImagePulled"), action: fc.constant(transition) }),
  fc.record({
    counts: fc.constant({ storageClass: "archive", countType: "sinceImageTransitioned", countUnit: "days", countNumber: 90 }),
    action: fc.constant(expire),
  }),
);

function read(rules: readonly object[]): LifecyclePolicy | undefined {
  const answer = parseLifecyclePolicy(JSON.stringify({ rules: rules.map((rule, index) => ({ rulePriority: index + 1, ...rule })) }));
  return answer.ok ? answer.value : undefined;
}

/** Rules that may stand together: each is left out that would make the policy invalid. */
const policy: fc.Arbitrary<LifecyclePolicy> = fc.array(fc.record({ tags, criterion }), { minLength: 1, maxLength: 8 }).map((rows) => {
  const rules = rows
    .map(({ tags, criterion }) => ({ selection: { ...tags, ...criterion.counts }, action: criterion.action }))
    .toSorted((a, b) => Number(a.selection.tagStatus === "any") - Number(b.selection.tagStatus === "any"));
  let kept: readonly object[] = [];
  for (const rule of rules) if (read([...kept, rule]) !== undefined) kept = [...kept, rule];
  const whole = read(kept);
  assert.ok(whole !== undefined, "one valid rule is a valid policy");
  return whole;
});

/** The tag requirement by regular expressions. */
function meets({ selection }: LifecycleRule, { storageClass, tags }: LifecycleCandidate): boolean {
  if (storageClass !== (selection.storageClass ?? "standard")) return false;
  if (selection.tagStatus !== "tagged") return selection.tagStatus === "any" || tags.length === 0;
  const patterns = selection.tagPatternList ?? (selection.tagPrefixList ?? []).map((prefix) => `${prefix.replaceAll("*", "!")}*`);
  return patterns.every((pattern) => tags.some((tag) => new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(tag)));
}

function isFollower({ subject, isOrphaned }: LifecycleCandidate, all: readonly LifecycleCandidate[]): boolean {
  return subject !== undefined && (isOrphaned === true || all.some(({ digest }) => digest === subject));
}

/** What one rule selects when it is alone, written as the user guide says it. */
function selectedBy(rule: LifecycleRule, all: readonly LifecycleCandidate[]): LifecycleCandidate[] {
  const matching = all.filter((image) => !isFollower(image, all) && meets(rule, image));
  const { countType, countNumber } = rule.selection;
  const pushed = (image: LifecycleCandidate): number => Math.max(image.pushedAt, image.activatedAt ?? 0);
  const olderThan = (at: number): boolean => now - at > countNumber * dayMs;
  switch (countType) {
    case "imageCountMoreThan":
      return matching.filter((image) => {
        const younger = matching.filter(
          (other) => pushed(other) > pushed(image) || (pushed(other) === pushed(image) && other.digest > image.digest),
        );
        return younger.length >= countNumber;
      });
    case "sinceImagePushed":
      return matching.filter((image) => olderThan(pushed(image)));
    case "sinceImagePulled":
      return matching.filter((image) => olderThan(Math.max(pushed(image), image.pulledAt ?? 0)));
    case "sinceImageTransitioned":
      return matching.filter(({ archivedAt }) => archivedAt !== undefined && olderThan(archivedAt));
    default:
      throw new Error(countType satisfies never);
  }
}

const brief = ({ digest, priority, action }: LifecycleAction): string => `${digest} ${priority} ${action}`;

test("each image gets the action of the first rule that it meets, if that one selects it", () => {
  fc.assert(
    fc.property(policy, images, (rules, all) => {
      const expected = rules.rules.flatMap((rule, index) =>
        selectedBy(rule, all)
          .filter((image) => !rules.rules.slice(0, index).some((earlier) => meets(earlier, image)))
          .map(({ digest }) => `${digest} ${rule.priority} ${rule.action.type === "expire" ? "expire" : "archive"}`),
      );
      const { actions } = selectCandidates(rules, all, now);
      const byRules = actions.filter(({ follows }) => follows === undefined);
      assert.deepEqual(byRules.map(brief).toSorted(), expected.toSorted());
    }),
    { numRuns },
  );
});

test("nothing that an earlier rule matches is touched by a later one", () => {
  fc.assert(
    fc.property(policy, images, (rules, all) => {
      for (const { digest, priority } of selectCandidates(rules, all, now).actions) {
        const image = all.find((one) => one.digest === digest);
        assert.ok(image !== undefined);
        assert.ok(!rules.rules.some((rule) => rule.priority < priority && meets(rule, image)), `${digest} by ${priority}`);
      }
    }),
    { numRuns },
  );
});

test("referrers follow their subjects, and live indexes block", () => {
  fc.assert(
    fc.property(policy, images, (rules, all) => {
      const { actions } = selectCandidates(rules, all, now);
      const classOf = new Map(all.map(({ digest, storageClass }) => [digest, storageClass]));
      for (const { digest, priority, action, follows, blockedBy } of actions) {
        const image = all.find((one) => one.digest === digest);
        assert.ok(image !== undefined);
        assert.equal(follows !== undefined, isFollower(image, all));
        assert.equal(priority === 0, follows !== undefined);
        if (follows !== undefined) assert.equal(action, classOf.has(follows) ? "archive" : "expire");
        if (action === "archive") assert.equal(image.storageClass, "standard");
        const blocking = image.parents.filter((parent) => action === "expire" || classOf.get(parent) !== "archive");
        assert.deepEqual(blockedBy ?? [], blocking);
      }
      const mustFollow = all.filter((image) => {
        if (!isFollower(image, all)) return false;
        const of = classOf.get(image.subject ?? "");
        return of === undefined || (of === "archive" && image.storageClass === "standard");
      });
      assert.equal(actions.filter(({ follows }) => follows !== undefined).length, mustFollow.length);
    }),
    { numRuns },
  );
});

test("a second run at the same time finds only what was blocked and what follows the first", () => {
  fc.assert(
    fc.property(policy, images, (rules, all) => {
      const first = selectCandidates(rules, all, now).actions;
      const blocked = new Set(first.filter(({ blockedBy }) => blockedBy !== undefined).map(({ digest }) => digest));
      const done = new Set(first.filter(({ blockedBy }) => blockedBy === undefined).map(({ digest }) => digest));
      for (const { digest, follows } of selectCandidates(rules, carryOut(all, first, now), now).actions)
        assert.ok(blocked.has(digest) || done.has(follows ?? ""), digest);
    }),
    { numRuns },
  );
});

test("the order of the images does not matter", () => {
  const shuffled = images.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
  fc.assert(
    fc.property(policy, shuffled, (rules, [all, other]) =>
      assert.deepEqual(selectCandidates(rules, other, now), selectCandidates(rules, all, now)),
    ),
    { numRuns },
  );
});

test("a rule alone keeps exactly its number of the youngest", () => {
  const alone = fc.record({ tags, counts: count });
  const plain = images.map((all) => all.map(({ subject: _subject, isOrphaned: _isOrphaned, ...image }) => image));
  fc.assert(
    fc.property(alone, plain, ({ tags, counts }, all) => {
      const policy = read([{ selection: { ...tags, ...counts }, action: expire }]);
      const [rule] = policy?.rules ?? [];
      assert.ok(policy !== undefined && rule !== undefined);
      const gone = new Set(selectCandidates(policy, all, now).actions.map(({ digest }) => digest));
      const matching = all.filter((image) => meets(rule, image));
      const kept = matching.filter(({ digest }) => !gone.has(digest));
      assert.equal(kept.length, Math.min(matching.length, counts.countNumber));
      const time = ({ pushedAt, activatedAt = 0 }: LifecycleCandidate): number => Math.max(pushedAt, activatedAt);
      const oldestKept = Math.min(...kept.map(time));
      for (const image of matching) if (gone.has(image.digest)) assert.ok(time(image) <= oldestKept);
    }),
    { numRuns },
  );
});

test("what ECR gives back is the same policy", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ tags, criterion }), { minLength: 1, maxLength: 6 }), fc.nat(6), (rows, indent) => {
      const rules = rows.map(({ tags, criterion }, index) => ({
        selection: { ...criterion.counts, ...tags },
        rulePriority: rows.length * 3 - index,
        action: criterion.action,
        description: `rule ${index}`,
      }));
      const first = parseLifecyclePolicy(JSON.stringify({ rules }, undefined, indent));
      if (first.ok) assert.deepEqual(parseLifecyclePolicy(first.canonicalText), first);
    }),
    { numRuns },
  );
});
