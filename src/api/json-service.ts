/** AWS JSON 1.1: the services `ecr`, `kms` and `secretsmanager`. One way for all operations; what differs between them is in their rows. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { auditIdentityOf } from "#access/audit-identity.ts";
import { beginSignedRequest } from "#access/access.ts";
import { decodeJsonBody, encodeJsonBody, encodeJsonError, jsonContentType } from "#aws/json-protocol.ts";
import { assert } from "#std/assert.ts";
import type { Exchange } from "#std/exchange.ts";
import { auditedInput } from "./audit.ts";
import { askForBody, bufferBody } from "./body.ts";
import { receiveUploadPart } from "./ecr/upload-part.ts";
import { ApiFault, notImplemented } from "./fault.ts";
import type { ReceivedInput } from "./invoke.ts";
import { findRow, invoke, makeCall, requestFacts } from "./invoke.ts";
import { inputOf } from "./json-input.ts";
import type { ApiDeps } from "./pipeline.ts";
import { respond } from "./respond.ts";
import { jsonServices } from "./service.ts";
import type { JsonService, LoadedService } from "./service.ts";

/** What a body may have unless its row says otherwise. */
const usualBodyLimitBytes = 1_048_576;
const denied = { code: "AccessDeniedException", status: 400 };

/** Answers one call of a JSON service. Throws what `pipeline.ts` turns into an answer. */
export async function answerJson(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const { json, operation } = readTarget(request);
  const service = await json.load();
  const row = findRow(service.operations, operation);
  if (row === undefined) throw unknownOperation(operation);
  exchange.note({ route: `${service.name}.${operation}`, action: row.action });
  const signed = await beginSignedRequest(deps.access, requestFacts(request), { services: [service.name] });
  exchange.note({ accessKeyId: signed.claim.accessKeyId });
  askForBody(request, response);
  const limitBytes = "refused" in row ? usualBodyLimitBytes : (row.bodyLimitBytes ?? usualBodyLimitBytes);
  const received =
    operation === "UploadLayerPart"
      ? await receiveUploadPart(deps.budget, request)
      : await receiveJson(deps, request, { service, problemOf: json.problemOf }, operation, limitBytes);
  try {
    const principal = await signed.confirm(received.sha256);
    exchange.note({ principalArn: principal.arn });
    if ("refused" in row) throw notImplemented(operation, row.refused);
    const { region } = signed.claim;
    const facts = { eventSource: `${service.name}.amazonaws.com`, eventName: operation, region, recipientAccountId: principal.accountId };
    exchange.audit({ ...facts, userIdentity: auditIdentityOf(principal) });
    const input = received.input();
    exchange.audit({ requestParameters: auditedInput(service.model, operation, input) });
    const output = await invoke(row, makeCall(deps, exchange, region, principal), input, denied);
    respond(response, 200, jsonContentType, encodeOutput(service, operation, output));
  } finally {
    received.release();
  }
}

/** Writes an error as the JSON services do. */
export function renderJsonFault(response: ServerResponse, fault: ApiFault): void {
  respond(response, fault.status, jsonContentType, encodeJsonError(fault.code, fault.message, fault.members));
}

/** The operation of `X-Amz-Target: <prefix>.<operation>`. Two such headers come joined and name nothing. */
function readTarget(request: IncomingMessage): { readonly json: JsonService; readonly operation: string } {
  const target = String(request.headers["x-amz-target"] ?? "");
  const json = jsonServices.find(({ targetPrefix }) => target.startsWith(`${targetPrefix}.`));
  if (request.method !== "POST" || json === undefined) throw unknownOperation(target);
  return { json, operation: target.slice(json.targetPrefix.length + 1) };
}

function unknownOperation(name: string): ApiFault {
  const shown = name === "" ? "The request names no operation" : `The operation '${name.slice(0, 128)}' is not one of this service`;
  return new ApiFault("UnknownOperationException", shown);
}

async function receiveJson(
  deps: ApiDeps,
  request: IncomingMessage,
  { service, problemOf }: { readonly service: LoadedService } & Pick<JsonService, "problemOf">,
  operation: string,
  limitBytes: number,
): Promise<ReceivedInput> {
  const body = await bufferBody(request, limitBytes, deps.budget);
  return {
    sha256: body.sha256,
    input: () => inputOf(decodeJsonBody(service.model, inputShapeOf(service, operation), body.bytes), problemOf),
    release: () => body.release(),
  };
}

function inputShapeOf(service: LoadedService, operation: string): string {
  const shape = service.model.operations.get(operation)?.input;
  assert(shape !== undefined, `the operation ${operation} has an input`);
  return shape;
}

/** Operations without an output answer an empty body's worth: `{}`. */
function encodeOutput(service: LoadedService, operation: string, output: unknown): string {
  const shape = service.model.operations.get(operation)?.output;
  return shape === undefined ? "" : encodeJsonBody(service.model, shape, output as object);
}
