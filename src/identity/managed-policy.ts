/** Managed policies: those of the account, which it writes, and those of AWS, which everybody reads. */
import { parsePolicy } from "#iam/document.ts";
import type { PolicyKind } from "#iam/document.ts";
import type { IdentityDetail } from "#metadata/identity-details.ts";
import { listIdentityTags } from "#metadata/identity-tags.ts";
import {
  countPolicyUses,
  createManagedPolicy,
  createPolicyVersion as insertVersion,
  deleteManagedPolicy,
  deletePolicyVersion as deleteVersion,
  findManagedPolicy,
  findPolicyVersion,
  listManagedPolicies,
  listPolicyVersions as readVersions,
  setDefaultPolicyVersion as setDefault,
} from "#metadata/managed-policies.ts";
import type { ManagedPolicy, PolicyKey, PolicyUse, PolicyUses, PolicyVersion } from "#metadata/managed-policies.ts";
import { identityArn, parseIdentityArn } from "./arn.ts";
import { awsManagedPolicies, awsManagedPolicy } from "./aws-managed-policies.ts";
import type { AwsManagedPolicy } from "./aws-managed-policies.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import type { IdentityError } from "./errors.ts";
import { checkTags } from "./tag.ts";
import type { IdentityTag } from "./tag.ts";
import { makeUniqueId } from "./unique-id.ts";

const maxPolicies = 1_500;
const maxVersions = 5;
const maxDocumentCharacters = 6_144;

/** A managed policy as the account sees it. Times are milliseconds since the epoch. */
export interface PolicySummary {
  readonly arn: string;
  readonly name: string;
  readonly path: string;
  readonly policyId: string;
  readonly description: string | undefined;
  /** Such as `v2`. */
  readonly defaultVersionId: string;
  /** How many users, groups and roles of the account have it attached. */
  readonly attachmentCount: number;
  /** How many users and roles of the account have it as their boundary. */
  readonly boundaryCount: number;
  readonly createdAt: number;
  /** When its newest version was made. */
  readonly updatedAt: number;
}

