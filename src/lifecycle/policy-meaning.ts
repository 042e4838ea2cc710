/** What the rules of a lifecycle policy may say, each by itself and side by side, with ECR's sentences where they are known. */
import type { WrittenRule } from "./policy-schema.ts";

type Finding = string | undefined;

/** Amazon ECR User Guide, "Lifecycle policy properties in Amazon ECR": a maximum of four wildcards per string. */
const maxWildcards = 4;
/** The shortest time in the archive, in days. */
const minArchivedDays = 90;

/**
 * The first fault of the rules, or undefined: what a rule cannot say by itself, in the order of the rules, then what two rules cannot say
 * side by side.
 */
export function findMeaningProblem(rules: readonly WrittenRule[]): Finding {
  // ECR fails on this one while it reads the document into its classes, before it judges any rule.
  if (rules.some(({ action }) => action.type === "transition" && action.targetStorageClass === undefined))
    return "Could not map policyString into LifecyclePolicy";
  for (const rule of rules) {
    const problem = findTagProblem(rule) ?? findCountProblem(rule);
    if (problem !== undefined) return problem;
  }
  return findConflict(rules);
}

function findTagProblem({ selection }: WrittenRule): Finding {
  const { tagStatus, tagPatternList = [], tagPrefixList = [] } = selection;
  if (tagStatus !== "tagged") {
    const named = tagPrefixList.length > 0 ? "tagPrefixList" : tagPatternList.length > 0 ? "tagPatternList" : undefined;
    return named === undefined ? undefined : `Cannot specify ${named} with tagStatus ${tagStatus.toUpperCase()}`;
  }
  if (tagPrefixList.length === 0 && tagPatternList.length === 0)
    return "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.";
  if (tagPrefixList.length > 0 && tagPatternList.length > 0)
    return "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList";
  return tagPatternList.some((pattern) => pattern.split("*").length - 1 > maxWildcards) ? "Invalid tag pattern provided" : undefined;
}

/** Which criterion goes with which class and which action. */
function findCountProblem({ selection, action }: WrittenRule): Finding {
  const { countType, countNumber, storageClass = "standard" } = selection;
  if (countType !== "sinceImageTransitioned") {
    if (storageClass === "archive")
      return "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only";
    return countType === "sinceImagePulled" && action.type !== "transition"
      ? "SINCE_IMAGE_PULLED supports the TRANSITION action only"
      : undefined;
  }
  if (storageClass === "standard") return "SINCE_IMAGE_TRANSITIONED supports the ARCHIVE storage class only";
  if (action.type !== "expire") return "SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only";
  return countNumber < minArchivedDays
    ? `SINCE_IMAGE_TRANSITIONED must have countNumber greater than or equal to ${minArchivedDays}`
    : undefined;
}

/** What may stand only once is counted for each storage class by itself: rules of two classes never meet at an image. */
function findConflict(rules: readonly WrittenRule[]): Finding {
  if (new Set(rules.map(({ rulePriority }) => rulePriority)).size < rules.length) return "Duplicate priority in multiple rules";
  const classes = (["standard", "archive"] as const).map((storageClass) =>
    rules.filter(({ selection }) => (selection.storageClass ?? "standard") === storageClass),
  );
  if (classes.some((some) => countOf(some, "untagged") > 1)) return "Only one rule can select Untagged images per storage class.";
  if (classes.some((some) => countOf(some, "any") > 1)) return "Only one rule can specify tagStatus=ANY";
  if (classes.some((some) => !endsWithAny(some))) return "Rule for tagStatus=ANY must have the lowest priority per storage class";
  for (const list of ["tagPrefixList", "tagPatternList"] as const)
    if (classes.some((some) => hasEqualLists(some, list))) return `Multiple rules cannot specify the same ${list} per storage class`;
  return undefined;
}

function countOf(rules: readonly WrittenRule[], tagStatus: "untagged" | "any"): number {
  return rules.filter(({ selection }) => selection.tagStatus === tagStatus).length;
}

/** Is the rule for all images, if there is one, the last? */
function endsWithAny(rules: readonly WrittenRule[]): boolean {
  const any = rules.find(({ selection }) => selection.tagStatus === "any");
  return any === undefined || rules.every(({ rulePriority }) => rulePriority <= any.rulePriority);
}

/** Do two rules have the same set in this list? Neither order nor repetition makes a difference. */
function hasEqualLists(rules: readonly WrittenRule[], name: "tagPrefixList" | "tagPatternList"): boolean {
  const sets = rules
    .map(({ selection }) => selection[name] ?? [])
    .filter((list) => list.length > 0)
    .map((list) => JSON.stringify([...new Set(list)].toSorted()));
  return new Set(sets).size < sets.length;
}
