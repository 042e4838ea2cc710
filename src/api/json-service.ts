/** AWS JSON 1.1: the service `ecr`. One way for all operations; what differs between them is in their rows. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { beginSignedRequest } from "#access/access.ts";
import { decodeJsonBody, encodeJsonBody, encodeJsonError, jsonContentType } from "#aws/json-protocol.ts";
import { assert } from "#std/assert.ts";
import type { Exchange } from "#std/exchange.ts";
import { askForBody, bufferBody } from "./body.ts";
import { ecrOperations } from "./ecr/table.ts";
import { receiveUploadPart } from "./ecr/upload-part.ts";
import { ApiFault, notImplemented } from "./fault.ts";
import type { ReceivedInput } from "./invoke.ts";
import { findRow, invoke, makeCall, requestFacts } from "./invoke.ts";
import { inputOf } from "./json-input.ts";
import { ecrModel } from "./models.ts";
import type { ApiDeps } from "./pipeline.ts";
import { respond } from "./respond.ts";

/** What a body may have unless its row says otherwise. */
const usualBodyLimitBytes = 1_048_576;
const denied = { code: "AccessDeniedException", status: 400 };

/** Answers one call of a JSON service. Throws what `pipeline.ts` turns into an answer. */
export async function answerJson(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const operation = readTarget(request);
  const row = findRow(ecrOperations, operation);
  if (row === undefined) throw unknownOperation(operation);
  exchange.note({ route: `ecr.${operation}`, action: row.action });
  const signed = await beginSignedRequest(deps.access, requestFacts(request), { services: ["ecr"] });
  exchange.note({ accessKeyId: signed.claim.accessKeyId });
  askForBody(request, response);
  const limitBytes = "refused" in row ? usualBodyLimitBytes : (row.bodyLimitBytes ?? usualBodyLimitBytes);
  const received =
    operation === "UploadLayerPart"
      ? await receiveUploadPart(deps.budget, request)
      : await receiveJson(deps, request, operation, limitBytes);
  try {
    const principal = await signed.confirm(received.sha256);
    exchange.note({ principalArn: principal.arn });
    if ("refused" in row) throw notImplemented(operation, row.refused);
    const output = await invoke(row, makeCall(deps, exchange, signed.claim, principal), received.input(), denied);
    respond(response, 200, jsonContentType, encodeOutput(operation, output));
  } finally {
    received.release();
  }
}

/** Writes an error as the JSON services do. */
export function renderJsonFault(response: ServerResponse, fault: ApiFault): void {
  respond(response, fault.status, jsonContentType, encodeJsonError(fault.code, fault.message, fault.members));
}

/** The operation of `X-Amz-Target: <prefix>.<operation>`. Two such headers come joined and name nothing. */
function readTarget(request: IncomingMessage): string {
  const target = String(request.headers["x-amz-target"] ?? "");
  const prefix = `${ecrModel.targetPrefix}.`;
  if (request.method !== "POST" || !target.startsWith(prefix)) throw unknownOperation(target);
  return target.slice(prefix.length);
}

function unknownOperation(name: string): ApiFault {
  const shown = name === "" ? "The request names no operation" : `The operation '${name.slice(0, 128)}' is not one of this service`;
  return new ApiFault("UnknownOperationException", shown);
}

async function receiveJson(deps: ApiDeps, request: IncomingMessage, operation: string, limitBytes: number): Promise<ReceivedInput> {
  const body = await bufferBody(request, limitBytes, deps.budget);
  return {
    sha256: body.sha256,
    input: () => inputOf(decodeJsonBody(ecrModel, inputShapeOf(operation), body.bytes)),
    release: () => body.release(),
  };
}

function inputShapeOf(operation: string): string {
  const shape = ecrModel.operations.get(operation)?.input;
  assert(shape !== undefined, `the operation ${operation} has an input`);
  return shape;
}

function encodeOutput(operation: string, output: unknown): string {
  const shape = ecrModel.operations.get(operation)?.output;
  assert(shape !== undefined, `the operation ${operation} has an output`);
  return encodeJsonBody(ecrModel, shape, output as object);
}
