/**
 * Temporary credentials: a key, its secret, and a token without which the key is none. The token says nothing by itself; what the session
 * is stands in its row, so that it ends at once with the row.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { deleteExpiredSessions, putSession } from "#metadata/sessions.ts";
import type { NewSession, Session } from "#metadata/sessions.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { makeAccessKey, sealSecret } from "./key-material.ts";

/** What a session is made from; its account is the context's. */
export interface SessionRequest {
  readonly kind: Session["kind"];
  /** The role, or the user who asks; undefined when root asks. */
  readonly owner: { readonly identityId: number; readonly name: string } | undefined;
  /** The key that root asks with; the session ends with it. Undefined for a key that exists only in the words of a `--dev` client. */
  readonly rootKeyId?: string | undefined;
  /** Empty where the operation takes no name. */
  readonly sessionName: string;
  readonly lifetimeSeconds: number;
  /** Documents that limit the session; undefined when nothing does. */
  readonly policies: readonly string[] | undefined;
  readonly tags?: Readonly<Record<string, string>>;
  readonly transitiveKeys?: readonly string[];
  readonly sourceIdentity?: string | undefined;
  /** Further condition keys of the session, such as `aws:FederatedProvider`. */
  readonly context?: Readonly<Record<string, string>>;
}

/** Temporary credentials as their owner is shown them, once. `expiresAt` is in milliseconds since the epoch. */
export interface IssuedCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAt: number;
}

/** Scanners for leaked secrets can look for it; 12 characters, so that the whole is base64. */
const tokenPrefix = "SupercargoST";
const tokenBytes = 48;
/** Who comes with an expired session is told so for a day; after that its key is one that never was. */
const keptAfterExpiryMs = 86_400_000;
/** Each session that is made clears away a few old ones, so that their number follows that of the living. */
const clearedAtOnce = 20;

/** Makes temporary credentials. Throws IdentityError `not-found` when the user, role or root key behind them is gone by now. */
export async function issueSession({ core, accountId }: IdentityContext, request: SessionRequest): Promise<IssuedCredentials> {
  const { metadata, clock, random, sealer } = core;
  const issuedAt = clock.now();
  const expiresAt = issuedAt + request.lifetimeSeconds * 1000;
  const key = makeAccessKey(random, accountId, "ASIA");
  const sessionToken = tokenPrefix + random.bytes(tokenBytes).toString("base64");
  const session: NewSession = {
    accessKeyId: key.accessKeyId,
    accountId,
    kind: request.kind,
    identityId: request.owner?.identityId,
    rootKeyId: request.rootKeyId,
    sessionName: request.sessionName,
    secretSealed: sealSecret(sealer, key),
    tokenHash: hashOf(sessionToken).toString("base64url"),
    policies: request.policies,
    tags: request.tags ?? {},
    transitiveKeys: request.transitiveKeys ?? [],
    sourceIdentity: request.sourceIdentity,
    context: request.context ?? {},
    issuedAt,
    expiresAt,
  };
  await deleteExpiredSessions(metadata, { before: issuedAt - keptAfterExpiryMs, limit: clearedAtOnce });
  if (!(await putSession(metadata, session))) {
    if (request.owner === undefined) throw refuse("not-found", { noun: "access-key", name: request.rootKeyId ?? "" });
    throw refuse("not-found", { noun: request.kind === "role" ? "role" : "user", name: request.owner.name });
  }
  return { ...key, sessionToken, expiresAt };
}

/** Is this the session's token? In constant time. */
export function sessionTokenMatches(session: Pick<Session, "tokenHash">, token: string): boolean {
  const expected = Buffer.from(session.tokenHash, "base64url");
  const actual = hashOf(token);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