/** A version of a managed policy, with its document exactly as it was given. */
export interface PolicyVersionSummary {
  readonly versionId: string;
  readonly document: string;
  readonly isDefault: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A policy with all its versions. */
export interface PolicyReport {
  readonly policy: PolicySummary;
  readonly versions: readonly PolicyVersionSummary[];
}

/** Part of a listing: what comes after `after`, and how many at most. */
export interface PolicyPage {
  readonly after: string | undefined;
  readonly limit: number;
}

/** A policy that an ARN names: one of AWS, or one that the account may have. */
type Named = { readonly aws: AwsManagedPolicy } | { readonly own: PolicyKey };

/** Makes a policy with a first version. Throws IdentityError `exists`, `limit`, `malformed-policy`, `invalid-input`. */
export async function createPolicy(
  ctx: IdentityContext,
  input: {
    readonly name: string;
    readonly path: string;
    readonly description: string | undefined;
    readonly document: string;
    readonly tags: readonly IdentityTag[];
  },
): Promise<PolicySummary> {
  checkDocument(input.document, "managed");
  const { core, accountId } = ctx;
  const made = await createManagedPolicy(core.metadata, {
    ...input,
    tags: checkTags(input.tags),
    accountId,
    uniqueId: makeUniqueId(core.random, "ANPA"),
    now: core.clock.now(),
    limit: maxPolicies,
  });
  if (made.outcome === "exists") throw refuse("exists", { noun: "policy", name: input.name });
  if (made.outcome === "limit") throw refuse("limit", { quota: "PoliciesPerAccount", limit: maxPolicies });
  return summaryOf(made.policy, undefined);
}

/** The policy. Throws IdentityError `not-found`, `invalid-input`. */
export async function getPolicy(ctx: IdentityContext, arn: string): Promise<PolicySummary> {
  const named = nameOf(ctx, arn);
  const usesOf = async (): Promise<PolicyUses | undefined> => (await countPolicyUses(ctx.core.metadata, ctx.accountId, [arn])).get(arn);
  if ("aws" in named) return awsSummary(named.aws, await usesOf());
  return summaryOf(await getOwn(ctx, arn), await usesOf());
}

/** Deletes a policy that nothing uses and that has one version. Throws IdentityError `not-found`, `delete-conflict`, `foreign-policy`. */
export async function deletePolicy(ctx: IdentityContext, arn: string): Promise<void> {
  const { outcome } = await deleteManagedPolicy(ctx.core.metadata, { key: ownKey(ctx, arn), arn });
  if (outcome === "not-found") throw noPolicy(arn);
  if (outcome === "used") throw refuse("delete-conflict", { conflict: "policy-attached" });
  if (outcome === "has-versions") throw refuse("delete-conflict", { conflict: "policy-versions" });
}

/** A page of policies, first the account's by name and then AWS's by ARN. `use` leaves out those that are not used so in the account. */
export async function listPolicies(
  ctx: IdentityContext,
  input: PolicyPage & {
    readonly scope: "all" | "own" | "aws";
    readonly pathPrefix: string;
    readonly use: PolicyUse | undefined;
  },
): Promise<{ readonly policies: readonly PolicySummary[]; readonly next: string | undefined }> {
  const { metadata } = ctx.core;
  const { scope, pathPrefix, use, after, limit } = input;
  const policies: PolicySummary[] = [];
  if (scope !== "aws" && after?.startsWith(awsMark) !== true) {
    const page = await listManagedPolicies(metadata, {
      accountId: ctx.accountId,
      pathPrefix,
      use,
      after: after?.slice(ownMark.length),
      limit,
    });
    const arns = page.policies.map(arnOf);
    const uses = await countPolicyUses(metadata, ctx.accountId, arns);
    policies.push(...page.policies.map((policy) => summaryOf(policy, uses.get(arnOf(policy)))));
    if (page.next !== undefined) return { policies, next: ownMark + page.next };
  }
  if (scope === "own") return { policies, next: undefined };
  const uses = await countPolicyUses(
    metadata,
    ctx.accountId,
    awsManagedPolicies.map(({ arn }) => arn),
  );
  const afterArn = after?.startsWith(awsMark) === true ? after.slice(awsMark.length) : "";
  const rest = awsManagedPolicies.filter(
    ({ arn, path }) => arn > afterArn && path.startsWith(pathPrefix) && (use === undefined || (uses.get(arn)?.[use] ?? 0) > 0),
  );
  const room = limit - policies.length;
  policies.push(...rest.slice(0, room).map((policy) => awsSummary(policy, uses.get(policy.arn))));
  return { policies, next: rest.length > room ? awsMark + (rest[room - 1]?.arn ?? "") : undefined };
}

const ownMark = "own ";
const awsMark = "aws ";

/** Adds a version. Throws IdentityError `not-found`, `limit`, `malformed-policy`, `foreign-policy`. */
export async function createPolicyVersion(
  ctx: IdentityContext,
  input: { readonly arn: string; readonly document: string; readonly setAsDefault: boolean },
): Promise<PolicyVersionSummary> {
  const key = ownKey(ctx, input.arn);
  checkDocument(input.document, "managed");
  const { metadata, clock } = ctx.core;
  const { document, setAsDefault } = input;
  const made = await insertVersion(metadata, { key, document, setAsDefault, limit: maxVersions, now: clock.now() });
  if (made.outcome === "not-found") throw noPolicy(input.arn);
  if (made.outcome === "limit") throw refuse("limit", { quota: "VersionsPerPolicy", limit: maxVersions });
  return versionSummary(made.version);
}

/** A version with its document. Throws IdentityError `not-found`. */
export async function getPolicyVersion(ctx: IdentityContext, arn: string, versionId: string): Promise<PolicyVersionSummary> {
  const named = nameOf(ctx, arn);
  if ("aws" in named) {
    if (named.aws.versionId === versionId) return awsVersion(named.aws);
    throw noVersion(arn, versionId);
  }
  const policy = await getOwn(ctx, arn);
  const version = await findPolicyVersion(ctx.core.metadata, policy, versionNumber(arn, versionId));
  if (version === undefined) throw noVersion(arn, versionId);
  return versionSummary(version);
}

/** A page of versions, newest first. Throws IdentityError `not-found`. */
export async function listPolicyVersions(
  ctx: IdentityContext,
  arn: string,
  { after, limit }: PolicyPage,
): Promise<{ readonly versions: readonly PolicyVersionSummary[]; readonly next: string | undefined }> {
  const named = nameOf(ctx, arn);
  if ("aws" in named) return { versions: [awsVersion(named.aws)], next: undefined };
  const policy = await getOwn(ctx, arn);
  const page = await readVersions(ctx.core.metadata, policy, { before: after === undefined ? undefined : Number(after), limit });
  return { versions: page.versions.map(versionSummary), next: page.next?.toString() };
}

/** Makes a version the one that decides. Throws IdentityError `not-found`, `foreign-policy`. */
export async function setDefaultPolicyVersion(ctx: IdentityContext, arn: string, versionId: string): Promise<void> {
  const { outcome } = await setDefault(ctx.core.metadata, { key: ownKey(ctx, arn), version: versionNumber(arn, versionId) });
  if (outcome === "not-found") throw noPolicy(arn);
  if (outcome === "no-version") throw noVersion(arn, versionId);
}

/** Deletes a version. Throws IdentityError `not-found`, `foreign-policy`, and `delete-conflict` for the default. */
export async function deletePolicyVersion(ctx: IdentityContext, arn: string, versionId: string): Promise<void> {
  const { outcome } = await deleteVersion(ctx.core.metadata, { key: ownKey(ctx, arn), version: versionNumber(arn, versionId) });
  if (outcome === "not-found") throw noPolicy(arn);
  if (outcome === "no-version") throw noVersion(arn, versionId);
  if (outcome === "default") throw refuse("delete-conflict", { conflict: "default-version" });
}

/** The name of a policy of the account that is there, for what only such a policy has. Throws IdentityError `not-found`, `foreign-policy`. */
export async function ownPolicyName(ctx: IdentityContext, arn: string): Promise<string> {
  ownKey(ctx, arn);
  return (await getOwn(ctx, arn)).name;
}

/** Policies of the account with their versions, from all that hangs on them. */
export async function ownPolicyReport(ctx: IdentityContext, details: readonly IdentityDetail[]): Promise<readonly PolicyReport[]> {
  const uses = await countPolicyUses(
    ctx.core.metadata,
    ctx.accountId,
    details.map(({ identity }) => arnOf(identity)),
  );
  return details.map(({ identity, versions }) => {
    const defaultVersion = versions.find(({ isDefault }) => isDefault)?.version ?? 1;
    return { policy: summaryOf({ ...identity, defaultVersion }, uses.get(arnOf(identity))), versions: versions.map(versionSummary) };
  });
}

/** A policy of AWS with its version. */
export function awsPolicyReport(policy: AwsManagedPolicy, uses: PolicyUses | undefined): PolicyReport {
  return { policy: awsSummary(policy, uses), versions: [awsVersion(policy)] };
}

/** The tags of a policy of the account; none when there is no such policy. */
export async function findPolicyTags(ctx: IdentityContext, arn: string): Promise<readonly IdentityTag[]> {
  const parts = parseIdentityArn(arn);
  if (parts?.kind !== "policy" || parts.accountId !== ctx.accountId) return [];
  const policy = await findManagedPolicy(ctx.core.metadata, parts);
  return policy === undefined ? [] : listIdentityTags(ctx.core.metadata, policy.identityId);
}

/** Does AWS manage the policy? Throws IdentityError `not-found`, `invalid-input`. */
export function isOfAws(ctx: IdentityContext, arn: string): boolean {
  return "aws" in nameOf(ctx, arn);
}

/** Reads a document as it may be written. Throws IdentityError `malformed-policy`, or `limit` for one that is too long. */
function checkDocument(document: string, kind: PolicyKind): void {
  const read = parsePolicy(document, kind);
  if (read.ok) return;
  if (read.problem.isTooLong === true) throw refuse("limit", { quota: "PolicySize", limit: maxDocumentCharacters });
  throw refuse("malformed-policy", { message: read.problem.message });
}

/** What an ARN names. Throws IdentityError: `invalid-input` for what is no policy's ARN, `not-found` for another account's. */
function nameOf(ctx: IdentityContext, arn: string): Named {
  const parts = parseIdentityArn(arn);
  if (parts?.kind !== "policy") throw refuse("invalid-input", { message: `ARN ${arn} is not valid.` });
  if (parts.accountId === ctx.accountId) return { own: { accountId: parts.accountId, path: parts.path, name: parts.name } };
  const aws = awsManagedPolicy(arn);
  if (aws === undefined) throw noPolicy(arn);
  return { aws };
}

/** The key of a policy that the account may change. */
function ownKey(ctx: IdentityContext, arn: string): PolicyKey {
  const named = nameOf(ctx, arn);
  if ("aws" in named) throw refuse("foreign-policy", { arn });
  return named.own;
}

async function getOwn(ctx: IdentityContext, arn: string): Promise<ManagedPolicy> {
  const policy = await findManagedPolicy(ctx.core.metadata, ownKey(ctx, arn));
  if (policy === undefined) throw noPolicy(arn);
  return policy;
}

function noPolicy(arn: string): IdentityError {
  return refuse("not-found", { noun: "policy", name: arn });
}

function noVersion(arn: string, version: string): IdentityError {
  return refuse("not-found", { noun: "policy-version", name: arn, version });
}

function versionNumber(arn: string, versionId: string): number {
  const [, digits] = /^v([1-9][0-9]{0,8})$/.exec(versionId) ?? [];
  if (digits === undefined) throw noVersion(arn, versionId);
  return Number(digits);
}

function arnOf({ accountId, path, name }: PolicyKey): string {
  return identityArn("policy", accountId, path, name);
}

function summaryOf(policy: ManagedPolicy, uses: PolicyUses | undefined): PolicySummary {
  const { name, path, uniqueId: policyId, description, defaultVersion, createdAt, updatedAt } = policy;
  return {
    arn: arnOf(policy),
    name,
    path,
    policyId,
    description,
    defaultVersionId: `v${defaultVersion}`,
    attachmentCount: uses?.permissions ?? 0,
    boundaryCount: uses?.boundary ?? 0,
    createdAt,
    updatedAt,
  };
}

function awsSummary(policy: AwsManagedPolicy, uses: PolicyUses | undefined): PolicySummary {
  const { arn, name, path, policyId, description, versionId: defaultVersionId, createdAt, updatedAt } = policy;
  return {
    arn,
    name,
    path,
    policyId,
    description,
    defaultVersionId,
    attachmentCount: uses?.permissions ?? 0,
    boundaryCount: uses?.boundary ?? 0,
    createdAt,
    updatedAt,
  };
}

function awsVersion({ versionId, document, updatedAt }: AwsManagedPolicy): PolicyVersionSummary {
  return { versionId, document, isDefault: true, createdAt: updatedAt };
}

function versionSummary({ version, document, isDefault, createdAt }: PolicyVersion): PolicyVersionSummary {
  return { versionId: `v${version}`, document, isDefault, createdAt };
}
