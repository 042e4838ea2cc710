/** Lifecycle policies of repositories: set, read and taken away. */
import { parseLifecyclePolicy } from "#lifecycle/policy.ts";
import * as policies from "#metadata/lifecycle-policies.ts";
import type { LifecyclePolicyOutcome, NewLifecyclePolicy } from "#metadata/lifecycle-policies.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** A policy as it is kept. */
export interface KeptLifecyclePolicy {
  /** Compact. */
  readonly text: string;
  /** When it last ran to its end. */
  readonly lastEvaluatedAt?: number | undefined;
}

/**
 * Sets or replaces the policy of a repository and answers its text as it is kept. It runs within the time between two runs; policies that are
 * set together do not run together. Throws `lifecycle-policy-invalid`, `repository-not-found`.
 */
export async function putLifecyclePolicy(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  text: string,
): Promise<KeptLifecyclePolicy> {
  const policy = newLifecyclePolicy(ctx.core, text);
  const input = { key: repositoryKey(registry, name), ...policy, author: authorOf(ctx) };
  if (!(await policies.putLifecyclePolicy(ctx.core.metadata, input))) refuse("repository-not-found", repositoryDetail(registry, name));
  return { text: policy.policy };
}

/** A policy that is to be set, with its turn. Throws `lifecycle-policy-invalid`. */
export function newLifecyclePolicy({ clock, random, limits }: RegistryCore, text: string): NewLifecyclePolicy {
  return {
    policy: canonicalTextOf(text),
    policyId: random.uuid(),
    waitingSince: clock.now() - Math.floor(limits.lifecycleEveryMs * (random.bytes(4).readUInt32BE(0) / 2 ** 32)),
  };
}

/** The policy's text as it would be kept. Throws `lifecycle-policy-invalid`. */
export function canonicalTextOf(text: string): string {
  const read = parseLifecyclePolicy(text);
  return read.ok ? read.canonicalText : refuse("lifecycle-policy-invalid", { message: read.message });
}

/** The policy of a repository. Throws `repository-not-found`, `lifecycle-policy-not-found`. */
export async function getLifecyclePolicy(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName): Promise<KeptLifecyclePolicy> {
  return keptOf(registry, name, await policies.findLifecyclePolicy(ctx.core.metadata, repositoryKey(registry, name)));
}

/** Takes the policy away and answers it; a run that is under way ends. Throws `repository-not-found`, `lifecycle-policy-not-found`. */
export async function deleteLifecyclePolicy(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
): Promise<KeptLifecyclePolicy> {
  const input = { key: repositoryKey(registry, name), author: authorOf(ctx) };
  return keptOf(registry, name, await policies.deleteLifecyclePolicy(ctx.core.metadata, input));
}

function keptOf(registry: RegistryRef, name: RepositoryName, result: LifecyclePolicyOutcome): KeptLifecyclePolicy {
  if (result.outcome === "not-found") return refuse("repository-not-found", repositoryDetail(registry, name));
  if (result.outcome === "no-policy") return refuse("lifecycle-policy-not-found", repositoryDetail(registry, name));
  return { text: result.policy, lastEvaluatedAt: result.lastEvaluatedAt };
}
