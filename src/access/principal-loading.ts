/**
 * From a key's owner to a principal: its policies, made ready, and what conditions may ask about it. The policies of one user or role are
 * read once for all its keys and sessions.
 * Invariant: what was read is stamped with the identity epoch of before, and is used only while the epoch is still that one.
 */
import type { Caller } from "#iam/caller.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { federatedUserArn, identityArn, parseIdentityArn, roleSessionArn, rootArn } from "#identity/arn.ts";
import { awsManagedPolicy } from "#identity/aws-managed-policies.ts";
import { claimInstanceSetting, readInstanceSetting } from "#metadata/accounts.ts";
import type { KeyOwner } from "#metadata/accounts.ts";
import type { Database } from "#metadata/database.ts";
import { findPolicyDocument, readPrincipalPolicies } from "#metadata/principal-policies.ts";
import type { Session } from "#metadata/sessions.ts";
import type { Random } from "#std/random.ts";
import { LRUCache } from "lru-cache";
import type { ConditionKeys } from "./condition-keys.ts";
import type { PolicyCache } from "./policy-cache.ts";
import { rootPrincipal } from "./principal.ts";
import type { Principal, PrincipalGrants, SessionFacts } from "./principal.ts";

/** The key of a principal that is being made. `epoch` was read before the key's row. */
export interface LoadedKey {
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly epoch: number;
}

/** Makes principals. All of it rejects when the database cannot be reached. */
export interface PrincipalLoader {
  ofRoot(key: Omit<LoadedKey, "epoch">): Promise<Principal>;
  ofUser(key: LoadedKey, user: KeyOwner): Promise<Principal>;
  /** Undefined when the user or role behind the session is gone. */
  ofSession(key: LoadedKey, session: Session): Promise<Principal | undefined>;
}

/** What is on record of a user (its groups included) or a role. */
interface Standing {
  readonly policies: readonly CompiledPolicy[];
  readonly boundary: CompiledPolicy | undefined;
  readonly tags: ConditionKeys;
}

const maxStandings = 5000;
const organizationSetting = "organization_id";
const base32 = "abcdefghijklmnopqrstuvwxyz234567";

/** Makes a loader with nothing read yet. */
export function createPrincipalLoader(metadata: Database, random: Random, policies: PolicyCache): PrincipalLoader {
  const standings = new LRUCache<number, { readonly epoch: number; readonly standing: Promise<Standing> }>({ max: maxStandings });
  const organization = createOrganization(metadata, random);

  /** Of many requests that come at once after a change, one reads. */
  const standingOf = async ({ accountId, epoch }: LoadedKey, identityId: number): Promise<Standing> => {
    const known = standings.get(identityId);
    if (known?.epoch === epoch) return known.standing;
    const standing = readStanding(metadata, policies, accountId, identityId);
    standings.set(identityId, { epoch, standing });
    // A failure is told to those who wait, and is not kept.
    standing.catch(() => standings.delete(identityId));
    return standing;
  };

  const ofRoot = async ({ accountId, accessKeyId }: Omit<LoadedKey, "epoch">): Promise<Principal> => {
    const root = rootPrincipal(accountId, accessKeyId);
    return { ...root, keys: { ...root.keys, ...(await organization()) } };
  };

  const ofUser = async (key: LoadedKey, user: KeyOwner): Promise<Principal> => {
    const { accountId, accessKeyId } = key;
    const standing = await standingOf(key, user.identityId);
    const caller = userCaller(accountId, user);
    return {
      kind: "user",
      accountId,
      principalId: user.uniqueId,
      arn: caller.arn,
      accessKeyId,
      identityId: user.identityId,
      caller,
      grants: grantsOf(standing, undefined),
      keys: {
        ...standing.tags,
        ...ownKeys(accountId, "User", caller.arn, user.uniqueId),
        "aws:username": user.name,
        ...(await organization()),
      },
    };
  };

  const ofRole = async (key: LoadedKey, session: Session, role: KeyOwner): Promise<Principal> => {
    const { accountId, accessKeyId } = key;
    const standing = await standingOf(key, role.identityId);
    const arn = roleSessionArn(accountId, role.name, session.sessionName);
    const roleArn = identityArn("role", accountId, role.path, role.name);
    const principalId = `${role.uniqueId}:${session.sessionName}`;
    return {
      kind: "role-session",
      accountId,
      principalId,
      arn,
      accessKeyId,
      identityId: role.identityId,
      caller: { kind: "role-session", accountId, arn, roleArn, uniqueId: role.uniqueId },
      grants: grantsOf(standing, sessionPolicies(policies, session)),
      keys: { ...standing.tags, ...ownKeys(accountId, "AssumedRole", roleArn, principalId), ...(await organization()) },
    };
  };

  const ofFederated = async (key: LoadedKey, session: Session, user: KeyOwner | undefined): Promise<Principal> => {
    const { accountId, accessKeyId } = key;
    const standing = user === undefined ? undefined : await standingOf(key, user.identityId);
    const arn = federatedUserArn(accountId, session.sessionName);
    const issuer: Caller = user === undefined ? { kind: "root", accountId, arn: rootArn(accountId) } : userCaller(accountId, user);
    const principalId = `${accountId}:${session.sessionName}`;
    return {
      kind: "federated",
      accountId,
      principalId,
      arn,
      accessKeyId,
      ...(user !== undefined && { identityId: user.identityId }),
      caller: { kind: "federated", accountId, arn, issuer },
      grants: grantsOf(standing, sessionPolicies(policies, session) ?? []),
      keys: { ...standing?.tags, ...ownKeys(accountId, "FederatedUser", arn, principalId), ...(await organization()) },
    };
  };

  return {
    ofRoot,
    ofUser,
    async ofSession(key, session) {
      const { kind, owner } = session;
      // A session of a user or a role has nobody behind it any more; only root's sessions never had.
      if (owner === undefined && (kind === "role" || kind === "user")) return undefined;
      if (kind === "federated") return inSession(session, await ofFederated(key, session, owner));
      if (owner === undefined) return inSession(session, await ofRoot(key));
      return inSession(session, await (kind === "role" ? ofRole(key, session, owner) : ofUser(key, owner)));
    },
  };
}

