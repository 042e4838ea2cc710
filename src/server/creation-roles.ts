/**
 * What the roles of repository creation templates may do: the role must be there, must trust ECR, and its own policies must allow what the
 * template has done in its name (Amazon ECR User Guide, "IAM permissions for creating repository creation templates"). Judged anew each time.
 */
import type { Access } from "#access/access.ts";
import { authorize } from "#access/authorize.ts";
import type { Ask } from "#access/authorize.ts";
import { anonymousPrincipal } from "#access/principal.ts";
import type { Principal } from "#access/principal.ts";
import type { RequestOrigin } from "#access/request-origin.ts";
import { identityArn, parseIdentityArn } from "#identity/arn.ts";
import type { Database } from "#metadata/database.ts";
import { findRoleTrust } from "#metadata/roles.ts";
import type { CreationRoles, RoleCreation } from "#registry/creation-role.ts";

const service = "ecr.amazonaws.com";
const sessionName = "ECRRepositoryCreationTemplate";
/** The service itself asks: from no address that a policy could name. */
const origin: RequestOrigin = { host: undefined, scheme: "https", sourceIp: service, userAgent: undefined, referer: undefined };

/** Judges roles by what `access` knows. */
export function createCreationRoles(access: Access, metadata: Database): CreationRoles {
  return {
    async findProblem(creation) {
      const { roleArn, registry } = creation;
      const name = parseIdentityArn(roleArn);
      if (name?.kind !== "role" || name.accountId !== registry.accountId) return `'${roleArn}' is no role of the account of the registry`;
      const epoch = await access.keys.epoch();
      const role = await findRoleTrust(metadata, name.accountId, name.name);
      if (role === undefined || identityArn("role", name.accountId, role.identity.path, role.identity.name) !== roleArn)
        return `the role '${roleArn}' does not exist`;
      const trust = { action: "sts:AssumeRole", resource: roleArn, region: registry.region, origin };
      if (!(await authorize(access, servicePrincipal(creation), trust)).allowed) return `the role '${roleArn}' does not trust ${service}`;
      const now = access.clock.now();
      const key = { accountId: name.accountId, accessKeyId: service, epoch };
      const principal = await access.principals.ofSession(key, {
        accessKeyId: service,
        accountId: name.accountId,
        kind: "role",
        owner: role.identity,
        sessionName,
        secretSealed: "",
        tokenHash: "",
        policies: undefined,
        tags: {},
        transitiveKeys: [],
        sourceIdentity: undefined,
        context: {},
        issuedAt: now,
        expiresAt: now,
      });
      if (principal === undefined) return `the role '${roleArn}' does not exist`;
      for (const ask of asksOf(creation)) {
        const decision = await authorize(access, principal, { ...ask, region: registry.region, origin });
        if (!decision.allowed) return decision.message;
      }
      return undefined;
    },
  };
}

function servicePrincipal({ registry, name }: RoleCreation): Principal {
  return {
    ...anonymousPrincipal,
    caller: { kind: "service", service },
    keys: {
      "aws:PrincipalIsAWSService": "true",
      "aws:PrincipalServiceName": service,
      "aws:SourceAccount": registry.accountId,
      "aws:SourceArn": repositoryArn(registry, name),
    },
  };
}

/** What CreateRepository would ask of a caller with the same wishes. The account's default key lets everybody in who comes by way of ECR. */
function asksOf({ registry, name, resourceTags, encryption }: RoleCreation): readonly Pick<Ask, "action" | "resource" | "keys">[] {
  const resource = repositoryArn(registry, name);
  const tagKeys = Object.keys(resourceTags);
  const tags = Object.fromEntries(Object.entries(resourceTags).map(([key, value]) => [`aws:RequestTag/${key}`, value]));
  const keys = tagKeys.length === 0 ? undefined : { ...tags, "aws:TagKeys": tagKeys };
  const asks = ["ecr:CreateRepository", ...(tagKeys.length === 0 ? [] : ["ecr:TagResource"])].map((action) => ({ action, resource, keys }));
  if (encryption?.kmsKey === undefined) return asks;
  const use = {
    "kms:CallerAccount": registry.accountId,
    "kms:ViaService": `ecr.${registry.region}.amazonaws.com`,
    "kms:EncryptionContext:aws:ecr:arn": resource,
    "kms:EncryptionContextKeys": ["aws:ecr:arn"],
    "kms:GrantIsForAWSResource": "true",
  };
  const onKey = ["kms:DescribeKey", "kms:CreateGrant"].map((action) => ({ action, resource: encryption.kmsKey ?? "", keys: use }));
  return [...asks, ...onKey];
}

function repositoryArn({ accountId, region }: RoleCreation["registry"], name: string): string {
  return `arn:aws:ecr:${region}:${accountId}:repository/${name}`;
}
