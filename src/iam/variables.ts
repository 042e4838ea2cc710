/**
 * Policy variables (IAM User Guide, "IAM policy elements: Variables and tags"): `${aws:username}`, with a default
 * `${aws:PrincipalTag/team, 'shared'}`, and the literals `${*}`, `${?}`, `${$}`.
 *
 * Invariant: what comes in through a variable stands for itself. It is a part of its own and is never read again, so a tag with the value
 * `*` widens nothing.
 */
import type { ContextKeys } from "./context.ts";
import { contextValue } from "./context.ts";
import { anyOne, anyRun, globParts } from "./glob.ts";
import type { GlobPart } from "./glob.ts";

/** A place that a context key's value fills. */
export interface Variable {
  /** The context key in lower case; empty where `${…}` was not readable, and then nothing ever fills the place. */
  readonly key: string;
  /** The key's name as written. */
  readonly name: string;
  /** Fills the place when the key is absent. */
  readonly fallback: string | undefined;
}

/** Written text, split into text, wildcards and variables. */
export type Template = readonly (GlobPart | Variable)[];

/** The whole of one `${…}`. Every class stops at what the next one begins with, so matching takes linear time. */
const reference = /\$\{(?:([*?$])|([^\s,'{}]+)(?:, '([^']*)')?)\}/y;

/** Splits written text into its parts. Without variables (documents before 2012-10-17) `${…}` is text like any other. */
export function readTemplate(text: string, hasVariables: boolean): Template {
  if (!hasVariables || !text.includes("${")) return globParts(text);
  const parts: (GlobPart | Variable)[] = [];
  let start = 0;
  for (let open = text.indexOf("${"); open !== -1; open = text.indexOf("${", start)) {
    parts.push(...globParts(text.slice(start, open)));
    reference.lastIndex = open;
    const match = reference.exec(text);
    if (match !== null) {
      const [whole, literal, name, fallback] = match;
      parts.push(literal ?? { key: (name ?? "").toLowerCase(), name: name ?? "", fallback });
      start = open + whole.length;
    } else {
      parts.push({ key: "", name: "", fallback: undefined });
      const close = text.indexOf("}", open);
      start = close === -1 ? text.length : close + 1;
    }
  }
  parts.push(...globParts(text.slice(start)));
  return parts;
}

/** The variables of a template. */
export function variablesOf(template: Template): readonly Variable[] {
  return template.filter((part) => typeof part === "object");
}

/** Does the template mean the same for every request? */
export function isFixed(template: Template): template is readonly GlobPart[] {
  return template.every((part) => typeof part !== "object");
}

/** The template with every variable filled in, or undefined when one has no value: its key is absent without a default, or multi-valued. */
export function fillTemplate(template: Template, context: ContextKeys): readonly GlobPart[] | undefined {
  const filled: GlobPart[] = [];
  for (const part of template) {
    if (typeof part !== "object") filled.push(part);
    else {
      const value = part.key === "" ? undefined : (contextValue(context, part.key) ?? part.fallback);
      if (typeof value !== "string") return undefined;
      filled.push(value);
    }
  }
  return filled;
}

/** The text of parts for comparisons without wildcards, in which `*` and `?` are characters like any other. */
export function textOf(parts: readonly GlobPart[]): string {
  let text = "";
  for (const part of parts) text += part === anyRun ? "*" : part === anyOne ? "?" : part;
  return text;
}
