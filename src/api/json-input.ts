import type { DecodedInput } from "#aws/json-protocol.ts";
import { invalidParameterText } from "#aws/problem.ts";
import { ApiFault } from "./fault.ts";

/** The input, or ECR's exception for what is wrong with it: the first problem, in the model's order. Throws ApiFault. */
export function inputOf(decoded: DecodedInput): object {
  if (decoded.ok) return decoded.value;
  if (decoded.kind === "serialization") throw new ApiFault("SerializationException", decoded.message);
  throw new ApiFault("InvalidParameterException", invalidParameterText(decoded.problems[0]));
}
