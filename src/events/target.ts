import type { EcrEvent } from "./event.ts";
import type { EventFilter } from "./filter.ts";

/** What became of one event. `refused`: the target will not take it, however often it is sent; `failed`: perhaps later. */
export type SendOutcome =
  | { readonly outcome: "delivered" }
  | { readonly outcome: "refused"; readonly reason: string }
  | { readonly outcome: "failed"; readonly reason: string };

/** One place where events go. */
export interface EventTarget {
  /** Events of one send, at most. */
  readonly maxEvents: number;
  /** Their JSON together, at most; a single event may be longer, and is then for the target to refuse. */
  readonly maxBytes: number;
  /**
   * Sends events, in their order, and answers for each of them. Rejects when none is known to have arrived. A target that judges a request
   * as a whole answers the same for all; what it refused is then sent to it one by one.
   */
  send(events: readonly EcrEvent[], signal: AbortSignal): Promise<readonly SendOutcome[]>;
  /** Lets go of connections and files. */
  close(): Promise<void>;
}

/** A target with its name and what it wants. */
export interface NamedTarget {
  /** Unique; its cursor has the same. */
  readonly name: string;
  readonly filter: EventFilter;
  /** Where one that was never served before begins. */
  readonly from: "now" | "beginning";
  readonly target: EventTarget;
}
