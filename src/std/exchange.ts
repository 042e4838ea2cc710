import type { IncomingMessage, ServerResponse } from "node:http";

/** What a request turned out to be; the access log and the metrics are written from it. Values of `route` come from tables, so their number is bounded. */
export interface ExchangeNotes {
  readonly route?: string;
  readonly action?: string;
  readonly principalArn?: string;
  readonly accessKeyId?: string;
  readonly errorCode?: string;
}

/** What the audit log tells of a request beyond the access log; field names and values are CloudTrail's. Never a secret. */
export interface AuditFacts {
  /** `ecr.amazonaws.com` */
  readonly eventSource: string;
  /** The operation, or on the data plane the one of ECR's that the request stands for: `PutImage`. */
  readonly eventName: string;
  readonly region: string;
  /** CloudTrail's `userIdentity`; the same object for every request of a principal, so that it is written out once. */
  readonly userIdentity: object;
  /** The account whose things were touched. */
  readonly recipientAccountId: string;
  readonly requestParameters?: object | undefined;
  readonly errorMessage?: string | undefined;
}

/** One permission that was asked for, and why it was given or not. */
export interface AuditedDecision {
  readonly action: string;
  readonly resource: string;
  readonly allowed: boolean;
  /** The statements that decided: the policy's name and the statement's place in it. */
  readonly statements: readonly object[];
}

/** One HTTP request and its answer, as the server hands it to a plane. Types of `node:http` only: nothing here listens. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Also sent to the client as `x-amzn-requestid`. */
  readonly requestId: string;
  /** The host the client used, with its port; from a proxy's header only when the proxy is a configured one. */
  readonly host: string | undefined;
  readonly scheme: "http" | "https";
  readonly remoteAddress: string;
  note(notes: ExchangeNotes): void;
  /** Makes the request one that the audit log records. A later call adds to what is known. */
  audit(facts: Partial<AuditFacts>): void;
  /** Adds a decision to the record. */
  decided(decision: AuditedDecision): void;
}
