/** ARNs, `arn:<partition>:<service>:<region>:<account>:<resource>`, and patterns of them, which are compared segment by segment. */
import type { ContextKeys } from "./context.ts";
import { anyRun, globOf, globParts, matchesGlob } from "./glob.ts";
import type { Glob, GlobPart } from "./glob.ts";
import { fillTemplate, isFixed, readTemplate } from "./variables.ts";
import type { Template } from "./variables.ts";

const segmentCount = 6;
const colons = segmentCount - 1;

/** A pattern for ARNs. A wildcard never reaches over the first five colons; the sixth segment takes the rest, colons included. */
export interface ArnPattern {
  /** The segments that are the same for every request: all six, or the first five. */
  readonly globs: readonly Glob[];
  /** The sixth segment where variables stand in it. */
  readonly template: Template | undefined;
}

/** Where the first five colons of an ARN stand, or undefined for what is no ARN. */
export function cutsOf(text: string): readonly number[] | undefined {
  if (!text.startsWith("arn:")) return undefined;
  const cuts: number[] = [3];
  let at = 3;
  while (cuts.length < colons) {
    at = text.indexOf(":", at + 1);
    if (at === -1) return undefined;
    cuts.push(at);
  }
  return cuts;
}

/** Splits a text at its first five colons; fewer colons make fewer segments. */
export function segmentsOf(text: string): string[] {
  const segments: string[] = [];
  let start = 0;
  for (let at = text.indexOf(":"); at !== -1 && segments.length < colons; at = text.indexOf(":", start)) {
    segments.push(text.slice(start, at));
    start = at + 1;
  }
  segments.push(text.slice(start));
  return segments;
}

/**
 * Reads a written resource, other than `*`. Answers undefined for what cannot match any ARN. Segments that are missing at the end stand for
 * anything where `maySkip` says so. Variables stand only in the sixth segment; `${…}` before it is text.
 */
export function readArnPattern(text: string, hasVariables: boolean, maySkip: boolean): ArnPattern | undefined {
  if (!text.startsWith("arn:")) return undefined;
  const segments = segmentsOf(text);
  if (segments.length < segmentCount && !maySkip) return undefined;
  const globs = segments.slice(0, colons).map((segment) => globOf(globParts(segment)));
  while (globs.length < colons) globs.push(globOf([anyRun]));
  const last = segments[colons];
  const template: Template = last === undefined ? [anyRun] : readTemplate(last, hasVariables);
  return isFixed(template) ? { globs: [...globs, globOf(template)], template: undefined } : { globs, template };
}

/** Does the ARN, whose colons are at `cuts`, match? A variable without a value matches nothing. */
export function matchesArnPattern(pattern: ArnPattern, arn: string, cuts: readonly number[], context: ContextKeys): boolean {
  if (!matchesSegments(pattern.globs, arn, cuts)) return false;
  if (pattern.template === undefined) return true;
  const filled = fillTemplate(pattern.template, context);
  return filled !== undefined && matchesGlob(globOf(filled), arn, (cuts[colons - 1] ?? 0) + 1);
}

/** Splits parts at the first five colons of their text into six patterns, or answers undefined when there are fewer colons. */
export function arnGlobs(parts: readonly GlobPart[]): readonly Glob[] | undefined {
  const segments: GlobPart[][] = [[]];
  for (const part of parts) {
    if (typeof part !== "string") segments.at(-1)?.push(part);
    else {
      let start = 0;
      for (let at = part.indexOf(":"); at !== -1 && segments.length < segmentCount; at = part.indexOf(":", start)) {
        segments.at(-1)?.push(part.slice(start, at));
        segments.push([]);
        start = at + 1;
      }
      segments.at(-1)?.push(part.slice(start));
    }
  }
  return segments.length === segmentCount ? segments.map((segment) => globOf(segment)) : undefined;
}

/** Does each segment of the ARN match its pattern? Looks at as many segments as there are patterns. */
export function matchesSegments(globs: readonly Glob[], arn: string, cuts: readonly number[]): boolean {
  let from = 0;
  for (let index = 0; index < globs.length; index++) {
    const glob = globs[index];
    const to = cuts[index] ?? arn.length;
    if (glob === undefined || !matchesGlob(glob, arn, from, to)) return false;
    from = to + 1;
  }
  return true;
}
