/** What a registry's replication configuration says of a repository (Amazon ECR User Guide, "Private image replication"). Pure. */
import type { PushFollowUp } from "#metadata/follow-ups.ts";
import type { RegistrySettings } from "#metadata/registry-settings.ts";
import type { RegistryRef } from "./context.ts";
import type { PushedManifest } from "./follow-up.ts";

/** A replication configuration as it is kept under the setting `replication`: in ECR's own words, as it was given. */
export interface ReplicationConfiguration {
  readonly rules: readonly {
    readonly destinations: readonly { readonly region: string; readonly registryId: string }[];
    /** None: every repository. */
    readonly repositoryFilters?: readonly { readonly filter: string; readonly filterType: "PREFIX_MATCH" }[];
  }[];
}

/** What a registry that was never configured has. */
const noReplication: ReplicationConfiguration = { rules: [] };

/** The configuration among a registry's settings. */
export function replicationOf(settings: RegistrySettings): ReplicationConfiguration {
  return (settings.get("replication") as ReplicationConfiguration | undefined) ?? noReplication;
}

/** The target of a follow-up, as text. */
function replicationTarget({ accountId, region }: RegistryRef): string {
  return `${accountId}/${region}`;
}

/** Whither a repository of that name is replicated: each destination once, never the registry itself. */
export function replicationTargets(configuration: ReplicationConfiguration, source: RegistryRef, name: string): readonly string[] {
  const own = replicationTarget(source);
  const targets = configuration.rules
    .filter(
      ({ repositoryFilters = [] }) => repositoryFilters.length === 0 || repositoryFilters.some(({ filter }) => name.startsWith(filter)),
    )
    .flatMap(({ destinations }) => destinations.map(({ registryId: accountId, region }) => replicationTarget({ accountId, region })))
    .filter((target) => target !== own);
  return [...new Set(targets)];
}

/** A push is replicated; what came by replication is not sent on. */
export function replicationRule(settings: RegistrySettings, { registry, name, isCopy }: PushedManifest): readonly PushFollowUp[] {
  if (isCopy === true) return [];
  return replicationTargets(replicationOf(settings), registry, name).map((target) => ({ kind: "replicate", target, when: "changed" }));
}
