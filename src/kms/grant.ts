/** Grants: permissions on one key, given and taken back one by one. They hold from the moment they are made. */
import { createHash } from "node:crypto";
import { isNameable } from "#iam/principal.ts";
import { createKmsGrant, deleteKmsGrant, findKmsGrant, listKmsGrants, listRetirableKmsGrants } from "#metadata/kms-grants.ts";
import type { KmsGrant, KmsGrantConstraint, KmsGrantFilter } from "#metadata/kms-grants.ts";
import { findKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsContext, KmsCore } from "./context.ts";
import { canonicalContext, checkEncryptionContext } from "./encryption-context.ts";
import type { EncryptionContext } from "./encryption-context.ts";
import { refuse } from "./errors.ts";
import { grantCovers, mayRetire } from "./grant-cover.ts";
import type { GrantUse } from "./grant-cover.ts";
import { requireUsable, stateRefusal, usableStates } from "./key-state.ts";
import { maxConstraintPairs, maxGrantsPerKey } from "./limits.ts";

/** What a grant is made from. */
export interface GrantRequest {
  /** With the same name and all else the same, the same grant is answered again. */
  readonly name: string | undefined;
  /** ARNs of a user, role, session or account. */
  readonly grantee: string;
  readonly retiring: string | undefined;
  readonly operations: readonly string[];
  readonly equals: EncryptionContext | undefined;
  readonly subset: EncryptionContext | undefined;
}

/** A grant's id, and a token that stands for it. */
export interface IssuedGrant {
  readonly grantId: string;
  readonly grantToken: string;
}

/** Operations that a key which encrypts and decrypts can be granted for. */
const grantable: ReadonlySet<string> = new Set([
  "Decrypt",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyWithoutPlaintext",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "ReEncryptFrom",
  "ReEncryptTo",
  "CreateGrant",
  "RetireGrant",
  "DescribeKey",
]);
const tokenPurpose = "kms-grant-token";
/** How many grants are looked at in one question. */
const coverPage = 200;

/** Throws what is wrong with a request for a grant before anything is looked up: `grant-invalid`, `principal-invalid`, `context-invalid`. */
export function checkGrant(request: GrantRequest): KmsGrantConstraint | undefined {
  for (const principal of [request.grantee, request.retiring])
    if (principal !== undefined && !isPrincipal(principal)) throw refuse("principal-invalid", { principal });
  if (request.operations.length === 0) throw refuse("grant-invalid", { problem: "A grant needs at least one operation" });
  const other = request.operations.find((operation) => !grantable.has(operation));
  if (other !== undefined)
    throw refuse("grant-invalid", { problem: `The operation ${other} cannot be granted on a symmetric encryption key` });
  const { equals, subset } = request;
  if (equals !== undefined && subset !== undefined)
    throw refuse("grant-invalid", { problem: "A grant has either EncryptionContextEquals or EncryptionContextSubset" });
  const context = equals ?? subset;
  if (context === undefined) return undefined;
  if (Object.keys(context).length > maxConstraintPairs)
    throw refuse("grant-invalid", { problem: `A grant constraint has at most ${maxConstraintPairs} encryption context pairs` });
  checkEncryptionContext(context);
  return { kind: equals === undefined ? "subset" : "equals", context };
}

function isPrincipal(principal: string): boolean {
  return principal.startsWith("arn:") && isNameable({ type: "AWS", name: principal });
}

/** Makes a grant. Throws as {@link checkGrant}, and `key-disabled`, `key-pending-deletion`, `limit`, `principal-invalid` for one that does not exist. */
export async function createGrant(ctx: KmsContext, key: KmsKey, request: GrantRequest): Promise<IssuedGrant> {
  const { grantee, retiring } = request;
  const constraint = checkGrant(request);
  requireUsable(key);
  const found = await ctx.resolvePrincipals(retiring === undefined ? [grantee] : [grantee, retiring]);
  if (!found.ok) throw refuse("principal-invalid", { principal: found.principal });
  // Who later gets the name of somebody who is gone gets nothing with it.
  const keyOf = (principal: string): string => found.resolved[principal] ?? principal;
  return store(ctx.core, key, {
    name: request.name,
    grantee,
    granteeKey: keyOf(grantee),
    retiring,
    retiringKey: retiring === undefined ? undefined : keyOf(retiring),
    issuingAccount: ctx.accountId,
    operations: [...new Set(request.operations)].toSorted(),
    constraint,
  });
}

/** Lets a service use the key for whatever has these pairs in its encryption context. Throws `key-disabled`, `key-pending-deletion`, `limit`. */
export async function grantToService(
  core: KmsCore,
  key: KmsKey,
  request: {
    readonly service: string;
    readonly issuingAccount: string;
    readonly operations: readonly string[];
    readonly context: EncryptionContext;
  },
): Promise<IssuedGrant> {
  const { service, issuingAccount, operations, context } = request;
  requireUsable(key);
  const principal = { grantee: service, granteeKey: service, retiring: service, retiringKey: service };
  return store(core, key, { name: undefined, ...principal, issuingAccount, operations, constraint: { kind: "subset", context } });
}

