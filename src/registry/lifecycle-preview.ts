/** Previews of lifecycle policies: what a policy would do to a repository now. A job makes them; they change nothing. */
import { setImmediate } from "node:timers/promises";
import { parseLifecyclePolicy } from "#lifecycle/policy.ts";
import * as previews from "#metadata/lifecycle-previews.ts";
import type { LifecyclePreviewJob, LifecyclePreviewResult } from "#metadata/lifecycle-previews.ts";
import { findManifestsWithTags } from "#metadata/manifests.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { evaluateLifecycle } from "./lifecycle-evaluation.ts";
import { canonicalTextOf, getLifecyclePolicy } from "./lifecycle.ts";
import type { ManifestName } from "./manifest-batch.ts";
import { cutPage, getRepository } from "./repository.ts";
import type { PageRequest } from "./repository.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

export type { LifecyclePreviewResult } from "#metadata/lifecycle-previews.ts";

/** A preview as far as it has come. */
export interface LifecyclePreviewState {
  /** The policy as it was sent. */
  readonly policy: string;
  /** `EXPIRED`: it was made, and is too old to be shown. */
  readonly status: "IN_PROGRESS" | "COMPLETE" | "EXPIRED" | "FAILED";
  /** Only of one that is complete; of all results, whatever is asked for. */
  readonly counts?: { readonly expire: number; readonly archive: number };
  readonly results: readonly LifecyclePreviewResult[];
  /** The `after` of the next page. */
  readonly next?: number;
}

const minuteMs = 60_000;
/** How long results are shown. */
const shownMs = 24 * 60 * minuteMs;
/** A preview that is not ready by then will never be: those who wait for it have given up long before. */
const abandonedMs = 10 * minuteMs;
/** Results written in one transaction; some milliseconds' worth. */
const resultsAtOnce = 100;
/** After so many failed attempts the preview has failed. */
const maxAttempts = 3;
/** Results removed before requests are let through. */
const removedAtOnce = 200;

/**
 * Begins a preview of the policy, or of the repository's own, and answers the text that it is of. Throws `repository-not-found`,
 * `lifecycle-policy-invalid`, `lifecycle-policy-not-found`, `lifecycle-preview-in-progress`.
 */
export async function startLifecyclePreview(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  text: string | undefined,
): Promise<string> {
  const { metadata, random } = ctx.core;
  if (text !== undefined) canonicalTextOf(text);
  const policy = text ?? (await getLifecyclePolicy(ctx, registry, name)).text;
  const author = authorOf(ctx);
  const input = { key: repositoryKey(registry, name), previewId: random.uuid(), policy, abandonedBefore: author.now - abandonedMs, author };
  const outcome = await previews.startLifecyclePreview(metadata, input);
  if (outcome === "started") return policy;
  const kind = outcome === "in-progress" ? "lifecycle-preview-in-progress" : "repository-not-found";
  return refuse(kind, repositoryDetail(registry, name));
}

/**
 * The last preview of a repository with one page of its results, or with those of the named manifests. Throws `repository-not-found`,
 * `lifecycle-preview-not-found`.
 */
export async function getLifecyclePreview(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  asked: PageRequest<number> & { readonly isTagged?: boolean | undefined; readonly ids?: readonly ManifestName[] | undefined },
): Promise<LifecyclePreviewState> {
  const { metadata, clock } = ctx.core;
  const { repositoryId } = await getRepository(ctx, registry, name);
  const preview = await previews.findLifecyclePreview(metadata, repositoryId);
  if (preview === undefined) return refuse("lifecycle-preview-not-found", repositoryDetail(registry, name));
  const { policy, status, startedAt, settledAt = startedAt, counts } = preview;
  const now = clock.now();
  if (status === "IN_PROGRESS") return { policy, status: now - startedAt < abandonedMs ? status : "FAILED", results: [] };
  if (status === "FAILED") return { policy, status, results: [] };
  if (now - settledAt >= shownMs) return { policy, status: "EXPIRED", results: [] };
  const { isTagged, ids, limit } = asked;
  if (ids !== undefined) {
    const found = await findNamed(ctx, repositoryId, preview, ids);
    return { policy, status, counts, results: found.filter(({ tags }) => isTagged === undefined || isTagged === tags.length > 0) };
  }
  const page = await previews.listPreviewResults(metadata, preview, { isTagged, after: asked.after, limit: limit + 1 });
  const { items, last } = cutPage(page, limit);
  return { policy, status, counts, results: items, ...(last !== undefined && { next: last.ordinal }) };
}

