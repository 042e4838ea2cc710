/** One line of the audit log, in the field names of CloudTrail's record contents (AWS CloudTrail User Guide, "CloudTrail record contents"). */
import type { AuditFacts, AuditedDecision } from "#std/exchange.ts";
import { isoTime } from "#std/iso-time.ts";

/** Everything that a record is made from. */
export interface AuditedExchange {
  readonly facts: AuditFacts;
  readonly decisions: readonly AuditedDecision[];
  readonly requestId: string;
  readonly eventId: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly sourceIp: string;
  readonly userAgent: string | undefined;
  readonly errorCode: string | undefined;
  readonly status: number;
}

/** Longer parameters (policy documents, image lists) are cut: a record has to stay a line that people and programs can read. */
const maxParameterChars = 16_384;
const maxUserAgentChars = 512;
/** CloudTrail's own prefix rule for its `readOnly`. */
const readingNames = /^(?:Get|List|Describe|BatchGet|BatchCheck|Simulate|GenerateRandom|Validate)/;

/** Identities are few and requests many: each is serialised once. */
const writtenIdentities = new WeakMap<object, string>();

/** Writes the record as one line of JSON, with its line end. Put together by hand: it is made for each request, pulls among them. */
export function auditLine(exchange: AuditedExchange): string {
  const { facts, decisions } = exchange;
  const errorCode = exchange.errorCode ?? (exchange.status >= 400 ? String(exchange.status) : undefined);
  return (
    `{"eventVersion":"1.11","userIdentity":${identityText(facts.userIdentity)},"eventTime":"${isoTime(exchange.at)}"` +
    `,"eventSource":"${facts.eventSource}","eventName":${quoted(facts.eventName)},"awsRegion":${quoted(facts.region)}` +
    `,"sourceIPAddress":${quoted(exchange.sourceIp)}${member("userAgent", exchange.userAgent?.slice(0, maxUserAgentChars))}` +
    `${member("errorCode", errorCode)}${member("errorMessage", facts.errorMessage)}` +
    `,"requestParameters":${parametersText(facts.requestParameters)},"responseElements":null` +
    `,"requestID":"${exchange.requestId}","eventID":"${exchange.eventId}","readOnly":${readingNames.test(facts.eventName)}` +
    `${resourcesText(decisions)},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":${quoted(facts.recipientAccountId)}` +
    `,"eventCategory":"Management"${decisions.length === 0 ? "" : `,"additionalEventData":{"decisions":${JSON.stringify(decisions)}}`}}\n`
  );
}

function identityText(identity: object): string {
  let text = writtenIdentities.get(identity);
  if (text === undefined) writtenIdentities.set(identity, (text = JSON.stringify(identity)));
  return text;
}

/** What needs no escape is only put in quotes. */
function quoted(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}
const plainText = /^[\w .,:;/@*()+=-]*$/;

function member(name: string, text: string | undefined): string {
  return text === undefined ? "" : `,"${name}":${quoted(text)}`;
}

function parametersText(parameters: object | undefined): string {
  if (parameters === undefined) return "null";
  const text = JSON.stringify(parameters);
  return text.length <= maxParameterChars ? text : `{"omitted":"${text.length} characters"}`;
}

function resourcesText(decisions: readonly AuditedDecision[]): string {
  const resources = new Set<string>();
  for (const { resource } of decisions) if (resource !== "*") resources.add(resource);
  if (resources.size === 0) return "";
  const written = [...resources].map((arn) => `{"ARN":${quoted(arn)}${member("accountId", arn.split(":")[4])}}`);
  return `,"resources":[${written.join(",")}]`;
}
