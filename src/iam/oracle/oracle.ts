/**
 * A second, independent reading of AWS's policy evaluation logic, for tests alone: it interprets the JSON of the policies directly, knows
 * neither compilation nor speed, and is held against the real engine. After the IAM user guide: "Policy evaluation logic", "Policy
 * evaluation for requests within a single account", "Cross-account policy evaluation logic", "AWS JSON policy elements: Principal" and
 * "… NotPrincipal". No production file may import it.
 */
import type { Caller } from "../caller.ts";
import { conditionHolds } from "./oracle-conditions.ts";
import type { Condition } from "./oracle-conditions.ts";
import { arnSegments, arnTexts, matches, readPattern, segmentsMatch } from "./oracle-patterns.ts";
import type { Keys, Pattern } from "./oracle-patterns.ts";

/** A statement as the policy's JSON has it. */
export interface OracleStatement {
  readonly Sid?: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: OraclePrincipal;
  readonly NotPrincipal?: OraclePrincipal;
  readonly Action?: string | readonly string[];
  readonly NotAction?: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly NotResource?: string | readonly string[];
  readonly Condition?: Condition;
}

type OraclePrincipal = "*" | Readonly<Record<string, string | readonly string[]>>;

/** A policy as its JSON has it. */
export interface OraclePolicy {
  readonly Version?: string;
  readonly Statement: OracleStatement | readonly OracleStatement[];
}

/** What a case expects. */
export type Expectation =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly explicit: boolean; readonly cause: "identity" | "boundary" | "session" | "resource" | "trust" };

/** A question to the decision function as the case files put it: everything but `id`, `why` and `expect`. */
export interface OracleRequest {
  readonly caller: Caller;
  readonly action: string;
  readonly resource: string;
  readonly resourceAccountId: string;
  readonly context: Readonly<Record<string, string | readonly string[]>>;
  readonly identity: readonly OraclePolicy[];
  readonly boundary?: OraclePolicy;
  readonly session?: readonly OraclePolicy[];
  readonly resourcePolicy?: OraclePolicy;
  readonly resourceRule: "grants" | "must-allow";
  /** A grant of the key covers the request; case files have none. */
  readonly granted?: boolean;
}

/** How a resource policy names the caller: itself, the role or user that its session comes from, or only its account. */
type Level = "direct" | "issuer" | "account";
const levels: readonly Level[] = ["direct", "issuer", "account"];

/** What the policies of one kind say together: a matching Deny, else the strongest matching Allow, else nothing. */
type Verdict = "deny" | Level | "silent";

/** Decides as AWS documents it. */
export function decide(request: OracleRequest): Expectation {
  if (["sts:getcalleridentity", "sts:getsessiontoken"].includes(request.action.toLowerCase())) return { allowed: true };
  const isRoot = request.caller.kind === "root";
  const identity = isRoot ? "silent" : verdict(request.identity, request);
  const boundary = isRoot || request.boundary === undefined ? "absent" : verdict([request.boundary], request);
  const session = sessionVerdict(request);
  const resource = withGrant(verdict(request.resourcePolicy === undefined ? [] : [request.resourcePolicy], request), request);
  const resourceCause = request.resourceRule === "must-allow" && request.action.startsWith("sts:") ? "trust" : "resource";

  if (identity === "deny") return { allowed: false, explicit: true, cause: "identity" };
  if (boundary === "deny") return { allowed: false, explicit: true, cause: "boundary" };
  if (session === "deny") return { allowed: false, explicit: true, cause: "session" };
  if (resource === "deny" && !isRepair(request)) return { allowed: false, explicit: true, cause: resourceCause };
  const account = "accountId" in request.caller ? request.caller.accountId : undefined;
  const isOwnAccount = account === request.resourceAccountId;
  if (account === undefined) return resource === "direct" ? { allowed: true } : implicitly(resourceCause);
  if (isOwnAccount && resource === "direct") return { allowed: true };

  const viaIssuer = isOwnAccount && resource === "issuer";
  if (identity === "silent" && !viaIssuer && !hasRootsPower(request.caller)) return implicitly("identity");
  if (boundary === "silent") return implicitly("boundary");
  if (session === "silent" && !isRoot) return implicitly("session");
  const needsResourceAllow = !isOwnAccount || request.resourceRule === "must-allow";
  return needsResourceAllow && resource === "silent" ? implicitly(resourceCause) : { allowed: true };
}

