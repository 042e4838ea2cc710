/**
 * Events for Amazon EventBridge, by PutEvents. EventBridge gives its own id, account and region to what is put, and takes no source that
 * begins with `aws.` from anybody but AWS. So an event is put under a source of ours, its resources always name the repository's ARN (which
 * says account and region), and the detail carries the event's own id as `event-id`.
 */
import { repositoriesOf } from "#events/event.ts";
import type { EcrEvent } from "#events/event.ts";
import type { EventTarget, SendOutcome } from "#events/target.ts";
import { clientSettings, entryOutcome, isContentRefusal } from "./event-aws-client.ts";
import type { AwsPlace } from "./event-aws-client.ts";

/** What the target is made with. */
export interface EventBridgeOptions extends AwsPlace {
  /** Name or ARN. */
  readonly bus: string;
  readonly source: string;
}

/** Of one call (Amazon EventBridge API Reference, PutEvents). */
const maxEvents = 10;
const maxBytes = 200_000;
/** Failures of single entries that come and go. */
const passing = /^(?:InternalFailure|InternalException|Throttling\w*|ServiceUnavailable\w*)$/;

/** Makes the target. AWS's package is loaded by the first send. */
export function createEventBridge(options: EventBridgeOptions): EventTarget {
  const open = async () => {
    const sdk = await import("@aws-sdk/client-eventbridge");
    return { client: new sdk.EventBridgeClient(clientSettings(options)), sdk };
  };
  let opened: ReturnType<typeof open> | undefined;
  return {
    maxEvents,
    maxBytes,
    async send(events, abortSignal) {
      const { client, sdk } = await (opened ??= open());
      const Entries = events.map((event) => entryOf(event, options));
      try {
        const answer = await client.send(new sdk.PutEventsCommand({ Entries }), { abortSignal });
        return events.map((_event, index): SendOutcome => {
          const entry = answer.Entries?.[index];
          if (entry === undefined) return { outcome: "failed", reason: "EventBridge did not answer for every entry" };
          const { ErrorCode: code, ErrorMessage: message } = entry;
          return entryOutcome(code === undefined ? undefined : { code, message, isRefusal: !passing.test(code) });
        });
      } catch (error) {
        if (!isContentRefusal(error)) throw error;
        return events.map(() => ({ outcome: "refused", reason: String(error) }));
      }
    },
    async close() {
      (await opened)?.client.destroy();
    },
  };
}

function entryOf(event: EcrEvent, { bus, source }: EventBridgeOptions) {
  const arns = repositoriesOf(event).map((name) => `arn:aws:ecr:${event.region}:${event.account}:repository/${name}`);
  return {
    EventBusName: bus,
    Source: source,
    DetailType: event["detail-type"],
    Time: new Date(event.time),
    Resources: event.resources.length > 0 ? [...event.resources] : arns,
    Detail: JSON.stringify({ ...event.detail, "event-id": event.id }),
  };
}
