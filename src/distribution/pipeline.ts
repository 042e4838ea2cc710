/**
 * The distribution room: the OCI data plane over HTTP, and ECR's manners on it. It knows no SQL, no driver and no API operation.
 * One way for every request: take the path apart, find out who asks, match the row, ask whether they may, let the handler answer;
 * and one place where whatever went wrong becomes an answer. Anonymous callers get the same 401 whatever they asked for.
 */
import { auditIdentityOf } from "#access/audit-identity.ts";
import { AccessFault, authenticateToken } from "#access/access.ts";
import { authorizationMessageHeader, encodeAuthorizationMessage } from "#access/authorization-message.ts";
import { authorize } from "#access/authorize.ts";
import type { Decision } from "#access/authorize.ts";
import { namedTagKey } from "#access/condition-keys.ts";
import type { ConditionKeys } from "#access/condition-keys.ts";
import type { Principal } from "#access/principal.ts";
import { originOf } from "#access/request-origin.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import { refusalOf } from "#registry/failure.ts";
import { createByteBudget } from "#std/byte-budget.ts";
import type { ByteBudget } from "#std/byte-budget.ts";
import type { Exchange } from "#std/exchange.ts";
import { StorageError } from "#storage/driver.ts";
import { sendFault } from "./answer.ts";
import type { Call, DistributionDeps, RepositoryCall } from "./call.ts";
import { findTicketHolder } from "./download.ts";
import * as faults from "./errors.ts";
import { OciFault } from "./errors.ts";
import type { RegistryPath } from "./path.ts";
import { parseRegistryPath, splitTarget } from "./path.ts";
import { findRoute, methodsOf } from "./routes.ts";
import type { Route } from "./routes.ts";

/** Manifests that may be in memory at once before they are stored; some thirty of the largest size, thousands of the usual one. */
const manifestBudgetBytes = 134_217_728;

/** Makes the data plane. What it returns answers an exchange completely and never rejects. */
export function createDistribution(deps: DistributionDeps): (exchange: Exchange) => Promise<void> {
  const budget = deps.budget ?? createByteBudget(manifestBudgetBytes);
  return async (exchange) => {
    try {
      await answer(deps, budget, exchange);
    } catch (error) {
      answerFailure(deps, exchange, error);
    }
  };
}

async function answer(deps: DistributionDeps, budget: ByteBudget, exchange: Exchange): Promise<void> {
  const target = splitTarget(exchange.request.url ?? "/");
  const parsedPath = parseRegistryPath(target.path);
  const found = parsedPath.ok ? parsedPath.value : undefined;
  const caller = found?.kind === "download" ? await identifyByTicket(deps, found) : await identifyByToken(deps, exchange, found);
  if (!parsedPath.ok) throw faults.nameInvalidFault(parsedPath.problem);
  const { path, principal, registry } = caller;
  if (path === undefined) throw faults.unknownPathFault();
  const method = exchange.request.method ?? "";
  const route = findRoute(path.kind, method);
  if (route === undefined) throw faults.methodFault(method, methodsOf(path.kind));
  exchange.note({ route: route.label, action: route.action, principalArn: principal.arn, accessKeyId: principal.accessKeyId });
  const call: Call = {
    exchange,
    context: { core: deps.core, actor: principal, requestId: exchange.requestId },
    access: deps.access,
    addressing: deps.addressing,
    pullThrough: deps.pullThrough,
    budget,
    principal,
    registry,
    path,
    query: target.query,
  };
  tellAudit(call, route);
  await run(call, route);
}

/** Asks for every action of the row, then lets its handler answer. */
async function run(call: Call, route: Route): Promise<void> {
  if (route.resource !== "repository") {
    // An ARN with a wildcard, for actions that concern no single repository.
    const arn = call.addressing.repositoryArn(call.registry, "*" as RepositoryName);
    const decision = route.action === "none" ? undefined : await ask(call, route.action, arn);
    if (decision?.allowed !== false) return route.handle(call);
    if (route.otherwise === undefined) throw deny(call, decision);
    return route.otherwise(call, () => deny(call, decision));
  }
  const name = parseRepositoryName(call.path.name);
  if (!name.ok) throw faults.nameInvalidFault(name.problem);
  const repositoryCall: RepositoryCall = { ...call, name: name.value };
  const arn = call.addressing.repositoryArn(call.registry, name.value);
  const decision = await ask(call, route.action, arn);
  if (!decision.allowed && (route.orAction === undefined || !(await ask(call, route.orAction, arn)).allowed)) throw deny(call, decision);
  for (const action of route.alsoNeeds(repositoryCall)) {
    const also = await ask(call, action, arn);
    if (!also.allowed) throw deny(call, also);
  }
  return route.handle(repositoryCall);
}

