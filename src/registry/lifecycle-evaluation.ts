/** What the lifecycle policy of a repository would do now: the repository's manifests, page by page into memory, and the pure decision about them. */
import { setImmediate } from "node:timers/promises";
import type { LifecyclePolicy } from "#lifecycle/policy.ts";
import { selectCandidatesInSteps } from "#lifecycle/select.ts";
import type { LifecycleAction, LifecycleCandidate } from "#lifecycle/select.ts";
import { listLifecycleEdges, listLifecycleManifests } from "#metadata/lifecycle-manifests.ts";
import type { LifecycleEdge, LifecycleManifest } from "#metadata/lifecycle-manifests.ts";
import type { ManifestStatus } from "#metadata/manifests.ts";
import type { RegistryCore } from "./context.ts";

/** A manifest in memory: what the decision asks, and what is needed to carry it out. */
export type Candidate = LifecycleCandidate & {
  readonly manifestId: number;
  readonly status: ManifestStatus;
  readonly lastActivatedAt: number | undefined;
};

/** A decision about a whole repository. */
export interface Evaluation {
  /** In the order in which they are to be carried out. */
  readonly actions: readonly LifecycleAction[];
  readonly candidates: ReadonlyMap<string, Candidate>;
  /** Referrers by the digest of their subject, whether that is there or not. */
  readonly referrers: ReadonlyMap<string, readonly Candidate[]>;
}

/** Rows read at once: some milliseconds' worth. */
const pageRows = 500;
/** More indexes than this are not remembered of one manifest: one is enough to keep it. */
const maxParents = 16;

/**
 * Reads all live manifests of a repository and decides; requests are let through in between. A repository at ECR's quota of 100,000 images with
 * a tag each takes about 60 MB meanwhile. What changes while it is read may be seen or not: whoever acts on the answer looks again.
 */
export async function evaluateLifecycle(
  core: Pick<RegistryCore, "metadata">,
  repositoryId: number,
  policy: LifecyclePolicy,
  { now, signal }: { readonly now: number; readonly signal?: AbortSignal | undefined },
): Promise<Evaluation> {
  const candidates = await loadCandidates(core, repositoryId, now, signal);
  const referrers = new Map<string, Candidate[]>();
  for (const candidate of candidates.values()) {
    if (candidate.subject === undefined) continue;
    const known = referrers.get(candidate.subject);
    if (known === undefined) referrers.set(candidate.subject, [candidate]);
    else known.push(candidate);
  }
  const steps = selectCandidatesInSteps(policy, [...candidates.values()], now);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { actions: step.value.actions, candidates, referrers };
    signal?.throwIfAborted();
    await setImmediate();
  }
}

async function loadCandidates(
  { metadata }: Pick<RegistryCore, "metadata">,
  repositoryId: number,
  now: number,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Candidate>> {
  const candidates = new Map<string, Candidate & { readonly parents: string[] }>();
  const indexes = new Map<number, string>();
  for (let after = 0; ;) {
    const page = await listLifecycleManifests(metadata, repositoryId, { after, limit: pageRows });
    for (const manifest of page) {
      candidates.set(manifest.digest, candidateOf(manifest, now));
      if (manifest.isIndex) indexes.set(manifest.manifestId, manifest.digest);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageRows) break;
    after = last.manifestId;
    signal?.throwIfAborted();
    await setImmediate();
  }
  const ids = [...indexes.keys()];
  for (let start = 0; start < ids.length; start += pageRows) {
    const parentIds = ids.slice(start, start + pageRows);
    for (let after: LifecycleEdge | undefined; ;) {
      const edges = await listLifecycleEdges(metadata, { parentIds, after, limit: pageRows });
      for (const { parentId, childDigest } of edges) {
        const parents = candidates.get(childDigest)?.parents;
        const parent = indexes.get(parentId);
        if (parents !== undefined && parent !== undefined && parents.length < maxParents) parents.push(parent);
      }
      signal?.throwIfAborted();
      await setImmediate();
      after = edges.at(-1);
      if (edges.length < pageRows) break;
    }
  }
  return candidates;
}

function candidateOf(manifest: LifecycleManifest, now: number): Candidate & { readonly parents: string[] } {
  const { status, lastActivatedAt } = manifest;
  // What is on its way back from the archive is as young as if it had arrived.
  const activatedAt = status === "ACTIVATING" ? now : lastActivatedAt;
  return {
    manifestId: manifest.manifestId,
    digest: manifest.digest,
    tags: manifest.tags,
    pushedAt: manifest.pushedAt,
    ...(activatedAt !== undefined && { activatedAt }),
    ...(manifest.lastArchivedAt !== undefined && { archivedAt: manifest.lastArchivedAt }),
    ...(manifest.pulledAt !== undefined && { pulledAt: manifest.pulledAt }),
    storageClass: status === "ARCHIVED" ? "archive" : "standard",
    parents: [],
    ...(manifest.subjectDigest !== undefined && { subject: manifest.subjectDigest, isOrphaned: manifest.isOrphaned }),
    status,
    lastActivatedAt,
  };
}
