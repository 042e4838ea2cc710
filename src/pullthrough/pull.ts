/** One pull of a name under a rule: from the repository while that is fresh, else through it from the upstream. */
import { LRUCache } from "lru-cache";
import { findTagStanding, noteTagValidated } from "#metadata/pull-through-tags.ts";
import { isImmutableTag } from "#metadata/tag-rows.ts";
import { findRepository } from "#metadata/repositories.ts";
import type { Digest } from "#oci/digest.ts";
import type { Reference } from "#oci/reference.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import type { ReadableBlob } from "#registry/blob.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError, refuse } from "#registry/errors.ts";
import { getManifest } from "#registry/manifest.ts";
import type { StoredManifest } from "#registry/manifest.ts";
import type { PullThroughRule } from "#registry/pull-through-rule.ts";
import { upstreamName } from "#registry/pull-through-rule.ts";
import { listReferrers } from "#registry/referrer.ts";
import type { ReferrerPage } from "#registry/referrer.ts";
import { createByService, findTemplateFor } from "#registry/repository-creation.ts";
import { repositoryDetail, repositoryKey } from "#registry/scope.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import type { UpstreamFailure } from "#upstream/upstream-error.ts";
import { createBlobFetches, upstreamRefusal } from "./blob-fetch.ts";
import type { BlobFetch } from "./blob-fetch.ts";
import { createManifestImports, noteFailure } from "./manifest-import.ts";
import type { ArrivedManifest, ImportPlace } from "./manifest-import.ts";
import { mergeReferrers, readReferrers } from "./referrer-merge.ts";
import type { ReferrerList } from "./referrer-merge.ts";
import { serviceContext } from "./service-identity.ts";
import { findBlobFacts, findManifest } from "./stored-content.ts";
import { openUpstream } from "./upstream.ts";
import type { Upstream, UpstreamDeps } from "./upstream.ts";

/** A pull, by whom, of what is under which rule. */
export interface Pull {
  readonly context: RegistryContext;
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly rule: PullThroughRule;
  /** May who pulls do this to the repository, with these resource tags? Asked before anything is fetched or made for them. */
  readonly may: (
    action: "ecr:BatchImportUpstreamImage" | "ecr:CreateRepository" | "ecr:TagResource",
    resourceTags?: Readonly<Record<string, string>>,
  ) => Promise<boolean>;
}

/** A manifest for who pulls it: with its id, or what resolves with the id when it is stored. */
export type PulledManifest = StoredManifest & Partial<Pick<ArrivedManifest, "stored">>;

/** What can be pulled through rules. */
export interface Puller {
  /**
   * The manifest, from the repository or from the upstream; its bytes have its digest. With `stored` (which is for the children of an index)
   * it is in the repository with all its blobs when this resolves, and nothing else follows. Throws what the registry room's `getManifest` throws, and `upstream-denied`, `upstream-rate-limited`,
   * `upstream-unavailable`, `creation-refused`, `limit-exceeded`.
   */
  getManifest(pull: Pull, reference: Reference, options?: { readonly stored?: boolean }): Promise<PulledManifest>;
  /** The blob in the repository, or on its way there. Throws `repository-not-found`, `blob-not-found`, and as above. */
  getBlob(pull: Pull, digest: Digest): Promise<{ readonly blob: ReadableBlob } | { readonly fetch: BlobFetch }>;
  /** Resolves when the blob, and the manifests under way that it belongs to, are in the repository. Throws as {@link getBlob}. */
  storeBlob(pull: Pull, digest: Digest): Promise<void>;
  /** Like the registry room's, with those that the upstream names. */
  listReferrers(pull: Pull, subject: Digest, page: ReferrerPage): Promise<ReferrerList>;
}

/** For so long a tag is what the upstream said it was (Amazon ECR User Guide, "Sync an upstream registry"). */
const freshMs = 86_400_000;
/** An upstream that did not answer is not asked about cached tags for so long. */
const restMs = 30_000;
/** Failures are noted once in so long, whoever tries how often. */
const noteAgainMs = 60_000;
const referrersMs = 60_000;
const maxUpstreams = 200;
/** Lists of referrers that are remembered, all together, as they came. */
const maxReferrersBytes = 16_777_216;

