/**
 * `GET /v1/credentials`: what `AWS_CONTAINER_CREDENTIALS_FULL_URI` points at. A machine shows its enrolment token in `Authorization`, as it
 * is, and gets the credentials of its role in the form that every AWS SDK reads ("Container credential provider", AWS SDKs and Tools
 * Reference Guide).
 */
import { issueMachineCredentials } from "#identity/machine.ts";
import type { MachineCredentials, MachineRefusal } from "#identity/machine.ts";
import type { Exchange } from "#std/exchange.ts";
import type { ApiDeps } from "./pipeline.ts";
import { respond } from "./respond.ts";

const contentType = "application/json";
const refusals: Readonly<Record<MachineRefusal, { readonly status: number; readonly code: string; readonly message: string }>> = {
  "unknown-token": {
    status: 401,
    code: "UnauthorizedException",
    message: "The Authorization header must be the token of an enrolled machine",
  },
  "no-role": { status: 404, code: "NotFoundException", message: "The instance profile of this machine has no role" },
  "not-trusted": {
    status: 403,
    code: "AccessDeniedException",
    message: "The trust policy of the role does not let ec2.amazonaws.com assume it, so it is not given to machines",
  },
};

/** Makes the handler for the path. It answers every request itself. */
export function createMachineCredentials(deps: Pick<ApiDeps, "core" | "addressing">): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const { request, response } = exchange;
    exchange.note({ route: "machine-credentials" });
    if (request.method !== "GET") {
      response.setHeader("allow", "GET");
      return answerRefusal(exchange, { status: 405, code: "MethodNotAllowedException", message: "Only GET is answered here" });
    }
    const outcome = await issueMachineCredentials(deps.core, request.headers.authorization?.trim() ?? "");
    if (typeof outcome === "string") return answerRefusal(exchange, refusals[outcome]);
    exchange.note({ accessKeyId: outcome.credentials.accessKeyId });
    respond(response, 200, contentType, JSON.stringify(shapeOf(outcome, deps.addressing.defaultRegistry.region)));
  };
}

function answerRefusal(exchange: Exchange, refusal: { status: number; code: string; message: string }): void {
  exchange.note({ errorCode: refusal.code });
  respond(exchange.response, refusal.status, contentType, JSON.stringify({ Code: refusal.code, Message: refusal.message }));
}

/** The members that SDKs read, then what an agent needs to play the instance metadata service. */
function shapeOf({ machine, roleArn, roleName, profileArn, credentials, issuedAt }: MachineCredentials, region: string): object {
  return {
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    Token: credentials.sessionToken,
    Expiration: iso(credentials.expiresAt),
    RoleArn: roleArn,
    AccountId: machine.accountId,
    LastUpdated: iso(issuedAt),
    RoleName: roleName,
    InstanceProfileArn: profileArn,
    MachineId: machine.machineId,
    Region: region,
  };
}

function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
