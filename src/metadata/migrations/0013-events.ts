import type { ColumnTypes } from "../dialect.ts";

/**
 * How far each reader of the change log has come, and which node reads for it now; and what a reader's target would not take. Moving a
 * cursor names its fence, which changes with every claim: a node that lost its claim moves nothing.
 */
export function eventSchema({ id, integer, text, tableSuffix }: ColumnTypes): readonly string[] {
  return [
    `create table event_cursor (
      name ${text} primary key,
      transaction_id ${integer} not null,
      change_id ${integer} not null,
      owner ${text},
      fence ${integer} not null default 0,
      lease_until ${integer} not null,
      refusals ${integer} not null default 0,
      failing_since ${integer},
      last_error ${text}
    )${tableSuffix}`,
    `create table event_refusal (
      refusal_id ${id},
      target ${text} not null,
      event_id ${text} not null,
      event ${text} not null,
      reason ${text} not null,
      refused_at ${integer} not null
    )${tableSuffix}`,
    `create index event_refusal_target on event_refusal (target, refusal_id)`,
    `create index event_refusal_age on event_refusal (refused_at)`,
  ];
}
