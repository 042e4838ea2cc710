/** The tag requirement of a lifecycle rule, made ready for many images. */
import { compileWildcard } from "#std/wildcard.ts";
import type { LifecycleRuleSelection } from "./policy.ts";

/** Do these tags, all that one image has, meet the requirement? */
export type TagRequirement = (tags: readonly string[]) => boolean;

/**
 * `untagged`: no tags. `any`: every image. `tagged`: for each member of the list there is a tag that it matches, and one tag may serve several
 * members. A prefix is the beginning of a tag, every character for itself; a pattern is a whole tag in which `*` stands for any run of
 * characters. Both tell small letters from capitals. A call takes time linear in the tags' lengths for each member of the list.
 */
export function tagRequirementOf(selection: LifecycleRuleSelection): TagRequirement {
  if (selection.tagStatus === "untagged") return (tags) => tags.length === 0;
  if (selection.tagStatus === "any") return () => true;
  const tests = [
    ...[...new Set(selection.tagPrefixList)].map((prefix) => (tag: string) => tag.startsWith(prefix)),
    ...[...new Set(selection.tagPatternList)].map(compileWildcard),
  ];
  return (tags) => tags.length > 0 && tests.every((test) => tags.some(test));
}
