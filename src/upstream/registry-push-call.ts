/** Signed calls of another deployment's AWS API (AWS JSON 1.1, Signature Version 4): for what the registry protocol has no words. */
import { createHash } from "node:crypto";
import { signRequest } from "#aws/sigv4-signer.ts";
import type { Clock } from "#std/clock.ts";
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";
import type { GuardedConnections } from "./connections.ts";
import { readBytes } from "./read-bytes.ts";
import { isNetworkFailure } from "./registry-push-failure.ts";
import { UpstreamError, failureOfStatus } from "./upstream-error.ts";

/** Another deployment, and as whom it is asked. */
export interface PeerEndpoint {
  /** `http(s)://host[:port]` */
  readonly origin: string;
  /** The region that calls are signed for. */
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The peer answered with an exception; `code` is its name. */
export class PeerFault extends Error {
  override readonly name = "PeerFault";
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

const maxAnswerBytes = 4_194_304;
const maxMessageLength = 2_000;

/**
 * Calls `target` (`<prefix>.<operation>`) and answers its output. Throws PeerFault for an exception of the peer, and UpstreamError
 * `unavailable` or `rate-limited` where trying again later can help.
 */
export async function callPeer(
  connections: GuardedConnections,
  clock: Clock,
  { origin, region, accessKeyId, secretAccessKey }: PeerEndpoint,
  call: { readonly target: string; readonly input: JsonObject; readonly signal?: AbortSignal | undefined },
): Promise<JsonObject> {
  const url = new URL("/", origin);
  const body = Buffer.from(JSON.stringify(call.input), "utf8");
  const rawHeaders = signRequest(
    {
      method: "POST",
      target: "/",
      rawHeaders: ["Host", url.host, "X-Amz-Target", call.target, "Content-Type", "application/x-amz-json-1.1"],
    },
    {
      credentials: { accessKeyId, secretAccessKey },
      region,
      service: "ecr",
      now: clock.now(),
      bodySha256: createHash("sha256").update(body).digest("hex"),
    },
  );
  const headers = Object.fromEntries(rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ""] as const] : [])));
  try {
    const answer = await connections.send({ method: "POST", url: url.href, headers, body, signal: call.signal });
    const read = parseJson(await readBytes(answer.body, maxAnswerBytes));
    const output = read.ok && isObject(read.value) ? read.value : undefined;
    if (answer.status === 200 && output !== undefined) return output;
    throw faultOf(answer.status, output) ?? new UpstreamError(failureOfStatus(answer.status, answer.headers, clock.now(), call.target));
  } catch (error) {
    if (error instanceof PeerFault || !isNetworkFailure(error)) throw error;
    throw new UpstreamError({ outcome: "unavailable", problem: error.message }, { cause: error });
  }
}

/** An exception that the peer means; undefined for one of its own failures, and for what is no answer of a peer. */
function faultOf(status: number, output: JsonObject | undefined): Error | undefined {
  const type = output?.["__type"];
  if (typeof type !== "string" || status >= 500 || status === 429) return undefined;
  const code = type.slice(type.lastIndexOf("#") + 1).slice(0, 128);
  const message = output?.["message"] ?? output?.["Message"];
  const text = typeof message === "string" ? message.slice(0, maxMessageLength) : "";
  if (code === "ThrottlingException") return new UpstreamError({ outcome: "rate-limited", problem: text });
  return new PeerFault(code, text);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