/** Makes the puller of a process; `isOnlyNode`: no other one uses the same database. */
export function createPuller(deps: UpstreamDeps, options: { readonly isOnlyNode: boolean }): Puller {
  const { core } = deps;
  const byClock = { perf: core.clock, ttlResolution: 0 };
  const upstreams = new LRUCache<string, Upstream>({ max: maxUpstreams });
  const resting = new LRUCache<string, true>({ max: maxUpstreams, ttl: restMs, ...byClock });
  const noted = new LRUCache<string, true>({ max: 1_000, ttl: noteAgainMs, ...byClock });
  const listed = new LRUCache<string, { readonly referrers: ReferrerList["referrers"]; readonly sizeBytes: number }>({
    // What an upstream lists may be megabytes of annotations.
    maxSize: maxReferrersBytes,
    sizeCalculation: ({ sizeBytes }) => sizeBytes + 512,
    ttl: referrersMs,
    ...byClock,
  });
  const askingReferrers = new Map<string, Promise<ReferrerList["referrers"]>>();
  const asking = new Map<string, Promise<PulledManifest>>();
  const fetches = createBlobFetches(options);
  const imports = createManifestImports(fetches, core.clock);

  function placeOf({ context, registry, name, rule }: Pull): ImportPlace & { readonly ruleKey: string } {
    const ruleKey = `${registry.accountId}/${registry.region}/${rule.prefix}/${rule.createdAt}/${rule.updatedAt ?? 0}`;
    const upstream = upstreams.get(ruleKey) ?? openUpstream(deps, registry, rule);
    upstreams.set(ruleKey, upstream);
    const ctx = serviceContext(core, registry.accountId, context.requestId);
    return { ctx, registry, name, rule, upstream, upstreamName: upstreamName(rule, name), ruleKey };
  }

  /** Fetches the manifest, and makes the repository for it. Requests for the same one at the same time wait for each other. */
  function fetchManifest(place: ImportPlace, reference: Reference, wantsStored: boolean): Promise<PulledManifest> {
    const text = textOf(reference);
    const key = `${place.registry.accountId}/${place.registry.region}/${place.name}/${text}/${wantsStored}`;
    const known = asking.get(key);
    if (known !== undefined) return known;
    const work = async (): Promise<PulledManifest> => {
      const seenAt = core.clock.now();
      const found = await place.upstream.getManifest(place.upstreamName, text);
      if (found.outcome !== "found") throw new UpstreamError(found);
      await createByService(place.ctx, place.registry, place.name, "PULL_THROUGH_CACHE");
      const tag = reference.kind === "tag" ? reference.tag : undefined;
      const manifest = await imports.accept(place, { manifest: found, tag, seenAt, isChild: wantsStored });
      if (wantsStored) await manifest.stored;
      return manifest;
    };
    const asked = work().finally(() => asking.delete(key));
    asking.set(key, asked);
    return asked;
  }

  /** Like {@link fetchManifest}, and what fails is noted and told in the registry's terms. */
  async function fetchOrRefuse(place: ImportPlace, reference: Reference, wantsStored: boolean): Promise<PulledManifest> {
    try {
      return await fetchManifest(place, reference, wantsStored);
    } catch (error) {
      const refusal = refusalFor(place, reference, error);
      if (refusal.kind === "creation-refused") throw error;
      await noteOnce(place, reference, error);
      throw refusal.error;
    }
  }

  async function noteOnce(place: ImportPlace, reference: Reference, error: unknown): Promise<void> {
    const { registry, name } = place;
    const outcome =
      error instanceof UpstreamError ? error.failure.outcome : error instanceof RegistryError ? error.refusal.kind : "unknown";
    const key = `${registry.accountId}/${registry.region}/${name}/${textOf(reference)}/${outcome}`;
    if (noted.has(key)) return;
    noted.set(key, true);
    place.ctx.core.log.warn(
      { repository: name, reference: textOf(reference), problem: String(error) },
      "an upstream did not give a manifest",
    );
    await noteFailure(place, reference.kind === "tag" ? { tag: reference.tag } : { digest: reference.digest }, error);
  }

  /** Who may not import sees what there is without the upstream. */
  async function requireRights(pull: Pull, reference: Reference): Promise<void> {
    const { registry, name } = pull;
    const detail = repositoryDetail(registry, name);
    const repository = await findRepository(core.metadata, repositoryKey(registry, name));
    if (repository === undefined && !(await mayCreate(pull))) refuse("repository-not-found", detail);
    if (!(await pull.may("ecr:BatchImportUpstreamImage"))) refuse("manifest-not-found", { ...detail, ...reference });
  }

  /** Tags of the creation template are given by who pulls (Amazon ECR User Guide, "IAM permissions required to sync an upstream registry"). */
  async function mayCreate({ context, registry, name, may }: Pull): Promise<boolean> {
    const { resourceTags = [] } = (await findTemplateFor(context, registry, name, "PULL_THROUGH_CACHE")) ?? {};
    const tags = Object.fromEntries(resourceTags);
    return (await may("ecr:CreateRepository", tags)) && (resourceTags.length === 0 || may("ecr:TagResource", tags));
  }

  /** The cached tag after a look at the upstream; undefined when a newer manifest has to be fetched. */
  async function validate(place: ReturnType<typeof placeOf>, tag: Tag, cached: { readonly digest: string; readonly repositoryId: number }) {
    const { ctx, registry, name, ruleKey } = place;
    const repository = await findRepository(core.metadata, repositoryKey(registry, name));
    if (repository === undefined || isImmutableTag(repository, tag) || resting.has(ruleKey)) return "keep";
    const at = core.clock.now();
    const facts = await place.upstream.headManifest(place.upstreamName, tag);
    if (facts.outcome !== "found") {
      keepCached(place, { kind: "tag", tag }, facts);
      await noteOnce(place, { kind: "tag", tag }, new UpstreamError(facts));
      return "keep";
    }
    if (facts.digest !== cached.digest) return "fetch";
    await noteTagValidated(ctx.core.metadata, { repositoryId: cached.repositoryId, tag, at });
    return "keep";
  }

  function keepCached(place: ReturnType<typeof placeOf>, reference: Reference, failure: UpstreamFailure): void {
    if (failure.outcome !== "not-found") resting.set(place.ruleKey, true);
    core.log.info({ repository: place.name, reference: textOf(reference), problem: failure.problem }, "a cached manifest is served");
  }

  async function getByTag(pull: Pull, reference: Extract<Reference, { kind: "tag" }>, wantsStored: boolean): Promise<PulledManifest> {
    const { context, registry, name } = pull;
    const local = (): Promise<PulledManifest> => getManifest(context, registry, name, reference);
    const standing = await findTagStanding(core.metadata, repositoryKey(registry, name), reference.tag);
    if (standing?.digest === undefined) {
      await requireRights(pull, reference);
      return fetchOrRefuse(placeOf(pull), reference, wantsStored);
    }
    // A tag that was pushed here is no copy of anything: no upstream replaces it.
    if (standing.validatedAt === undefined || core.clock.now() - standing.validatedAt < freshMs) return local();
    if (!(await pull.may("ecr:BatchImportUpstreamImage"))) return local();
    const place = placeOf(pull);
    const cached = { digest: standing.digest, repositoryId: standing.repositoryId };
    if ((await validate(place, reference.tag, cached)) === "keep") return local();
    try {
      return await fetchManifest(place, reference, wantsStored);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      keepCached(place, reference, error.failure);
      await noteOnce(place, reference, error);
      return local();
    }
  }

  async function getByDigest(pull: Pull, reference: Extract<Reference, { kind: "digest" }>, wantsStored: boolean): Promise<PulledManifest> {
    const { context, registry, name } = pull;
    const local = await findManifest(context, registry, name, reference);
    if (local !== undefined) return local;
    await requireRights(pull, reference);
    const pending = wantsStored ? undefined : imports.pending(pull, reference.digest);
    return pending ?? fetchOrRefuse(placeOf(pull), reference, wantsStored);
  }

  async function getBlob(pull: Pull, digest: Digest) {
    const { context, registry, name } = pull;
    const blob = await findBlobFacts(context, registry, name, digest);
    if (blob !== undefined) return { blob };
    const detail = repositoryDetail(registry, name);
    if ((await findRepository(core.metadata, repositoryKey(registry, name))) === undefined) refuse("repository-not-found", detail);
    if (!(await pull.may("ecr:BatchImportUpstreamImage"))) refuse("blob-not-found", { ...detail, digest });
    return { fetch: fetches.join({ ...placeOf(pull), digest }) };
  }

  async function askReferrers(place: ReturnType<typeof placeOf>, subject: Digest, key: string): Promise<ReferrerList["referrers"]> {
    const found = await place.upstream.listReferrers(place.upstreamName, subject);
    if (found.outcome !== "found" && found.outcome !== "not-found") throw new UpstreamError(found);
    const referrers = found.outcome === "found" ? readReferrers(found.bytes) : [];
    if (referrers === undefined) throw new UpstreamError({ outcome: "invalid", problem: "an index of referrers that is none" });
    listed.set(key, { referrers, sizeBytes: found.outcome === "found" ? found.bytes.byteLength : 0 });
    return referrers;
  }

  function upstreamReferrers(
    place: ReturnType<typeof placeOf>,
    subject: Digest,
  ): ReferrerList["referrers"] | Promise<ReferrerList["referrers"]> {
    const key = `${place.ruleKey}/${place.name}@${subject}`;
    const known = listed.get(key);
    if (known !== undefined) return known.referrers;
    const asked = askingReferrers.get(key) ?? askReferrers(place, subject, key).finally(() => askingReferrers.delete(key));
    askingReferrers.set(key, asked);
    return asked;
  }

  return {
    getManifest: (pull, reference, { stored = false } = {}) =>
      reference.kind === "tag" ? getByTag(pull, reference, stored) : getByDigest(pull, reference, stored),
    getBlob,
    async storeBlob(pull, digest) {
      const got = await getBlob(pull, digest);
      if ("fetch" in got) await got.fetch.stored;
      await imports.settled(pull, digest);
    },
    async listReferrers(pull, subject, page) {
      const { context, registry, name } = pull;
      const own = await listReferrers(context, registry, name, subject, page);
      // Nothing is archived upstream, as far as anybody here can know.
      const isActive = page.status === undefined || page.status === "ACTIVE" || page.status === "ANY";
      if (!isActive || !(await pull.may("ecr:BatchImportUpstreamImage"))) return own;
      try {
        return mergeReferrers(own, await upstreamReferrers(placeOf(pull), subject), page);
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        core.log.warn({ repository: name, subject, problem: error.message }, "an upstream did not list referrers");
        // What is cached stays usable when the upstream is gone.
        if (own.referrers.length > 0 || page.after !== undefined) return own;
        throw upstreamRefusal(error.failure, repositoryDetail(registry, name), () =>
          refuse("manifest-not-found", repositoryDetail(registry, name)),
        );
      }
    },
  };
}

function textOf(reference: Reference): string {
  return reference.kind === "tag" ? reference.tag : reference.digest;
}

/** What those who pull are told. A repository that cannot be created is none to them. */
function refusalFor(
  { registry, name }: ImportPlace,
  reference: Reference,
  error: unknown,
): { readonly kind: string; readonly error: unknown } {
  const detail = repositoryDetail(registry, name);
  if (error instanceof RegistryError) return { kind: error.refusal.kind, error };
  if (!(error instanceof UpstreamError)) return { kind: "unknown", error };
  const which = reference.kind === "tag" ? { tag: reference.tag } : { digest: reference.digest };
  return {
    kind: error.failure.outcome,
    error: upstreamRefusal(error.failure, detail, () => refuse("manifest-not-found", { ...detail, ...which })),
  };
}
