/**
 * Manifests on their way from an upstream into a repository. An index is stored at once and its children follow as a job; an image is
 * stored when all its blobs are there. Until then its bytes, which have their digest, are kept in memory for who asks for them again.
 */
import { LRUCache } from "lru-cache";
import type { NewJob } from "#metadata/jobs.ts";
import { findTagStanding, notePullThrough, pullThroughEntry } from "#metadata/pull-through-tags.ts";
import type { PullThroughAttempt } from "#metadata/pull-through-tags.ts";
import type { Digest } from "#oci/digest.ts";
import { parseManifest } from "#oci/manifest.ts";
import type { ParsedManifest } from "#oci/manifest.ts";
import { isNonDistributable } from "#oci/media-type.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { putManifest } from "#registry/manifest.ts";
import type { StoredManifest } from "#registry/manifest.ts";
import type { PullThroughRule } from "#registry/pull-through-rule.ts";
import { authorOf, repositoryKey } from "#registry/scope.ts";
import type { FoundManifest } from "#upstream/registry-client.ts";
import type { Clock } from "#std/clock.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import type { BlobFetches } from "./blob-fetch.ts";
import { pullThroughJob } from "./job.ts";
import type { PullThroughPayload } from "./job.ts";
import { findBlobFacts } from "./stored-content.ts";
import type { Upstream } from "./upstream.ts";

/** A repository under a rule, with what its content comes from. */
export interface ImportPlace {
  /** As whom it is stored. */
  readonly ctx: RegistryContext;
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly rule: PullThroughRule;
  readonly upstream: Upstream;
  readonly upstreamName: string;
}

/** A manifest that an upstream gave, and by which tag. */
export interface Arrival {
  readonly manifest: FoundManifest;
  readonly tag: Tag | undefined;
  /** When the upstream said so. */
  readonly seenAt: number;
  /** It follows an index that somebody pulled. What is below it is fetched when it is pulled: otherwise one pull could be made to fetch without end. */
  readonly isChild: boolean;
}

/** A manifest that has arrived. */
export interface ArrivedManifest extends StoredManifest {
  /** Resolves when it is in the repository, with its id there. Rejects when it cannot be stored; nobody has to wait for it. */
  readonly stored: Promise<number>;
}

/** The imports of a process. */
export interface ManifestImports {
  /** A manifest that has arrived and is not stored yet. */
  pending(place: Pick<ImportPlace, "registry" | "name">, digest: Digest): ArrivedManifest | undefined;
  /**
   * Takes in what arrived. An index is stored when this resolves, an image some time later: `stored` of what it resolves with says when.
   * Throws UpstreamError `invalid` for what is no manifest, RegistryError for what the repository refuses.
   */
  accept(place: ImportPlace, arrival: Arrival): Promise<ArrivedManifest>;
  /** Resolves when no import into that repository that brings this blob is under way. Never rejects. */
  settled(place: Pick<ImportPlace, "registry" | "name">, blob: Digest): Promise<void>;
}

interface Running {
  readonly place: ImportPlace;
  readonly arrivals: Arrival[];
  readonly blobs: ReadonlySet<Digest>;
  readonly done: Promise<number>;
}

/** Manifests in memory, all together. */
const maxPendingBytes = 33_554_432;
const pendingMs = 900_000;
const blobsAtOnce = 3;

