/**
 * What an AWS API operation answers instead of a result: an exception name, a message, and for some exceptions more members.
 */
import type { Json } from "#std/json.ts";

/** An answer that is an error. Made by handlers and by the tables in `errors.ts`; rendered once per protocol. */
export class ApiFault extends Error {
  override readonly name = "ApiFault";
  /** The exception's name as the protocol shows it: `RepositoryNotFoundException` (JSON), `ValidationError` (Query). */
  readonly code: string;
  readonly status: number;
  /** Members beside the message, such as `lastValidByteReceived`. */
  readonly members: Readonly<Record<string, Json>>;
  /** Further response headers. */
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    code: string,
    message: string,
    status = 400,
    members: Readonly<Record<string, Json>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.code = code;
    this.status = status;
    this.members = members;
    this.headers = headers;
  }
}

/** The text that ECR gives for nearly every refused parameter. */
export function invalidParameterText(parameter: string, constraint: string): string {
  return `Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`;
}

/** ECR's `InvalidParameterException` in its usual words. */
export function invalidParameter(parameter: string, constraint: string): ApiFault {
  return new ApiFault("InvalidParameterException", invalidParameterText(parameter, constraint));
}

/** The answer to an operation that the service has and this registry does not offer. */
export function notImplemented(operation: string, reason: string, code = "NotImplementedException"): ApiFault {
  return new ApiFault(code, `The operation ${operation} is not implemented by this registry: ${reason}`);
}
