/**
 * The registry room: what a registry does, in OCI's words. It knows no HTTP, no AWS operation and no concrete driver.
 * Both planes stand on these functions: what docker pushes, `aws ecr describe-images` shows, and the other way round.
 */
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import type { Random } from "#std/random.ts";
import type { Database } from "#metadata/database.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { StorageDriver } from "#storage/driver.ts";
import type { CreationRoles } from "./creation-role.ts";
import type { KeyService } from "./key-service.ts";
import type { Limits } from "./limits.ts";
import type { ManifestCache } from "./manifest-cache.ts";
import type { PullNotes } from "./pull-time.ts";
import type { UploadHashes } from "./upload-hashes.ts";

/** One registry: an account in a region. Repository names are unique inside it. */
export interface RegistryRef {
  readonly accountId: string;
  readonly region: string;
}

/** Who acts, as far as the registry records it. */
export interface Actor {
  readonly accountId: string;
  /** Stable and never used again; upload sessions are bound to it. */
  readonly principalId: string;
  /** For the change log and for texts. */
  readonly arn: string;
}

/** What lives as long as the process. */
export interface RegistryCore {
  readonly metadata: Database;
  readonly storage: StorageDriver;
  readonly clock: Clock;
  readonly random: Random;
  readonly sealer: Sealer;
  readonly limits: Limits;
  /** Keys that repositories can be encrypted under. */
  readonly keys: KeyService;
  /** Says what the roles of creation templates may do. */
  readonly creationRoles: CreationRoles;
  readonly log: Log;
  /** Bytes by digest, cached blind; who may see them is decided before. */
  readonly manifests: ManifestCache;
  /** Running hashes of open upload sessions in this process. */
  readonly uploads: UploadHashes;
  /** Pulls that are not written down yet. */
  readonly pulls: PullNotes;
}

/** One request's view: the core, who asks, and under which id it is logged. */
export interface RegistryContext {
  readonly core: RegistryCore;
  readonly actor: Actor;
  readonly requestId: string;
}
