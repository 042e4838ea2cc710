/**
 * What deployments that replicate to each other ask each other: two operations of our own beside ECR's, for ECR replicates inside AWS and has
 * no words for it. They are what makes a push a copy, and whoever asks for them needs `ecr:ReplicateImage`: by its own policies, or as
 * another account by the registry policy of the destination (Amazon ECR User Guide, "Private image replication").
 */
import { authorize } from "#access/authorize.ts";
import { rootPrincipal } from "#access/principal.ts";
import type { AskedPermission, OperationRow } from "../call.ts";
import { loadServiceModel } from "#aws/model.ts";
import { parseDigest } from "#oci/digest.ts";
import type { Digest } from "#oci/digest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { parseTag } from "#oci/tag.ts";
import type { Tag } from "#oci/tag.ts";
import { checkBlobs } from "#registry/blob.ts";
import { refuse } from "#registry/errors.ts";
import { putManifest } from "#registry/manifest.ts";
import { recordArrival } from "#registry/replication-status.ts";
import { createByService } from "#registry/repository-creation.ts";
import { getRepository } from "#registry/repository.ts";
import { RegistryError } from "#registry/errors.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import { namedTags } from "./image.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";

interface Place {
  readonly registryId: string;
  readonly repositoryName: string;
  readonly sourceRegistryId: string;
  readonly sourceRegion: string;
}

interface StartReplicaRequest extends Place {
  readonly imageTags: readonly string[];
  readonly layerDigests: readonly string[];
}

interface StartReplicaResponse {
  readonly registryHost: string;
  readonly missingLayerDigests: readonly string[];
}

interface PutReplicaRequest extends Place {
  readonly imageDigest: string;
  readonly imageManifest: string;
  readonly imageManifestMediaType: string;
  readonly imageTags: readonly { readonly imageTag: string; readonly version: number }[];
}

interface PutReplicaResponse {
  readonly imageDigest: string;
}

const member = (shape: string) => ({ shape });
const place = {
  registryId: member("RegistryId"),
  repositoryName: member("RepositoryName"),
  sourceRegistryId: member("RegistryId"),
  sourceRegion: member("Region"),
};
const structure = (members: Readonly<Record<string, { readonly shape: string }>>) => ({
  type: "structure",
  members,
  required: Object.keys(members),
});

/** The model of the two operations, in the form of AWS's own. */
export const replicationModel = loadServiceModel(
  {
    metadata: { serviceId: "Supercargo", protocol: "json", apiVersion: "1", targetPrefix: "Supercargo_V1" },
    operations: {
      StartReplica: { input: member("StartReplicaRequest"), output: member("StartReplicaResponse") },
      PutReplica: { input: member("PutReplicaRequest"), output: member("PutReplicaResponse") },
    },
    shapes: {
      RegistryId: { type: "string", pattern: "[0-9]{12}" },
      RepositoryName: { type: "string", min: 2, max: 256, pattern: "a repository name" },
      Region: { type: "string", min: 2, max: 25, pattern: "[0-9a-z-]{2,25}" },
      ImageTag: { type: "string", min: 1, max: 128 },
      Digest: { type: "string", min: 1, max: 256 },
      ImageManifest: { type: "string", min: 1, max: 4_194_304 },
      MediaType: { type: "string", min: 1, max: 256 },
      Version: { type: "long", min: 0, max: Number.MAX_SAFE_INTEGER },
      Host: { type: "string" },
      ImageTagList: { type: "list", member: member("ImageTag"), min: 0, max: 1_000 },
      DigestList: { type: "list", member: member("Digest"), min: 0, max: 1_000 },
      TagVersion: structure({ imageTag: member("ImageTag"), version: member("Version") }),
      TagVersionList: { type: "list", member: member("TagVersion"), min: 0, max: 1_000 },
      StartReplicaRequest: structure({ ...place, imageTags: member("ImageTagList"), layerDigests: member("DigestList") }),
      StartReplicaResponse: structure({ registryHost: member("Host"), missingLayerDigests: member("DigestList") }),
      PutReplicaRequest: structure({
        ...place,
        imageDigest: member("Digest"),
        imageManifest: member("ImageManifest"),
        imageManifestMediaType: member("MediaType"),
        imageTags: member("TagVersionList"),
      }),
      PutReplicaResponse: structure({ imageDigest: member("Digest") }),
    },
  },
  { patternTests: { RepositoryName: (text) => parseRepositoryName(text).ok } },
);

/** A manifest of 4 MiB in which every character is written as a six-character escape, and the other members. */
const putBodyLimitBytes = 26 * 1_048_576;
/** A version is the moment of a push. One that lies further ahead would keep every other deployment from moving the tag by its own clock. */
const maxAheadMs = 86_400_000;

