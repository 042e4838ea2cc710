/** Sessions of roles: how long they may be and what they carry (STS API Reference, AssumeRole). Who may have one was decided before. */
import { findRoleTrust } from "#metadata/roles.ts";
import { identityArn, parseIdentityArn, roleSessionArn } from "./arn.ts";
import type { IdentityCore } from "./context.ts";
import { issueSession } from "./session.ts";
import type { IssuedCredentials } from "./session.ts";
import { packedPercent, readSessionPolicies } from "./session-policies.ts";
import type { AskedPolicies } from "./session-policies.ts";
import { refuseSession } from "./session-refusal.ts";
import { joinMarks } from "./session-tags.ts";
import type { SessionChain, SessionMarks } from "./session-tags.ts";

/** A role that is asked for. */
export interface RoleRequest {
  readonly roleArn: string;
  readonly sessionName: string;
  /** An hour when undefined. */
  readonly durationSeconds: number | undefined;
  /** The session ends with this at the latest, without being refused for it. */
  readonly maxSeconds?: number;
  readonly policies: AskedPolicies;
  readonly marks: SessionMarks;
  /** Of the session that asks, if it is one. */
  readonly chain: SessionChain | undefined;
  /** Further condition keys of the session. */
  readonly context?: Readonly<Record<string, string>>;
}

/** A session of a role. */
export interface RoleSession {
  readonly credentials: IssuedCredentials;
  /** `arn:aws:sts::<account>:assumed-role/<role>/<session>` */
  readonly arn: string;
  /** `AROA…:<session>` */
  readonly assumedRoleId: string;
  readonly packedPercent: number | undefined;
  readonly sourceIdentity: string | undefined;
}

const usualSeconds = 3_600;
const chainSeconds = 3_600;

/** Makes a session of the role, in the account of its ARN. Throws SessionRefused. */
export async function assumeRole(core: IdentityCore, request: RoleRequest): Promise<RoleSession> {
  const { roleArn, sessionName, policies, chain, durationSeconds = usualSeconds } = request;
  const accountId = parseIdentityArn(roleArn)?.accountId ?? "";
  const role = await findRole(core, roleArn);
  if (role === undefined) throw refuseSession("no-role", { roleArn });
  if (chain !== undefined && durationSeconds > chainSeconds) throw refuseSession("chain-too-long", {});
  if (durationSeconds > role.maxSessionSeconds) throw refuseSession("role-too-long", {});
  const marks = joinMarks(request.marks, chain);
  const ctx = { core, accountId };
  const documents = await readSessionPolicies(ctx, policies);
  const percent = packedPercent(policies, marks.tags);
  const credentials = await issueSession(ctx, {
    kind: "role",
    owner: role,
    sessionName,
    lifetimeSeconds: Math.min(durationSeconds, request.maxSeconds ?? durationSeconds),
    policies: documents,
    ...marks,
    ...(request.context !== undefined && { context: request.context }),
  });
  return {
    credentials,
    arn: roleSessionArn(accountId, role.name, sessionName),
    assumedRoleId: `${role.uniqueId}:${sessionName}`,
    packedPercent: percent,
    sourceIdentity: marks.sourceIdentity,
  };
}

interface FoundRole {
  readonly identityId: number;
  readonly uniqueId: string;
  readonly name: string;
  readonly maxSessionSeconds: number;
}

/** The role of exactly that ARN, or undefined. */
async function findRole(core: IdentityCore, roleArn: string): Promise<FoundRole | undefined> {
  const asked = parseIdentityArn(roleArn);
  if (asked?.kind !== "role") return undefined;
  const found = await findRoleTrust(core.metadata, asked.accountId, asked.name);
  if (found === undefined) return undefined;
  const { identityId, uniqueId, name, path } = found.identity;
  // Names are found without regard to case and path, but an ARN means itself.
  if (identityArn("role", asked.accountId, path, name) !== roleArn) return undefined;
  return { identityId, uniqueId, name, maxSessionSeconds: found.maxSessionSeconds };
}
