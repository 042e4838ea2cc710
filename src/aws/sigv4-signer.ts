/** The client's side of Signature Version 4: for our own clients and for tests. */
import { encodePercent, headerValues, signatureAlgorithm, splitTarget, type RequestFacts } from "./sigv4-canonical.ts";
import { deriveSigningKey, expectedSignature } from "./sigv4.ts";
import { formatAmzDate } from "./sigv4-text.ts";

/** What a client signs with. */
interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** How a request is signed. */
export interface SigningOptions {
  readonly credentials: SigningCredentials;
  readonly region: string;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Lower-case hex; of the empty body it is {@link emptyBodySha256}. */
  readonly bodySha256: string;
  /** Sends `x-amz-content-sha256` too. */
  readonly declareBody?: boolean;
  /** False only towards S3. */
  readonly normalizePath?: boolean;
}

/** The SHA-256 of no bytes. */
export const emptyBodySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Headers that proxies and HTTP libraries change, or that are not known when a request is signed. */
const unsignedHeaders: ReadonlySet<string> = new Set(["authorization", "connection", "expect", "transfer-encoding", "user-agent"]);

/** Signs a request, which must have a Host header already. Answers all headers to send: those of the request, the signature's after them. */
export function signRequest(request: RequestFacts, options: SigningOptions): readonly string[] {
  const { credentials, bodySha256 } = options;
  const amzDate = formatAmzDate(options.now);
  const rawHeaders = [
    ...request.rawHeaders,
    "X-Amz-Date",
    amzDate,
    ...(options.declareBody === true ? ["X-Amz-Content-Sha256", bodySha256] : []),
    ...(credentials.sessionToken === undefined ? [] : ["X-Amz-Security-Token", credentials.sessionToken]),
  ];
  const signedHeaders = signableHeaders(rawHeaders);
  const signature = sign({ ...request, rawHeaders }, signedHeaders, amzDate, options);
  const authorization = `${signatureAlgorithm} Credential=${credentials.accessKeyId}/${scopeText(amzDate, options)}, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`;
  return [...rawHeaders, "Authorization", authorization];
}

/** Signs a request in its query. Answers the target to ask for; the request's own headers must be sent with it as they are. */
export function presign(request: RequestFacts, options: SigningOptions & { readonly expiresSeconds: number }): string {
  const { credentials } = options;
  const amzDate = formatAmzDate(options.now);
  const signedHeaders = signableHeaders(request.rawHeaders);
  const parameters: (readonly [string, string])[] = [
    ["X-Amz-Algorithm", signatureAlgorithm],
    ["X-Amz-Credential", `${credentials.accessKeyId}/${scopeText(amzDate, options)}`],
    ["X-Amz-Date", amzDate],
    ["X-Amz-Expires", String(options.expiresSeconds)],
    ...(credentials.sessionToken === undefined ? [] : [["X-Amz-Security-Token", credentials.sessionToken] as const]),
    ["X-Amz-SignedHeaders", signedHeaders.join(";")],
  ];
  const { path, query } = splitTarget(request.target);
  const added = parameters.map(([name, value]) => `${name}=${encodePercent(value)}`).join("&");
  const target = `${path}?${query === "" ? "" : `${query}&`}${added}`;
  return `${target}&X-Amz-Signature=${sign({ ...request, target }, signedHeaders, amzDate, options)}`;
}

function signableHeaders(rawHeaders: readonly string[]): readonly string[] {
  return [...headerValues(rawHeaders).keys()].filter((name) => !unsignedHeaders.has(name)).toSorted();
}

function scopeText(amzDate: string, options: SigningOptions): string {
  return `${amzDate.slice(0, 8)}/${options.region}/${options.service}/aws4_request`;
}

function sign(request: RequestFacts, signedHeaders: readonly string[], amzDate: string, options: SigningOptions): string {
  const { region, service, credentials, bodySha256, normalizePath = true } = options;
  const scopeDate = amzDate.slice(0, 8);
  const key = deriveSigningKey(credentials.secretAccessKey, scopeDate, region, service);
  return expectedSignature(request, { amzDate, scopeDate, region, service, signedHeaders }, bodySha256, key, { normalizePath }).toString(
    "hex",
  );
}
