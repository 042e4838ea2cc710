/** A registry's replication: its configuration, how far the copies of a manifest have come, and copies that are begun on request. */
import type { FollowUpState } from "#metadata/follow-ups.ts";
import { listFollowUps, startFollowUps } from "#metadata/follow-ups.ts";
import { deleteRegistrySetting, putRegistrySetting, readRegistrySettings } from "#metadata/registry-settings.ts";
import { listReplicable, recordReplication } from "#metadata/replication.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { describeManifests } from "./manifest-batch.ts";
import type { ManifestName } from "./manifest-batch.ts";
import { replicationOf, replicationTargets } from "./replication-rule.ts";
import type { ReplicationConfiguration } from "./replication-rule.ts";
import { getRepository } from "./repository.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** The registry's configuration; no rules where it was never configured. */
export async function getReplication(ctx: RegistryContext, registry: RegistryRef): Promise<ReplicationConfiguration> {
  return replicationOf(await readRegistrySettings(ctx.core.metadata, registry));
}

/** Replaces the configuration; without rules nothing is replicated any more. What has begun goes on. */
export async function putReplication(ctx: RegistryContext, registry: RegistryRef, configuration: ReplicationConfiguration): Promise<void> {
  const setting = { registry, name: "replication", author: authorOf(ctx) } as const;
  if (configuration.rules.length === 0) await deleteRegistrySetting(ctx.core.metadata, setting);
  else await putRegistrySetting(ctx.core.metadata, { ...setting, value: configuration });
}

/** How far the copies of a manifest have come, by destination. Throws `repository-not-found`, `manifest-not-found`. */
export async function listReplications(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  id: ManifestName,
): Promise<readonly (Pick<FollowUpState, "state" | "code"> & { readonly destination: RegistryRef })[]> {
  const { manifests } = await describeManifests(ctx, registry, name, [id]);
  const [found] = manifests;
  const { digest, tag } = id;
  const missing = { ...(digest !== undefined && { digest }), ...(tag !== undefined && { tag }) };
  if (found === undefined) return refuse("manifest-not-found", { ...repositoryDetail(registry, name), ...missing });
  const states = await listFollowUps(ctx.core.metadata, "replicate", [found.manifest.manifestId]);
  return states.map(({ state, code, target }) => {
    const [accountId = "", region = ""] = target.split("/");
    return { state, ...(code !== undefined && { code }), destination: { accountId, region } };
  });
}

/** What a backfill has begun. `next` is the `after` of the next batch; undefined when this was the last. */
export interface Backfill {
  readonly manifests: number;
  readonly replications: number;
  readonly next: number | undefined;
}

/**
 * Begins to replicate what is there already, one batch: everything in the repository of that name, or in the registry, that the rules
 * of now cover. Throws `repository-not-found`.
 */
export async function backfillReplication(
  ctx: RegistryContext,
  registry: RegistryRef,
  request: { readonly name?: RepositoryName | undefined; readonly after: number; readonly limit: number },
): Promise<Backfill> {
  const { metadata, clock } = ctx.core;
  const { name, after, limit } = request;
  if (name !== undefined) await getRepository(ctx, registry, name);
  const configuration = await getReplication(ctx, registry);
  const found = await listReplicable(metadata, { registry, repositoryName: name, after, limit });
  let manifests = 0;
  let replications = 0;
  for (const { manifestId, repositoryName } of found) {
    const targets = replicationTargets(configuration, registry, repositoryName);
    if (targets.length === 0) continue;
    const followUps = targets.map((target) => ({ kind: "replicate" as const, target }));
    if (!(await startFollowUps(metadata, { manifestId, followUps, now: clock.now() }))) continue;
    manifests += 1;
    replications += targets.length;
  }
  return { manifests, replications, next: found.length < limit ? undefined : found.at(-1)?.manifestId };
}

/** Writes down that a copy has come from another deployment. */
export async function recordArrival(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  { source, digest }: { readonly source: RegistryRef; readonly digest: string },
): Promise<void> {
  await recordReplication(ctx.core.metadata, { destination: repositoryKey(registry, name), source, digest, author: authorOf(ctx) });
}