const implicitly = (cause: "identity" | "boundary" | "session" | "resource" | "trust"): Expectation => ({
  allowed: false,
  explicit: false,
  cause,
});

/** The owner's root must be able to look at a repository policy that locks everybody out, and to mend it. */
const isRepair = ({ caller, action, resourceAccountId }: OracleRequest): boolean =>
  caller.kind === "root" &&
  caller.accountId === resourceAccountId &&
  ["ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"].includes(action);

/** Root needs no identity policy; a federated session that root issued has root's power within its session policies. */
const hasRootsPower = (caller: Caller): boolean => caller.kind === "root" || (caller.kind === "federated" && caller.issuer.kind === "root");

/** A federated session without a session policy has nothing. */
function sessionVerdict(request: OracleRequest): Verdict | "absent" {
  if (request.session !== undefined) return verdict(request.session, request);
  return request.caller.kind === "federated" ? "silent" : "absent";
}

/** A key's grant speaks to a user itself and to a session's issuer, as a key policy would that names what can be granted to. */
function withGrant(written: Verdict, { caller, granted }: OracleRequest): Verdict {
  if (granted !== true || written === "deny" || written === "direct") return written;
  return caller.kind === "role-session" || caller.kind === "federated" ? "issuer" : "direct";
}

function verdict(policies: readonly OraclePolicy[], request: OracleRequest): Verdict {
  const matching = policies.flatMap((policy) =>
    list(policy.Statement).map((statement) => ({ effect: statement.Effect, level: statementLevel(statement, policy, request) })),
  );
  if (matching.some(({ effect, level }) => effect === "Deny" && level !== undefined)) return "deny";
  return levels.find((wanted) => matching.some(({ effect, level }) => effect === "Allow" && level === wanted)) ?? "silent";
}

/** At which level the statement reaches the request; undefined when it does not. A statement without principals is the caller's own. */
function statementLevel(statement: OracleStatement, policy: OraclePolicy, request: OracleRequest): Level | undefined {
  const variables = policy.Version === "2012-10-17";
  const keys: Keys = new Map(Object.entries(request.context).map(([key, value]) => [key.toLowerCase(), value]));
  const isAbout = (patterns: string | readonly string[]): boolean =>
    list(patterns).some((pattern) => resourceMatches(pattern, statement, request.resource, { keys, variables }));
  const covers = (patterns: string | readonly string[]): boolean =>
    list(patterns).some((pattern) => actionMatches(pattern, request.action));

  if (statement.Action !== undefined && !covers(statement.Action)) return undefined;
  if (statement.NotAction !== undefined && covers(statement.NotAction)) return undefined;
  if (statement.Resource !== undefined && !isAbout(statement.Resource)) return undefined;
  if (statement.NotResource !== undefined && isAbout(statement.NotResource)) return undefined;
  if (!conditionHolds(statement.Condition ?? {}, keys, variables)) return undefined;
  if (statement.Principal !== undefined) return principalLevel(statement.Principal, request.caller);
  if (statement.NotPrincipal !== undefined) return excludes(statement.NotPrincipal, statement.Effect, request) ? undefined : "direct";
  return "direct";
}

/** What is neither `*` nor one service and one name matches no action. */
function actionMatches(pattern: string, action: string): boolean {
  if (pattern !== "*" && !/^[^\s,:]+:[^\s,:]+$/.test(pattern)) return false;
  const symbols = readPattern(pattern.toLowerCase(), new Map(), { variables: false, wildcards: true });
  return symbols !== undefined && matches(symbols, action.toLowerCase());
}