type StoredGrant = Omit<KmsGrant, "position" | "grantId" | "keyId" | "createdAt">;

async function store(core: KmsCore, key: KmsKey, grant: StoredGrant): Promise<IssuedGrant> {
  const result = await createKmsGrant(core.metadata, {
    ...grant,
    grantId: core.random.bytes(32).toString("hex"),
    keyId: key.keyId,
    fingerprint: grant.name === undefined ? undefined : fingerprintOf(grant),
    onlyIn: usableStates,
    limit: maxGrantsPerKey,
    createdAt: core.clock.now(),
  });
  switch (result.outcome) {
    case "created":
      return { grantId: result.grantId, grantToken: core.sealer.seal(tokenPurpose, Buffer.from(result.grantId)) };
    case "limit":
      throw refuse("limit", { quota: "grants", limit: maxGrantsPerKey });
    case "wrong-state":
      throw stateRefusal(result.key);
    case "not-found":
    default:
      throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  }
}

function fingerprintOf({ name, granteeKey, retiringKey, issuingAccount, operations, constraint }: StoredGrant): string {
  const facts = [name, granteeKey, retiringKey ?? "", issuingAccount, operations, constraint?.kind ?? ""];
  const hash = createHash("sha256").update(JSON.stringify(facts)).update("\0");
  return hash.update(canonicalContext(constraint?.context ?? {})).digest("hex");
}

/** The id of the grant that a token stands for. Throws `grant-token-invalid` for any text that is no token of ours. */
export function openGrantToken({ sealer }: KmsCore, token: string): string {
  const plain = sealer.open(tokenPurpose, token);
  if (plain === undefined) throw refuse("grant-token-invalid", {});
  return Buffer.from(plain).toString("utf8");
}

/** A grant and its key, as of now. Throws `grant-not-found`. */
export async function getGrant(core: KmsCore, grantId: string): Promise<{ readonly grant: KmsGrant; readonly key: KmsKey }> {
  const grant = await findKmsGrant(core.metadata, grantId);
  const key = grant === undefined ? undefined : await findKmsKey(core.metadata, grant.keyId);
  if (grant === undefined || key === undefined) throw refuse("grant-not-found", { grantId });
  return { grant, key };
}

/** Ends a grant, whatever its key's state. Throws `grant-not-found`. */
export async function deleteGrant(core: KmsCore, key: KmsKey, grantId: string): Promise<void> {
  if (!(await deleteKmsGrant(core.metadata, { keyId: key.keyId, grantId }))) throw refuse("grant-not-found", { grantId });
}

/** A page of grants in the order they were made. */
export async function listGrants(
  core: KmsCore,
  filter: KmsGrantFilter,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly KmsGrant[]> {
  return listKmsGrants(core.metadata, { ...filter, ...page });
}

/** A grant with the ARN of its key. */
export interface GrantOfKey {
  readonly keyArn: string;
  readonly grant: KmsGrant;
}

/**
 * A page of the grants in the region that name a principal as the one who may retire them, on keys of any account, in the order they were
 * made. Throws `principal-invalid` for who does not exist.
 */
export async function listRetirableGrants(
  { core, region, resolvePrincipals }: KmsContext,
  retiring: string,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly GrantOfKey[]> {
  const found = isPrincipal(retiring) ? await resolvePrincipals([retiring]) : undefined;
  if (found?.ok !== true) throw refuse("principal-invalid", { principal: retiring });
  const grants = await listRetirableKmsGrants(core.metadata, { region, retiringKey: found.resolved[retiring] ?? retiring, ...page });
  return grants.map(({ keyAccountId: accountId, ...grant }) => ({ keyArn: kmsKeyArn({ accountId, region, keyId: grant.keyId }), grant }));
}

/** Is there a grant on the key that covers the use, as of now? Rejects when the database cannot be reached. */
export async function isGranted({ metadata }: Pick<KmsCore, "metadata">, keyId: string, use: GrantUse): Promise<boolean> {
  if (use.callerKeys.length === 0) return false;
  for (let after = 0; ;) {
    const page = await listKmsGrants(metadata, { keyId, granteeKeys: use.callerKeys, after, limit: coverPage });
    if (page.some((grant) => grantCovers(grant, use))) return true;
    const last = page.at(-1);
    if (last === undefined || page.length < coverPage) return false;
    after = last.position;
  }
}

/** May the caller, known by these names, end that grant of the key by the grant itself? */
export async function isRetirable(
  { metadata }: Pick<KmsCore, "metadata">,
  keyId: string,
  grantId: string,
  callerKeys: readonly string[],
): Promise<boolean> {
  const grant = await findKmsGrant(metadata, grantId);
  return grant?.keyId === keyId && mayRetire(grant, callerKeys);
}