/** Makes the register of imports, empty. */
export function createManifestImports(fetches: BlobFetches, clock: Clock): ManifestImports {
  const held = new LRUCache<string, ArrivedManifest>({
    maxSize: maxPendingBytes,
    sizeCalculation: ({ bytes }) => bytes.byteLength + 512,
    ttl: pendingMs,
    perf: clock,
    ttlResolution: 0,
  });
  const running = new Map<string, Running>();
  const placeKey = ({ registry, name }: Pick<ImportPlace, "registry" | "name">): string =>
    `${registry.accountId}/${registry.region}/${name}`;

  function importLater(place: ImportPlace, arrival: Arrival, manifest: ParsedManifest, stored: StoredManifest): ArrivedManifest {
    const key = `${placeKey(place)}@${stored.digest}`;
    const known = running.get(key);
    if (known !== undefined) {
      known.arrivals.push(arrival);
      return { ...stored, stored: known.done };
    }
    const arrivals = [arrival];
    const needed = [...(manifest.config === undefined ? [] : [manifest.config]), ...manifest.layers].filter(
      ({ mediaType }) => !isNonDistributable(mediaType),
    );
    const sizes = new Map(needed.map(({ digest, sizeBytes }) => [digest, sizeBytes]));
    const work = async (): Promise<number> => {
      try {
        await fetchBlobs(place, sizes, fetches);
        return await storeArrivals(place, arrivals, stored);
      } catch (error) {
        const { tag } = arrivals[0] ?? arrival;
        await noteFailure(place, { ...(tag !== undefined && { tag }), digest: stored.digest }, error);
        throw error;
      } finally {
        // Only now: what is stored is found there, and what failed is asked for again.
        running.delete(key);
        held.delete(key);
      }
    };
    const done = work();
    done.catch(() => {});
    running.set(key, { place, arrivals, blobs: new Set(sizes.keys()), done });
    const arrived: ArrivedManifest = { ...stored, stored: done };
    held.set(key, arrived);
    return arrived;
  }

  return {
    pending: (place, digest) => held.get(`${placeKey(place)}@${digest}`),
    async accept(place, arrival) {
      const { manifest } = arrival;
      const parsed = parseManifest(manifest.bytes, manifest.mediaType);
      if (!parsed.ok) throw new UpstreamError({ outcome: "invalid", problem: parsed.problem });
      const { digest, mediaType, bytes } = manifest;
      const stored: StoredManifest = { digest, mediaType, bytes, sizeBytes: bytes.byteLength };
      if (parsed.value.kind === "image") return importLater(place, arrival, parsed.value, stored);
      const manifestId = await storeArrivals(place, [arrival], stored, arrival.isChild ? [] : [childrenJob(place, digest)]);
      return { ...stored, manifestId, stored: Promise.resolve(manifestId) };
    },
    async settled(place, blob) {
      const prefix = `${placeKey(place)}@`;
      const those = [...running].filter(([key, { blobs }]) => key.startsWith(prefix) && blobs.has(blob));
      await Promise.allSettled(those.map(([, { done }]) => done));
    },
  };
}

/** Fetches what the repository does not hold, a few at once. The first failure ends it. */
async function fetchBlobs(place: ImportPlace, sizes: ReadonlyMap<Digest, number>, fetches: BlobFetches): Promise<void> {
  const { ctx, registry, name, upstream, upstreamName } = place;
  const waiting = [...sizes];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [digest, sizeBytes] = next;
      if ((await findBlobFacts(ctx, registry, name, digest)) !== undefined) continue;
      await fetches.join({ ctx, registry, name, digest, upstream, upstreamName, sizeBytes }).stored;
    }
  };
  await Promise.all(Array.from({ length: blobsAtOnce }, work));
}

/**
 * Stores the manifest and, for each arrival by a tag, moves the tag, unless the upstream has said something newer of it meanwhile. What an
 * arrival brings, what is to be done after it and what is told of it is one step: whoever dies has done all of it, or nothing. Answers the
 * manifest's id.
 */
async function storeArrivals(
  place: ImportPlace,
  arrivals: Arrival[],
  stored: StoredManifest,
  jobs: readonly NewJob[] = [],
): Promise<number> {
  const { ctx, name } = place;
  let manifestId = 0;
  try {
    for (let arrival = arrivals.shift(); arrival !== undefined; arrival = arrivals.shift())
      manifestId = await put(place, stored, arrival, jobs);
    return manifestId;
  } catch (error) {
    ctx.core.log.warn({ repository: name, digest: stored.digest, problem: String(error) }, "a fetched manifest could not be stored");
    throw error;
  }
}