/** Variables stand only behind the fifth colon. In a policy without principals, segments that are left out at the end count as `*`. */
function resourceMatches(
  pattern: string,
  statement: OracleStatement,
  resource: string,
  { keys, variables }: { keys: Keys; variables: boolean },
): boolean {
  if (pattern === "*") return true;
  const texts = arnTexts(resource);
  const [, head = "", tail] = /^((?:[^:]*:){5})?([^]*)$/.exec(pattern) ?? [];
  const headSymbols = readPattern(head, keys, { variables: false, wildcards: true });
  const tailSymbols = readPattern(tail ?? "", keys, { variables: variables && head !== "", wildcards: true });
  if (texts === undefined || headSymbols === undefined || tailSymbols === undefined) return false;
  const segments = head === "" ? arnSegments(tailSymbols) : [...arnSegments(headSymbols).slice(0, 5), tailSymbols];
  const isOfResource = statement.Principal !== undefined || statement.NotPrincipal !== undefined;
  const mayBeShort = !isOfResource || /[*?]/.test(pattern);
  const implied = mayBeShort ? texts.slice(segments.length).map((): Pattern => ["run"]) : [];
  return segmentsMatch([...segments, ...implied], texts);
}

function principalLevel(principal: OraclePrincipal, caller: Caller): Level | undefined {
  const named = principal === "*" ? [{ type: "AWS", name: "*" }] : entriesOf(principal);
  const reached = named.map(({ type, name }) => nameLevel(type, name, caller));
  return levels.find((level) => reached.includes(level));
}

const entriesOf = (principal: Readonly<Record<string, string | readonly string[]>>): { type: string; name: string }[] =>
  Object.entries(principal).flatMap(([type, names]) => list(names).map((name) => ({ type, name })));

function nameLevel(type: string, name: string, caller: Caller): Level | undefined {
  if (type === "AWS" && name === "*") return "direct";
  if (caller.kind === "service") return type === "Service" && name === caller.service ? "direct" : undefined;
  if (caller.kind === "web-identity") return type === "Federated" && name === caller.providerArn ? "direct" : undefined;
  if (caller.kind === "anonymous" || type !== "AWS") return undefined;
  if (name === caller.arn || ("uniqueId" in caller && caller.kind === "user" && name === caller.uniqueId)) return "direct";
  if (issuerNames(caller).includes(name)) return "issuer";
  if (accountNames(caller.accountId).includes(name)) return caller.kind === "root" ? "direct" : "account";
  return undefined;
}

const accountNames = (accountId: string): string[] => [accountId, `arn:aws:iam::${accountId}:root`];

/** The names of the role or user behind a session. Root behind a federated session is the account's own name. */
function issuerNames(caller: Caller): string[] {
  if (caller.kind === "role-session") return [caller.roleArn, caller.uniqueId];
  if (caller.kind === "federated" && caller.issuer.kind === "user") return [caller.issuer.arn, caller.issuer.uniqueId];
  return [];
}

/**
 * Does the NotPrincipal list take the caller out? From an Allow, any entry that reaches the caller does. From a Deny only the full list of
 * the caller, what issued its session and its account does, and nothing does for a principal with a permissions boundary.
 */
function excludes(listed: OraclePrincipal, effect: "Allow" | "Deny", request: OracleRequest): boolean {
  const { caller } = request;
  if (effect === "Allow") return principalLevel(listed, caller) !== undefined;
  if (request.boundary !== undefined) return false;
  const entries = listed === "*" ? [{ type: "AWS", name: "*" }] : entriesOf(listed);
  const reached = entries.map(({ type, name }) => nameLevel(type, name, caller));
  if (entries.some(({ type, name }) => type === "AWS" && name === "*")) return true;
  if (!("accountId" in caller) || caller.kind === "root") return reached.includes("direct");
  const needsIssuer = issuerNames(caller).length > 0;
  return reached.includes("direct") && reached.includes("account") && (!needsIssuer || reached.includes("issuer"));
}

function list<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}
