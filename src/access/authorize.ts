/** May they: everything that decides is gathered here, `iam/evaluate` decides, and a refusal has AWS's sentence. */
import { AuthFault } from "#aws/sigv4.ts";
import { contextKeys } from "#iam/context.ts";
import { denialMessage } from "#iam/denial.ts";
import { evaluate } from "#iam/evaluate.ts";
import type { DecidingStatement } from "#iam/evaluate.ts";
import type { Access } from "./access.ts";
import type { Denial } from "./authorization-message.ts";
import { namedTagKey, noTag, RequestKeys } from "./condition-keys.ts";
import type { ConditionKeys } from "./condition-keys.ts";
import type { Principal } from "./principal.ts";
import type { RequestOrigin } from "./request-origin.ts";
import type { ResourceStanding } from "./resource-policies.ts";

/** What was decided, and by which statements: those are for the audit log. The message is what the caller may read. */
export type Decision =
  | { readonly allowed: true; readonly statements: readonly DecidingStatement[] }
  | {
      readonly allowed: false;
      readonly message: string;
      readonly statements: readonly DecidingStatement[];
      /** For who may have it explained. */
      readonly denial: Denial;
    };

/** What is asked. */
export interface Ask {
  readonly action: string;
  /** An ARN, or `*` for what concerns the caller's own account. */
  readonly resource: string;
  /** What a denial names instead of the resource, where AWS does not name it by its ARN. */
  readonly shownAs?: string;
  readonly region: string;
  readonly origin: RequestOrigin;
  /** Condition keys that only the request itself can tell, by their names as AWS writes them. Several tags under {@link namedTagKey} are asked for one by one. */
  readonly keys?: ConditionKeys | undefined;
  /** Reads what hangs on a repository even when it is remembered, so that a yes costs what a no costs. */
  readonly readsAnew?: boolean;
}

/**
 * Decides whether the principal may do what it asks. Rejects when the policies cannot be read: nobody lives on yesterday's permissions.
 * Throws AuthFault where AWS does not take temporary credentials at all.
 */
export async function authorize(access: Access, principal: Principal, ask: Ask): Promise<Decision> {
  const limited = limitOfSession(principal, ask);
  if (limited !== undefined) return limited;
  const found = access.resources.find(ask.resource, ask.action, askerOf(principal, ask));
  let standing = found instanceof Promise ? await found : found;
  if (ask.readsAnew === true) standing = (await standing.again?.()) ?? standing;
  let decision = decide(access, principal, ask, standing);
  // Only what exists is remembered. Were a denial decided by memory alone, it would come sooner where there is something to hide.
  if (!decision.allowed && standing.again !== undefined) {
    standing = await standing.again();
    decision = decide(access, principal, ask, standing);
  }
  if (decision.allowed || standing.findGrant === undefined) return decision;
  // A grant only adds permission, so it is looked for only where something is missing; a Deny stays one.
  const granted = await standing.findGrant(principal.caller, ask.keys ?? {});
  return granted ? decide(access, principal, ask, { ...standing, granted }) : decision;
}

/** Decides as if the repository that is asked for had this policy already: for not locking oneself out. */
export async function authorizeUnder(
  access: Access,
  principal: Principal,
  ask: Ask,
  policy: { readonly document: string; readonly principals: Readonly<Record<string, string>> },
): Promise<Decision> {
  const standing = await access.resources.find(ask.resource, ask.action, askerOf(principal, ask));
  const next = access.policies.ofResource(ask.resource, policy.document, policy.principals);
  return decide(access, principal, ask, { ...standing, policies: [next] });
}

function askerOf({ kind, accountId }: Principal, { region }: Ask): Parameters<Access["resources"]["find"]>[2] {
  return { accountId, region, isRoot: kind === "root" };
}

function decide(access: Access, principal: Principal, ask: Ask, standing: ResourceStanding): Decision {
  const tags = ask.keys?.[namedTagKey];
  if (tags === undefined || typeof tags === "string") return decideOne(access, principal, ask, standing, tags);
  // A condition without a set operator holds for no set, so a Deny on one tag would not see it among others.
  let decision = decideOne(access, principal, ask, standing, tags[0] ?? noTag);
  for (let at = 1; decision.allowed && at < tags.length; at += 1) decision = decideOne(access, principal, ask, standing, tags[at]);
  return decision;
}

