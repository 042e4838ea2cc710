/**
 * Machines without an identity provider of their own: each is enrolled once for an instance profile and keeps one token, for which it gets
 * the short-lived credentials of the profile's role, as an EC2 instance does. Revoking the enrolment ends the token and its sessions.
 */
import { createHash } from "node:crypto";
import { compilePolicy } from "#iam/compile.ts";
import { contextKeys } from "#iam/context.ts";
import { readPolicy } from "#iam/document.ts";
import { evaluate } from "#iam/evaluate.ts";
import { createMachine, deleteMachine, findMachineByToken, listMachines, noteMachineUse } from "#metadata/machines.ts";
import type { Machine, MachineRole } from "#metadata/machines.ts";
import { identityArn } from "./arn.ts";
import type { IdentityContext, IdentityCore } from "./context.ts";
import { IdentityError, refuse } from "./errors.ts";
import { issueSession } from "./session.ts";
import type { IssuedCredentials } from "./session.ts";

/** A machine that may have credentials, and of which role. */
export interface MachineGrant {
  readonly machine: Machine;
  readonly role: MachineRole;
  readonly roleArn: string;
  readonly profileArn: string;
  /** `AROA…:<machine id>`: stands as long as the machine's credentials are those of this role. */
  readonly assumedRoleId: string;
}

/** What a machine is told. */
export interface MachineCredentials {
  readonly credentials: IssuedCredentials;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
}

/** A machine as it is shown. Times are milliseconds since the epoch. */
export interface EnrolledMachine extends Machine {
  /** When the last credentials that it got end, unless they were ended before; undefined when it never got any. */
  readonly credentialsExpireAt: number | undefined;
}

/** Why a machine gets no credentials. */
export type MachineRefusal = "unknown-token" | "no-role" | "not-trusted";

const tokenPrefix = "SupercargoMT";
/** EC2 gives out credentials for about six hours. */
const lifetimeSeconds = 21_600;
/** The service that a role must trust to be given to machines; trust policies written for EC2 work unchanged. */
const machineService = "ec2.amazonaws.com";
const nameForm = /^[\w+=,.@-]{1,128}$/;

/**
 * Enrols a machine; its token is shown this once. Throws IdentityError `not-found` for the instance profile, `exists` for the name,
 * `invalid-input` for a name that is none.
 */
export async function enrolMachine(
  { core, accountId }: IdentityContext,
  input: { readonly profileName: string; readonly name: string },
): Promise<{ readonly machineId: string; readonly token: string }> {
  if (!nameForm.test(input.name))
    throw refuse("invalid-input", { message: "A machine's name has 1 to 128 letters, digits and +=,.@-_ characters." });
  const machineId = `i-${core.random.bytes(9).toString("hex").slice(0, 17)}`;
  const token = tokenPrefix + core.random.bytes(32).toString("base64url");
  const { outcome } = await createMachine(core.metadata, {
    machineId,
    accountId,
    profileName: input.profileName,
    name: input.name,
    tokenHash: hashOf(token),
    now: core.clock.now(),
  });
  if (outcome === "no-profile") throw refuse("not-found", { noun: "instance-profile", name: input.profileName });
  if (outcome === "exists") throw refuse("exists", { noun: "machine", name: input.name });
  return { machineId, token };
}

/** Ends a machine's enrolment. Throws IdentityError `not-found`. */
export async function revokeMachine({ core, accountId }: IdentityContext, name: string): Promise<void> {
  if (!(await deleteMachine(core.metadata, { accountId, name }))) throw refuse("not-found", { noun: "machine", name });
}

/** A page of the account's machines by name; `after` is the last name of the page before. */
export async function listEnrolledMachines(
  { core, accountId }: IdentityContext,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly EnrolledMachine[]> {
  const machines = await listMachines(core.metadata, { accountId, ...page });
  return machines.map((machine) => ({
    ...machine,
    // Every use gives credentials of the same lifetime.
    credentialsExpireAt: machine.lastUsedAt === undefined ? undefined : machine.lastUsedAt + lifetimeSeconds * 1000,
  }));
}

/** The machine of a token and the role that it may act as now, or why it gets no credentials. Writes nothing. */
export async function findMachineGrant(core: IdentityCore, token: string): Promise<MachineGrant | MachineRefusal> {
  const found = token.length <= 256 && token.startsWith(tokenPrefix) ? await findMachineByToken(core.metadata, hashOf(token)) : undefined;
  if (found === undefined) return "unknown-token";
  const { machine, role } = found;
  if (role === undefined) return "no-role";
  const { accountId } = machine;
  const roleArn = identityArn("role", accountId, role.path, role.name);
  if (!trustsMachines(role, roleArn, accountId)) return "not-trusted";
  const profileArn = identityArn("instance-profile", accountId, machine.profilePath, machine.profileName);
  return { machine, role, roleArn, profileArn, assumedRoleId: `${role.uniqueId}:${machine.machineId}` };
}

/** New credentials of the role, or why there are none after all. */
export async function issueMachineCredentials(
  core: IdentityCore,
  { machine, role, profileArn }: MachineGrant,
): Promise<MachineCredentials | MachineRefusal> {
  const { accountId, machineId } = machine;
  try {
    const credentials = await issueSession(
      { core, accountId },
      {
        kind: "role",
        owner: { identityId: role.identityId, name: role.name },
        sessionName: machineId,
        lifetimeSeconds,
        policies: undefined,
        tags: { "machine-name": machine.name },
        context: { "aws:Ec2InstanceSourceArn": profileArn },
      },
    );
    const issuedAt = core.clock.now();
    const { accessKeyId } = credentials;
    // Who is revoked at this moment must not keep what was made a moment later.
    return (await noteMachineUse(core.metadata, { machineId, accessKeyId, now: issuedAt })) ? { credentials, issuedAt } : "unknown-token";
  } catch (error) {
    // The role was deleted at this moment.
    if (error instanceof IdentityError && error.refusal.kind === "not-found") return "no-role";
    throw error;
  }
}

/** Does the role's trust policy let the service that hands credentials to machines assume it? */
function trustsMachines(role: MachineRole, roleArn: string, accountId: string): boolean {
  const read = readPolicy(role.trustDocument);
  if (!read.ok) return false;
  const trust = compilePolicy(read.value, { name: roleArn, resolved: new Map(Object.entries(role.trustPrincipals)) });
  return evaluate({
    caller: { kind: "service", service: machineService },
    action: "sts:AssumeRole",
    resource: roleArn,
    resourceAccountId: accountId,
    context: contextKeys([
      ["aws:SourceAccount", accountId],
      ["aws:PrincipalIsAWSService", "true"],
      ["aws:PrincipalServiceName", machineService],
    ]),
    identityPolicies: [],
    resourcePolicies: [trust],
    resourceRule: "must-allow",
  }).allowed;
}

/** 256 random bits need no slow hash. */
function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}
