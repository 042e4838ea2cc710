/** A report of an account: its users, groups, roles and policies with everything that decides what they may do. */
import { listIdentitiesOfKinds, readIdentityDetails } from "#metadata/identity-details.ts";
import type { IdentityDetail } from "#metadata/identity-details.ts";
import type { IdentityKind } from "#metadata/identity-rows.ts";
import { countPolicyUses } from "#metadata/managed-policies.ts";
import { findRoles } from "#metadata/roles.ts";
import { awsManagedPolicies } from "./aws-managed-policies.ts";
import type { IdentityContext } from "./context.ts";
import { awsPolicyReport, ownPolicyReport } from "./managed-policy.ts";
import type { PolicyReport } from "./managed-policy.ts";
import { showRoles } from "./role.ts";
import type { RoleDetails } from "./role.ts";

/** What a report may have in it. */
export type ReportedKind = "user" | "group" | "role" | "own-policy" | "aws-policy";

/** A role in a report, with the role as it is shown. */
export interface RoleReport extends IdentityDetail {
  readonly role: RoleDetails;
}

/** A page of a report; `next` is its last place when there is more. */
export interface AuthorizationReport {
  readonly users: readonly IdentityDetail[];
  readonly groups: readonly IdentityDetail[];
  readonly roles: readonly RoleReport[];
  readonly policies: readonly PolicyReport[];
  readonly next: string | undefined;
}

/** Documents are long: a page ends early when it has so many characters of them, and never has more entries than this. */
const pageCharacters = 1_000_000;
const pageEntries = 100;
/** So many are read at once. */
const batchSize = 20;
const ownMark = "own ";
const awsMark = "aws ";
const rowKinds: Readonly<Record<Exclude<ReportedKind, "aws-policy">, IdentityKind>> = {
  user: "user",
  group: "group",
  role: "role",
  "own-policy": "policy",
};

/** A page of the report: groups, policies, roles and users of the account, and then the policies of AWS that they use. */
export async function reportAuthorization(
  ctx: IdentityContext,
  input: { readonly kinds: ReadonlySet<ReportedKind>; readonly after: string | undefined; readonly limit: number },
): Promise<AuthorizationReport> {
  const limit = Math.min(input.limit, pageEntries);
  const { after } = input;
  const isPastOwn = after?.startsWith(awsMark) === true;
  const own = isPastOwn ? { details: [], next: undefined } : await readOwn(ctx, input.kinds, after?.slice(ownMark.length), limit);
  const of = (kind: IdentityKind): readonly IdentityDetail[] => own.details.filter(({ identity }) => identity.kind === kind);
  const room = own.next === undefined && input.kinds.has("aws-policy") ? limit - own.details.length : undefined;
  const aws = room === undefined ? undefined : await readAws(ctx, isPastOwn ? after.slice(awsMark.length) : "", room);
  return {
    users: of("user"),
    groups: of("group"),
    roles: await roleReports(ctx, of("role")),
    policies: [...(await ownPolicyReport(ctx, of("policy"))), ...(aws?.policies ?? [])],
    next: own.next ?? aws?.next,
  };
}

/** Places are `own <kind> <name>`. */
async function readOwn(
  ctx: IdentityContext,
  reported: ReadonlySet<ReportedKind>,
  after: string | undefined,
  limit: number,
): Promise<{ readonly details: readonly IdentityDetail[]; readonly next: string | undefined }> {
  const { metadata } = ctx.core;
  const kinds = [...reported].flatMap((kind) => (kind === "aws-policy" ? [] : [rowKinds[kind]]));
  const details: IdentityDetail[] = [];
  if (kinds.length === 0) return { details, next: undefined };
  const [kind, name] = after?.split(" ") ?? [];
  let last = kind === undefined || name === undefined ? undefined : { kind: kind as IdentityKind, name };
  let characters = 0;
  while (details.length < limit && characters < pageCharacters) {
    const size = Math.min(batchSize, limit - details.length);
    const identities = await listIdentitiesOfKinds(metadata, { accountId: ctx.accountId, kinds, after: last, limit: size });
    const batch = await readIdentityDetails(metadata, identities);
    details.push(...batch);
    if (identities.length < size) return { details, next: undefined };
    characters += batch.reduce((sum, detail) => sum + charactersOf(detail), 0);
    last = identities.at(-1) ?? last;
  }
  return { details, next: last === undefined ? undefined : `${ownMark}${last.kind} ${last.name}` };
}

function charactersOf({ inline, versions }: IdentityDetail): number {
  return [...inline, ...versions].reduce((sum, { document }) => sum + document.length, 0);
}

/** Places are `aws <arn>`. */
async function readAws(
  ctx: IdentityContext,
  after: string,
  room: number,
): Promise<{ readonly policies: readonly PolicyReport[]; readonly next: string | undefined }> {
  const arns = awsManagedPolicies.map(({ arn }) => arn);
  const uses = await countPolicyUses(ctx.core.metadata, ctx.accountId, arns);
  const used = awsManagedPolicies.filter(({ arn }) => uses.has(arn) && arn > after);
  const policies = used.slice(0, room).map((policy) => awsPolicyReport(policy, uses.get(policy.arn)));
  return { policies, next: used.length > room ? awsMark + (used[room - 1]?.arn ?? after) : undefined };
}

async function roleReports(ctx: IdentityContext, details: readonly IdentityDetail[]): Promise<readonly RoleReport[]> {
  const rows = await findRoles(
    ctx.core.metadata,
    details.map(({ identity }) => identity.identityId),
  );
  const shown = await showRoles(ctx, [...rows.values()]);
  const roles = new Map(shown.map((role) => [role.identityId, role]));
  // A role that went in between is left out.
  return details.flatMap((detail) => {
    const role = roles.get(detail.identity.identityId);
    return role === undefined ? [] : [{ ...detail, role }];
  });
}
