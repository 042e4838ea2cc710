/**
 * Why a request was denied, sealed, for whoever may ask STS to decode it (STS API Reference, DecodeAuthorizationMessage). ECR's error texts carry
 * no such message and stay as they are, so it travels in a response header of its own. It says what the audit record says, and no secret.
 */
import { readJson } from "#std/json.ts";
import type { ContextKeys } from "#iam/context.ts";
import type { DecidingStatement, DenialCause } from "#iam/evaluate.ts";
import type { Sealer } from "#sealing/sealer.ts";
import { assert } from "#std/assert.ts";
import type { Clock } from "#std/clock.ts";
import type { Principal } from "./principal.ts";

/** The response header of a denial, on both planes. */
export const authorizationMessageHeader = "x-supercargo-authorization-message";

/** Everything that a denial hung on. Holds only what the decision had at hand: nothing is made until somebody encodes it. */
export interface Denial {
  readonly principal: Principal;
  readonly action: string;
  readonly resource: string;
  /** Empty where the resource is nobody's. */
  readonly resourceAccountId: string;
  readonly context: ContextKeys;
  /** Was there a Deny? */
  readonly explicit: boolean;
  /** The Deny statements that matched. */
  readonly statements: readonly DecidingStatement[];
  /** The kinds of policy that would have had to allow. */
  readonly missing: readonly DenialCause[];
}

/** A list as AWS's decoded messages write it. */
interface Items<T> {
  readonly items: readonly T[];
}

/** A decoded message: AWS's members, and after them ours. */
export interface DecodedMessage {
  readonly allowed: false;
  readonly explicitDeny: boolean;
  readonly matchedStatements: Items<{
    readonly statementId: string;
    readonly effect: "DENY";
    /** The policy's name, and the statement's place in it counted from 0. */
    readonly policy: string;
    readonly statement: number;
  }>;
  readonly failures: Items<never>;
  readonly context: {
    readonly principal: { readonly id: string; readonly name?: string; readonly arn: string };
    readonly action: string;
    readonly resource: string;
    readonly conditions: Items<{ readonly key: string; readonly values: Items<{ readonly value: string }> }>;
  };
  /** The kinds of policy that would have had to allow: `identity`, `boundary`, `session`, `resource`, `trust`. Empty where a Deny decided. */
  readonly missing: Items<{ readonly value: string }>;
  /** Statements or conditions were left out, because a header has only so much room. */
  readonly truncated: boolean;
}

/** What seals and opens messages. */
interface MessageSealing {
  readonly sealer: Sealer;
  readonly clock: Clock;
}

type SealedStatement = readonly [policy: string, statement: number, sid: string, isOfPrincipal: boolean];
type SealedCondition = readonly [key: string, ...values: string[]];

/** What is sealed, as JSON. */
interface SealedMessage {
  readonly form: number;
  readonly at: number;
  readonly caller: string;
  readonly owner: string;
  readonly explicit: boolean;
  readonly principal: DecodedMessage["context"]["principal"];
  readonly action: string;
  readonly resource: string;
  readonly missing: readonly string[];
  readonly statements: readonly SealedStatement[];
  readonly conditions: readonly SealedCondition[];
  readonly truncated: boolean;
  /** The same of what only the resource's account may see. */
  readonly tagsTruncated: boolean;
}

const purpose = "authorization-message";
const form = 1;
/**
 * Every message has the same size: 3,072 characters once sealed. Otherwise its length would tell, without decoding it, whether the repository
 * that was denied has tags and a policy, and so whether it exists. Proxies commonly have 4 KiB for all headers of an answer.
 */
const plainBytes = 2_255;
/** AWS says that messages expire and not when. A week: who was denied on Friday evening is helped on Monday. */
const lifetimeMs = 604_800_000;
/** A URL may have secrets in its query, and the audit record does not have this one either. */
const leftOut: ReadonlySet<string> = new Set(["aws:referer"]);
const resourceTagKey = /:resourcetag\//;
/** Longer than an account's number, so that no other text ends up as one. */
const most = { account: 16, id: 128, name: 64, arn: 640, action: 128, resource: 640, policy: 256 } as const;

