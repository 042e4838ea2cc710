/**
 * What hangs on the resource of a request: the policies that stand on it, and a repository's tags. Repositories are known by ARN, since
 * that is all a decision has; whoever makes a repository of that name anew moves the epoch, and repositories that do not exist are not kept.
 */
import type { Caller } from "#iam/caller.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { identityArn, parseIdentityArn } from "#identity/arn.ts";
import type { Database } from "#metadata/database.ts";
import { findRegistryPolicy, findRepositoryAccess } from "#metadata/resource-policies.ts";
import { findRoleTrust } from "#metadata/roles.ts";
import { findSecretAccess } from "#metadata/secrets.ts";
import { LRUCache } from "lru-cache";
import type { ConditionKeys } from "./condition-keys.ts";
import { findKeyStanding } from "./key-standing.ts";
import type { PolicyCache } from "./policy-cache.ts";

/** Policies and tags of one resource. */
export interface ResourceStanding {
  readonly policies: readonly CompiledPolicy[];
  /** `must-allow`: nothing goes without a policy that allows. */
  readonly rule: "grants" | "must-allow";
  readonly tags?: Readonly<Record<string, string>>;
  /** A grant of a key allows the request. */
  readonly granted?: boolean;
  /** Looks whether a grant allows what the policies do not; `keys` are the request's own condition keys. */
  readonly findGrant?: (caller: Caller, keys: ConditionKeys) => Promise<boolean>;
}

/** Finds what hangs on resources. */
export interface ResourcePolicies {
  /** As of now. Rejects when the database cannot be reached. */
  find(resource: string, action: string): Promise<ResourceStanding> | ResourceStanding;
}

const nothing: ResourceStanding = { policies: [], rule: "grants" };
const noTrust: ResourceStanding = { policies: [], rule: "must-allow" };

/** The actions that a registry's own policy decides about. */
const registryActions: ReadonlySet<string> = new Set(["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:BatchImportUpstreamImage"]);
/** The actions that a role's trust policy decides about. */
const trustActions: ReadonlySet<string> = new Set([
  "sts:AssumeRole",
  "sts:AssumeRoleWithSAML",
  "sts:AssumeRoleWithWebIdentity",
  "sts:TagSession",
  "sts:SetSourceIdentity",
  "sts:SetContext",
]);
const maxStandings = 10_000;
const repositoryForm = /^arn:aws[a-z-]{0,16}:ecr:([a-z0-9-]{1,64}):([0-9]{12}):repository\/([^*]{1,256})$/;
const secretForm = /^arn:aws:secretsmanager:([a-z0-9-]{1,64}):([0-9]{12}):secret:([\w/+=.@-]{1,512})-([A-Za-z]{6})$/;

interface Known {
  readonly epoch: number;
  readonly standing: ResourceStanding;
}

/** Makes a finder with nothing read yet. */
export function createResourcePolicies(metadata: Database, epoch: () => Promise<number>, policies: PolicyCache): ResourcePolicies {
  const repositories = new LRUCache<string, Known>({ max: maxStandings });
  const registries = new LRUCache<string, Known>({ max: maxStandings });

  const findRepository = async (arn: string): Promise<ResourceStanding> => {
    const now = await epoch();
    const known = repositories.get(arn);
    if (known?.epoch === now) return known.standing;
    const [, region = "", accountId = "", name = ""] = repositoryForm.exec(arn) ?? [];
    const found = name === "" ? undefined : await findRepositoryAccess(metadata, { accountId, region, name });
    if (found === undefined) {
      repositories.delete(arn);
      return nothing;
    }
    const { policy, tags } = found;
    const own = policy === undefined ? [] : [policies.ofResource(arn, policy.document, policy.principals)];
    const standing: ResourceStanding = { policies: own, rule: "grants", tags };
    repositories.set(arn, { epoch: now, standing });
    return standing;
  };

  const findRegistry = async (arn: string): Promise<readonly CompiledPolicy[]> => {
    const [, region = "", accountId = ""] = repositoryForm.exec(arn) ?? [];
    if (accountId === "") return [];
    const now = await epoch();
    const name = `${accountId}/${region}`;
    const known = registries.get(name);
    if (known?.epoch === now) return known.standing.policies;
    const policy = await findRegistryPolicy(metadata, { accountId, region });
    const found = policy === undefined ? [] : [policies.ofResource(`registry policy of ${name}`, policy.document, policy.principals)];
    registries.set(name, { epoch: now, standing: { policies: found, rule: "grants" } });
    return found;
  };

  const findTrust = async (arn: string): Promise<ResourceStanding> => {
    const parts = parseIdentityArn(arn);
    if (parts?.kind !== "role") return noTrust;
    const role = await findRoleTrust(metadata, parts.accountId, parts.name);
    // A role is found by its name, and meant by its path too.
    if (role === undefined || identityArn("role", parts.accountId, role.identity.path, role.identity.name) !== arn) return noTrust;
    return { policies: [policies.ofResource(arn, role.trustDocument, role.trustPrincipals)], rule: "must-allow" };
  };

  const findSecret = async (arn: string): Promise<ResourceStanding> => {
    const [, region = "", accountId = "", name = "", suffix = ""] = secretForm.exec(arn) ?? [];
    const found = name === "" ? undefined : await findSecretAccess(metadata, { accountId, region, name, suffix });
    if (found === undefined) return nothing;
    const { policy, tags } = found;
    const own = policy === undefined ? [] : [policies.ofResource(arn, policy.document, policy.principals)];
    return { policies: own, rule: "grants", tags };
  };

  const findBoth = async (arn: string): Promise<ResourceStanding> => {
    const [standing, registry] = [await findRepository(arn), await findRegistry(arn)];
    return registry.length === 0 ? standing : { ...standing, policies: [...standing.policies, ...registry] };
  };

  return {
    find(resource, action) {
      if (action.startsWith("ecr:"))
        return resource === "*" ? nothing : registryActions.has(action) ? findBoth(resource) : findRepository(resource);
      if (action.startsWith("secretsmanager:")) return findSecret(resource);
      if (action.startsWith("kms:")) return findKeyStanding(metadata, policies, resource, action);
      // GetFederationToken asks for sts:TagSession on the federated user, who is no role and has no trust policy.
      return trustActions.has(action) && !resource.includes(":federated-user/") ? findTrust(resource) : nothing;
    },
  };
}
