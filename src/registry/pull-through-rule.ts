/** Pull-through cache rules: their grammar, which rule covers a name, and what a name is called upstream (Amazon ECR User Guide, "Creating a pull through cache rule"). */
import * as rules from "#metadata/pull-through-rules.ts";
import type { PullThroughIdentity, PullThroughRule } from "#metadata/pull-through-rules.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { barePrefix, coveringPrefixes, rootPrefix } from "./creation-template-match.ts";
import { refuse } from "./errors.ts";
import { cutPage } from "./repository.ts";
import type { PageRequest } from "./repository.ts";
import { authorOf } from "./scope.ts";

export type { PullThroughRule } from "#metadata/pull-through-rules.ts";

/** ECR's quota for one registry (account and region). */
const maxRules = 50;

/** The rule that covers a name: the one with the longest prefix, `ROOT` last. A prefix covers what stands below it, not its own name. */
export function selectRule(all: readonly PullThroughRule[], name: string): PullThroughRule | undefined {
  if (all.length === 0) return undefined;
  for (const prefix of coveringPrefixes(name)) {
    const found = all.find((rule) => rule.prefix === prefix);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a name under the rule is called in the rule's upstream: the one prefix is exchanged for the other. */
export function upstreamName(rule: Pick<PullThroughRule, "prefix" | "upstreamPrefix">, name: RepositoryName): string {
  const rest = rule.prefix === rootPrefix ? name : name.slice(rule.prefix.length + 1);
  const upstream = barePrefix(rule.upstreamPrefix ?? rootPrefix);
  return upstream === rootPrefix ? rest : `${upstream}/${rest}`;
}

/** All rules of a registry. */
export async function readRules(core: RegistryContext["core"], registry: RegistryRef): Promise<readonly PullThroughRule[]> {
  return rules.readPullThroughRules(core.metadata, registry);
}

/** The rule of a prefix, with or without its trailing slash. Throws `pull-through-rule-not-found`. */
export async function getRule(ctx: RegistryContext, registry: RegistryRef, prefix: string): Promise<PullThroughRule> {
  const found = (await readRules(ctx.core, registry)).find((rule) => rule.prefix === barePrefix(prefix));
  return found ?? refuse("pull-through-rule-not-found", { registryId: registry.accountId, prefix });
}

/** One page of a registry's rules in byte order of their prefixes; `next` is the `after` of the next page. */
export async function listRules(
  ctx: RegistryContext,
  registry: RegistryRef,
  page: PageRequest<string>,
): Promise<{ readonly rules: readonly PullThroughRule[]; readonly next?: string }> {
  const found = await rules.listPullThroughRules(ctx.core.metadata, registry, { after: page.after, limit: page.limit + 1 });
  const { items, last } = cutPage(found, page.limit);
  return { rules: items, ...(last !== undefined && { next: last.prefix }) };
}

/** Makes a rule. Throws `pull-through-rule-exists`, `limit-exceeded`. */
export async function createRule(
  ctx: RegistryContext,
  registry: RegistryRef,
  rule: Omit<PullThroughRule, "createdAt" | "updatedAt">,
): Promise<PullThroughRule> {
  const made = await rules.createPullThroughRule(ctx.core.metadata, { registry, rule, maxRules, author: authorOf(ctx) });
  if (made.outcome === "created") return made.rule;
  if (made.outcome === "exists") return refuse("pull-through-rule-exists", { registryId: registry.accountId, prefix: rule.givenPrefix });
  return refuse("limit-exceeded", {
    message: `The registry with id '${registry.accountId}' already has the maximum allowed number of pull through cache rules which is '${maxRules}'`,
  });
}

/** Changes as whom a rule asks its upstream; what is undefined stays. Throws `pull-through-rule-not-found`. */
export async function updateRule(
  ctx: RegistryContext,
  registry: RegistryRef,
  prefix: string,
  identity: PullThroughIdentity,
): Promise<PullThroughRule> {
  const key = { ...registry, prefix: barePrefix(prefix) };
  const rule = await rules.updatePullThroughRule(ctx.core.metadata, { key, identity, author: authorOf(ctx) });
  return rule ?? refuse("pull-through-rule-not-found", { registryId: registry.accountId, prefix });
}

/** Deletes a rule; repositories and manifests that came by it stay. Throws `pull-through-rule-not-found`. */
export async function deleteRule(ctx: RegistryContext, registry: RegistryRef, prefix: string): Promise<PullThroughRule> {
  const key = { ...registry, prefix: barePrefix(prefix) };
  const rule = await rules.deletePullThroughRule(ctx.core.metadata, { key, author: authorOf(ctx) });
  return rule ?? refuse("pull-through-rule-not-found", { registryId: registry.accountId, prefix });
}
