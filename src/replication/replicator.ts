/**
 * The replication room: copies of what is pushed into other registries of this deployment, or into other deployments. It decides nothing
 * about which repositories are replicated (that is `registry/replication-rule.ts`): it does the follow-ups of kind `replicate`.
 *
 * Invariants: whatever runs twice, late or out of order ends in the same state, since blobs and manifests are known by digest and tags carry
 * versions that only grow; and what came as a copy begins no replication, so nothing goes in circles.
 */
import type { Access } from "#access/access.ts";
import type { JobRun } from "#jobs/table.ts";
import type { FollowUpJob } from "#metadata/follow-ups.ts";
import { enqueueJob } from "#metadata/jobs.ts";
import { findOpenReplication, findReplicationSource, listTagVersions, settleReplication } from "#metadata/replication.ts";
import type { ReplicationRecord, ReplicationSource } from "#metadata/replication.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "#registry/context.ts";
import { authorOf, repositoryKey } from "#registry/scope.ts";
import type { GuardedConnections } from "#upstream/connections.ts";
import { createGuardedConnections } from "#upstream/connections.ts";
import { copyManifest } from "./copy.ts";
import type { CopyRequest, CopySink } from "./copy.ts";
import { ReplicationFailure, failureOf } from "./failure.ts";
import { localSink, replicationContext } from "./local.ts";
import type { Peers } from "./peers.ts";
import { createRemote } from "./remote.ts";
import type { Remote } from "./remote.ts";

/** What replication stands on. */
export interface ReplicatorDeps {
  readonly core: RegistryCore;
  readonly access: Access;
  /** The regions of this deployment. */
  readonly regions: readonly string[];
  readonly peers: Peers;
  /** Of the address guard; peers are trusted besides, for the operator named them. */
  readonly trustedHosts: readonly string[];
  /** For tests: what one request to a peer carries. */
  readonly chunkBytes?: number | undefined;
}

/** Does the jobs of kind `replicate`. */
export interface Replicator {
  /** Copies one manifest to one destination and writes down how that ended. What may get better is begun again later, by a job of its own. */
  run(run: Pick<JobRun, "payload" | "signal">): Promise<void>;
  /** Drops all connections. */
  close(): void;
}

/** How long a destination may be away before a replication fails. */
const giveUpMs = 86_400_000;
/** A peer may have to join the pieces of a large blob before it answers. */
const answerMs = 300_000;
const firstDelayMs = 2_000;
const longestDelayMs = 900_000;

/** Makes the replicator of a process. Connections are made when they are first needed. */
export function createReplicator(deps: ReplicatorDeps): Replicator {
  const { core, regions, peers } = deps;
  const peerHosts = [...peers.values()].map(({ origin }) => hostAndPort(new URL(origin)));
  const connections: GuardedConnections = createGuardedConnections({
    trustedHosts: [...deps.trustedHosts, ...peerHosts],
    headersMs: answerMs,
  });
  const remote = createRemote(core, connections, { chunkBytes: deps.chunkBytes });

  async function copy(job: OpenJob, source: ReplicationSource): Promise<void> {
    const tags = await listTagVersions(core.metadata, job.manifestId, core.limits.tagsPerManifest);
    const request: CopyRequest = {
      ctx: job.ctx(source),
      source: { accountId: source.key.accountId, region: source.key.region },
      name: source.key.name as RepositoryName,
      digest: source.digest as Digest,
      tags,
      signal: job.signal,
    };
    await copyManifest(request, sinkOf(deps, remote, request, job.destination));
  }

  async function settle(job: OpenJob, source: ReplicationSource | undefined, failure: ReplicationFailure | undefined): Promise<void> {
    const { manifestId, target, startedAt } = job;
    // It ended before, and was only done once more for a push at the same moment.
    if (startedAt === undefined) return;
    const now = core.clock.now();
    if (failure !== undefined) {
      const fields = { target, repository: source?.key.name, digest: source?.digest, code: failure.code, error: failure.message };
      const ageMs = now - startedAt;
      if (!failure.isPermanent && ageMs < giveUpMs) {
        core.log.warn(fields, "a replication will be tried again");
        const runAt = now + Math.min(longestDelayMs, Math.max(firstDelayMs, Math.floor(ageMs / 2)));
        await enqueueJob(core.metadata, {
          kind: "replicate",
          payload: { manifestId, target },
          runAt,
          dedupeKey: `${manifestId} ${target}`,
        });
        return;
      }
      core.log.error(fields, "a replication failed");
    }
    await settleReplication(core.metadata, {
      manifestId,
      target,
      startedAt,
      ...(failure !== undefined && { failure: { code: failure.code, reason: failure.message.slice(0, maxReasonLength) } }),
      record: source === undefined ? undefined : recordOf(regions, job, source, failure),
      now,
    });
  }

  return {
    async run({ payload, signal }) {
      const asked = payload as FollowUpJob;
      const job = jobOf(core, asked, (await findOpenReplication(core.metadata, asked))?.startedAt, signal);
      const source = await findReplicationSource(core.metadata, job.manifestId);
      let failure: ReplicationFailure | undefined;
      try {
        if (source === undefined) throw new ReplicationFailure("ImageNotFound", "what was to be replicated has been deleted", true);
        await copy(job, source);
      } catch (error) {
        // The process stops, or another one has taken the job over.
        signal.throwIfAborted();
        failure = failureOf(error);
      }
      await settle(job, source, failure);
    },
    close: () => connections.close(),
  };
}

function sinkOf({ access, regions, peers }: ReplicatorDeps, remote: Remote, request: CopyRequest, destination: RegistryRef): CopySink {
  if (regions.includes(destination.region)) return localSink(access, request, destination);
  const peer = peers.get(destination.region);
  if (peer !== undefined) return remote.sink(peer, request, destination);
  throw new ReplicationFailure("DestinationNotConfigured", `no region or peer ${destination.region} is configured`, true);
}

/** The destination's log says it; a peer keeps its own. */
function recordOf(
  regions: readonly string[],
  job: OpenJob,
  source: ReplicationSource,
  failure: ReplicationFailure | undefined,
): ReplicationRecord | undefined {
  if (!regions.includes(job.destination.region)) return undefined;
  return {
    destination: repositoryKey(job.destination, source.key.name as RepositoryName),
    source: source.key,
    digest: source.digest,
    failureCode: failure?.code,
    author: authorOf(job.ctx(source)),
  };
}

const maxReasonLength = 1_000;

interface OpenJob {
  readonly manifestId: number;
  readonly target: string;
  readonly destination: RegistryRef;
  /** Undefined when nothing waits for this run. */
  readonly startedAt: number | undefined;
  readonly ctx: (source: ReplicationSource) => RegistryContext;
  readonly signal: AbortSignal;
}

function jobOf(core: RegistryCore, asked: FollowUpJob, startedAt: number | undefined, signal: AbortSignal): OpenJob {
  const [accountId = "", region = ""] = asked.target.split("/");
  return { ...asked, destination: { accountId, region }, startedAt, ctx: ({ key }) => replicationContext(core, key.accountId), signal };
}

function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port === "" ? (protocol === "https:" ? "443" : "80") : port}`;
}