/** Seals what a denial hung on. What does not fit is left out. */
export function encodeAuthorizationMessage({ sealer, clock }: MessageSealing, denial: Denial): string {
  const { principal, action, resource, explicit, missing } = denial;
  const name = principal.kind === "user" ? shortened(String(principal.keys["aws:username"] ?? ""), most.name) : "";
  const allStatements = statementsOf(denial);
  const { conditions: allConditions, tags: allTags } = conditionsOf(denial.context);
  const bare: SealedMessage = {
    form,
    at: clock.now(),
    caller: principal.accountId,
    owner: shortened(denial.resourceAccountId, most.account),
    explicit,
    principal: { id: shortened(principal.principalId, most.id), ...(name !== "" && { name }), arn: shortened(principal.arn, most.arn) },
    action: shortened(action, most.action),
    resource: shortened(resource, most.resource),
    missing,
    statements: [],
    conditions: [],
    truncated: false,
    tagsTruncated: false,
  };
  const statements = fitting(allStatements, plainBytes - JSON.stringify(bare).length);
  const conditions = fitting(allConditions, statements.left);
  // Last, so that whoever may not see them cannot tell from what else was left out that they are there.
  const tags = fitting(allTags, conditions.left);
  const said: SealedMessage = {
    ...bare,
    statements: statements.kept,
    conditions: [...conditions.kept, ...tags.kept],
    truncated: statements.kept.length < allStatements.length || conditions.kept.length < allConditions.length,
    tagsTruncated: tags.kept.length < allTags.length,
  };
  const text = JSON.stringify(said);
  const plain = Buffer.alloc(plainBytes, " ");
  assert(plain.write(text) === Buffer.byteLength(text), "an authorization message fits");
  return sealer.seal(purpose, plain);
}

/**
 * What a message says to somebody of an account, or undefined when it is none of ours, is older than a week, or is about neither a caller nor
 * a resource of that account. The caller's account learns nothing of what stands on another account's resource: tags, and a policy's statements.
 */
export function decodeAuthorizationMessage(
  { sealer, clock }: MessageSealing,
  message: string,
  readerAccountId: string,
): DecodedMessage | undefined {
  const plain = sealer.open(purpose, message);
  if (plain === undefined) return undefined;
  const said = readJson(Buffer.from(plain).toString("utf8")) as SealedMessage;
  // A later version of this program may seal another form; this one must not read it halfway.
  if (said.form !== form || clock.now() >= said.at + lifetimeMs) return undefined;
  const isOwner = readerAccountId === said.owner;
  if (!isOwner && readerAccountId !== said.caller) return undefined;
  const statements = said.statements.filter(([, , , isOfPrincipal]) => isOwner || isOfPrincipal);
  const conditions = said.conditions.filter(([key]) => isOwner || !resourceTagKey.test(key));
  const { explicit, principal, action, resource, missing } = said;
  return {
    allowed: false,
    explicitDeny: explicit,
    matchedStatements: {
      items: statements.map(([policy, statement, statementId]) => ({ statementId, effect: "DENY", policy, statement })),
    },
    failures: { items: [] },
    context: {
      principal,
      action,
      resource,
      conditions: { items: conditions.map(([key, ...values]) => ({ key, values: itemsOf(values) })) },
    },
    missing: itemsOf(missing),
    truncated: said.truncated || (isOwner && said.tagsTruncated),
  };
}

function itemsOf(values: readonly string[]): Items<{ readonly value: string }> {
  return { items: values.map((value) => ({ value })) };
}

function statementsOf({ principal, statements }: Denial): readonly SealedStatement[] {
  const { identity, boundary, session = [] } = principal.grants;
  const policies = [...identity, ...(boundary === undefined ? [] : [boundary]), ...session];
  const own = new Set(policies.flatMap(({ denies }) => denies.map(({ deciding }) => deciding)));
  return statements.map((decided) => [shortened(decided.policy, most.policy), decided.statement, decided.sid ?? "", own.has(decided)]);
}

function conditionsOf(context: ContextKeys): Readonly<Record<"conditions" | "tags", readonly SealedCondition[]>> {
  const all = Array.from(context, ([key, value]): SealedCondition => [key, ...[value].flat()]).filter(([key]) => !leftOut.has(key));
  return { conditions: all.filter(([key]) => !resourceTagKey.test(key)), tags: all.filter(([key]) => resourceTagKey.test(key)) };
}

/** The items of which the JSON fits into so many bytes together, commas counted, and the bytes that are left. */
function fitting<T>(items: readonly T[], bytes: number): { readonly kept: readonly T[]; readonly left: number } {
  let left = bytes;
  const kept = items.filter((item) => {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (size > left) return false;
    left -= size;
    return true;
  });
  return { kept, left };
}

/** So that every character is a byte of JSON. Names and ARNs that exist have no others. */
function shortened(text: string, length: number): string {
  return text.slice(0, length).replaceAll(/[^\x20-\x7e]|["\\]/g, "?");
}
