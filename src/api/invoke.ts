/** The rungs that both protocols share: rules between members, permissions, the operation itself. */
import type { IncomingMessage } from "node:http";
import { authorize } from "#access/authorize.ts";
import type { Principal } from "#access/principal.ts";
import type { RequestFacts, SignatureClaim } from "#aws/sigv4.ts";
import type { Exchange } from "#std/exchange.ts";
import type { ApiCall, OperationRow, RefusedRow } from "./call.ts";
import { ApiFault } from "./fault.ts";
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
export function makeCall(deps: ApiDeps, exchange: Exchange, claim: SignatureClaim, principal: Principal): ApiCall {
  return {
    principal,
    region: claim.region,
    context: { core: deps.core, actor: principal, requestId: exchange.requestId },
    access: deps.access,
    addressing: deps.addressing,
    origin: { host: exchange.host, scheme: exchange.scheme },
  };
}

/** Checks the rules between members, then every permission on every resource, then lets the operation answer. */
export async function invoke(row: OperationRow<unknown, unknown>, call: ApiCall, input: unknown, denied: DeniedAnswer): Promise<unknown> {
  row.check?.(input);
  const resources = row.resource(call, input);
  const actions = [row.action, ...(row.alsoNeeds?.(input) ?? [])];
  for (const resource of typeof resources === "string" ? [resources] : resources) {
    for (const action of actions) {
      const decision = authorize(call.access, call.principal, action, resource);
      if (!decision.allowed) throw new ApiFault(denied.code, decision.message, denied.status);
    }
  }
  return await row.handle(call, input);
}

/** How a protocol says that something is not permitted. */
export interface DeniedAnswer {
  readonly code: string;
  readonly status: number;
}