/** A tag that was pushed here meanwhile, is immutable, or of which the upstream has said something newer stays where it is. */
async function put(
  { ctx, registry, name, rule }: ImportPlace,
  { bytes, mediaType, digest }: StoredManifest,
  { tag, seenAt }: Pick<Arrival, "tag" | "seenAt">,
  jobs: readonly NewJob[],
): Promise<number> {
  const tags = tag === undefined ? [] : [tag];
  const attempt = attemptOf(rule, { status: "SUCCESS", digest, ...(tag !== undefined && { tag }) });
  const alongside = { changes: [pullThroughEntry(attempt)], jobs };
  const upstream = tag === undefined ? {} : { upstreamSeenAt: seenAt };
  const input = { bytes, mediaType, digest, tags, plane: "oci" as const, sparse: true, alongside, ...upstream };
  return (await putManifest(ctx, registry, name, input)).manifestId;
}

function childrenJob({ ctx, registry, name }: ImportPlace, index: Digest): NewJob {
  const payload: PullThroughPayload = { accountId: registry.accountId, region: registry.region, name, index };
  const dedupeKey = `${registry.accountId}/${registry.region}/${name}@${index}`;
  return { kind: pullThroughJob, payload, runAt: ctx.core.clock.now(), dedupeKey };
}

/** Appends a failure to the change log. Never rejects: the failure itself is what counts. */
export async function noteFailure(
  place: Pick<ImportPlace, "ctx" | "registry" | "name" | "rule">,
  what: { readonly tag?: string; readonly digest?: string },
  error: unknown,
): Promise<void> {
  const { ctx, registry, name } = place;
  const { code, reason } = describeFailure(error);
  try {
    const standing = await findTagStanding(ctx.core.metadata, repositoryKey(registry, name), "");
    await noteAttempt(place, standing?.repositoryId, { status: "FAILED", ...what, failureCode: code, failureReason: reason });
  } catch (failure) {
    ctx.core.log.warn({ repository: name, error: String(failure) }, "a failed fetch could not be noted");
  }
}

interface FailureText {
  readonly code: string;
  readonly reason: string;
}

const denied: FailureText = { code: "UpstreamAccessDenied", reason: "The upstream registry denied access" };
const limited: FailureText = { code: "UpstreamTooManyRequests", reason: "The upstream registry limits requests" };
const absent: FailureText = { code: "ImageNotFound", reason: "The upstream registry does not have the image" };
const unavailable: FailureText = { code: "UpstreamUnavailable", reason: "The upstream registry did not provide the image" };

/** ECR's codes for images that could not be fetched; the reasons are ours, and name nothing of this network. */
const failureTexts: ReadonlyMap<string, FailureText> = new Map([
  ["denied", denied],
  ["upstream-denied", denied],
  ["rate-limited", limited],
  ["upstream-rate-limited", limited],
  ["not-found", absent],
  ["blob-not-found", absent],
  ["unavailable", unavailable],
  ["invalid", unavailable],
  ["upstream-unavailable", unavailable],
]);

function describeFailure(error: unknown): FailureText {
  const kind = error instanceof UpstreamError ? error.failure.outcome : error instanceof RegistryError ? error.refusal.kind : "unknown";
  return failureTexts.get(kind) ?? { code: "ImportFailed", reason: "The image could not be stored" };
}

/** Appends to the change log what came of an attempt that stored nothing. */
async function noteAttempt(
  { ctx, registry, name, rule }: Pick<ImportPlace, "ctx" | "registry" | "name" | "rule">,
  repositoryId: number | undefined,
  attempt: Omit<PullThroughAttempt, "prefix" | "upstreamUrl">,
): Promise<void> {
  await notePullThrough(ctx.core.metadata, {
    key: repositoryKey(registry, name),
    repositoryId,
    attempt: attemptOf(rule, attempt),
    author: authorOf(ctx),
  });
}

function attemptOf(
  { givenPrefix: prefix, upstreamUrl }: PullThroughRule,
  attempt: Omit<PullThroughAttempt, "prefix" | "upstreamUrl">,
): PullThroughAttempt {
  return { prefix, upstreamUrl, ...attempt };
}
