import type { IncomingMessage, ServerResponse } from "node:http";

/** What a request turned out to be; the access log and the metrics are written from it. Values of `route` come from tables, so their number is bounded. */
export interface ExchangeNotes {
  readonly route?: string;
  readonly action?: string;
  readonly principalArn?: string;
  readonly accessKeyId?: string;
  readonly errorCode?: string;
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
}
