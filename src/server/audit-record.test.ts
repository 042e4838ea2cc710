import assert from "node:assert/strict";
import { test } from "node:test";
import { auditLine } from "./audit-record.ts";
import type { AuditedExchange } from "./audit-record.ts";

const arn = "arn:aws:ecr:us-east-1:123456789012:repository/shop";
const exchange: AuditedExchange = {
  facts: {
    eventSource: "ecr.amazonaws.com",
    eventName: "BatchGetImage",
    region: "us-east-1",
    userIdentity: { type: "IAMUser", arn: "arn:aws:iam::123456789012:user/ann", accountId: "123456789012", userName: "ann" },
    recipientAccountId: "123456789012",
    requestParameters: { repositoryName: "shop", imageIds: [{ imageTag: "1" }] },
  },
  decisions: [
    { action: "ecr:BatchGetImage", resource: arn, allowed: true, statements: [{ policy: "pull", statement: 0, effect: "Allow" }] },
  ],
  requestId: "r-1",
  eventId: "e-1",
  at: Date.UTC(2026, 10, 21, 8),
  sourceIp: "192.0.2.7",
  userAgent: "docker/27",
  errorCode: undefined,
  status: 200,
};

test("a record has CloudTrail's fields", () => {
  const line = auditLine(exchange);
  assert.ok(line.endsWith("}\n") && !line.slice(0, -1).includes("\n"));
  assert.deepEqual(JSON.parse(line), {
    eventVersion: "1.11",
    userIdentity: exchange.facts.userIdentity,
    eventTime: "2026-11-21T08:00:00.000Z",
    eventSource: "ecr.amazonaws.com",
    eventName: "BatchGetImage",
    awsRegion: "us-east-1",
    sourceIPAddress: "192.0.2.7",
    userAgent: "docker/27",
    requestParameters: exchange.facts.requestParameters,
    responseElements: null,
    requestID: "r-1",
    eventID: "e-1",
    readOnly: true,
    resources: [{ ARN: arn, accountId: "123456789012" }],
    eventType: "AwsApiCall",
    managementEvent: true,
    recipientAccountId: "123456789012",
    eventCategory: "Management",
    additionalEventData: { decisions: exchange.decisions },
  });
});

test("a refusal has its code, a write is no read, and nothing grows without bounds", () => {
  const refused = JSON.parse(
    auditLine({
      ...exchange,
      facts: { ...exchange.facts, eventName: "PutImage", requestParameters: { imageManifest: "x".repeat(20_000) } },
      userAgent: "a".repeat(10_000),
      status: 403,
      errorCode: "DENIED",
    }),
  ) as Record<string, unknown>;
  assert.deepEqual([refused["errorCode"], refused["readOnly"]], ["DENIED", false]);
  assert.deepEqual(refused["requestParameters"], { omitted: "20020 characters" });
  assert.equal(String(refused["userAgent"]).length, 512);
  assert.equal((JSON.parse(auditLine({ ...exchange, status: 500 })) as Record<string, unknown>)["errorCode"], "500");
});
