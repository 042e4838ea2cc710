/**
 * Questions to the KMS of AWS, or to a server that speaks like it, through AWS's own client. The operator named the place, so it may be on
 * the own network; redirects are not followed, and neither proxies nor endpoints that the environment names for other programs are used.
 * No question is open for long: attempts are bounded in number and time, and a server that does not answer is not asked for a while.
 */
import type * as kmsPackage from "@aws-sdk/client-kms";
import type { KMSClient, KMSClientConfig } from "@aws-sdk/client-kms";
import { KeyRefusal } from "#registry/key-service.ts";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import { createBreaker } from "./key-service-breaker.ts";
import type { Breaker } from "./key-service-breaker.ts";

/** AWS's package, which is loaded by the first question: most registries never have one. */
type KmsPackage = typeof kmsPackage;

/** What {@link createKmsClients} is made with. */
export interface KmsClientOptions {
  /** Of a server; undefined: AWS's own endpoint of each region. */
  readonly endpoint: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Instead of what AWS's default chain finds: environment, files, container, machine. */
  readonly credentials?: KMSClientConfig["credentials"];
  /** For a question with all its attempts, finding credentials included. */
  readonly timeoutMs?: number;
}

/** How a question is put: with AWS's client for a region, to be given up with the signal. */
type Question<T> = (client: KMSClient, kms: KmsPackage, options: { readonly abortSignal: AbortSignal }) => Promise<T>;

/** Asks in a region. Rejects with {@link KeyRefusal}: KMS's own, or one that names the place and why it did not answer. */
export interface KmsClients {
  ask<T>(region: string, question: Question<T>): Promise<T>;
}

interface Place {
  readonly name: string;
  readonly breaker: Breaker;
  client: Promise<{ readonly client: KMSClient; readonly kms: KmsPackage }> | undefined;
}

const defaultTimeoutMs = 8_000;
const connectionTimeoutMs = 2_000;
const attemptTimeoutMs = 4_000;
/** Throttling and failures of the server are tried again, with pauses that grow. */
const maxAttempts = 3;
const failuresInARow = 3;
const restMs = 5_000;

/** Makes a client for each region that is asked in; regions are those of the deployment, so there are few. */
export function createKmsClients(options: KmsClientOptions): KmsClients {
  const { endpoint, clock, log, timeoutMs = defaultTimeoutMs } = options;
  const places = new Map<string, Place>();
  const placeOf = (region: string): Place => {
    const known = places.get(region);
    if (known !== undefined) return known;
    const name = endpoint === undefined ? `the KMS of AWS in ${region}` : `the KMS at ${endpoint}`;
    const place: Place = { name, breaker: createBreaker({ clock, failures: failuresInARow, restMs }), client: undefined };
    places.set(region, place);
    return place;
  };
  return {
    async ask(region, question) {
      const place = placeOf(region);
      const { name, breaker } = place;
      const known = breaker.enter();
      if (known !== undefined) throw unanswered(name, known);
      try {
        place.client ??= openClient(region, options);
        const { client, kms } = await place.client;
        const answer = await within(timeoutMs, (abortSignal) => question(client, kms, { abortSignal }));
        if (breaker.succeed()) log.info({ place: name }, "the key management service answers again");
        return answer;
      } catch (error) {
        const refusal = refusalOf(error, name);
        if (refusal !== undefined) {
          breaker.succeed();
          throw refusal;
        }
        const reason = reasonOf(error);
        if (breaker.fail(reason)) log.warn({ place: name, reason }, "the key management service does not answer");
        throw unanswered(name, reason);
      }
    },
  };
}

async function openClient(region: string, { endpoint, credentials }: KmsClientOptions): Promise<{ client: KMSClient; kms: KmsPackage }> {
  const kms = await import("@aws-sdk/client-kms");
  const client = new kms.KMSClient({
    region,
    ...(endpoint !== undefined && { endpoint }),
    // AWS_ENDPOINT_URL is often this very server's: people who work with it have it in their environment.
    ignoreConfiguredEndpointUrls: true,
    ...(credentials !== undefined && { credentials }),
    retryMode: "standard",
    maxAttempts,
    requestHandler: { connectionTimeout: connectionTimeoutMs, requestTimeout: attemptTimeoutMs, throwOnRequestTimeout: true },
  });
  return { client, kms };
}

/** The signal ends the request; the race ends also what does not know the signal, such as the search for credentials. */
async function within<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await Promise.race([
      work(late.signal),
      new Promise<never>((_resolve, reject) => {
        late.signal.addEventListener("abort", () => reject(new Error(`no answer within ${timeoutMs / 1000} s`)));
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** Exceptions about who asks: who reads them must not take their own credentials for the ones that are meant. */
const aboutCredentials =
  /^(?:AccessDenied|ExpiredToken|IncompleteSignature|InvalidClientTokenId|InvalidSignature|MissingAuthenticationToken|NotAuthorized|OptInRequired|UnrecognizedClient)/;

/** What KMS itself said. Undefined when nobody did who speaks like KMS: no connection, a proxy's page, a redirect. */
function refusalOf(error: unknown, place: string): KeyRefusal | undefined {
  if (!(error instanceof Error) || !("$fault" in error) || !/^[A-Z]\w{1,100}Exception$/.test(error.name)) return undefined;
  const text = shortened(error.message);
  return new KeyRefusal(error.name, aboutCredentials.test(error.name) ? `${text} (${place}, of this registry's own credentials)` : text);
}

/** KMS's exception for what may be right the next time. */
function unanswered(place: string, reason: string): KeyRefusal {
  return new KeyRefusal("KeyUnavailableException", `${place} could not be asked: ${reason}`);
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return shortened(error.errors.map(reasonOf).join("; "));
  if (!(error instanceof Error)) return shortened(String(error));
  const status = (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (status !== undefined) return `it answered ${status}, and not as KMS does`;
  return shortened(error.message === "" ? error.name : error.message);
}

/** Another server's text goes into ours. */
function shortened(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 500);
}
