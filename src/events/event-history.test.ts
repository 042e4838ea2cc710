/** Random histories of pushes and deletions: the events are exactly those that a model of tags foretells. */
import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { listChanges } from "#metadata/changes.ts";
import { deleteManifest, deleteTag } from "#metadata/manifest-delete.ts";
import { author, digestFor, keyOf, makeRepository, push } from "#metadata/metadata-contract-fixture.ts";
import { eventsOf } from "./event.ts";
import { withEventsBench } from "./testing/events-bench.ts";

const seeds = ["m0", "m1", "m2", "r0"] as const;
const tags = ["a", "b", "c"] as const;
type Seed = (typeof seeds)[number];
type Tag = (typeof tags)[number];

type Step =
  | { readonly do: "push"; readonly seed: Seed; readonly tags: readonly Tag[] }
  | { readonly do: "delete-manifest"; readonly seed: Seed; readonly withReferrers: boolean }
  | { readonly do: "delete-tag"; readonly tag: Tag; readonly lastTagDeletesManifest: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("push"), seed: fc.constantFrom(...seeds), tags: fc.uniqueArray(fc.constantFrom(...tags)) }),
  },
  fc.record({ do: fc.constant("delete-manifest"), seed: fc.constantFrom(...seeds), withReferrers: fc.boolean() }),
  fc.record({ do: fc.constant("delete-tag"), tag: fc.constantFrom(...tags), lastTagDeletesManifest: fc.boolean() }),
);

/** `r0` refers to `m0`. */
const subjectOf: Partial<Record<Seed, Seed>> = { r0: "m0" };
const typeOf = (seed: Seed): string => (subjectOf[seed] === undefined ? "ECR Image Action" : "ECR Referrer Action");

/** What is there, and what each step must be told as: `<type> <action> <seed> <tag>`. */
class Model {
  readonly live = new Set<Seed>();
  readonly tagged = new Map<Tag, Seed>();

  tell(action: string, seed: Seed, tag: string): string {
    return `${typeOf(seed)} ${action} ${digestFor(seed)} ${tag}`;
  }

  remove(seed: Seed): string[] {
    const gone = tags.filter((tag) => this.tagged.get(tag) === seed);
    for (const tag of gone) this.tagged.delete(tag);
    this.live.delete(seed);
    return gone.length === 0 ? [this.tell("DELETE", seed, "-")] : gone.map((tag) => this.tell("DELETE", seed, tag));
  }

  run(one: Step): string[] {
    if (one.do === "push") {
      const moved = one.tags.toSorted().filter((tag) => this.tagged.get(tag) !== one.seed);
      const isNew = !this.live.has(one.seed);
      this.live.add(one.seed);
      for (const tag of moved) this.tagged.set(tag, one.seed);
      return moved.length === 0 && isNew ? [this.tell("PUSH", one.seed, "-")] : moved.map((tag) => this.tell("PUSH", one.seed, tag));
    }
    if (one.do === "delete-manifest") {
      if (!this.live.has(one.seed)) return [];
      const referrers = one.withReferrers ? [...this.live].filter((seed) => subjectOf[seed] === one.seed) : [];
      return [one.seed, ...referrers].flatMap((seed) => this.remove(seed));
    }
    const seed = this.tagged.get(one.tag);
    if (seed === undefined) return [];
    const isLast = [...this.tagged.values()].filter((other) => other === seed).length === 1;
    if (one.lastTagDeletesManifest && isLast) return this.remove(seed);
    this.tagged.delete(one.tag);
    return [this.tell("DELETE", seed, one.tag)];
  }
}

test("every push and deletion is told exactly once, as the model says", () =>
  withEventsBench(async ({ metadata }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const repository = await makeRepository(metadata);
        const key = keyOf(repository);
        const model = new Model();
        const expected: string[] = [];
        for (const one of steps) {
          expected.push(...model.run(one));
          if (one.do === "push") {
            const subject = subjectOf[one.seed];
            await push(metadata, key, one.seed, { tags: one.tags, ...(subject !== undefined && { subjectDigest: digestFor(subject) }) });
          } else if (one.do === "delete-manifest") {
            const input = { key, digest: digestFor(one.seed), withReferrers: one.withReferrers, linkGraceMs: 1, author: author() };
            await deleteManifest(metadata, input);
          } else {
            const { tag, lastTagDeletesManifest } = one;
            await deleteTag(metadata, { key, tag, lastTagDeletesManifest, withReferrers: false, linkGraceMs: 1, author: author() });
          }
        }
        const log = await listChanges(metadata, { repositoryId: repository.repositoryId, limit: 1_000 });
        const told = log.flatMap((change) => eventsOf(change, "registry"));
        assert.deepEqual(
          told.map(({ "detail-type": type, detail }) =>
            [type, detail["action-type"], detail["image-digest"], detail["image-tag"] ?? "-"].join(" "),
          ),
          expected,
        );
        assert.equal(new Set(told.map(({ id }) => id)).size, told.length);
      }),
      { numRuns: 60 },
    );
  }));
