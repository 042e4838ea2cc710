/**
 * The agent of a machine: plays EC2's instance metadata service (version 2) and the container credential endpoint on a loopback address, and
 * fetches the credentials behind them from the registry with the machine's token. For software that knows no other source of credentials.
 * The rules that protect the metadata service hold here too: a token by PUT first, and nothing for requests that came through a proxy
 * (Amazon EC2 User Guide, "Use the Instance Metadata Service").
 */
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";

/** What `GET /v1/credentials` of the registry answers. */
interface FetchedCredentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
  readonly RoleArn: string;
  readonly AccountId: string;
  readonly LastUpdated: string;
  readonly RoleName: string;
  readonly InstanceProfileArn: string;
  readonly MachineId: string;
  readonly Region: string;
}

/** What the agent needs. */
export interface MachineAgentOptions {
  /** Fetches fresh credentials; rejects with words for the log. */
  readonly fetchCredentials: () => Promise<unknown>;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when credentials cannot be fetched. */
  readonly onFailure: (error: unknown) => void;
}

/** SDKs refresh within the last fifteen minutes; what they are given then must be new. */
const refreshBeforeMs = 60 * 60_000;
const tokenHeader = "x-aws-ec2-metadata-token";
const ttlHeader = "x-aws-ec2-metadata-token-ttl-seconds";
const maxTokens = 1000;

/** Makes the agent's server; the caller makes it listen, on a loopback address. */
export function createMachineAgent(options: MachineAgentOptions): Server {
  const tokens = createTokens(options);
  const credentials = createCredentialCache(options);
  return createServer((request, response) => {
    answer(request, response, tokens, credentials).catch((error: unknown) => {
      options.onFailure(error);
      if (!response.headersSent) send(response, 500, "text/plain", "no credentials can be had from the registry now");
    });
  });
}

/** Reads the answer of the registry's endpoint at `url` with the machine's token. */
export async function fetchMachineCredentials(url: string, token: string): Promise<unknown> {
  const answer = await fetch(url, { headers: { authorization: token, accept: "application/json" }, signal: AbortSignal.timeout(10_000) });
  const body = (await answer.json()) as { readonly Message?: string };
  if (!answer.ok) throw new Error(`the registry answered ${answer.status}: ${body.Message ?? ""}`);
  return body;
}

interface MetadataTokens {
  make(ttlSeconds: number): string;
  accepts(token: string): boolean;
}

function createTokens({ clock, random }: MachineAgentOptions): MetadataTokens {
  const known = new Map<string, number>();
  return {
    make(ttlSeconds) {
      const token = random.bytes(40).toString("base64url");
      known.set(token, clock.now() + ttlSeconds * 1000);
      // Only processes of this machine ask; the oldest go first.
      for (const old of known.keys()) {
        if (known.size <= maxTokens) break;
        known.delete(old);
      }
      return token;
    },
    accepts(token) {
      for (const [kept, expiresAt] of known) {
        if (expiresAt <= clock.now()) known.delete(kept);
        else if (kept.length === token.length && timingSafeEqual(Buffer.from(kept), Buffer.from(token))) return true;
      }
      return false;
    },
  };
}

function createCredentialCache({ fetchCredentials, clock }: MachineAgentOptions): () => Promise<FetchedCredentials> {
  let kept: Promise<FetchedCredentials> | undefined;
  return async () => {
    const current = await kept?.catch(() => undefined);
    if (current !== undefined && Date.parse(current.Expiration) - clock.now() > refreshBeforeMs) return current;
    kept = fetchCredentials().then((body) => body as FetchedCredentials);
    try {
      return await kept;
    } catch (error) {
      // While the registry is away, what is left of the old ones is better than nothing.
      if (current !== undefined && Date.parse(current.Expiration) > clock.now()) return current;
      throw error;
    }
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  tokens: MetadataTokens,
  credentials: () => Promise<FetchedCredentials>,
): Promise<void> {
  const path = (request.url ?? "/").replace(/\?.*$/, "");
  if (request.headers["x-forwarded-for"] !== undefined) return send(response, 403, "text/plain", "Forbidden");
  if (path === "/latest/api/token") return answerToken(request, response, tokens);
  if (request.method !== "GET") return send(response, 405, "text/plain", "Method Not Allowed");
  if (path === "/v1/credentials") return sendJson(response, containerForm(await credentials()));
  const token = request.headers[tokenHeader];
  if (typeof token !== "string" || !tokens.accepts(token)) return send(response, 401, "text/plain", "Unauthorized");
  const found = metadataAt(path, await credentials());
  if (found === undefined) return send(response, 404, "text/plain", "Not Found");
  return typeof found === "string" ? send(response, 200, "text/plain", found) : sendJson(response, found);
}

function answerToken(request: IncomingMessage, response: ServerResponse, tokens: MetadataTokens): void {
  if (request.method !== "PUT") return send(response, 405, "text/plain", "Method Not Allowed");
  const seconds = Number(request.headers[ttlHeader] ?? Number.NaN);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 21_600) return send(response, 400, "text/plain", "Bad Request");
  response.setHeader(ttlHeader, String(seconds));
  send(response, 200, "text/plain", tokens.make(seconds));
}

/** What stands at a path of the metadata service: a text, or a JSON document. */
function metadataAt(path: string, held: FetchedCredentials): string | object | undefined {
  const roles = "/latest/meta-data/iam/security-credentials";
  switch (path) {
    case roles:
    case `${roles}/`:
      return held.RoleName;
    case `${roles}/${held.RoleName}`:
      return {
        Code: "Success",
        LastUpdated: held.LastUpdated,
        Type: "AWS-HMAC",
        AccessKeyId: held.AccessKeyId,
        SecretAccessKey: held.SecretAccessKey,
        Token: held.Token,
        Expiration: held.Expiration,
      };
    case "/latest/meta-data/iam/info":
      return { Code: "Success", LastUpdated: held.LastUpdated, InstanceProfileArn: held.InstanceProfileArn };
    case "/latest/meta-data/instance-id":
      return held.MachineId;
    case "/latest/meta-data/placement/region":
      return held.Region;
    case "/latest/dynamic/instance-identity/document":
      return { accountId: held.AccountId, instanceId: held.MachineId, region: held.Region };
    default:
      return undefined;
  }
}

function containerForm({ AccessKeyId, SecretAccessKey, Token, Expiration, RoleArn, AccountId }: FetchedCredentials): object {
  return { AccessKeyId, SecretAccessKey, Token, Expiration, RoleArn, AccountId };
}

function sendJson(response: ServerResponse, body: object): void {
  send(response, 200, "application/json", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text), "cache-control": "no-store" });
  response.end(text);
}
