/** The tables of readers of the change log, as Kysely sees them. */
import type { Generated } from "kysely";

/** How far one target of events has come. */
export interface EventCursorTable {
  name: string;
  /** With `change_id` the position of the last entry that is done. */
  transaction_id: number;
  change_id: number;
  /** The node that reads for it; null for none. */
  owner: string | null;
  /** Grows with every claim. */
  fence: Generated<number>;
  /** When the node's claim ends; stays when it has ended, and then says until when the target was served. */
  lease_until: number;
  /** How often the event after the position was refused. */
  refusals: Generated<number>;
  /** Since when nothing could be delivered; null when the last attempt went well. */
  failing_since: number | null;
  last_error: string | null;
}

/** An event that its target would not take. */
export interface EventRefusalTable {
  refusal_id: Generated<number>;
  target: string;
  event_id: string;
  /** JSON, as it would have been delivered. */
  event: string;
  reason: string;
  refused_at: number;
}
