/** One line of the audit log, in the field names of CloudTrail's record contents (AWS CloudTrail User Guide, "CloudTrail record contents"). */
import type { AuditFacts, AuditedDecision } from "#std/exchange.ts";

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

/** Writes the record as one line of JSON, with its line end. */
export function auditLine(exchange: AuditedExchange): string {
  const { facts, decisions } = exchange;
  const resources = [...new Set(decisions.map(({ resource }) => resource))].filter((resource) => resource !== "*");
  const rest = {
    eventTime: new Date(exchange.at).toISOString(),
    eventSource: facts.eventSource,
    eventName: facts.eventName,
    awsRegion: facts.region,
    sourceIPAddress: exchange.sourceIp,
    userAgent: exchange.userAgent?.slice(0, maxUserAgentChars),
    errorCode: exchange.errorCode ?? (exchange.status >= 400 ? String(exchange.status) : undefined),
    errorMessage: facts.errorMessage,
    requestParameters: boundedParameters(facts.requestParameters),
    responseElements: null,
    requestID: exchange.requestId,
    eventID: exchange.eventId,
    readOnly: readingNames.test(facts.eventName),
    resources: resources.length === 0 ? undefined : resources.map((ARN) => ({ ARN, accountId: ARN.split(":")[4] })),
    eventType: "AwsApiCall",
    managementEvent: true,
    recipientAccountId: facts.recipientAccountId,
    eventCategory: "Management",
    additionalEventData: decisions.length === 0 ? undefined : { decisions },
  };
  return `{"eventVersion":"1.11","userIdentity":${identityText(facts.userIdentity)},${JSON.stringify(rest).slice(1)}\n`;
}

function identityText(identity: object): string {
  let text = writtenIdentities.get(identity);
  if (text === undefined) writtenIdentities.set(identity, (text = JSON.stringify(identity)));
  return text;
}

function boundedParameters(parameters: object | undefined): unknown {
  if (parameters === undefined) return null;
  const text = JSON.stringify(parameters);
  return text.length <= maxParameterChars ? parameters : { omitted: `${text.length} characters` };
}
