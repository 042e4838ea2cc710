/** The policy that stands on a whole registry: one, or none. */
import * as policies from "#metadata/resource-policies.ts";
import type { StoredPolicy } from "#metadata/resource-policies.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { authorOf } from "./scope.ts";

/** Sets or replaces the policy of a registry. */
export async function putRegistryPolicy(ctx: RegistryContext, registry: RegistryRef, policy: StoredPolicy): Promise<void> {
  await policies.putRegistryPolicy(ctx.core.metadata, { ...policy, registry, author: authorOf(ctx) });
}

/** The text of a registry's policy, exactly as it was given; undefined when it has none. */
export async function findRegistryPolicy(ctx: RegistryContext, registry: RegistryRef): Promise<string | undefined> {
  return (await policies.findRegistryPolicy(ctx.core.metadata, registry))?.document;
}

/** Removes the policy of a registry and answers its text; undefined when there was none. */
export async function deleteRegistryPolicy(ctx: RegistryContext, registry: RegistryRef): Promise<string | undefined> {
  return policies.deleteRegistryPolicy(ctx.core.metadata, { registry, author: authorOf(ctx) });
}
