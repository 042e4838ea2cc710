import { isAnybodysUpstream } from "#pullthrough/known-upstreams.ts";
import { checkSecret, checkUpstream, secretTexts, tryRule } from "#pullthrough/rule-check.ts";
import { findSecretArn } from "#pullthrough/service-identity.ts";
import type { Json } from "#std/json.ts";
import { createRule, deleteRule, getRule, listRules, updateRule } from "#registry/pull-through-rule.ts";
import type { PullThroughRule } from "#registry/pull-through-rule.ts";
import { barePrefix, rootPrefix } from "#registry/creation-template-match.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import { registryOf } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import { ensureLinkedRole, linkedRolePermissions } from "./linked-role.ts";
import type { PullThroughCacheRule, UpstreamRegistry } from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
import { everyRepositoryArn } from "./shape.ts";
import type { EcrRows } from "./table.ts";

const usualPage = 100;
const service = "pullthroughcache.ecr.amazonaws.com";

/** Rules about what is fetched from other registries when it is pulled. */
export const pullThroughRuleOperations: EcrRows<
  | "CreatePullThroughCacheRule"
  | "DescribePullThroughCacheRules"
  | "UpdatePullThroughCacheRule"
  | "DeletePullThroughCacheRule"
  | "ValidatePullThroughCacheRule"
> = {
  CreatePullThroughCacheRule: {
    action: "ecr:CreatePullThroughCacheRule",
    resource: registryResource,
    alsoAsks: async (call, input) => [
      ...passedRole(input),
      ...(await shownSecret(call, input, { url: input.upstreamRegistryUrl, kind: input.upstreamRegistry })),
      ...(isOwn(call, input) ? await linkedRolePermissions(call, service) : []),
    ],
    check: ({ ecrRepositoryPrefix, upstreamRepositoryPrefix = rootPrefix }) => {
      if (ecrRepositoryPrefix === rootPrefix && upstreamRepositoryPrefix !== rootPrefix)
        throw invalidParameter("upstreamRepositoryPrefix", "Must be 'ROOT' when the ecrRepositoryPrefix is 'ROOT'");
    },
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const deps = await call.pullThrough.upstreamDeps();
      const { upstreamRegistryUrl: url, credentialArn, customRoleArn: roleArn } = input;
      const checked = await checkUpstream(deps, registry, { url, kind: input.upstreamRegistry, credentialArn, roleArn });
      if (!checked.ok) throw new ApiFault("UnsupportedUpstreamRegistryException", checked.problem);
      await requireSecret(call, registry, credentialArn);
      const rule = await createRule(call.context, registry, {
        prefix: barePrefix(input.ecrRepositoryPrefix),
        givenPrefix: input.ecrRepositoryPrefix,
        upstreamKind: checked.value.kind,
        upstreamUrl: url,
        upstreamPrefix: input.upstreamRepositoryPrefix,
        credentialArn,
        roleArn,
      });
      if (isOwn(call, input)) await ensureLinkedRole(call, service);
      call.pullThrough.forget(registry);
      return ruleShape(registry.accountId, rule);
    },
  },

  DescribePullThroughCacheRules: {
    action: "ecr:DescribePullThroughCacheRules",
    resource: registryResource,
    check: ({ ecrRepositoryPrefixes, nextToken, maxResults }) => {
      if (ecrRepositoryPrefixes !== undefined && (nextToken !== undefined || maxResults !== undefined))
        throw invalidParameter("ecrRepositoryPrefixes", "Cannot be specified together with nextToken or maxResults");
    },
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const { ecrRepositoryPrefixes: prefixes, maxResults: limit = usualPage } = input;
      if (prefixes !== undefined) {
        const named = await Promise.all([...new Set(prefixes)].map((prefix) => getRule(call.context, registry, prefix)));
        return { pullThroughCacheRules: named.map((rule) => describedShape(registry.accountId, rule)) };
      }
      const listing = ["DescribePullThroughCacheRules", registry.accountId, registry.region];
      const after = openPage(call, listing, input.nextToken, isPrefix);
      const { rules, next } = await listRules(call.context, registry, { after, limit });
      return { pullThroughCacheRules: rules.map((rule) => describedShape(registry.accountId, rule)), ...sealPage(call, listing, next) };
    },
  },

  UpdatePullThroughCacheRule: {
    action: "ecr:UpdatePullThroughCacheRule",
    resource: registryResource,
    alsoAsks: async (call, input) => {
      if (input.credentialArn === undefined) return passedRole(input);
      const { upstreamUrl: url, upstreamKind: kind } = await getRule(call.context, registryOf(call, input), input.ecrRepositoryPrefix);
      return [...passedRole(input), ...(await shownSecret(call, input, { url, kind }))];
    },
    check: ({ credentialArn, customRoleArn }) => {
      if (credentialArn === undefined && customRoleArn === undefined)
        throw new ApiFault(
          "InvalidParameterException",
          "Invalid input: Please set either credential arn or role arn to update the credential",
        );
    },
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const { credentialArn, customRoleArn: roleArn } = input;
      const before = await getRule(call.context, registry, input.ecrRepositoryPrefix);
      const asked = {
        url: before.upstreamUrl,
        kind: before.upstreamKind,
        credentialArn: credentialArn ?? before.credentialArn,
        roleArn: roleArn ?? before.roleArn,
      };
      const checked = await checkUpstream(await call.pullThrough.upstreamDeps(), registry, asked);
      if (!checked.ok) throw new ApiFault("InvalidParameterException", checked.problem);
      await requireSecret(call, registry, credentialArn);
      const rule = await updateRule(call.context, registry, input.ecrRepositoryPrefix, { credentialArn, roleArn });
      call.pullThrough.forget(registry);
      return { ...commonShape(registry.accountId, rule), ...updateTime(rule) };
    },
  },

  DeletePullThroughCacheRule: {
    action: "ecr:DeletePullThroughCacheRule",
    resource: registryResource,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const rule = await deleteRule(call.context, registry, input.ecrRepositoryPrefix);
      call.pullThrough.forget(registry);
      return { ...commonShape(registry.accountId, rule), upstreamRegistryUrl: rule.upstreamUrl, createdAt: rule.createdAt };
    },
  },

  ValidatePullThroughCacheRule: {
    action: "ecr:ValidatePullThroughCacheRule",
    resource: registryResource,
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const rule = await getRule(call.context, registry, input.ecrRepositoryPrefix);
      const { upstreamUrl: url, upstreamKind: kind, credentialArn, roleArn } = rule;
      const failure = await tryRule(await call.pullThrough.upstreamDeps(), registry, { url, kind, credentialArn, roleArn });
      const shown = { ...commonShape(registry.accountId, rule), upstreamRegistryUrl: url };
      return { ...shown, isValid: failure === undefined, ...(failure !== undefined && { failure }) };
    },
  },
};

