/** The AWS Query protocol: the services `iam` and `sts`. Forms in, XML out; presigned calls have the form in the query. */
import type { IncomingMessage } from "node:http";
import { auditIdentityOf } from "#access/audit-identity.ts";
import { beginSignedRequest } from "#access/access.ts";
import { anonymousPrincipal } from "#access/principal.ts";
import type { Principal } from "#access/principal.ts";
import type { ServiceModel } from "#aws/model.ts";
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
import { AuthFault, carriesSignature } from "#aws/sigv4.ts";
import { assert } from "#std/assert.ts";
import type { Exchange } from "#std/exchange.ts";
import { auditedInput } from "./audit.ts";
import { askForBody, bufferBody } from "./body.ts";
import type { BufferedBody } from "./body.ts";
import { ApiFault, notImplemented } from "./fault.ts";
import type { AnyRow } from "./invoke.ts";
import { findRow, invoke, makeCall, requestFacts } from "./invoke.ts";
import type { ApiDeps } from "./pipeline.ts";
import { respond } from "./respond.ts";
import { queryServices } from "./service.ts";
import type { LoadedService } from "./service.ts";
import type { AssumeRoleWithWebIdentityResponse } from "./sts/model/shapes.ts";

const serviceNames = Object.keys(queryServices);
/** What answers are written in before it is known which service is asked. */
const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/";
const denied = { code: "AccessDenied", status: 403 };

/** The service that the answer to an exchange is written for, once it is known; errors before that are written as STS does. */
const answering = new WeakMap<Exchange, LoadedService>();

/** Answers one call of a Query service. Throws what `pipeline.ts` turns into an answer. */
export async function answerQuery(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  exchange.note({ route: "query" });
  const facts = requestFacts(request);
  if (!carriesSignature(facts)) return await answerUnsigned(deps, exchange);
  const signed = await beginSignedRequest(deps.access, facts, { services: serviceNames });
  const service = await queryServices[signed.claim.service === "iam" ? "iam" : "sts"]();
  answering.set(exchange, service);
  exchange.note({ route: service.name, accessKeyId: signed.claim.accessKeyId });
  askForBody(request, response);
  const body = await bufferBody(request, queryBodyLimitBytes, deps.budget);
  try {
    const principal = await signed.confirm(body.sha256);
    exchange.note({ principalArn: principal.arn });
    const parameters = readParameters(request, body.bytes);
    const { operation, row } = readOperation(service, parameters);
    const output = await perform(deps, exchange, { service, operation, row, parameters, region: signed.claim.region, principal });
    respondXml(exchange, service, operation, output);
  } finally {
    body.release();
  }
}

/** The few operations whose caller proves who they are by what is in the form: a token of an identity provider. Anything else misses its signature. */
async function answerUnsigned(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  if (request.method !== "POST") throw new AuthFault("missing");
  askForBody(request, response);
  const body: BufferedBody = await bufferBody(request, queryBodyLimitBytes, deps.budget);
  try {
    const parameters = parseForm(body.bytes);
    const operation = parameters.ok ? (parameters.value.get("Action") ?? "") : "";
    const sts = await queryServices.sts();
    const row = findRow(sts.operations, operation);
    if (!parameters.ok || row === undefined || "refused" in row || row.credentials !== "none") {
      throw new AuthFault("missing");
    }
    readOperation(sts, parameters.value);
    respondXml(
      exchange,
      sts,
      operation,
      await performUnsigned(deps, exchange, { service: sts, operation, row, parameters: parameters.value }),
    );
  } finally {
    body.release();
  }
}

/** A call whose caller is known. */
interface QueryCall {
  readonly service: LoadedService;
  readonly operation: string;
  readonly row: AnyRow;
  readonly parameters: FormParameters;
  readonly region: string;
  readonly principal: Principal;
}

/**
 * AssumeRoleWithWebIdentity for what comes in another form than a call of the API: its input, its checks, its permissions and its record are those
 * of the operation. Throws what `pipeline.ts` turns into an answer.
 */
