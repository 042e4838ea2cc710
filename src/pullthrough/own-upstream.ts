/** A registry of this deployment as the upstream of another one: what the rule's role may read there, without a detour over the network. */
import { principalStillActive } from "#access/access.ts";
import type { Access } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import { parseReference } from "#oci/reference.ts";
import { isManifestMediaType } from "#oci/media-type.ts";
import { mediaTypes } from "#oci/media-type.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Addressing } from "#registry/addressing.ts";
import { getBlob } from "#registry/blob.ts";
import type { RegistryCore, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { getManifest } from "#registry/manifest.ts";
import { listReferrers } from "#registry/referrer.ts";
import type { UpstreamFailure } from "#upstream/upstream-error.ts";
import { assumeRuleRole, mayAsRole, serviceContext } from "./service-identity.ts";
import type { Upstream } from "./upstream.ts";

/** A session is renewed before its hour ends. */
const sessionMs = 1_800_000;
const maxReferrers = 1_000;

/** Makes the upstream. Between registries of one account no role is needed; with one, the role must be allowed to read. */
export function createOwnUpstream(
  deps: { readonly core: RegistryCore; readonly access: Access; readonly addressing: Pick<Addressing, "repositoryArn"> },
  {
    downstream,
    upstream,
    roleArn,
  }: { readonly downstream: RegistryRef; readonly upstream: RegistryRef; readonly roleArn: string | undefined },
): Upstream {
  const { core, access, addressing } = deps;
  const ctx = serviceContext(core, downstream.accountId, "pull-through");
  let session: { readonly principal: Promise<Principal | string>; readonly until: number } | undefined;

  async function problemOf(name: RepositoryName, action: string): Promise<string | undefined> {
    if (roleArn === undefined) return upstream.accountId === downstream.accountId ? undefined : "the rule has no custom role";
    if (session === undefined || session.until <= core.clock.now()) {
      const principal = assumeRuleRole(deps, downstream, roleArn);
      session = { principal, until: core.clock.now() + sessionMs };
      principal.then((made) => typeof made === "string" && (session = undefined)).catch(() => (session = undefined));
    }
    const made = await session.principal;
    if (typeof made === "string") return made;
    // The session is kept, and what its role may do is read anew: a permission that was taken away is gone.
    const principal = await principalStillActive(access, made);
    if (principal === undefined) {
      session = undefined;
      return "the custom role is gone";
    }
    const resource = addressing.repositoryArn(upstream, name);
    const isAllowed = await mayAsRole(access, principal, { action, resource, region: upstream.region });
    return isAllowed ? undefined : `the custom role may not ${action} on ${resource}`;
  }

  async function ask<T>(repository: string, action: string, read: (name: RepositoryName) => Promise<T>): Promise<T | UpstreamFailure> {
    const name = parseRepositoryName(repository);
    if (!name.ok) return { outcome: "not-found", problem: name.problem };
    const problem = await problemOf(name.value, action);
    if (problem !== undefined) return { outcome: "denied", problem };
    try {
      return await read(name.value);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      const { kind } = error.refusal;
      return { outcome: kind.endsWith("-not-found") ? "not-found" : "unavailable", problem: kind };
    }
  }

  const readManifest: Upstream["getManifest"] = (repository, text) =>
    ask(repository, "ecr:BatchGetImage", async (name) => {
      const reference = parseReference(text);
      if (!reference.ok) return { outcome: "not-found", problem: reference.problem };
      const { digest, mediaType, bytes } = await getManifest(ctx, upstream, name, reference.value);
      if (!isManifestMediaType(mediaType)) return { outcome: "invalid", problem: `a manifest of type '${mediaType}'` };
      return { outcome: "found", digest, mediaType, bytes };
    });

  return {
    getManifest: readManifest,
    headManifest: readManifest,
    getBlob: (repository, digest, { from = 0 }) =>
      ask(repository, "ecr:GetDownloadUrlForLayer", async (name) => {
        const blob = await getBlob(ctx, upstream, name, digest);
        const stored = await blob.open(from === 0 ? undefined : { first: from, last: blob.sizeBytes - 1 });
        if (stored.kind === "elsewhere") return { outcome: "unavailable", problem: "the blob is in a store that is reached by URL only" };
        return { outcome: "found", body: stored.stream, sizeBytes: blob.sizeBytes };
      }),
    listReferrers: (repository, subject) =>
      ask(repository, "ecr:BatchGetImage", async (name) => {
        const { referrers } = await listReferrers(ctx, upstream, name, subject, { limit: maxReferrers });
        const manifests = referrers.map(({ sizeBytes: size, ...rest }) => ({ ...rest, size }));
        const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
        return { outcome: "found", bytes: Buffer.from(JSON.stringify(index)) };
      }),
  };
}
