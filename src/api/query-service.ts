/** The AWS Query protocol: the service `sts`. Forms in, XML out; `GET` with the form in the query is how presigned calls come. */
import type { IncomingMessage } from "node:http";
import { beginSignedRequest } from "#access/access.ts";
import { validationErrorText } from "#aws/problem.ts";
import type { FormParameters } from "#aws/query-protocol.ts";
import {
  decodeQueryInput,
  encodeQueryBody,
  encodeQueryError,
  parseForm,
  queryBodyLimitBytes,
  queryContentType,
} from "#aws/query-protocol.ts";
import type { Exchange } from "#std/exchange.ts";
import { askForBody, bufferBody } from "./body.ts";
import type { RefusedRow } from "./call.ts";
import { ApiFault, notImplemented } from "./fault.ts";
import type { AnyRow } from "./invoke.ts";
import { findRow, invoke, makeCall, requestFacts } from "./invoke.ts";
import { stsModel } from "./models.ts";
import type { ApiDeps } from "./pipeline.ts";
import { respond } from "./respond.ts";
import { stsOperations } from "./sts/table.ts";

const denied = { code: "AccessDenied", status: 403 };

/** Answers one call of a Query service. Throws what `pipeline.ts` turns into an answer. */
export async function answerQuery(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  exchange.note({ route: "sts" });
  const signed = await beginSignedRequest(deps.access, requestFacts(request), { services: ["sts"] });
  exchange.note({ accessKeyId: signed.claim.accessKeyId });
  askForBody(request, response);
  const body = await bufferBody(request, queryBodyLimitBytes, deps.budget);
  try {
    const principal = await signed.confirm(body.sha256);
    exchange.note({ principalArn: principal.arn });
    const parameters = readParameters(request, body.bytes);
    const { operation, row } = readOperation(parameters);
    exchange.note({ route: `sts.${operation}`, action: row.action });
    if ("refused" in row) throw notImplemented(operation, row.refused, "NotImplemented");
    const output = await invoke(row, makeCall(deps, exchange, signed.claim, principal), inputOf(operation, parameters), denied);
    respond(response, 200, queryContentType, encodeQueryBody(stsModel, operation, output as object, exchange.requestId));
  } finally {
    body.release();
  }
}

/** Writes an error as the Query services do. */
export function renderQueryFault(exchange: Exchange, { code, message, status }: ApiFault): void {
  const { response, requestId } = exchange;
  respond(response, status, queryContentType, encodeQueryError(stsModel.xmlNamespace, { code, message, status, requestId }));
}

/** The form is the body of a POST, or the query of a GET, where what belongs to the signature stands beside it. */
function readParameters(request: IncomingMessage, body: Uint8Array): FormParameters {
  const target = request.url ?? "";
  const query = target.indexOf("?");
  const parameters = parseForm(request.method === "GET" ? (query < 0 ? "" : target.slice(query + 1)) : body);
  if (!parameters.ok) throw new ApiFault("MalformedQueryString", parameters.problem);
  return parameters.value;
}

function readOperation(parameters: FormParameters): { readonly operation: string; readonly row: AnyRow | RefusedRow } {
  const operation = parameters.get("Action");
  if (operation === undefined) throw new ApiFault("MissingAction", "The request must contain the parameter Action.");
  const version = parameters.get("Version") ?? "";
  const row = version === stsModel.apiVersion ? findRow(stsOperations, operation) : undefined;
  if (row !== undefined) return { operation, row };
  throw new ApiFault(
    "InvalidAction",
    `Could not find operation ${operation.slice(0, 128)} for version ${version.slice(0, 32) || "NO_VERSION_SPECIFIED"}`,
  );
}

function inputOf(operation: string, parameters: FormParameters): object {
  const shape = stsModel.operations.get(operation)?.input;
  if (shape === undefined) return {};
  const decoded = decodeQueryInput(stsModel, shape, parameters);
  if (decoded.ok) return decoded.value;
  const message = decoded.kind === "serialization" ? decoded.message : validationErrorText(decoded.problems);
  throw new ApiFault("ValidationError", message);
}