const action = "ecr:ReplicateImage";

const startReplica: OperationRow<StartReplicaRequest, StartReplicaResponse> = {
  action,
  resource: repositoryArn,
  conditionKeys: (_call, input) => tagKeys(input.imageTags),
  // Whoever makes a repository must be allowed to make it, also by replicating into it.
  alsoAsks: async (call, input) => {
    const resource = repositoryArn(call, input);
    const creation = (await exists(call, input)) ? [] : [{ action: "ecr:CreateRepository", resource, keys: {} }];
    await requireSource(call, input, [{ action, resource, keys: tagKeys(input.imageTags) }, ...creation]);
    return creation;
  },
  handle: async (call, input) => {
    const registry = registryOf(call, input);
    const name = repositoryNameOf(input.repositoryName);
    const digests = input.layerDigests.map(digestOf);
    await createByService(call.context, registry, name, "REPLICATION");
    const held = await checkBlobs(call.context, registry, name, digests);
    return {
      registryHost: call.addressing.registryHost(registry, call.origin),
      missingLayerDigests: digests.filter((digest) => !held.has(digest)),
    };
  },
};

const putReplica: OperationRow<PutReplicaRequest, PutReplicaResponse> = {
  action,
  resource: repositoryArn,
  conditionKeys: (_call, input) => tagKeys(tagsOf(input)),
  alsoAsks: async (call, input) => {
    await requireSource(call, input, [{ action, resource: repositoryArn(call, input), keys: tagKeys(tagsOf(input)) }]);
    return [];
  },
  bodyLimitBytes: putBodyLimitBytes,
  handle: async (call, input) => {
    const registry = registryOf(call, input);
    const name = repositoryNameOf(input.repositoryName);
    const latest = call.context.core.clock.now() + maxAheadMs;
    const tagVersions = new Map(
      input.imageTags.map(({ imageTag, version }) => {
        if (version > latest) throw invalidParameter("imageTags", `The clock of the source is more than a day ahead of this registry's`);
        return [tagOf(imageTag), version] as const;
      }),
    );
    const stored = await putManifest(call.context, registry, name, {
      bytes: Buffer.from(input.imageManifest, "utf8"),
      mediaType: input.imageManifestMediaType,
      digest: digestOf(input.imageDigest),
      tags: [...tagVersions.keys()],
      tagVersions,
      plane: "oci",
    });
    const source = { accountId: input.sourceRegistryId, region: input.sourceRegion };
    await recordArrival(call.context, registry, name, { source, digest: stored.digest });
    return { imageDigest: stored.digest };
  },
};

/** The operations. */
export const replicaOperations = { StartReplica: startReplica, PutReplica: putReplica };

function tagKeys(imageTags: readonly string[]) {
  return namedTags(imageTags.length === 0 ? [{}] : imageTags.map((imageTag) => ({ imageTag })));
}

function tagsOf({ imageTags }: PutReplicaRequest): readonly string[] {
  return imageTags.map(({ imageTag }) => imageTag);
}

/**
 * One key of a peer brings the content of all its accounts. What comes from an account that is neither the caller's nor the destination
 * needs that account's permission too, by the destination's registry policy: else any account of the peer could write wherever the key may.
 * Throws ApiFault.
 */
async function requireSource(call: ApiCall, input: Place, asked: readonly AskedPermission[]): Promise<void> {
  const { sourceRegistryId: source } = input;
  if (source === call.principal.accountId || source === registryOf(call, input).accountId) return;
  for (const { action: wanted, resource, keys } of asked) {
    const ask = { action: wanted, resource, region: call.region, origin: call.origin, keys };
    const decision = await authorize(call.access, rootPrincipal(source, ""), ask);
    call.exchange.decided({ action: wanted, resource, allowed: decision.allowed, statements: decision.statements });
    if (!decision.allowed) throw new ApiFault("AccessDeniedException", decision.message);
  }
}

async function exists(call: ApiCall, input: Place): Promise<boolean> {
  try {
    await getRepository(call.context, registryOf(call, input), repositoryNameOf(input.repositoryName));
    return true;
  } catch (error) {
    if (error instanceof RegistryError && error.refusal.kind === "repository-not-found") return false;
    throw error;
  }
}

function digestOf(text: string): Digest {
  const digest = parseDigest(text);
  return digest.ok ? digest.value : refuse("digest-invalid", { digest: text, problem: digest.problem });
}

function tagOf(text: string): Tag {
  const tag = parseTag(text);
  return tag.ok ? tag.value : refuse("tag-invalid", { tag: text });
}
