/**
 * The agent of a machine: plays EC2's instance metadata service (version 2) and the container credential endpoint on a loopback address, and
 * fetches the credentials behind them from the registry with the machine's token. For software that knows no other source of credentials.
 * What it holds it asks about again every few seconds while it is used: a machine that was revoked is given nothing more.
 * The rules that protect the metadata service hold here too: a token by PUT first, and nothing for requests that came through a proxy
 * (Amazon EC2 User Guide, "Use the Instance Metadata Service").
 */
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";
import type { FetchedAnswer, FetchedCredentials } from "./machine-agent-source.ts";

/** What the agent needs. */
export interface MachineAgentOptions {
  /**
   * Fetches credentials; with the tag of those that are held, only when those no longer stand. Rejects with words for the log when the registry
   * is away.
   */
  readonly fetchCredentials: (heldTag: string | undefined) => Promise<FetchedAnswer>;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when credentials cannot be fetched, and when the registry begins to refuse them. */
  readonly onFailure: (error: unknown) => void;
}

/** SDKs refresh within the last fifteen minutes; what they are given then must be new. */
const refreshBeforeMs = 60 * 60_000;
/** However often it is asked, the registry is asked no oftener, and never when nobody asks. */
const confirmEveryMs = 5_000;
/** SDKs give a metadata service a second: a registry that is slow to confirm what is held must not cost them their credentials. */
const patienceMs = 500;
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

type Refusal = Extract<FetchedAnswer, { kind: "refused" }>;

/** What the machine has now; rejects when that cannot be known. */
type HeldCredentials = () => Promise<FetchedCredentials | Refusal>;

function createCredentialCache({ fetchCredentials, clock, onFailure }: MachineAgentOptions): HeldCredentials {
  let held: Extract<FetchedAnswer, { kind: "given" }> | undefined;
  let refusal: Refusal | undefined;
  let answeredAt = -Infinity;
  let asking: Promise<void> | undefined;
  const leftMs = (): number => (held === undefined ? 0 : Date.parse(held.credentials.Expiration) - clock.now());

  const ask = async (): Promise<void> => {
    const answer = await fetchCredentials(leftMs() > refreshBeforeMs ? held?.entityTag : undefined);
    answeredAt = clock.now();
    if (answer.kind === "refused" && answer.code !== refusal?.code) onFailure(new Error(`the registry refuses: ${answer.message}`));
    refusal = answer.kind === "refused" ? answer : undefined;
    if (answer.kind === "given") held = answer;
    // Those that are held are dead as well: their sessions ended with the enrolment.
    if (answer.kind === "refused") held = undefined;
  };
  /** Of several that ask at once, one goes to the registry. */
  const askOnce = (): Promise<void> => (asking ??= ask().finally(() => (asking = undefined)));

  return async () => {
    const isDue = clock.now() - answeredAt >= confirmEveryMs || (refusal === undefined && leftMs() <= 0);
    if (isDue && leftMs() > 0) {
      const confirmed = askOnce().catch((error: unknown) => {
        // While the registry is away, what is left of the old ones is better than nothing.
        answeredAt = clock.now();
        onFailure(error);
      });
      await Promise.race([confirmed, sleep(patienceMs, undefined, { ref: false })]);
    } else if (isDue) await askOnce();
    if (refusal !== undefined) return refusal;
    if (held !== undefined && leftMs() > 0) return held.credentials;
    throw new Error("the registry gave credentials that have ended already");
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  tokens: MetadataTokens,
  credentials: HeldCredentials,
): Promise<void> {
  const path = (request.url ?? "/").replace(/\?.*$/, "");
  if (request.headers["x-forwarded-for"] !== undefined) return send(response, 403, "text/plain", "Forbidden");
  if (path === "/latest/api/token") return answerToken(request, response, tokens);
  if (request.method !== "GET") return send(response, 405, "text/plain", "Method Not Allowed");
  if (path === "/v1/credentials") return answerContainer(response, await credentials());
  const token = request.headers[tokenHeader];
  if (typeof token !== "string" || !tokens.accepts(token)) return send(response, 401, "text/plain", "Unauthorized");
  const held = await credentials();
  // As an instance without a role answers.
  const found = "AccessKeyId" in held ? metadataAt(path, held) : undefined;
  if (found === undefined) return send(response, 404, "text/plain", "Not Found");
  return typeof found === "string" ? send(response, 200, "text/plain", found) : sendJson(response, 200, found);
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

/** The form of the container credential endpoint, with the registry's own status and words when it refuses. */
function answerContainer(response: ServerResponse, held: FetchedCredentials | Refusal): void {
  if (!("AccessKeyId" in held)) return sendJson(response, held.status, { Code: held.code, Message: held.message });
  const { AccessKeyId, SecretAccessKey, Token, Expiration, RoleArn, AccountId } = held;
  sendJson(response, 200, { AccessKeyId, SecretAccessKey, Token, Expiration, RoleArn, AccountId });
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json", JSON.stringify(body));
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text), "cache-control": "no-store" });
  response.end(text);
}
