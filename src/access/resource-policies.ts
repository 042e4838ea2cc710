/**
 * What hangs on the resource of a request: the policies that stand on it, and a repository's tags. Repositories are known by ARN, since
 * that is all a decision has; whoever makes a repository of that name anew moves the epoch, and repositories that do not exist are not kept.
 */
import type { Caller } from "#iam/caller.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { identityArn, parseIdentityArn } from "#identity/arn.ts";
import type { Database } from "#metadata/database.ts";
import { findRegistryAccess, findRepositoryAccess } from "#metadata/resource-policies.ts";
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
  /** Who owns it, where that is not the account of its ARN. */
  readonly ownerAccountId?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** A grant of a key allows the request. */
  readonly granted?: boolean;
  /** Looks whether a grant allows what the policies do not; `keys` are the request's own condition keys. */
  readonly findGrant?: (caller: Caller, keys: ConditionKeys) => Promise<boolean>;
  /** Where the standing may be a remembered one: what is stored now. What was read for this very request is not read twice. */
  readonly again?: () => Promise<ResourceStanding>;
}

/** Finds what hangs on resources. */
export interface ResourcePolicies {
  /** As of now. Rejects when the database cannot be reached. */
  find(resource: string, action: string, asker: Asker): Promise<ResourceStanding> | ResourceStanding;
}

/** Who asks, and where: what concerns no single resource concerns the asker's own account in that region. */
interface Asker {
  readonly accountId: string;
  readonly region: string;
  readonly isRoot: boolean;
}

const nothing: ResourceStanding = { policies: [], rule: "grants" };
const noTrust: ResourceStanding = { policies: [], rule: "must-allow" };

/** The actions that a registry's own policy decides about where its scope is V1; with V2, the default, it decides about all of ECR's. */
const firstScopeActions: ReadonlySet<string> = new Set(["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:BatchImportUpstreamImage"]);
/** Decided by identity policies alone, also with V2. */
const tokenAction = "ecr:GetAuthorizationToken";
/** What root may always do, so that no policy locks everybody out of the registry for good. */
const wayOutActions: ReadonlySet<string> = new Set(["ecr:GetRegistryPolicy", "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy"]);
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

/** A repository, or with `*` for its name all of them. */
const registryForm = /^arn:aws[a-z-]{0,16}:ecr:([a-z0-9-]{1,64}):([0-9]{12}):repository\//;

interface Known {
  readonly epoch: number;
  readonly standing: ResourceStanding;
}

/** A registry's policy as it was compiled; `scope` as it is set. */
interface KnownRegistry {
  readonly epoch: number;
  readonly scope: unknown;
  readonly policies: readonly CompiledPolicy[];
}

/** Makes a finder with nothing read yet. `keyOwner`: the account that owns keys which are kept elsewhere; undefined where there are none. */
export function createResourcePolicies(
  metadata: Database,
  epoch: () => Promise<number>,
  policies: PolicyCache,
  keyOwner: string | undefined,
): ResourcePolicies {
  const repositories = new LRUCache<string, Known>({ max: maxStandings });
  const registries = new LRUCache<string, KnownRegistry>({ max: maxStandings });

  const readRepository = async (arn: string): Promise<ResourceStanding> => {
    const [, region = "", accountId = "", name = ""] = repositoryForm.exec(arn) ?? [];
    const found = name === "" ? undefined : await findRepositoryAccess(metadata, { accountId, region, name });
    if (found === undefined) return nothing;
    const { policy, tags } = found;
    const own = policy === undefined ? [] : [policies.ofResource(arn, policy.document, policy.principals)];
    return { policies: own, rule: "grants", tags };
  };

  const findRepository = async (arn: string): Promise<ResourceStanding> => {
    const now = await epoch();
    const known = repositories.get(arn);
    if (known?.epoch === now) return known.standing;
    const standing = await readRepository(arn);
    if (standing === nothing) repositories.delete(arn);
    else repositories.set(arn, { epoch: now, standing: { ...standing, again: () => readRepository(arn) } });
    return { ...standing, again: async () => standing };
  };

  /** The policies of the registry that are asked about this action. */
  const findRegistry = async (accountId: string, region: string, action: string): Promise<readonly CompiledPolicy[]> => {
    const now = await epoch();
    const name = `${accountId}/${region}`;
    let known = registries.get(name);
    if (known?.epoch !== now) {
      const policy = await findRegistryAccess(metadata, { accountId, region });
      const found = policy === undefined ? [] : [policies.ofResource(`registry policy of ${name}`, policy.document, policy.principals)];
      registries.set(name, (known = { epoch: now, scope: policy?.scope, policies: found }));
    }
    return known.scope === "V1" && !firstScopeActions.has(action) ? [] : known.policies;
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

  const findBoth = async (arn: string, action: string): Promise<ResourceStanding> => {
    const standing = await findRepository(arn);
    const [, region = "", accountId = ""] = registryForm.exec(arn) ?? [];
    const registry = accountId === "" ? [] : await findRegistry(accountId, region, action);
    if (registry.length === 0) return standing;
    const withRegistry = (own: ResourceStanding): ResourceStanding => ({ ...own, policies: [...own.policies, ...registry] });
    return { ...withRegistry(standing), again: async () => withRegistry((await standing.again?.()) ?? standing) };
  };

  const findWhole = async ({ accountId, region, isRoot }: Asker, action: string): Promise<ResourceStanding> => {
    if (isRoot && wayOutActions.has(action)) return nothing;
    const registry = await findRegistry(accountId, region, action);
    return registry.length === 0 ? nothing : { policies: registry, rule: "grants" };
  };

  return {
    find(resource, action, asker) {
      if (action === tokenAction) return nothing;
      if (action.startsWith("ecr:")) return resource === "*" ? findWhole(asker, action) : findBoth(resource, action);
      if (action.startsWith("secretsmanager:")) return findSecret(resource);
      if (action.startsWith("kms:")) return findKeyStanding(metadata, policies, { resource, action, keyOwner });
      // GetFederationToken asks for sts:TagSession on the federated user, who is no role and has no trust policy.
      return trustActions.has(action) && !resource.includes(":federated-user/") ? findTrust(resource) : nothing;
    },
  };
}
