/** Which creation template covers a name. A prefix ends at a slash: `prod` covers `prod/web` and neither `prod` nor `production`. */
import type { CreationOccasion, CreationTemplate } from "#metadata/creation-templates.ts";

/** The prefix of the template for what no other covers. */
export const rootPrefix = "ROOT";

/** A prefix as it is compared: without the slash that is understood at its end. */
export function barePrefix(given: string): string {
  return given.endsWith("/") ? given.slice(0, -1) : given;
}

/** Every prefix that covers the name, the longest first. */
export function coveringPrefixes(name: string): readonly string[] {
  const prefixes: string[] = [];
  for (let end = name.lastIndexOf("/"); end > 0; end = name.lastIndexOf("/", end - 1)) prefixes.push(name.slice(0, end));
  return [...prefixes, rootPrefix];
}

/** Of these templates the one with the longest prefix that covers the name; those that are not applied for the occasion do not count. */
export function selectTemplate(
  templates: readonly CreationTemplate[],
  name: string,
  occasion: CreationOccasion,
): CreationTemplate | undefined {
  const byPrefix = new Map(templates.filter(({ appliedFor }) => appliedFor.includes(occasion)).map((each) => [each.prefix, each]));
  for (const prefix of coveringPrefixes(name)) {
    const found = byPrefix.get(prefix);
    if (found !== undefined) return found;
  }
  return undefined;
}