function decideOne(access: Access, principal: Principal, ask: Ask, standing: ResourceStanding, tag: string | undefined): Decision {
  const { action, resource, region, origin } = ask;
  const { caller, grants } = principal;
  const resourceAccountId = standing.ownerAccountId ?? ownerOf(resource) ?? principal.accountId;
  const context = new RequestKeys({
    principal: principal.keys,
    request: ask.keys,
    tag: tag === noTag ? undefined : tag,
    resourceTags: standing.tags,
    resourceAccountId,
    region,
    origin,
    now: access.clock.now(),
  });
  const result = evaluate({
    caller,
    action,
    resource,
    resourceAccountId,
    context,
    identityPolicies: grants.identity,
    ...(grants.boundary !== undefined && { boundary: grants.boundary }),
    ...(grants.session !== undefined && { sessionPolicies: grants.session }),
    resourcePolicies: standing.policies,
    resourceRule: standing.rule,
    ...(standing.granted !== undefined && { granted: standing.granted }),
  });
  const { statements } = result;
  if (result.allowed) return { allowed: true, statements };
  const { explicit, missing } = result;
  const denial: Denial = { principal, action, resource, resourceAccountId, context, explicit, statements, missing };
  return { allowed: false, message: denialMessage({ caller, action, resource: ask.shownAs ?? resource }, result), statements, denial };
}

const identityAction = "iam:";
const sessionAction = "sts:";
/** What is left of STS to credentials of GetSessionToken: to ask who they are, and to take a role. */
const tokenSessionActions: ReadonlySet<string> = new Set([
  "sts:GetCallerIdentity",
  "sts:AssumeRole",
  "sts:TagSession",
  "sts:SetSourceIdentity",
]);
const longTermOnly: ReadonlySet<string> = new Set(["sts:GetSessionToken", "sts:GetFederationToken"]);

/**
 * What temporary credentials cannot do, whatever policies say (IAM User Guide, "Compare AWS STS credentials"): new ones of the same kind;
 * federated users no IAM and nothing of STS but asking who they are; credentials of GetSessionToken no IAM without MFA, which there is not.
 */
function limitOfSession(principal: Principal, ask: Ask): Decision | undefined {
  const { action, resource } = ask;
  const { session, caller } = principal;
  if (session === undefined) return undefined;
  if (longTermOnly.has(action))
    return denySession(principal, ask, `Cannot call ${action.slice(sessionAction.length)} with session credentials`);
  if (session.kind === "role") return undefined;
  const isIdentityAction = action.startsWith(identityAction);
  if (session.kind !== "federated" && isIdentityAction) throw new AuthFault("unrecognized-client");
  const isLeft = session.kind === "federated" ? action === "sts:GetCallerIdentity" : tokenSessionActions.has(action);
  if (isLeft || !(isIdentityAction || action.startsWith(sessionAction))) return undefined;
  return denySession(principal, ask, denialMessage({ caller, action, resource }, { ...limitedSession, cause: "session" }));
}

const limitedSession = { allowed: false, explicit: false, statements: [], missing: ["session"] } as const;

function denySession(principal: Principal, { action, resource }: Ask, message: string): Decision {
  const { explicit, statements, missing } = limitedSession;
  const resourceAccountId = ownerOf(resource) ?? principal.accountId;
  const context = contextKeys(Object.entries(principal.keys));
  return {
    allowed: false,
    message,
    statements,
    denial: { principal, action, resource, resourceAccountId, context, explicit, statements, missing },
  };
}

/** The account of an ARN, which owns what it names; undefined for what is everybody's: `*`, and policies that AWS manages. */
function ownerOf(resource: string): string | undefined {
  if (resource === "*") return undefined;
  // `arn:<partition>:<service>:<region>:<account>:<resource>`; anything else is nobody's, and so not the caller's.
  if (!resource.startsWith("arn:")) return "";
  let start = 0;
  for (let colons = 0; colons < 4; colons += 1) {
    start = resource.indexOf(":", start) + 1;
    if (start === 0) return "";
  }
  const end = resource.indexOf(":", start);
  const account = end === -1 ? "" : resource.slice(start, end);
  return account === "aws" && resource.startsWith("arn:aws:iam::aws:policy/") ? undefined : account;
}
