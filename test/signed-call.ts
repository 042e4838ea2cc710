/** Calls of the AWS APIs made by hand, for what no SDK would send. */
import { createHash } from "node:crypto";
import { signRequest } from "#aws/sigv4-signer.ts";
import type { Answer, RegistryServer } from "./registry-server.ts";

/** How a call differs from a good one. */
export interface CallOptions {
  /** Instead of the server's own root key. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly region?: string;
  readonly service?: string;
  /** Added to the time of the signature. */
  readonly skewMs?: number;
  /** What is sent instead of the body that was signed; an array is sent in chunks, without an announced length. */
  readonly sentBody?: Uint8Array | string | readonly Uint8Array[];
  /** Sends `x-amz-content-sha256`, as the JavaScript SDK does. */
  readonly declareBody?: boolean;
  /** Changes the headers after they were signed. */
  readonly tamper?: (headers: Record<string, string>) => void;
  readonly headers?: Readonly<Record<string, string>>;
  readonly target?: string;
}

/** Calls an operation of the service `ecr` with this body, whatever it is. */
export function callEcr(
  server: RegistryServer,
  operation: string,
  body: Uint8Array | string | object,
  options: CallOptions = {},
): Promise<Answer> {
  const bytes =
    typeof body === "string" || body instanceof Uint8Array ? Buffer.from(body as Uint8Array) : Buffer.from(JSON.stringify(body));
  return send(server, bytes, ecrHeaders(operation, options), { service: "ecr", ...options });
}

/** The headers of such a call, signed for the body, for those who write to the socket themselves. */
export function signedEcrHeaders(
  server: RegistryServer,
  operation: string,
  body: Buffer,
  options: CallOptions = {},
): Record<string, string> {
  return signedHeaders(server, body, ecrHeaders(operation, options), { service: "ecr", ...options });
}

function ecrHeaders(operation: string, options: CallOptions): Record<string, string> {
  return {
    "X-Amz-Target": `AmazonEC2ContainerRegistry_V20150921.${operation}`,
    "Content-Type": "application/x-amz-json-1.1",
    ...options.headers,
  };
}

/** Calls an operation of a JSON service by its whole target, `secretsmanager.GetSecretValue`; signatures are scoped by the target's first word unless told otherwise. */
export function callJson(server: RegistryServer, target: string, input: object, options: CallOptions = {}): Promise<Answer> {
  const headers = { "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", ...options.headers };
  const service = target.slice(0, target.indexOf("."));
  return send(server, Buffer.from(JSON.stringify(input)), headers, { service, ...options });
}

/** Calls an operation of a Query service with a form. */
export function callQuery(server: RegistryServer, form: string, options: CallOptions = {}): Promise<Answer> {
  const headers = { "Content-Type": "application/x-www-form-urlencoded; charset=utf-8", ...options.headers };
  return send(server, Buffer.from(form), headers, { service: "sts", ...options });
}

function send(
  server: RegistryServer,
  body: Buffer,
  own: Record<string, string>,
  options: CallOptions & { readonly service: string },
): Promise<Answer> {
  const headers = signedHeaders(server, body, own, options);
  return server.request("POST", options.target ?? "/", { headers, body: options.sentBody ?? body, authorization: null });
}

function signedHeaders(
  server: RegistryServer,
  body: Buffer,
  own: Record<string, string>,
  options: CallOptions & { readonly service: string },
): Record<string, string> {
  const { credentials = server.credentials, region = server.region, service, skewMs = 0, target = "/" } = options;
  const plain = Object.entries({ Host: server.host, ...own }).flat();
  const rawHeaders = signRequest(
    { method: "POST", target, rawHeaders: plain },
    {
      credentials,
      region,
      service,
      now: server.core.clock.now() + skewMs,
      bodySha256: createHash("sha256").update(body).digest("hex"),
      declareBody: options.declareBody ?? false,
    },
  );
  const headers: Record<string, string> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) headers[rawHeaders[at] ?? ""] = rawHeaders[at + 1] ?? "";
  options.tamper?.(headers);
  return headers;
}
