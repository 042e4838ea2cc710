/** Replication in tests: rules set, jobs done by hand until none is due, and what is where in which registry. */
import assert from "node:assert/strict";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import { listChanges } from "#metadata/changes.ts";
import type { Change } from "#metadata/changes.ts";
import { listManifestTags } from "#registry/manifest-batch.ts";
import { putRegistryPolicy } from "#registry/registry-policy.ts";
import { listReplications, putReplication } from "#registry/replication-status.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createReplicator } from "#replication/replicator.ts";
import type { ReplicatorDeps } from "#replication/replicator.ts";
import type { RegistryServer } from "./registry-server.ts";

/** A server with its replicator. */
export interface ReplicationBench {
  readonly server: RegistryServer;
  readonly ctx: RegistryContext;
  /** Sets one rule: everything that begins with the prefix to these destinations. */
  replicate(from: RegistryRef, prefix: string | undefined, ...to: readonly RegistryRef[]): Promise<void>;
  /** Sets a registry policy that allows another account so much on every repository. */
  allow(registry: RegistryRef, accountId: string, ...actions: readonly string[]): Promise<void>;
  /** Does what is due, also what becomes due by it; answers how many jobs that were. */
  work(): Promise<number>;
  /** The first tag (or the digest) of each manifest with its states, as `<account>/<region> <state>[ <code>]`. */
  states(registry: RegistryRef, name: string, tag: string): Promise<readonly string[]>;
  /** Tag → digest, of a repository in any registry of the server. */
  tags(registry: RegistryRef, name: string): Promise<Readonly<Record<string, string>>>;
  /** Entries of the change log of one kind. */
  changes(kind: Change["kind"]): Promise<readonly Change[]>;
  close(): void;
}

/** Makes the bench. */
export function replicationBench(
  server: RegistryServer,
  more: Pick<ReplicatorDeps, "regions"> & Partial<ReplicatorDeps>,
): ReplicationBench {
  const { core, access } = server;
  const replicator = createReplicator({ core, access, peers: new Map(), trustedHosts: [], ...more });
  const ctx: RegistryContext = { core, actor: server.principal, requestId: "test" };
  return {
    server,
    ctx,
    replicate: (from, prefix, ...to) =>
      putReplication(ctx, from, {
        rules: [
          {
            destinations: to.map(({ accountId: registryId, region }) => ({ registryId, region })),
            ...(prefix !== undefined && { repositoryFilters: [{ filter: prefix, filterType: "PREFIX_MATCH" }] }),
          },
        ],
      }),
    allow: ({ accountId: owner, region }, accountId, ...actions) => {
      const statement = {
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${accountId}:root` },
        Action: actions,
        Resource: `arn:aws:ecr:${region}:${owner}:repository/*`,
      };
      const document = JSON.stringify({ Version: "2012-10-17", Statement: [{ Sid: "Replication", ...statement }] });
      return putRegistryPolicy(ctx, { accountId: owner, region }, { document, principals: {} });
    },
    async work() {
      for (let done = 0; ; done += 1) {
        const job = await claimJob(core.metadata, { kinds: ["replicate"], now: core.clock.now(), leaseMs: 60_000 });
        if (job === undefined) return done;
        assert.ok(done < 100, "replication does not come to an end");
        await replicator.run({ payload: job.payload, signal: new AbortController().signal });
        await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
      }
    },
    async states(registry, name, tag) {
      const found = await listReplications(ctx, registry, name as RepositoryName, { tag });
      return found.map(({ destination, state, code }) =>
        [`${destination.accountId}/${destination.region}`, state, ...(code === undefined ? [] : [code])].join(" "),
      );
    },
    async tags(registry, name) {
      const page = await listManifestTags(ctx, registry, name as RepositoryName, { tagStatus: "TAGGED", status: "ANY", limit: 100 });
      return Object.fromEntries(page.entries.map(({ tag, digest }) => [tag ?? "", digest]));
    },
    async changes(kind) {
      const all = await listChanges(core.metadata, { limit: 10_000 });
      return all.filter((change) => change.kind === kind);
    },
    close: () => replicator.close(),
  };
}