/** What the credentials being temporary adds. Nothing that a session brings along stands above what the server knows. */
function inSession(session: Session, principal: Principal): Principal {
  const { kind, sessionName, tags, transitiveKeys, sourceIdentity, issuedAt, expiresAt } = session;
  const facts: SessionFacts = {
    kind,
    name: sessionName,
    tags,
    transitiveKeys,
    ...(sourceIdentity !== undefined && { sourceIdentity }),
    issuedAt,
    expiresAt,
  };
  const own: ConditionKeys = {
    ...principal.keys,
    // After the role's own: of keys that differ in case the later one holds.
    ...principalTags(tags),
    "aws:TokenIssueTime": new Date(issuedAt).toISOString(),
    ...(sourceIdentity !== undefined && { "aws:SourceIdentity": sourceIdentity }),
  };
  const taken = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  const brought = Object.entries(session.context).filter(([name]) => !taken.has(name.toLowerCase()));
  const keys: ConditionKeys = { ...Object.fromEntries(brought), ...own };
  return { ...principal, keys, session: facts };
}

function userCaller(accountId: string, user: KeyOwner): Extract<Caller, { kind: "user" }> {
  return { kind: "user", accountId, arn: identityArn("user", accountId, user.path, user.name), uniqueId: user.uniqueId };
}

function ownKeys(accountId: string, type: string, principalArn: string, userId: string): ConditionKeys {
  return {
    "aws:PrincipalArn": principalArn,
    "aws:PrincipalAccount": accountId,
    "aws:PrincipalType": type,
    "aws:PrincipalIsAWSService": "false",
    "aws:userid": userId,
  };
}

function principalTags(tags: Readonly<Record<string, string>>): ConditionKeys {
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:PrincipalTag/${key}`, value]));
}

function grantsOf(standing: Standing | undefined, session: readonly CompiledPolicy[] | undefined): PrincipalGrants {
  const boundary = standing?.boundary;
  return {
    identity: standing?.policies ?? [],
    ...(boundary !== undefined && { boundary }),
    ...(session !== undefined && { session }),
  };
}

function sessionPolicies(policies: PolicyCache, session: Session): readonly CompiledPolicy[] | undefined {
  return session.policies?.map((document) => policies.ofPrincipal("session policy", document));
}

async function readStanding(metadata: Database, policies: PolicyCache, accountId: string, identityId: number): Promise<Standing> {
  const found = await readPrincipalPolicies(metadata, accountId, identityId);
  const own = new Map(found.managed.map(({ name, document }) => [name, document]));
  const attached = found.attachedArns.map((arn) => policies.ofPrincipal(arn, own.get(arn) ?? awsManagedPolicy(arn)?.document));
  const inline = found.inline.map(({ name, document }) => policies.ofPrincipal(name, document));
  const { boundaryArn } = found;
  const boundary =
    boundaryArn === undefined ? undefined : policies.ofPrincipal(boundaryArn, await findBoundary(metadata, accountId, boundaryArn));
  return { policies: [...inline, ...attached], boundary, tags: principalTags(found.tags) };
}

async function findBoundary(metadata: Database, accountId: string, arn: string): Promise<string | undefined> {
  const managed = awsManagedPolicy(arn);
  if (managed !== undefined) return managed.document;
  const parts = parseIdentityArn(arn);
  return parts?.kind === "policy" && parts.accountId === accountId ? findPolicyDocument(metadata, accountId, parts.name) : undefined;
}

/** All accounts of a deployment are one organization, so that policies copied from AWS mean something. Its id is made once, and kept. */
function createOrganization(metadata: Database, random: Random): () => Promise<ConditionKeys> {
  let known: ConditionKeys | undefined;
  return async () => {
    if (known !== undefined) return known;
    const made = `o-${Array.from(random.bytes(10), (byte) => base32.charAt(byte & 31)).join("")}`;
    const stored = await readInstanceSetting(metadata, organizationSetting);
    const id = stored ?? (await claimInstanceSetting(metadata, organizationSetting, made));
    return (known = { "aws:PrincipalOrgID": id });
  };
}
