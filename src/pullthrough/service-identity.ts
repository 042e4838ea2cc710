/** As whom fetching is done: the service's own role in an account, the role that a rule names, and the secret that a rule names. */
import { authorize } from "#access/authorize.ts";
import type { Access } from "#access/access.ts";
import { principalStillActive } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import type { RequestOrigin } from "#access/request-origin.ts";
import { parseIdentityArn } from "#identity/arn.ts";
import { assumeRole } from "#identity/role-session.ts";
import { serviceLinkedRoleArn } from "#identity/service-linked-role.ts";
import type { Actor, RegistryContext, RegistryCore, RegistryRef } from "#registry/context.ts";
import { SecretsError } from "#secrets/errors.ts";
import { findSecret } from "#secrets/secret.ts";
import { secretArn } from "#secrets/secret-id.ts";
import { readSecretValue } from "#secrets/secret-value.ts";
import { parseJson } from "#std/json.ts";
import type { UpstreamCredentials } from "#upstream/registry-authorization.ts";

/** The service that roles of rules must trust. */
export const pullThroughService = "pullthroughcache.ecr.amazonaws.com";
const sessionName = "ecr-pullthroughcache";
const origin: RequestOrigin = {
  host: undefined,
  scheme: "https",
  sourceIp: "127.0.0.1",
  userAgent: pullThroughService,
  referer: undefined,
};

/** The context in which the service changes a registry: as its service-linked role in the account. */
export function serviceContext(core: RegistryCore, accountId: string, requestId: string): RegistryContext {
  const actor: Actor = { accountId, principalId: "ecr.amazonaws.com", arn: serviceLinkedRoleArn(accountId, pullThroughService) };
  return { core, actor, requestId };
}

/** The whole ARN of the secret that a rule names, as policies know it; undefined when the registry has no such secret. */
export async function findSecretArn(core: RegistryCore, registry: RegistryRef, secretId: string): Promise<string | undefined> {
  const secret = await findOwnSecret(core, registry, secretId);
  return secret === undefined ? undefined : secretArn(secret);
}

async function findOwnSecret(core: RegistryCore, registry: RegistryRef, secretId: string) {
  const form = /^arn:aws(?:-\w+)*:secretsmanager:([a-z0-9-]+):([0-9]{12}):secret:ecr-pullthroughcache\//.exec(secretId);
  if (form?.[1] !== registry.region || form[2] !== registry.accountId) return undefined;
  return findSecret({ core, accountId: registry.accountId, region: registry.region }, secretId);
}

/** Why a secret gives no credentials; `malformed` also when it has no value yet. */
export type SecretProblem = "not-found" | "no-access" | "undecryptable" | "malformed";

/**
 * Reads the credentials in a secret of the registry's own account and region: JSON with `username` and `accessToken`. The service may read
 * every secret under `ecr-pullthroughcache/` of the account, unless the secret's own policy denies it.
 */
export async function readUpstreamSecret(
  { core, access }: { readonly core: RegistryCore; readonly access: Access },
  registry: RegistryRef,
  secretId: string,
): Promise<UpstreamCredentials | SecretProblem> {
  const secret = await findOwnSecret(core, registry, secretId);
  if (secret === undefined || secret.removeAt !== undefined) return "not-found";
  const ctx = { core, accountId: registry.accountId, region: registry.region };
  const principal = servicePrincipal(registry.accountId);
  // The whole ARN: without its last letters, which a rule may leave out, no policy of the secret would be found.
  const asked = { action: "secretsmanager:GetSecretValue", resource: secretArn(secret), region: registry.region, origin };
  const decision = await authorize(access, principal, asked);
  if (!decision.allowed && decision.denial.explicit) return "no-access";
  try {
    const { value } = await readSecretValue(ctx, secret, { versionId: undefined, stage: undefined });
    return readCredentials(value.bytes) ?? "malformed";
  } catch (error) {
    if (!(error instanceof SecretsError)) throw error;
    return error.refusal.kind === "undecryptable" ? "undecryptable" : "malformed";
  }
}

const maxMemberLength = 16_384;

function readCredentials(bytes: Uint8Array): UpstreamCredentials | undefined {
  const json = parseJson(bytes);
  if (!json.ok || typeof json.value !== "object" || json.value === null || Array.isArray(json.value)) return undefined;
  const { username, accessToken } = json.value;
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && value.length <= maxMemberLength;
  // Basic authentication ends the name at the first colon.
  if (!isText(username) || !isText(accessToken) || username.includes(":")) return undefined;
  return { username, password: accessToken };
}

/** A session of the role that a rule names, or why there is none, in words for who wrote the rule. */
export async function assumeRuleRole(
  { core, access }: { readonly core: RegistryCore; readonly access: Access },
  registry: RegistryRef,
  roleArn: string,
): Promise<Principal | string> {
  const parts = parseIdentityArn(roleArn);
  if (parts?.kind !== "role" || parts.accountId !== registry.accountId) return "the custom role is not a role of the registry's account";
  const service = servicePrincipal(registry.accountId);
  const trust = await authorize(access, service, { action: "sts:AssumeRole", resource: roleArn, region: registry.region, origin });
  if (!trust.allowed) return `the custom role does not exist or does not trust ${pullThroughService}`;
  const { credentials, assumedRoleId } = await assumeRole(core, {
    roleArn,
    sessionName,
    durationSeconds: undefined,
    policies: { inline: undefined, arns: [] },
    marks: { tags: [], transitiveKeys: [], sourceIdentity: undefined },
    chain: undefined,
  });
  const principal = await principalStillActive(access, { principalId: assumedRoleId, accessKeyId: credentials.accessKeyId });
  return principal ?? "the custom role is gone";
}

/** May the session do that to a repository of this deployment? */
export async function mayAsRole(access: Access, principal: Principal, asked: { action: string; resource: string; region: string }) {
  return (await authorize(access, principal, { ...asked, origin })).allowed;
}

/** The service itself, acting for an account. It has no policies; resource policies may name it. */
function servicePrincipal(accountId: string): Principal {
  return {
    kind: "anonymous",
    accountId,
    principalId: pullThroughService,
    arn: pullThroughService,
    accessKeyId: "",
    caller: { kind: "service", service: pullThroughService },
    grants: { identity: [] },
    keys: { "aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": pullThroughService, "aws:SourceAccount": accountId },
  };
}
