/** Temporary credentials of users and of root, from their long-term ones (STS API Reference, GetSessionToken and GetFederationToken). */
import { federatedUserArn } from "./arn.ts";
import type { IdentityContext } from "./context.ts";
import { issueSession } from "./session.ts";
import type { IssuedCredentials, SessionRequest } from "./session.ts";
import { packedPercent, readSessionPolicies } from "./session-policies.ts";
import type { AskedPolicies } from "./session-policies.ts";
import { joinMarks } from "./session-tags.ts";
import type { SessionTag } from "./session-tags.ts";

/** Who asks: a user, or root with the key that it asks with, as in {@link SessionRequest}. */
export type SessionAsker = { readonly identityId: number; readonly name: string } | { readonly rootKeyId: string | undefined };

/** A federated user's session. */
export interface FederatedSession {
  readonly credentials: IssuedCredentials;
  /** `arn:aws:sts::<account>:federated-user/<name>` */
  readonly arn: string;
  /** `<account>:<name>` */
  readonly federatedUserId: string;
  readonly packedPercent: number | undefined;
}

const usualSeconds = 43_200;
/** Root gets an hour, however long it asks for. */
const rootSeconds = 3_600;

/** Makes temporary credentials that may do what the user or root may do. `durationSeconds`: twelve hours when undefined. */
export async function makeUserSession(
  ctx: IdentityContext,
  asker: SessionAsker,
  durationSeconds: number | undefined,
): Promise<IssuedCredentials> {
  return issueSession(ctx, {
    kind: "rootKeyId" in asker ? "root" : "user",
    ...backingOf(asker),
    sessionName: "",
    lifetimeSeconds: lifetimeOf(asker, durationSeconds),
    policies: undefined,
  });
}

/**
 * Makes credentials for somebody whom the user vouches for: they may do what both the user and the session policies may do, and nothing
 * without session policies, unless a resource's policy names them. Throws SessionRefused.
 */
export async function federateUser(
  ctx: IdentityContext,
  asker: SessionAsker,
  request: {
    readonly name: string;
    readonly durationSeconds: number | undefined;
    readonly policies: AskedPolicies;
    readonly tags: readonly SessionTag[];
  },
): Promise<FederatedSession> {
  const { accountId } = ctx;
  const { name, policies } = request;
  const { tags } = joinMarks({ tags: request.tags, transitiveKeys: [], sourceIdentity: undefined }, undefined);
  const documents = (await readSessionPolicies(ctx, policies)) ?? [];
  const percent = packedPercent(policies, tags);
  const credentials = await issueSession(ctx, {
    kind: "federated",
    ...backingOf(asker),
    sessionName: name,
    lifetimeSeconds: lifetimeOf(asker, request.durationSeconds),
    policies: documents,
    tags,
  });
  return { credentials, arn: federatedUserArn(accountId, name), federatedUserId: `${accountId}:${name}`, packedPercent: percent };
}

function backingOf(asker: SessionAsker): Pick<SessionRequest, "owner" | "rootKeyId"> {
  return "rootKeyId" in asker ? { owner: undefined, rootKeyId: asker.rootKeyId } : { owner: asker };
}

function lifetimeOf(asker: SessionAsker, durationSeconds = usualSeconds): number {
  return "rootKeyId" in asker ? Math.min(durationSeconds, rootSeconds) : durationSeconds;
}
