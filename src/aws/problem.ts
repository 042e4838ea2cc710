/** What is wrong with an input, as data, and in the words of AWS. */
import type { Shape } from "./model.ts";

/** Which constraint of the model an input breaks. `type` is the odd one: such an input was never of the operation's form (SerializationException). */
export type ProblemRule = "required" | "type" | "length-min" | "length-max" | "value-min" | "value-max" | "pattern" | "enum";

/** One broken constraint. */
export interface Problem {
  /** Where: member names joined by dots; elements of lists as `imageIds.1.member`, counted from 1; map entries by `key` and `value`. */
  readonly path: string;
  readonly rule: ProblemRule;
  /** The constraint in AWS's words, such as `Member must have length greater than or equal to 2`. */
  readonly constraint: string;
  /** The pattern, for the rule `pattern`. */
  readonly pattern?: string;
  /** What was sent, shortened, as AWS repeats it; absent for secrets and bytes, `null` for nothing. */
  readonly shown?: string;
}

const maxShown = 256;

/** The text of a value as messages repeat it. */
export function shownValue(text: string): string {
  return text.length <= maxShown ? text : `${text.slice(0, maxShown)}…`;
}

/** The constraints of a shape by rule, in the order in which AWS lists them. */
export function constraintTexts(shape: Shape): Partial<Record<ProblemRule, string>> {
  if (shape.type === "structure" || shape.type === "boolean" || shape.type === "timestamp") return {};
  const isNumber = shape.type === "integer" || shape.type === "long" || shape.type === "float" || shape.type === "double";
  const [quality, least, most] = isNumber
    ? (["value", "value-min", "value-max"] as const)
    : (["length", "length-min", "length-max"] as const);
  const texts: Partial<Record<ProblemRule, string>> = {};
  if (shape.max !== undefined) texts[most] = `Member must have ${quality} less than or equal to ${shape.max}`;
  if (shape.min !== undefined) texts[least] = `Member must have ${quality} greater than or equal to ${shape.min}`;
  if (shape.type !== "string") return texts;
  if (shape.pattern !== undefined) texts.pattern = `Member must satisfy regular expression pattern: ${shape.pattern}`;
  if (shape.enum !== undefined) texts.enum = `Member must satisfy enum value set: [${shape.enum.join(", ")}]`;
  return texts;
}

/** ECR's message for an `InvalidParameterException`. Names of repositories have a wording of their own. */
export function invalidParameterText(problem: Problem): string {
  const isRepositoryName = problem.path === "repositoryName" && problem.pattern !== undefined;
  const reason = isRepositoryName ? `must satisfy regular expression '${problem.pattern}'` : problem.constraint;
  return `Invalid parameter at '${problem.path}' failed to satisfy constraint: '${reason}'`;
}

/** The message of a `ValidationError` of the Query services, and of a `ValidationException` elsewhere. */
export function validationErrorText(problems: readonly Problem[]): string {
  const errors = problems.map(({ path, constraint, shown }) => {
    const value = shown === undefined ? "Value" : shown === "null" ? "Value null" : `Value '${shown}'`;
    return `${value} at '${path.replace(/(^|\.)([A-Z])/g, (_, dot: string, letter: string) => dot + letter.toLowerCase())}' failed to satisfy constraint: ${constraint}`;
  });
  return `${problems.length} validation error${problems.length === 1 ? "" : "s"} detected: ${errors.join("; ")}`;
}
