/**
 * The control plane: AWS APIs on `POST /` (and `GET /` for Query services). This room speaks AWS's words, images and layers;
 * what they mean is done by `registry/`, who may is decided by `access/`, and how it looks on the wire is `aws/`.
 *
 * The life of a request, each rung with its exit:
 *   which service and operation   UnknownOperationException, InvalidAction
 *   signature, headers only       MissingAuthenticationToken, UnrecognizedClient, InvalidSignature (clock, scope) …
 *   body, hashed as it comes      413 beyond the operation's limit, 408, 400 when it breaks off; waits for the byte budget
 *   signature over the body       InvalidSignature
 *   is it offered                 NotImplementedException
 *   strict JSON or form, model    SerializationException, InvalidParameterException, ValidationError
 *   rules between members         InvalidParameterException
 *   may the caller                AccessDeniedException
 *   the operation itself          every refusal of `registry/`, by the table in `errors.ts`
 */
import type { IncomingMessage } from "node:http";
import type { Access } from "#access/access.ts";
import { AuthFault } from "#aws/sigv4.ts";
import { IdentityError } from "#identity/errors.ts";
import type { OpenIdKeys } from "#identity/openid-keys.ts";
import { KmsError } from "#kms/errors.ts";
import type { PullThrough } from "#pullthrough/pull-through.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryCore } from "#registry/context.ts";
import { refusalOf } from "#registry/failure.ts";
import { SecretsError } from "#secrets/errors.ts";
import type { ByteBudget } from "#std/byte-budget.ts";
import type { Exchange } from "#std/exchange.ts";
import { discardBody } from "./body.ts";
import { registryFault, signatureFault } from "./errors.ts";
import { ApiFault } from "./fault.ts";
import { identityFault } from "./iam/errors.ts";
import { answerJson, renderJsonFault } from "./json-service.ts";
import { kmsFault } from "./kms/errors.ts";
import { answerQuery, renderQueryFault } from "./query-service.ts";
import { secretsFault } from "./secretsmanager/errors.ts";

/** What the control plane stands on; lives as long as the process. */
export interface ApiDeps {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly addressing: Addressing;
  readonly pullThrough: PullThrough;
  /** What identity providers sign their tokens with. */
  readonly openIdKeys: OpenIdKeys;
  /** Bounds the bytes of all request bodies that are in memory at once. Must hold one body of the largest operation, 32 MiB. */
  readonly budget: ByteBudget;
}

/** Makes the handler for everything that is a call of an AWS API. It answers every request itself and never rejects for what a client did. */
export function createApi(deps: ApiDeps): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const protocol = protocolOf(exchange.request);
    try {
      await (protocol === "json" ? answerJson(deps, exchange) : answerQuery(deps, exchange));
    } catch (error) {
      await answerFault(deps, exchange, protocol, error);
    }
  };
}

/** A target names a JSON service; a form, or anything in the query string, is a Query service. */
function protocolOf(request: IncomingMessage): "json" | "query" {
  if (request.headers["x-amz-target"] !== undefined) return "json";
  const isForm = request.headers["content-type"]?.trim().toLowerCase().startsWith("application/x-www-form-urlencoded") ?? false;
  return isForm || request.method === "GET" || request.url?.includes("?") === true ? "query" : "json";
}

async function answerFault(deps: ApiDeps, exchange: Exchange, protocol: "json" | "query", error: unknown): Promise<void> {
  const { request, response } = exchange;
  const fault = faultOf(deps, exchange, protocol, error);
  exchange.note({ errorCode: fault.code });
  exchange.audit({ errorMessage: fault.message });
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // A client that is still sending would lose the answer to a reset; one that sends on and on loses its connection.
  if (!(await discardBody(request))) response.setHeader("connection", "close");
  for (const [name, value] of Object.entries(fault.headers)) response.setHeader(name, value);
  if (protocol === "json") renderJsonFault(response, fault);
  else renderQueryFault(exchange, fault);
}

/** What a thrown error is in the words of the service that was asked. What nobody expected is logged, and told to nobody else. */
export function faultOf(deps: Pick<ApiDeps, "core">, exchange: Exchange, protocol: "json" | "query", error: unknown): ApiFault {
  if (error instanceof ApiFault) return error;
  if (error instanceof AuthFault) return signatureFault(protocol, error.code, error.message);
  if (error instanceof IdentityError) return identityFault(error.refusal);
  if (error instanceof KmsError) return kmsFault(error.refusal);
  if (error instanceof SecretsError) return secretsFault(error.refusal);
  const refusal = refusalOf(error);
  if (refusal !== undefined) return registryFault(refusal);
  const { requestId, request } = exchange;
  if (request.destroyed && !request.complete) return new ApiFault("RequestAbortedException", "The client went away");
  deps.core.log.error({ requestId, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, "api request failed");
  const code = protocol === "json" ? "ServerException" : "InternalFailure";
  return new ApiFault(code, `The request failed for a reason that is not the client's. Request id: ${requestId}`, 500);
}
