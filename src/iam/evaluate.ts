/**
 * The one decision (IAM User Guide, "Policy evaluation logic"): identity policies, permissions boundary, session policies and resource
 * policies against one request. Pure: what it is not told it does not know.
 *
 * Invariants: nothing is allowed that no policy allows, except root in its own account and the two actions that AWS lets nobody forbid; an
 * explicit Deny in any policy beats every Allow.
 */
import { hasAccount } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { holdsConditions, matchesAction, matchesResource, requestedResource } from "./compile.ts";
import type { CompiledPolicy, CompiledStatement, RequestedResource } from "./compile.ts";
import type { ContextKeys } from "./context.ts";
import { byIssuer, byItself, isLeftOut, namingOf, unnamed } from "./principal.ts";
import type { Naming } from "./principal.ts";

/** Everything that a decision depends on. */
export interface EvaluationRequest {
  readonly caller: Caller;
  /** For example `ecr:PutImage`; case does not matter. */
  readonly action: string;
  /** An ARN, or `*` where the action has no resource. */
  readonly resource: string;
  /** The account that owns the resource; for `*` the caller's own. */
  readonly resourceAccountId: string;
  readonly context: ContextKeys;
  readonly identityPolicies: readonly CompiledPolicy[];
  readonly boundary?: CompiledPolicy;
  /** Present, even if empty: the session is limited by them. */
  readonly sessionPolicies?: readonly CompiledPolicy[];
  /** Repository and registry policies, a key policy, or a trust policy. */
  readonly resourcePolicies: readonly CompiledPolicy[];
  /** `grants`: one more source of permission (repositories, secrets). `must-allow`: nothing goes without it (role trust, KMS keys). */
  readonly resourceRule: "grants" | "must-allow";
  /**
   * A KMS grant covers this request: a further source of permission, never against a Deny. It is worth as much as a resource policy that
   * names the user, or for a session its role.
   */
  readonly granted?: boolean;
}

/** The kind of policy that a denial comes from. */
export type DenialCause = "identity" | "boundary" | "session" | "resource" | "trust";

/** A statement that decided: the policy's name, the statement's place in it counted from 0, and its Sid. */
export interface DecidingStatement {
  readonly policy: string;
  readonly statement: number;
  readonly sid?: string;
  readonly effect: "Allow" | "Deny";
}

/** The decision and why. */
export type Evaluation =
  | {
      readonly allowed: true;
      /** One Allow of each kind of policy that was needed. */
      readonly statements: readonly DecidingStatement[];
    }
  | {
      readonly allowed: false;
      /** Was there a Deny? Otherwise an Allow was missing. */
      readonly explicit: boolean;
      /** What messages name: of several kinds of policy the first in the order identity, boundary, session, resource. */
      readonly cause: DenialCause;
      /** The Deny statements that matched, those of the cause first; none where an Allow was missing. */
      readonly statements: readonly DecidingStatement[];
      /** The kinds of policy that would have had to allow. */
      readonly missing: readonly DenialCause[];
    };

/** What AWS lets nobody be forbidden: to ask who they are, and to turn long-term credentials into temporary ones. */
const alwaysAllowed = new Set(["sts:getcalleridentity", "sts:getsessiontoken"]);
/** Root may always repair the policy of its own repository, or one careless Deny would lock everybody out. */
const breakGlass = new Set(["ecr:getrepositorypolicy", "ecr:setrepositorypolicy", "ecr:deleterepositorypolicy"]);

/** The request with what every statement asks for made ready. */
interface Frame {
  readonly request: EvaluationRequest;
  readonly action: string;
  readonly resource: RequestedResource;
}

const none: readonly CompiledPolicy[] = [];

/**
 * Decides whether the caller may perform the action on the resource. Never throws. The time is bounded by the size of the policies times the
 * length of the texts that they are compared with.
 */
export function evaluate(request: EvaluationRequest): Evaluation {
  const action = request.action.toLowerCase();
  if (alwaysAllowed.has(action)) return { allowed: true, statements: [] };
  const frame: Frame = { request, action, resource: requestedResource(request.resource) };
  return findDenial(frame) ?? weighAllows(frame);
}

