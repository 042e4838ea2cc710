/** The rungs that both protocols share: rules between members, permissions, the operation itself. */
import type { IncomingMessage } from "node:http";
import { auditIdentityOf } from "#access/audit-identity.ts";
import { authorizationMessageHeader, encodeAuthorizationMessage } from "#access/authorization-message.ts";
import { authorize } from "#access/authorize.ts";
import { originOf } from "#access/request-origin.ts";
import type { Principal } from "#access/principal.ts";
import type { RequestFacts } from "#aws/sigv4.ts";
import type { Exchange } from "#std/exchange.ts";
import type { ApiCall, AskedPermission, OperationRow, RefusedRow } from "./call.ts";
import { ApiFault } from "./fault.ts";
import { shownResource } from "./iam/shown-resource.ts";
import type { ApiDeps } from "./pipeline.ts";

/**
 * A row as the pipeline holds it. The tables are typed row by row; here, where the name of the operation is data, the input's type
 * is what validation against that operation's own shape has made true.
 */
export type AnyRow = OperationRow<unknown, unknown> | RefusedRow;

/** A body that has arrived. What is in it is not looked at before its signature is known to be right. */
export interface ReceivedInput {
  /** Of the body as it came, in lower-case hex. */
  readonly sha256: string;
  /** Reads and validates the input. Throws ApiFault. */
  input(): unknown;
  /** Gives the memory back to the budget; to be called exactly once. */
  release(): void;
}

/** The request as its signature covers it. */
export function requestFacts(request: IncomingMessage): RequestFacts {
  return { method: request.method ?? "", target: request.url ?? "", rawHeaders: request.rawHeaders };
}

/** The row of an operation, or undefined when the service has no such operation. Never a member of the object's prototype. */
export function findRow(table: Readonly<Record<string, unknown>>, operation: string): AnyRow | undefined {
  return Object.hasOwn(table, operation) ? (table[operation] as AnyRow) : undefined;
}

/** Makes the call that handlers are given. */
export function makeCall(deps: ApiDeps, exchange: Exchange, region: string, principal: Principal): ApiCall {
  return {
    principal,
    region,
    context: { core: deps.core, actor: principal, requestId: exchange.requestId },
    access: deps.access,
    addressing: deps.addressing,
    pullThrough: deps.pullThrough,
    openIdKeys: deps.openIdKeys,
    exchange,
    origin: originOf(exchange),
  };
}

/** Checks the rules between members, then who asks where the input says it, then every permission on every resource; then the operation answers. */
export async function invoke(
  row: OperationRow<unknown, unknown>,
  received: ApiCall,
  input: unknown,
  denied: DeniedAnswer,
): Promise<unknown> {
  row.check?.(input);
  const call = row.identify === undefined ? received : { ...received, principal: await row.identify(received, input) };
  call.exchange.audit({ userIdentity: auditIdentityOf(call.principal) });
  const resources = await row.resource(call, input);
  const actions = [row.action, ...(row.alsoNeeds?.(input) ?? [])];
  const onResources: readonly AskedPermission[] = (typeof resources === "string" ? [resources] : resources).flatMap((resource) =>
    actions.map((action) => ({ action, resource })),
  );
  const keys = await row.conditionKeys?.(call, input);
  const decide = async ({ action, resource, keys: own = keys }: AskedPermission): Promise<void> => {
    const decision = await authorize(call.access, call.principal, {
      action,
      resource,
      region: call.region,
      origin: call.origin,
      keys: own,
      shownAs: shownResource(action, resource, input),
    });
    call.exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
    if (decision.allowed) return;
    const headers = { [authorizationMessageHeader]: encodeAuthorizationMessage(call.access, decision.denial) };
    throw new ApiFault(denied.code, decision.message, denied.status, {}, headers);
  };
  for (const asked of onResources) await decide(asked);
  // Only now: what else is asked may have to be made first, such as the account's default key.
  for (const asked of (await row.alsoAsks?.(call, input)) ?? []) await decide(asked);
  return await row.handle(call, input);
}

/** How a protocol says that something is not permitted. */
export interface DeniedAnswer {
  readonly code: string;
  readonly status: number;
}
