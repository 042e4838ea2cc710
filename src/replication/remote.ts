/**
 * Replication to another deployment, over the network. The peer checks permission, makes the repository and stores manifests by two
 * operations of our own (`Supercargo_V1.`): so that a copy is known to be one there, is never sent on, and moves no newer tag. Blobs go by
 * the registry protocol.
 */
import { findReplicationUpload, forgetReplicationUpload, keepReplicationUpload } from "#metadata/replication-uploads.ts";
import type { Descriptor } from "#oci/manifest.ts";
import type { RegistryRef } from "#registry/context.ts";
import type { GuardedConnections } from "#upstream/connections.ts";
import { createRegistryClient } from "#upstream/registry-client.ts";
import type { RegistryClient } from "#upstream/registry-client.ts";
import { pushBlob } from "#upstream/registry-push.ts";
import { callPeer } from "#upstream/registry-push-call.ts";
import type { JsonObject } from "#upstream/registry-push-call.ts";
import { openSourceBlob } from "./copy.ts";
import type { CopyRequest, CopySink } from "./copy.ts";
import { ReplicationFailure } from "./failure.ts";
import type { Peer } from "./peers.ts";

/** The way to peers, for the life of the process. */
export interface Remote {
  /** The way into a registry at a peer; `destination` is what rules call it. */
  sink(peer: Peer, request: CopyRequest, destination: RegistryRef): CopySink;
}

/** Blobs that are asked for at once. */
const digestsAtOnce = 1_000;
/** Sessions of the peer live a day after their last byte; what is older is of no use. */
const staleUploadMs = 7 * 86_400_000;
/** Clients are kept for their tokens. */
const maxClients = 1_000;

type RemoteCore = Pick<CopyRequest["ctx"]["core"], "clock" | "log" | "metadata">;

/** Makes the way to peers. */
export function createRemote(
  core: RemoteCore,
  connections: GuardedConnections,
  options: { readonly chunkBytes?: number | undefined } = {},
): Remote {
  const clients = new Map<string, RegistryClient>();
  /** Two runs must not write into one upload. */
  const pushing = new Map<string, Promise<void>>();

  function clientOf(peer: Peer, accountId: string): RegistryClient {
    const key = `${accountId}/${peer.region}`;
    const known = clients.get(key);
    if (known !== undefined) return known;
    if (clients.size >= maxClients) clients.clear();
    const credentials = async () => {
      const call = { target: `${ecrTarget}.GetAuthorizationToken`, input: { registryIds: [accountId] } };
      return { username: "AWS", password: readPassword(await callPeer(connections, core.clock, peer, call)) };
    };
    const client = createRegistryClient({ connections, endpoint: { origin: peer.origin, credentials }, clock: core.clock, log: core.log });
    clients.set(key, client);
    return client;
  }

  /** One after the other, across the runs of this process. */
  async function alone(key: string, work: () => Promise<void>): Promise<void> {
    const before = pushing.get(key) ?? Promise.resolve();
    const own = before.then(work, work);
    pushing.set(key, own);
    try {
      await own;
    } finally {
      if (pushing.get(key) === own) pushing.delete(key);
    }
  }

  return {
    sink: (peer, request, destination) =>
      peerSink({ core, connections, clientOf, alone, chunkBytes: options.chunkBytes }, peer, request, destination),
  };
}

/** What the ways to all peers share. */
interface Ways {
  readonly core: RemoteCore;
  readonly connections: GuardedConnections;
  readonly clientOf: (peer: Peer, accountId: string) => RegistryClient;
  readonly alone: (key: string, work: () => Promise<void>) => Promise<void>;
  readonly chunkBytes: number | undefined;
}

function peerSink(ways: Ways, peer: Peer, request: CopyRequest, destination: RegistryRef): CopySink {
  const { core, connections, clientOf, alone, chunkBytes } = ways;
  const calledThere = (id: string): string => peer.accounts.get(id) ?? id;
  const accountId = calledThere(destination.accountId);
  const { name, source, signal } = request;
  const tags = request.tags.map(({ tag }) => tag);
  const target = `${destination.accountId}/${destination.region}`;
  const common = {
    registryId: accountId,
    repositoryName: name,
    sourceRegistryId: calledThere(source.accountId),
    sourceRegion: source.region,
  };
  const call = (operation: string, input: JsonObject): Promise<JsonObject> =>
    callPeer(connections, core.clock, peer, { target: `${ownTarget}.${operation}`, input: { ...common, ...input }, signal });

  const push = async ({ digest, sizeBytes }: Descriptor, host: string): Promise<void> => {
    const key = { target, repositoryName: name, digest };
    const sessions = {
      find: () => findReplicationUpload(core.metadata, key),
      keep: (location: string) => {
        const now = core.clock.now();
        return keepReplicationUpload(core.metadata, { ...key, location, now, staleBefore: now - staleUploadMs });
      },
      forget: () => forgetReplicationUpload(core.metadata, key),
    };
    const now = (): number => core.clock.now();
    const place = { client: clientOf(peer, accountId), host, repository: name, now, sessions, signal, chunkBytes };
    await pushBlob(place, { digest, sizeBytes, open: (span) => openSourceBlob(request, digest, span) });
  };

  return {
    async prepare() {
      await call("StartReplica", { imageTags: tags, layerDigests: [] });
    },
    async putBlobs(blobs) {
      for (let start = 0; start < blobs.length; start += digestsAtOnce) {
        const some = new Map(blobs.slice(start, start + digestsAtOnce).map((blob) => [blob.digest as string, blob]));
        const answer = await call("StartReplica", { imageTags: tags, layerDigests: [...some.keys()] });
        const { host, missing } = readStart(answer);
        for (const digest of new Set(missing)) {
          const blob = some.get(digest);
          if (blob === undefined) throw unreadable("StartReplica");
          await alone(`${target} ${name} ${digest}`, () => push(blob, host));
        }
      }
    },
    async putManifest({ bytes, mediaType, digest }, versions) {
      await call("PutReplica", {
        imageDigest: digest,
        imageManifest: Buffer.from(bytes).toString("utf8"),
        imageManifestMediaType: mediaType,
        imageTags: versions.map(({ tag, version }) => ({ imageTag: tag, version })),
      });
    },
  };
}

const ownTarget = "Supercargo_V1";
const ecrTarget = "AmazonEC2ContainerRegistry_V20150921";

function unreadable(operation: string): ReplicationFailure {
  return new ReplicationFailure("DestinationUnavailable", `the peer's answer to ${operation} cannot be read`, false);
}

function readStart(answer: JsonObject): { readonly host: string; readonly missing: readonly string[] } {
  const { registryHost: host, missingLayerDigests: missing } = answer;
  if (!Array.isArray(missing) || !missing.every((digest) => typeof digest === "string")) throw unreadable("StartReplica");
  if (typeof host !== "string" || !/^[A-Za-z0-9._:[\]-]{1,300}$/.test(host)) throw unreadable("StartReplica");
  return { host, missing };
}

function readPassword(answer: JsonObject): string {
  const list = answer["authorizationData"];
  const first = Array.isArray(list) ? list[0] : undefined;
  const token = typeof first === "object" && first !== null && !Array.isArray(first) ? first["authorizationToken"] : undefined;
  const text = typeof token === "string" ? Buffer.from(token, "base64").toString("utf8") : "";
  if (!text.startsWith("AWS:")) throw unreadable("GetAuthorizationToken");
  return text.slice("AWS:".length);
}
