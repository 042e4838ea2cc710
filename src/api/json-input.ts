import type { DecodedInput } from "#aws/json-protocol.ts";
import { invalidParameterText, validationErrorText } from "#aws/problem.ts";
import type { Problem } from "#aws/problem.ts";
import { ApiFault } from "./fault.ts";

/** How a service answers an input that breaks its model. */
export type InputProblems = (problems: readonly [Problem, ...Problem[]]) => ApiFault;

/** ECR's way: the first problem, in the model's order. */
export const parameterProblem: InputProblems = (problems) => new ApiFault("InvalidParameterException", invalidParameterText(problems[0]));

/** The way of most services: all problems, counted. */
export const validationProblem: InputProblems = (problems) => new ApiFault("ValidationException", validationErrorText(problems));

/** The input, or the service's exception for what is wrong with it. Throws ApiFault. */
export function inputOf(decoded: DecodedInput, problemOf: InputProblems): object {
  if (decoded.ok) return decoded.value;
  if (decoded.kind === "serialization") throw new ApiFault("SerializationException", decoded.message);
  throw problemOf(decoded.problems);
}