export async function assumeRoleByToken(
  deps: ApiDeps,
  exchange: Exchange,
  input: { readonly RoleArn: string; readonly RoleSessionName: string; readonly WebIdentityToken: string },
): Promise<AssumeRoleWithWebIdentityResponse> {
  const service = await queryServices.sts();
  const operation = "AssumeRoleWithWebIdentity";
  const row = findRow(service.operations, operation);
  assert(row !== undefined, "STS has the operation");
  const parameters = new Map(Object.entries(input));
  return (await performUnsigned(deps, exchange, { service, operation, row, parameters })) as AssumeRoleWithWebIdentityResponse;
}

function performUnsigned(deps: ApiDeps, exchange: Exchange, call: Omit<QueryCall, "region" | "principal">): Promise<unknown> {
  return perform(deps, exchange, { ...call, region: deps.addressing.defaultRegistry.region, principal: anonymousPrincipal });
}

async function perform(deps: ApiDeps, exchange: Exchange, asked: QueryCall): Promise<unknown> {
  const { service, operation, row, parameters, region, principal } = asked;
  exchange.note({ route: `${service.name}.${operation}`, action: row.action });
  if ("refused" in row) throw notImplemented(operation, row.refused, "NotImplemented");
  const facts = { eventSource: `${service.name}.amazonaws.com`, eventName: operation, region, recipientAccountId: principal.accountId };
  exchange.audit({ ...facts, userIdentity: auditIdentityOf(principal) });
  const input = inputOf(service.model, operation, parameters);
  exchange.audit({ requestParameters: auditedInput(service.model, operation, input) });
  return await invoke(row, makeCall(deps, exchange, region, principal), input, denied);
}

function respondXml({ response, requestId }: Exchange, { model }: LoadedService, operation: string, output: unknown): void {
  respond(response, 200, queryContentType, encodeQueryBody(model, operation, output ?? {}, requestId));
}

/** Writes an error as the Query services do. */
export function renderQueryFault(exchange: Exchange, { code, message, status }: ApiFault): void {
  const { response, requestId } = exchange;
  const xmlNamespace = answering.get(exchange)?.model.xmlNamespace ?? stsNamespace;
  respond(response, status, queryContentType, encodeQueryError(xmlNamespace, { code, message, status, requestId }));
}

/** The form is the body; or the query of a GET or of a POST without a body (presigned), where what belongs to the signature stands beside it. */
function readParameters(request: IncomingMessage, body: Uint8Array): FormParameters {
  const target = request.url ?? "";
  const query = target.indexOf("?");
  const isInQuery = request.method === "GET" || (body.length === 0 && query >= 0);
  const parameters = parseForm(isInQuery ? (query < 0 ? "" : target.slice(query + 1)) : body);
  if (!parameters.ok) throw new ApiFault("MalformedQueryString", parameters.problem);
  return parameters.value;
}

function readOperation(service: LoadedService, parameters: FormParameters): { readonly operation: string; readonly row: AnyRow } {
  const operation = parameters.get("Action");
  if (operation === undefined) throw new ApiFault("MissingAction", "The request must contain the parameter Action.");
  const version = parameters.get("Version") ?? "";
  const row = version === service.model.apiVersion ? findRow(service.operations, operation) : undefined;
  if (row !== undefined) return { operation, row };
  throw new ApiFault(
    "InvalidAction",
    `Could not find operation ${operation.slice(0, 128)} for version ${version.slice(0, 32) || "NO_VERSION_SPECIFIED"}`,
  );
}

function inputOf(model: ServiceModel, operation: string, parameters: FormParameters): object {
  const shape = model.operations.get(operation)?.input;
  if (shape === undefined) return {};
  const decoded = decodeQueryInput(model, shape, parameters);
  if (decoded.ok) return decoded.value;
  const message = decoded.kind === "serialization" ? decoded.message : validationErrorText(decoded.problems);
  throw new ApiFault("ValidationError", message);
}