function deny({ access }: Call, { message, denial }: Extract<Decision, { readonly allowed: false }>): OciFault {
  return faults.deniedFault(message, [authorizationMessageHeader, encodeAuthorizationMessage(access, denial)]);
}

async function ask(call: Call, action: string, resource: string): Promise<Decision> {
  const { access, principal, registry, exchange } = call;
  const asked = { action, resource, region: registry.region, origin: originOf(exchange), keys: namedTags(call) };
  const decision = await authorize(access, principal, asked);
  exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
  return decision;
}

/** The request in the words of the ECR operation that it stands for; asking whether there is a registry stands for none. */
function tellAudit({ exchange, path, principal, registry }: Call, route: Route): void {
  if (route.action === "none") return;
  exchange.audit({
    eventSource: "ecr.amazonaws.com",
    eventName: route.action.slice("ecr:".length),
    region: registry.region,
    recipientAccountId: registry.accountId,
    userIdentity: auditIdentityOf(principal),
    requestParameters: { registryId: registry.accountId, repositoryName: path.name, reference: path.item },
  });
}

/** The tags that a request names, for conditions: in the path, or beside a digest that is pushed. */
function namedTags({ path, query, exchange }: Call): ConditionKeys | undefined {
  if (path.kind !== "manifest") return undefined;
  if (!path.item.includes(":")) return { [namedTagKey]: path.item };
  const tags = exchange.request.method === "PUT" ? [...new Set(query.getAll("tag"))] : [];
  return tags.length === 0 ? undefined : { [namedTagKey]: tags };
}

/** Who asks, of which registry, for what. */
interface Caller {
  readonly principal: Principal;
  readonly registry: RegistryRef;
  readonly path: RegistryPath | undefined;
}

/** The registry is the host's; the token must be of its region. Its account says who asks, not what may be asked. */
async function identifyByToken(deps: DistributionDeps, exchange: Exchange, path: RegistryPath | undefined): Promise<Caller> {
  const registry = deps.addressing.registryOfHost(exchange.host);
  if (registry === undefined) throw faults.unknownRegistryFault(exchange.host ?? "");
  try {
    const principal = await authenticateToken(deps.access, exchange.request.headers.authorization, registry.region);
    return { principal, registry, path };
  } catch (error) {
    if (!(error instanceof AccessFault)) throw error;
    if (error.kind === "expired") throw faults.expiredTokenFault();
    if (error.kind !== "wrong-region" || error.region === undefined) throw faults.unauthorizedFault(realmOf(exchange.host));
    const rightHost = deps.addressing.registryHost({ accountId: registry.accountId, region: error.region }, exchange);
    throw faults.wrongRegionFault(error.region, rightHost);
  }
}

/** The ticket names registry, repository and blob, whatever the host. */
async function identifyByTicket(deps: DistributionDeps, path: RegistryPath): Promise<Caller> {
  const { principal, registry, name, digest } = await findTicketHolder(deps, path.item);
  return { principal, registry, path: { kind: path.kind, name, item: digest } };
}

/** The host as the client wrote it, when it can stand inside quotes. */
function realmOf(host: string | undefined): string {
  return host !== undefined && /^[A-Za-z0-9._:[\]-]{1,300}$/.test(host) ? host : "localhost";
}

function answerFailure(deps: DistributionDeps, exchange: Exchange, error: unknown): void {
  const { response, requestId } = exchange;
  const fault = faultOf(error);
  const isGone = response.destroyed || exchange.request.socket.destroyed;
  // When the client went away in the middle, nobody is there to be told, and nothing is wrong here.
  if (fault === undefined && !(isGone && isConnectionError(error))) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    deps.core.log.error({ requestId, error: text }, "a data plane request failed");
  }
  if (response.headersSent || isGone) {
    // An answer that broke off must not look complete.
    response.destroy();
    return;
  }
  const isAway = error instanceof StorageError && error.kind === "unavailable";
  sendFault(exchange, fault ?? (isAway ? faults.unavailableFault(requestId) : faults.internalFault(requestId)));
}

/** What a failure means to the client; undefined when it is ours. */
function faultOf(error: unknown): OciFault | undefined {
  if (error instanceof OciFault) return error;
  const refusal = refusalOf(error);
  return refusal === undefined ? undefined : faults.registryFault(refusal);
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && (typeof (error as NodeJS.ErrnoException).code === "string" || error.name === "AbortError");
}
