/**
 * `GET /v1/credentials`: what `AWS_CONTAINER_CREDENTIALS_FULL_URI` points at. A machine shows a token in `Authorization`, as it is, and gets
 * credentials in the form that every AWS SDK reads ("Container credential provider", AWS SDKs and Tools Reference Guide). The token is
 * that of its enrolment; or, below `/v1/credentials/<role>`, one of an identity provider that the role trusts, and then this is the
 * operation AssumeRoleWithWebIdentity in another form.
 */
import { findMachineGrant, issueMachineCredentials } from "#identity/machine.ts";
import type { MachineCredentials, MachineGrant, MachineRefusal } from "#identity/machine.ts";
import { sessionNameFor } from "#identity/web-identity.ts";
import type { Exchange } from "#std/exchange.ts";
import { ApiFault } from "./fault.ts";
import { faultOf } from "./pipeline.ts";
import type { ApiDeps } from "./pipeline.ts";
import { assumeRoleByToken } from "./query-service.ts";
import { respond } from "./respond.ts";

const contentType = "application/json";
const path = "/v1/credentials";
const refusals: Readonly<Record<MachineRefusal, ApiFault>> = {
  "unknown-token": new ApiFault(
    "UnauthorizedException",
    `The Authorization header must be the token of an enrolled machine; a token of an identity provider is taken at ${path}/<role>`,
    401,
  ),
  "no-role": new ApiFault("NotFoundException", "The instance profile of this machine has no role", 404),
  "not-trusted": new ApiFault(
    "AccessDeniedException",
    "The trust policy of the role does not let ec2.amazonaws.com assume it, so it is not given to machines",
    403,
  ),
};
/** The audit log's name for who hands the credentials out, as CloudTrail has it of EC2. */
const machineService = { type: "AWSService", invokedBy: "ec2.amazonaws.com" };

/** Makes the handler for the path and what is below it. It answers every request itself. */
export function createMachineCredentials(deps: ApiDeps): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    exchange.note({ route: "machine-credentials" });
    try {
      await answer(deps, exchange);
    } catch (error) {
      const { code, message, status, headers } = faultOf(deps, exchange, "query", error);
      exchange.note({ errorCode: code });
      exchange.audit({ errorMessage: message });
      for (const [name, value] of Object.entries(headers)) exchange.response.setHeader(name, value);
      // SDKs try a server's fault again, and take a client's fault for final.
      const shown = code === "IDPCommunicationError" ? 503 : status;
      respond(exchange.response, shown, contentType, JSON.stringify({ Code: code, Message: message }));
    }
  };
}

async function answer(deps: ApiDeps, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  if (request.method !== "GET") {
    response.setHeader("allow", "GET");
    throw new ApiFault("MethodNotAllowedException", "Only GET is answered here", 405);
  }
  const token = request.headers.authorization?.trim() ?? "";
  const role = roleIn(request.url ?? "");
  await (role === undefined ? answerMachine(deps, exchange, token) : answerByToken(deps, exchange, { role, token }));
}

/** What stands below the path, undefined when nothing does. Throws ApiFault for what is no text. */
function roleIn(target: string): string | undefined {
  const below = target.slice(path.length).replace(/\?.*$/s, "").slice(1);
  if (below === "") return undefined;
  try {
    return decodeURIComponent(below);
  } catch {
    throw new ApiFault("ValidationError", "Request ARN is invalid");
  }
}

async function answerMachine({ core, addressing }: ApiDeps, exchange: Exchange, token: string): Promise<void> {
  const { request, response } = exchange;
  const grant = await findMachineGrant(core, token);
  if (typeof grant === "string") throw refusals[grant];
  const entityTag = `"${grant.assumedRoleId}"`;
  // An agent asks whether what it holds still stands (RFC 9110, section 13.1.2); nothing is made for that.
  if (request.headers["if-none-match"] === entityTag) {
    response.writeHead(304, { etag: entityTag, "cache-control": "no-store" }).end();
    return;
  }
  const issued = await issueMachineCredentials(core, grant);
  if (typeof issued === "string") throw refusals[issued];
  response.setHeader("etag", entityTag);
  const { region } = addressing.defaultRegistry;
  exchange.note({ accessKeyId: issued.credentials.accessKeyId });
  exchange.audit({
    eventSource: "sts.amazonaws.com",
    eventName: "AssumeRole",
    region,
    userIdentity: machineService,
    recipientAccountId: grant.machine.accountId,
    requestParameters: { roleArn: grant.roleArn, roleSessionName: grant.machine.machineId },
  });
  respond(response, 200, contentType, JSON.stringify(machineShape(grant, issued, region)));
}

/** The role by its ARN, or by path and name in the account of this deployment. */
async function answerByToken(
  deps: ApiDeps,
  exchange: Exchange,
  { role, token }: { readonly role: string; readonly token: string },
): Promise<void> {
  if (token === "")
    throw new ApiFault(
      "UnauthorizedException",
      "The Authorization header must be a token of an identity provider that the role trusts",
      401,
    );
  const { accountId } = deps.addressing.defaultRegistry;
  const roleArn = role.startsWith("arn:") ? role : `arn:aws:iam::${accountId}:role/${role}`;
  const { Credentials: made } = await assumeRoleByToken(deps, exchange, {
    RoleArn: roleArn,
    RoleSessionName: sessionNameFor(token),
    WebIdentityToken: token,
  });
  const shape = {
    AccessKeyId: made?.AccessKeyId,
    SecretAccessKey: made?.SecretAccessKey,
    Token: made?.SessionToken,
    Expiration: iso(made?.Expiration ?? 0),
    RoleArn: roleArn,
    AccountId: roleArn.split(":")[4],
  };
  respond(exchange.response, 200, contentType, JSON.stringify(shape));
}

/** The members that SDKs read, then what an agent needs to play the instance metadata service. */
function machineShape({ machine, role, roleArn, profileArn }: MachineGrant, made: MachineCredentials, region: string): object {
  const { credentials, issuedAt } = made;
  return {
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    Token: credentials.sessionToken,
    Expiration: iso(credentials.expiresAt),
    RoleArn: roleArn,
    AccountId: machine.accountId,
    LastUpdated: iso(issuedAt),
    RoleName: role.name,
    InstanceProfileArn: profileArn,
    MachineId: machine.machineId,
    Region: region,
  };
}

function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