/** Rules have no ARN; those of another account's registry are that account's, whose repositories stand for it. */
function registryResource(call: ApiCall, input: { readonly registryId?: string }): string {
  return isOwn(call, input) ? "*" : everyRepositoryArn(call, input);
}

/** Whoever makes rules for another account makes no roles there. */
function isOwn(call: ApiCall, { registryId }: { readonly registryId?: string }): boolean {
  return registryId === undefined || registryId === call.principal.accountId;
}

function passedRole({ customRoleArn }: { readonly customRoleArn?: string }): readonly AskedPermission[] {
  if (customRoleArn === undefined) return [];
  const keys = { "iam:PassedToService": service };
  return [{ action: "iam:PassRole", resource: customRoleArn, keys }];
}

/**
 * The service reads the secret for the rule. Where the rule's author can stand behind the upstream, they would be shown it there, so they
 * must be allowed to read it themselves.
 */
async function shownSecret(
  call: ApiCall,
  input: { readonly registryId?: string; readonly credentialArn?: string },
  upstream: Parameters<typeof isAnybodysUpstream>[0],
): Promise<readonly AskedPermission[]> {
  const { credentialArn } = input;
  if (credentialArn === undefined || !isAnybodysUpstream(upstream)) return [];
  const resource = (await findSecretArn(call.context.core, registryOf(call, input), credentialArn)) ?? credentialArn;
  return [{ action: "secretsmanager:GetSecretValue", resource, keys: { "secretsmanager:VersionStage": "AWSCURRENT" } }];
}

/** Throws ECR's exception for a secret that gives no credentials. */
async function requireSecret(call: ApiCall, registry: { accountId: string; region: string }, secretArn: string | undefined): Promise<void> {
  if (secretArn === undefined) return;
  const problem = await checkSecret(await call.pullThrough.upstreamDeps(), registry, secretArn);
  // As in ECR, credentials may be put into the secret later: ValidatePullThroughCacheRule tells whether they are there.
  if (problem !== undefined && problem !== "malformed") throw new ApiFault(secretExceptions[problem], secretTexts[problem]);
}

const secretExceptions = {
  "not-found": "SecretNotFoundException",
  "no-access": "UnableToAccessSecretException",
  undecryptable: "UnableToDecryptSecretValueException",
} as const;

/** The members that every answer about a rule has. */
function commonShape(registryId: string, { givenPrefix, upstreamPrefix, credentialArn, roleArn }: PullThroughRule) {
  return {
    ecrRepositoryPrefix: givenPrefix,
    registryId,
    ...(credentialArn !== undefined && { credentialArn }),
    ...(roleArn !== undefined && { customRoleArn: roleArn }),
    // Only when it was given: terraform takes an answer that it did not give for a rule to be made anew.
    ...(upstreamPrefix !== undefined && { upstreamRepositoryPrefix: upstreamPrefix }),
  };
}

function ruleShape(registryId: string, rule: PullThroughRule) {
  const { upstreamKind, upstreamUrl, createdAt } = rule;
  return {
    ...commonShape(registryId, rule),
    upstreamRegistryUrl: upstreamUrl,
    createdAt,
    ...(upstreamKind !== undefined && { upstreamRegistry: upstreamKind as UpstreamRegistry }),
  };
}

function updateTime({ updatedAt }: PullThroughRule): { readonly updatedAt?: number } {
  return updatedAt === undefined ? {} : { updatedAt };
}

function describedShape(registryId: string, rule: PullThroughRule): PullThroughCacheRule {
  return { ...ruleShape(registryId, rule), ...updateTime(rule) };
}

function isPrefix(position: Json): position is string {
  return typeof position === "string";
}
