import type { Exchange } from "#std/exchange.ts";
import type { Access } from "./access.ts";
import { authorize } from "./authorize.ts";
import type { Principal } from "./principal.ts";
import type { RequestOrigin } from "./request-origin.ts";

/** Who pushes, and how the push has come. */
export interface Pusher {
  readonly access: Access;
  readonly principal: Principal;
  readonly region: string;
  readonly origin: RequestOrigin;
  readonly exchange: Pick<Exchange, "decided">;
}

/** The question whether whoever pushes may do something beside the push: its answer is AWS's sentence why not, or undefined when they may. */
export function askPusher({
  access,
  principal,
  region,
  origin,
  exchange,
}: Pusher): (action: string, resource: string) => Promise<string | undefined> {
  return async (action, resource) => {
    const decision = await authorize(access, principal, { action, resource, region, origin });
    exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
    return decision.allowed ? undefined : decision.message;
  };
}