function findDenial(frame: Frame): Evaluation | undefined {
  const { request, action } = frame;
  const { caller } = request;
  const statements: DecidingStatement[] = [];
  let cause: DenialCause | undefined;
  const look = (policies: readonly CompiledPolicy[], kind: DenialCause): void => {
    for (const policy of policies) {
      for (const statement of policy.denies) {
        const isAboutCaller = kind === "resource" ? denies(statement, request) : statement.principals === undefined;
        if (!isAboutCaller || !applies(frame, statement)) continue;
        cause ??= kind === "resource" ? resourceCause(frame) : kind;
        statements.push(statement.deciding);
      }
    }
  };
  // Nothing in its own account limits root but a resource policy, and a session policy where it asked for one.
  if (caller.kind !== "root") {
    look(request.identityPolicies, "identity");
    if (request.boundary !== undefined) look([request.boundary], "boundary");
  }
  if (request.sessionPolicies !== undefined) look(request.sessionPolicies, "session");
  const isRepair = caller.kind === "root" && caller.accountId === request.resourceAccountId && breakGlass.has(action);
  look(isRepair ? none : request.resourcePolicies, "resource");
  return cause === undefined ? undefined : { allowed: false, explicit: true, cause, statements, missing: [] };
}

/** Is the Deny of a resource policy meant for the caller? */
function denies({ principals }: CompiledStatement, { caller, boundary }: EvaluationRequest): boolean {
  if (principals === undefined) return false;
  if (!principals.isNegated) return namingOf(principals, caller) !== unnamed;
  // AWS documents that NotPrincipal with Deny always hits a principal that has a permissions boundary.
  return boundary !== undefined || !isLeftOut(principals, caller);
}

function weighAllows(frame: Frame): Evaluation {
  const { request } = frame;
  const { caller, resourceAccountId, boundary, sessionPolicies } = request;
  const statements: DecidingStatement[] = [];
  const naming = weighResourcePolicies(frame, statements);
  if (!hasAccount(caller)) return naming === byItself ? { allowed: true, statements } : denial([resourceCause(frame)]);
  const isOwn = caller.accountId === resourceAccountId;
  if (isOwn && naming === byItself) return { allowed: true, statements };
  const missing: DenialCause[] = [];
  const need = (policies: readonly CompiledPolicy[], kind: DenialCause): void => {
    const allow = firstAllow(frame, policies);
    if (allow === undefined) missing.push(kind);
    else statements.push(allow.deciding);
  };
  if (caller.kind !== "root") {
    const isOfRoot = caller.kind === "federated" && caller.issuer.kind === "root";
    if (!isOfRoot && !(isOwn && naming === byIssuer)) need(request.identityPolicies, "identity");
    if (boundary !== undefined) need([boundary], "boundary");
    // A federated user has what its session policies allow, and without any it has nothing.
    if (sessionPolicies !== undefined || caller.kind === "federated") need(sessionPolicies ?? none, "session");
  }
  const mustBeNamed = !isOwn || request.resourceRule === "must-allow";
  if (mustBeNamed && naming === unnamed) missing.push(resourceCause(frame));
  return missing.length > 0 ? denial(missing) : { allowed: true, statements };
}

function denial(missing: readonly DenialCause[]): Evaluation {
  return { allowed: false, explicit: false, cause: missing[0] ?? "identity", statements: [], missing };
}

/** A policy that must allow an STS action is a role's trust policy. */
function resourceCause({ request, action }: Frame): DenialCause {
  return request.resourceRule === "must-allow" && action.startsWith("sts:") ? "trust" : "resource";
}

/** The closest naming of the caller by an Allow of the resource policies; adds the statement that has it. */
function weighResourcePolicies(frame: Frame, statements: DecidingStatement[]): Naming {
  const { caller, resourcePolicies, granted } = frame.request;
  let best: Naming = unnamed;
  let deciding: DecidingStatement | undefined;
  for (const policy of resourcePolicies) {
    for (const statement of policy.allows) {
      const naming = allowedNaming(statement, caller);
      if (naming <= best || !applies(frame, statement)) continue;
      best = naming;
      deciding = statement.deciding;
    }
  }
  if (granted === true) {
    const worth = caller.kind === "role-session" || caller.kind === "federated" ? byIssuer : byItself;
    if (worth > best) return worth;
  }
  if (deciding !== undefined) statements.push(deciding);
  return best;
}

/** What an Allow of a resource policy is worth to the caller. NotPrincipal names everyone whom it does not list. */
function allowedNaming({ principals }: CompiledStatement, caller: Caller): Naming {
  if (principals === undefined) return unnamed;
  const naming = namingOf(principals, caller);
  return principals.isNegated ? (naming === unnamed ? byItself : unnamed) : naming;
}

/** The first Allow in policies of the caller's side, where statements have no Principal. */
function firstAllow(frame: Frame, policies: readonly CompiledPolicy[]): CompiledStatement | undefined {
  for (const policy of policies) {
    for (const statement of policy.allows) if (statement.principals === undefined && applies(frame, statement)) return statement;
  }
  return undefined;
}

function applies({ request, action, resource }: Frame, statement: CompiledStatement): boolean {
  return (
    matchesAction(statement, action) && matchesResource(statement, resource, request.context) && holdsConditions(statement, request.context)
  );
}
