/** An upstream as fetching sees it, wherever it is: another server, or a registry of this deployment. */
import type { Access } from "#access/access.ts";
import type { Digest } from "#oci/digest.ts";
import { digestHex } from "#oci/digest.ts";
import { bareMediaType, mediaTypes } from "#oci/media-type.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryCore, RegistryRef } from "#registry/context.ts";
import type { PullThroughRule } from "#registry/pull-through-rule.ts";
import type { GuardedConnections } from "#upstream/connections.ts";
import { readBytes } from "#upstream/read-bytes.ts";
import { createRegistryClient } from "#upstream/registry-client.ts";
import type { FoundBlob, FoundManifest, FoundManifestFacts, RegistryClient } from "#upstream/registry-client.ts";
import { UpstreamError, failureOfStatus } from "#upstream/upstream-error.ts";
import type { UpstreamFailure } from "#upstream/upstream-error.ts";
import { readUpstream } from "./known-upstreams.ts";
import { createOwnUpstream } from "./own-upstream.ts";
import { readUpstreamSecret } from "./service-identity.ts";

/** The index of manifests that refer to another one, as bytes that nobody has read yet. */
export interface FoundReferrers {
  readonly outcome: "found";
  readonly bytes: Uint8Array;
}

/** What can be asked of an upstream. Failures are values. */
export interface Upstream {
  getManifest(repository: string, reference: string, signal?: AbortSignal): Promise<FoundManifest | UpstreamFailure>;
  headManifest(repository: string, reference: string, signal?: AbortSignal): Promise<FoundManifestFacts | UpstreamFailure>;
  getBlob(
    repository: string,
    digest: Digest,
    options: { readonly from?: number },
    signal?: AbortSignal,
  ): Promise<FoundBlob | UpstreamFailure>;
  listReferrers(repository: string, subject: Digest, signal?: AbortSignal): Promise<FoundReferrers | UpstreamFailure>;
}

/** What upstreams are made with. */
export interface UpstreamDeps {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly addressing: Addressing;
  readonly connections: GuardedConnections;
}

const maxReferrersBytes = 4_194_304;

/** The upstream of a rule. What is wrong with it is told by what it answers. */
export function openUpstream(deps: UpstreamDeps, registry: RegistryRef, rule: PullThroughRule): Upstream {
  const asked = { url: rule.upstreamUrl, kind: rule.upstreamKind, credentialArn: rule.credentialArn, roleArn: rule.roleArn };
  const read = readUpstream(asked, { addressing: deps.addressing, registry });
  if (!read.ok) return brokenUpstream(read.problem);
  const { place } = read.value;
  if (place.kind === "own") return createOwnUpstream(deps, { downstream: registry, upstream: place.registry, roleArn: rule.roleArn });
  const { credentialArn } = rule;
  const credentials = credentialArn === undefined ? undefined : () => credentialsOf(deps, registry, credentialArn);
  const { clock, log } = deps.core;
  return remoteUpstream(
    createRegistryClient({
      connections: deps.connections,
      endpoint: { origin: place.origin, ...(credentials !== undefined && { credentials }) },
      clock,
      log,
    }),
    () => clock.now(),
  );
}

async function credentialsOf(deps: UpstreamDeps, registry: RegistryRef, secretArn: string) {
  const read = await readUpstreamSecret(deps, registry, secretArn);
  if (typeof read === "string") throw new UpstreamError({ outcome: "denied", problem: `the secret of the rule: ${read}` });
  return read;
}

/** A rule that was good once, in a deployment that has another name now. */
function brokenUpstream(problem: string): Upstream {
  const answer = async (): Promise<UpstreamFailure> => ({ outcome: "unavailable", problem });
  return { getManifest: answer, headManifest: answer, getBlob: answer, listReferrers: answer };
}

function remoteUpstream(client: RegistryClient, now: () => number): Upstream {
  return {
    ...client,
    async listReferrers(repository, subject, signal) {
      try {
        const path = `/v2/${repository}/referrers/${subject}`;
        const headers = { accept: mediaTypes.ociIndex };
        const answer = await client.request({ method: "GET", path, headers, scope: { repository, actions: "pull" }, signal });
        const isIndex = bareMediaType(answer.headers["content-type"] ?? "") === mediaTypes.ociIndex;
        if (answer.status === 200 && isIndex) return { outcome: "found", bytes: await readBytes(answer.body, maxReferrersBytes) };
        answer.body.destroy();
        // A registry without the referrers API keeps the same index under a tag (OCI distribution specification, "Referrers Tag Schema").
        if (answer.status !== 404) return failureOfStatus(answer.status, answer.headers, now(), "referrers");
      } catch (error) {
        if (error instanceof UpstreamError) return error.failure;
        throw error;
      }
      const tagged = await client.getManifest(repository, `${subject.slice(0, 6)}-${digestHex(subject).slice(0, 64)}`, signal);
      return tagged.outcome === "found" ? { outcome: "found", bytes: tagged.bytes } : tagged;
    },
  };
}
