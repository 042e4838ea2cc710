/** Events for Amazon SQS: a message each, whose body is the event. In a FIFO queue the events of a repository are a group and keep their order. */
import { createHash } from "node:crypto";
import { repositoriesOf } from "#events/event.ts";
import type { EcrEvent } from "#events/event.ts";
import type { EventTarget, SendOutcome } from "#events/target.ts";
import { clientSettings, entryOutcome, isContentRefusal } from "./event-aws-client.ts";
import type { AwsPlace } from "./event-aws-client.ts";

/** What the target is made with. */
export interface QueueOptions extends AwsPlace {
  readonly queueUrl: string;
}

/** Of one call (Amazon SQS API Reference, SendMessageBatch). */
const maxEvents = 10;
const maxBytes = 200_000;
const maxGroupLength = 128;

/** Makes the target. AWS's package is loaded by the first send. */
export function createQueue(options: QueueOptions): EventTarget {
  const { queueUrl: QueueUrl, endpoint } = options;
  const isFifo = URL.parse(QueueUrl)?.pathname.endsWith(".fifo") === true;
  const open = async () => {
    const sdk = await import("@aws-sdk/client-sqs");
    // Without an endpoint of its own the queue is asked at its URL.
    const client = new sdk.SQSClient({ ...clientSettings(options), useQueueUrlAsEndpoint: endpoint === undefined });
    return { client, sdk };
  };
  let opened: ReturnType<typeof open> | undefined;
  return {
    maxEvents,
    maxBytes,
    async send(events, abortSignal) {
      const { client, sdk } = await (opened ??= open());
      const Entries = events.map((event, index) => ({
        Id: String(index),
        MessageBody: JSON.stringify(event),
        ...(isFifo && { MessageGroupId: groupOf(event), MessageDeduplicationId: event.id }),
      }));
      try {
        const answer = await client.send(new sdk.SendMessageBatchCommand({ QueueUrl, Entries }), { abortSignal });
        const sent = new Set((answer.Successful ?? []).map(({ Id }) => Id));
        const failures = new Map((answer.Failed ?? []).map((entry) => [entry.Id, entry]));
        return events.map((_event, index): SendOutcome => {
          const failure = failures.get(String(index));
          if (failure !== undefined)
            return entryOutcome({ code: failure.Code, message: failure.Message, isRefusal: failure.SenderFault === true });
          return sent.has(String(index)) ? entryOutcome(undefined) : { outcome: "failed", reason: "SQS did not answer for every entry" };
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

/** Names of groups are shorter than names of repositories may be. */
function groupOf(event: EcrEvent): string {
  const group = [event.account, event.region, repositoriesOf(event)[0] ?? ""].join("/");
  return group.length <= maxGroupLength ? group : createHash("sha256").update(group).digest("hex");
}
