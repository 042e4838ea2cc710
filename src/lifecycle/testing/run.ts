/** A repository in memory on which tests carry out what a policy chose. */
import type { LifecycleAction, LifecycleCandidate } from "../select.ts";

/**
 * What is left of the images after a run that carries out every action that nothing blocks: expired images are gone and name their children no
 * more, their referrers are orphaned, archived ones are archived since `now`.
 */
export function carryOut(images: readonly LifecycleCandidate[], actions: readonly LifecycleAction[], now: number): LifecycleCandidate[] {
  const done = new Map(actions.filter(({ blockedBy }) => blockedBy === undefined).map(({ digest, action }) => [digest, action]));
  const isGone = (digest: string): boolean => done.get(digest) === "expire";
  return images
    .filter(({ digest }) => !isGone(digest))
    .map((image) => ({
      ...image,
      parents: image.parents.filter((parent) => !isGone(parent)),
      ...(image.subject !== undefined && isGone(image.subject) && { isOrphaned: true }),
      ...(done.get(image.digest) === "archive" && { storageClass: "archive", archivedAt: now }),
    }));
}
