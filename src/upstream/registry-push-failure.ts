/** Which failures of a connection are the network's. */
import { ConnectionRefusal } from "./guarded-connection.ts";

/** Did the network fail, rather than we? Node's errors of sockets, names and TLS carry a code. */
export function isNetworkFailure(error: unknown): error is Error {
  if (error instanceof ConnectionRefusal || error instanceof AggregateError) return true;
  if (!(error instanceof Error) || error.name === "AbortError") return false;
  return error.name === "TimeoutError" || error.name === "StaleConnection" || ("code" in error && typeof error.code === "string");
}