/** A tag means what it means now; what it meant when the preview was made must agree. */
async function findNamed(
  { core: { metadata } }: RegistryContext,
  repositoryId: number,
  preview: Parameters<typeof previews.findPreviewResults>[1],
  ids: readonly ManifestName[],
): Promise<readonly LifecyclePreviewResult[]> {
  const byTag = ids.flatMap(({ digest, tag }) => (digest === undefined && tag !== undefined ? [{ tag }] : []));
  const tagged = await findManifestsWithTags(metadata, repositoryId, byTag);
  const digests = [...ids.flatMap(({ digest }) => digest ?? []), ...tagged.flatMap((manifest) => manifest?.digest ?? [])];
  const results = await previews.findPreviewResults(metadata, preview, digests);
  return results.filter((result) =>
    ids.some(
      ({ digest, tag }) =>
        (digest !== undefined || tag !== undefined) &&
        (digest === undefined || digest === result.digest) &&
        (tag === undefined || result.tags.includes(tag)),
    ),
  );
}

/** Makes a preview: the work of one attempt of its job. One that was replaced meanwhile is left alone. */
export async function makeLifecyclePreview(
  core: RegistryCore,
  { previewId }: LifecyclePreviewJob,
  { attempt, signal }: { readonly attempt: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { metadata, clock } = core;
  const preview = await previews.findUnfinishedPreview(metadata, previewId);
  if (preview === undefined) return;
  const settle = async (status: "COMPLETE" | "FAILED", counts = { expire: 0, archive: 0 }): Promise<void> => {
    const now = clock.now();
    await previews.settleLifecyclePreview(metadata, { previewId, attempt, status, counts, resultsUntil: now + shownMs, now });
  };
  try {
    const counts = await writeResults(core, preview, { attempt, signal });
    if (counts !== undefined) await settle("COMPLETE", counts);
  } catch (error) {
    if (signal?.aborted !== true && attempt >= maxAttempts) await settle("FAILED");
    throw error;
  }
}

async function writeResults(
  core: RegistryCore,
  { previewId, repositoryId, policy }: { readonly previewId: string; readonly repositoryId: number; readonly policy: string },
  { attempt, signal }: { readonly attempt: number; readonly signal?: AbortSignal | undefined },
): Promise<{ readonly expire: number; readonly archive: number } | undefined> {
  const read = parseLifecyclePolicy(policy);
  if (!read.ok) throw new Error(`the lifecycle policy of a preview cannot be read: ${read.message}`);
  const { actions, candidates } = await evaluateLifecycle(core, repositoryId, read.value, { now: core.clock.now(), signal });
  const counts = { expire: 0, archive: 0 };
  let results: LifecyclePreviewResult[] = [];
  let ordinal = 0;
  const write = async (): Promise<boolean> => {
    signal?.throwIfAborted();
    const isWanted = await previews.addPreviewResults(core.metadata, { previewId, attempt, results });
    results = [];
    await setImmediate();
    return isWanted;
  };
  for (const { digest, action, priority, follows, blockedBy } of actions) {
    const candidate = candidates.get(digest);
    if (candidate === undefined || follows !== undefined || blockedBy !== undefined) continue;
    const { tags, pushedAt, storageClass } = candidate;
    counts[action] += 1;
    results.push({ ordinal: ordinal++, digest, tags, pushedAt, action, priority, storageClass });
    if (results.length >= resultsAtOnce && !(await write())) return undefined;
  }
  return (await write()) ? counts : undefined;
}

/** Removes results that are no longer shown, and lets requests through in between. */
export async function removeOldPreviews(core: RegistryCore, signal?: AbortSignal): Promise<void> {
  const removeSome = async (): Promise<number> =>
    previews.removePreviewResults(core.metadata, { now: core.clock.now(), limit: removedAtOnce });
  while ((await removeSome()) > 0) {
    signal?.throwIfAborted();
    await setImmediate();
  }
}
