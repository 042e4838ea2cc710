/**
 * Which images a lifecycle policy acts on (Amazon ECR User Guide, "Automate the cleanup of images by using lifecycle policies"). Previews and
 * runs ask the same function. What AWS leaves open is decided in docs/decisions/0010-lifecycle.md.
 */
import type { LifecyclePolicy, LifecycleRule, LifecycleStorageClass } from "./policy.ts";
import { sortInSteps } from "./sort.ts";
import { tagRequirementOf } from "./tag-requirement.ts";
import type { TagRequirement } from "./tag-requirement.ts";

/** An image of the repository, as far as policies ask. Times are milliseconds since the epoch. */
export interface LifecycleCandidate {
  readonly digest: string;
  readonly tags: readonly string[];
  readonly pushedAt: number;
  /** When it last came back from the archive. */
  readonly activatedAt?: number;
  /** When it last went to the archive. */
  readonly archivedAt?: number;
  /** When it was last pulled, as far as it was recorded. */
  readonly pulledAt?: number;
  /** The class it is in now. */
  readonly storageClass: LifecycleStorageClass;
  /** Digests of live indexes (manifest lists) that name it. Archived indexes are live; deleted ones are not. */
  readonly parents: readonly string[];
  /** Digest of its subject when it is a referrer. */
  readonly subject?: string;
  /**
   * Says of a referrer that its subject was here and is gone in a way that takes referrers along: expired by a policy, or deleted through ECR's
   * API. Where the subject was never pushed or was deleted through the OCI API, which leaves referrers alone, this is absent: the
   * referrer is then judged like any image.
   */
  readonly isOrphaned?: boolean;
}

/** What is to be done with one image. */
export interface LifecycleAction {
  readonly digest: string;
  /** The rule's priority; 0 when no rule chose it and it follows its subject. */
  readonly priority: number;
  readonly action: "expire" | "archive";
  /** The subject that a referrer follows; no rule chose the referrer. Previews leave these out, as ECR does. */
  readonly follows?: string;
  /** Why it cannot be carried out now: these live indexes name it. It is chosen again by later runs. Never empty. */
  readonly blockedBy?: readonly string[];
}

/** The outcome for a whole repository. */
export interface LifecycleSelection {
  /**
   * At most one for each image, in the order in which they are to be carried out: by priority (those that follow a subject first), then from
   * the oldest to the youngest by the time that the rule goes by, then by digest.
   */
  readonly actions: readonly LifecycleAction[];
}

/** A rule made ready. `seen` counts the images that met the tag requirement so far. */
interface ReadyRule {
  readonly priority: number;
  readonly storageClass: LifecycleStorageClass;
  readonly matches: TagRequirement;
  readonly timeOf: (image: LifecycleCandidate) => number;
  readonly action: "expire" | "archive";
  /** How many of the youngest are kept; undefined for a rule that goes by age. */
  readonly keeps: number | undefined;
  /** Older than this is chosen; in milliseconds. */
  readonly maxAgeMs: number;
  seen: number;
}

/** An image that rules look at, with the time by which they count. */
interface Judged {
  readonly image: LifecycleCandidate;
  readonly digest: string;
  readonly time: number;
}

/** A choice with what it is sorted by. */
interface Chosen {
  readonly action: LifecycleAction;
  readonly digest: string;
  readonly priority: number;
  readonly time: number;
}

/** The images of the repository by digest. */
type Images = ReadonlyMap<string, LifecycleCandidate>;

const dayMs = 86_400_000;
/** Comparisons of tags between two steps, some milliseconds' worth. */
const workPerStep = 25_000;
/** Images looked up between two steps. */
const lookupsPerStep = 10_000;

/**
 * What the policy does with these images, which must be all live ones of the repository, each once. Pure; the order of `images` does not
 * matter. Every rule looks at the whole repository; an image is acted on by a rule only if no rule before it, for the same
 * storage class, has a tag requirement that the image meets. So each image is acted on at most once.
 */
