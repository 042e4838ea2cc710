/** EventBridge and SQS as targets, against a double that checks the signature of every request with AWS's own signer. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import type { EcrEvent } from "#events/event.ts";
import { createEventBridge } from "./event-bridge.ts";
import { createQueue } from "./event-queue.ts";
import { doubleCredentials, startAwsDouble } from "./testing/aws-double.ts";
import type { AwsDouble, DoubleCall } from "./testing/aws-double.ts";

const region = "eu-west-1";
let bridge: AwsDouble;
let queues: AwsDouble;
before(async () => {
  [bridge, queues] = await Promise.all([startAwsDouble("events", region), startAwsDouble("sqs", region)]);
});
after(() => Promise.all([bridge.close(), queues.close()]));

const event = (n: number, repository = "shop/web"): EcrEvent => ({
  version: "0",
  id: `5b1d5c2e-7f0a-5c19-8f3e-0d6a4b9e1c0${n}`,
  "detail-type": "ECR Image Action",
  source: "aws.ecr",
  account: "111122223333",
  time: "2026-11-02T08:15:30Z",
  region,
  resources: [],
  detail: { result: "SUCCESS", "repository-name": repository, "action-type": "PUSH", "image-tag": `v${n}` },
});
const signal = AbortSignal.timeout(20_000);
const onBus = (credentials = doubleCredentials) =>
  createEventBridge({ region, endpoint: bridge.endpoint, credentials, bus: "registry-bus", source: "supercargo.ecr" });
const delivered = { outcome: "delivered" };

test("EventBridge: one entry for each event, signed, with account and region in the resources", async () => {
  bridge.answer = () => ({ status: 200, body: { FailedEntryCount: 0, Entries: [{ EventId: "1" }, { EventId: "2" }] } });
  const target = onBus();
  assert.deepEqual(await target.send([event(1), event(2)], signal), [delivered, delivered]);
  await target.close();
  const { operation, input } = bridge.calls.at(-1) as DoubleCall;
  assert.equal(operation, "PutEvents");
  const [entry] = input["Entries"] as Record<string, unknown>[];
  assert.deepEqual(entry, {
    EventBusName: "registry-bus",
    Source: "supercargo.ecr",
    DetailType: "ECR Image Action",
    Time: Date.UTC(2026, 10, 2, 8, 15, 30) / 1000,
    Resources: ["arn:aws:ecr:eu-west-1:111122223333:repository/shop/web"],
    Detail: JSON.stringify({ ...event(1).detail, "event-id": event(1).id }),
  });
});

test("EventBridge: entries fail one by one", async () => {
  const Entries = [
    { EventId: "1" },
    { ErrorCode: "ThrottlingException", ErrorMessage: "slow" },
    { ErrorCode: "MalformedDetail", ErrorMessage: "bad" },
  ];
  bridge.answer = () => ({ status: 200, body: { FailedEntryCount: 2, Entries } });
  const target = onBus();
  assert.deepEqual(await target.send([event(1), event(2), event(3)], signal), [
    delivered,
    { outcome: "failed", reason: "ThrottlingException: slow" },
    { outcome: "refused", reason: "MalformedDetail: bad" },
  ]);
  await target.close();
});

test("EventBridge: no bus, no permission, wrong keys and redirects are nobody's event's fault", async () => {
  const target = onBus();
  bridge.answer = () => ({ status: 400, body: { __type: "ResourceNotFoundException", message: "Event bus registry-bus does not exist." } });
  await assert.rejects(target.send([event(1)], signal), /does not exist/);
  bridge.answer = () => ({ status: 400, body: { __type: "ValidationException", message: "too long" } });
  assert.deepEqual(
    (await target.send([event(1)], signal)).map(({ outcome }) => outcome),
    ["refused"],
  );
  const calls = queues.calls.length;
  bridge.answer = () => ({ status: 307, body: {}, headers: { location: queues.endpoint } });
  await assert.rejects(target.send([event(1)], signal));
  assert.equal(queues.calls.length, calls);
  await target.close();
  const stranger = onBus({ ...doubleCredentials, secretAccessKey: "wrong" });
  const before = bridge.calls.length;
  await assert.rejects(stranger.send([event(1)], signal), /InvalidSignature/);
  assert.equal(bridge.calls.length, before);
  await stranger.close();
});

const md5 = (text: unknown) => createHash("md5").update(String(text)).digest("hex");
const accepted = (entry: Record<string, unknown>) => ({ Id: entry["Id"], MessageId: "m", MD5OfMessageBody: md5(entry["MessageBody"]) });
const entriesOf = ({ input }: DoubleCall) => input["Entries"] as Record<string, unknown>[];
const inQueue = (name: string) =>
  createQueue({ region, endpoint: queues.endpoint, credentials: doubleCredentials, queueUrl: `${queues.endpoint}/111122223333/${name}` });

test("SQS: a message for each event; entries fail one by one", async () => {
  queues.answer = (call) => ({
    status: 200,
    body: {
      Successful: entriesOf(call).slice(0, 1).map(accepted),
      Failed: [
        { Id: "1", SenderFault: true, Code: "InvalidMessageContents", Message: "bad" },
        { Id: "2", SenderFault: false, Code: "InternalError", Message: "later" },
      ],
    },
  });
  const target = inQueue("plain");
  assert.deepEqual(await target.send([event(1), event(2), event(3), event(4)], signal), [
    delivered,
    { outcome: "refused", reason: "InvalidMessageContents: bad" },
    { outcome: "failed", reason: "InternalError: later" },
    { outcome: "failed", reason: "SQS did not answer for every entry" },
  ]);
  await target.close();
  const call = queues.calls.at(-1) as DoubleCall;
  assert.equal(call.operation, "SendMessageBatch");
  assert.equal(call.input["QueueUrl"], `${queues.endpoint}/111122223333/plain`);
  assert.deepEqual(entriesOf(call)[0], { Id: "0", MessageBody: JSON.stringify(event(1)) });
});

test("SQS: in a FIFO queue a repository is a group, and an event sent again is dropped by its id", async () => {
  queues.answer = (call) => ({ status: 200, body: { Successful: entriesOf(call).map(accepted), Failed: [] } });
  const target = inQueue("ordered.fifo");
  assert.deepEqual(await target.send([event(1), event(2, "x".repeat(200))], signal), [delivered, delivered]);
  await target.close();
  const [short, long] = entriesOf(queues.calls.at(-1) as DoubleCall);
  assert.deepEqual([short?.["MessageGroupId"], short?.["MessageDeduplicationId"]], ["111122223333/eu-west-1/shop/web", event(1).id]);
  assert.match(String(long?.["MessageGroupId"]), /^[0-9a-f]{64}$/);
});

test("SQS: a queue that is not there is nobody's event's fault", async () => {
  queues.answer = () => ({ status: 400, body: { __type: "com.amazonaws.sqs#QueueDoesNotExist", message: "no such queue" } });
  const target = inQueue("gone");
  await assert.rejects(target.send([event(1)], signal), /no such queue/);
  await target.close();
});