export function selectCandidates(policy: LifecyclePolicy, images: readonly LifecycleCandidate[], now: number): LifecycleSelection {
  const steps = selectCandidatesInSteps(policy, images, now);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * The same as {@link selectCandidates} in steps of some milliseconds, between which a server can do other things. `images` must not change
 * meanwhile.
 */
export function* selectCandidatesInSteps(
  policy: LifecyclePolicy,
  images: readonly LifecycleCandidate[],
  now: number,
): Generator<undefined, LifecycleSelection, undefined> {
  const rules = policy.rules.map(ready);
  const byDigest = yield* mapByDigest(images);
  const chosen: Chosen[] = [];
  let judged: Judged[] = [];
  for (const [index, image] of images.entries()) {
    if (!isFollower(image, byDigest)) judged.push({ image, digest: image.digest, time: pushTime(image) });
    else if (mustFollow(image, byDigest)) chosen.push(following(image, byDigest));
    if (index % lookupsPerStep === lookupsPerStep - 1) yield;
  }
  // Rules that keep a number count from the youngest on; the others do not ask for an order.
  if (rules.some(({ keeps }) => keeps !== undefined)) judged = yield* sortInSteps(judged, youngerFirst);
  const listed = policy.rules.reduce((sum, { selection }) => sum + (selection.tagPatternList ?? selection.tagPrefixList ?? []).length, 0);
  let work = 0;
  for (const { image } of judged) {
    const rule = choose(rules, image, now);
    if (rule !== undefined) chosen.push(chosenBy(rule, image, byDigest));
    work += 1 + rules.length + image.tags.length * listed;
    if (work < workPerStep) continue;
    work = 0;
    yield;
  }
  const sorted = yield* sortInSteps(chosen, inOrder);
  return { actions: sorted.map(({ action }) => action) };
}

function* mapByDigest(images: readonly LifecycleCandidate[]): Generator<undefined, Images, undefined> {
  const byDigest = new Map<string, LifecycleCandidate>();
  for (const image of images) {
    byDigest.set(image.digest, image);
    if (byDigest.size % lookupsPerStep === 0) yield;
  }
  return byDigest;
}

function ready({ priority, selection, action }: LifecycleRule): ReadyRule {
  const { countType, countNumber, storageClass = "standard" } = selection;
  return {
    priority,
    storageClass,
    matches: tagRequirementOf(selection),
    timeOf: countType === "sinceImageTransitioned" ? archiveTime : countType === "sinceImagePulled" ? pullTime : pushTime,
    action: action.type === "expire" ? "expire" : "archive",
    keeps: countType === "imageCountMoreThan" ? countNumber : undefined,
    maxAgeMs: countNumber * dayMs,
    seen: 0,
  };
}

/** The rule that acts on the image, if one does. Rules that keep a number count the image even where another one decides about it. */
function choose(rules: readonly ReadyRule[], image: LifecycleCandidate, now: number): ReadyRule | undefined {
  let isClaimed = false;
  let acting: ReadyRule | undefined;
  for (const rule of rules) {
    if (rule.storageClass !== image.storageClass || (isClaimed && rule.keeps === undefined) || !rule.matches(image.tags)) continue;
    const isSelected = rule.keeps === undefined ? now - rule.timeOf(image) > rule.maxAgeMs : ++rule.seen > rule.keeps;
    // Meeting the tag requirement is enough to be kept from all later rules.
    if (!isClaimed && isSelected) acting = rule;
    isClaimed = true;
  }
  return acting;
}

/** Restoring is like pushing: an image that came back from the archive is as young as its return. */
function pushTime({ pushedAt, activatedAt }: LifecycleCandidate): number {
  return Math.max(pushedAt, activatedAt ?? pushedAt);
}

/** One that was never pulled, or not since it was pushed or restored, is as old as that. */
function pullTime(image: LifecycleCandidate): number {
  return Math.max(pushTime(image), image.pulledAt ?? image.pushedAt);
}

/** An archived image of which nobody knows since when is never old enough. */
function archiveTime({ archivedAt }: LifecycleCandidate): number {
  return archivedAt ?? Number.POSITIVE_INFINITY;
}

/** Of two that are equally old, the one with the greater digest counts as younger. */
function youngerFirst(a: Judged, b: Judged): number {
  return b.time - a.time || (a.digest < b.digest ? 1 : -1);
}

function inOrder(a: Chosen, b: Chosen): number {
  return a.priority - b.priority || a.time - b.time || (a.digest < b.digest ? -1 : 1);
}

function chosenBy({ priority, action, timeOf }: ReadyRule, image: LifecycleCandidate, byDigest: Images): Chosen {
  const { digest } = image;
  return { action: { digest, priority, action, ...blockedBy(image, action, byDigest) }, digest, priority, time: timeOf(image) };
}

/** A referrer belongs to its subject: while that lives, and when it went and the referrer must go too, no rule sees the referrer. */
function isFollower({ subject, isOrphaned }: LifecycleCandidate, byDigest: Images): boolean {
  return subject !== undefined && (isOrphaned === true || byDigest.has(subject));
}

/** Is the referrer not yet where its subject is? Restoring is nothing that policies do. */
function mustFollow({ subject = "", storageClass }: LifecycleCandidate, byDigest: Images): boolean {
  const living = byDigest.get(subject);
  return living === undefined || (living.storageClass === "archive" && storageClass === "standard");
}

function following(image: LifecycleCandidate, byDigest: Images): Chosen {
  const { digest, subject: follows = "" } = image;
  const action = byDigest.has(follows) ? "archive" : "expire";
  const priority = 0;
  return { action: { digest, priority, action, follows, ...blockedBy(image, action, byDigest) }, digest, priority, time: pushTime(image) };
}

/**
 * What a live index names stays with it: it expires once the index is gone, and goes to the archive once the index is gone or is there itself.
 * It must not expire under an archived index, which could never be restored whole.
 */
function blockedBy({ parents }: LifecycleCandidate, action: "expire" | "archive", byDigest: Images): Pick<LifecycleAction, "blockedBy"> {
  const blocking = action === "expire" ? parents : parents.filter((parent) => byDigest.get(parent)?.storageClass !== "archive");
  return blocking.length > 0 ? { blockedBy: blocking } : {};
}
