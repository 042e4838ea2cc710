/**
 * The bytes of archived manifests go to the cold tier, and come back before the manifest can be pulled again. Why no race loses a blob by it is
 * written down in `docs/gc.md`.
 */
import { createHash } from "node:crypto";
import { enqueueJob } from "#metadata/jobs.ts";
import type { PushFollowUp } from "#metadata/follow-ups.ts";
import type { ActivatingManifest, ActivationJob, FinishActivationOutcome } from "#metadata/storage-class.ts";
import { activationJobKind, findActivating, finishActivation, resumeActivations } from "#metadata/storage-class.ts";
import type { MovableCopy, Tier } from "#metadata/storage-class-tier.ts";
import * as tiers from "#metadata/storage-class-tier.ts";
import type { Digest } from "#oci/digest.ts";
import { digestAlgorithm } from "#oci/digest.ts";
import { parseManifest } from "#oci/manifest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { StorageTiers } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { repeatUntilDone } from "./batches.ts";
import type { RegistryContext, RegistryCore } from "./context.ts";
import { followUpsOf } from "./follow-up.ts";
import { manifestBytes } from "./manifest-bytes.ts";
import { storedSize } from "./protected-bytes.ts";
import { isKeyRefusal } from "./protection.ts";
import { authorOf, repositoryDetail } from "./scope.ts";

/** A move that is not renewed for so long is given up, and another one may begin. */
const moveLeaseMs = 5 * 60_000;
const renewEveryMs = 60_000;
/** After a failure a blob is left alone for so long; it is where it was, and only costs more there. */
const failurePauseMs = 15 * 60_000;
/** While somebody else moves a blob that a manifest waits for. */
const busyPauseMs = 10_000;
const batchSize = 50;
/** Blobs of one manifest can go to the cold tier while others come back only if it is archived again meanwhile. */
const maxRounds = 3;

type MoveResult = "moved" | "unneeded" | "busy" | "superseded";

/** What a look at the tiers did. */
export interface TieringReport {
  readonly moved: number;
  /** Blobs that could not be moved now. */
  readonly failures: number;
}

/**
 * Moves to the cold tier what belongs there by now, and begins activations again that were given up. Failures are counted and logged.
 * Throws the signal's reason when it is aborted; what was done stays done.
 */
export async function tierBlobs(core: RegistryCore, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<TieringReport> {
  const { metadata, clock, log } = core;
  const { signal } = options;
  let moved = 0;
  let failures = 0;
  let after: number | undefined = 0;
  while (after !== undefined) after = await resumeActivations(metadata, { after, limit: batchSize, now: clock.now() });
  if (core.storage.tiers === undefined) return { moved, failures };
  await repeatUntilDone(signal, async () => {
    const blobIds = await tiers.listTierChecks(metadata, { now: clock.now(), limit: batchSize });
    for (const blobId of blobIds) {
      let pauseMs = moveLeaseMs;
      let result: MoveResult | "failed" = "failed";
      try {
        result = await moveBlob(core, blobId, "cold", signal);
      } catch (error) {
        signal?.throwIfAborted();
        failures += 1;
        pauseMs = failurePauseMs;
        log.warn({ error: String(error), blobId }, "a blob could not be moved to the cold tier");
      }
      if (result === "moved") moved += 1;
      else if (result !== "unneeded") await tiers.postponeTierCheck(metadata, { blobId, until: clock.now() + pauseMs });
    }
    return blobIds.length;
  });
  if (moved + failures > 0) log.info({ moved, failures }, "blobs moved to the cold tier");
  return { moved, failures };
}

/**
 * Brings the blobs of a manifest back and makes it active; the follow-ups of a push begin with it. Where that cannot be now (`waiting`, `cold`), the job
 * is or will be there again. Throws StorageError when bytes cannot be moved, and the signal's reason.
 */
export async function activateManifest(
  core: RegistryCore,
  { manifestId }: ActivationJob,
  signal?: AbortSignal,
): Promise<FinishActivationOutcome> {
  const { metadata, clock, random } = core;
  for (let round = 0; round < maxRounds; round += 1) {
    const found = await findActivating(metadata, manifestId);
    if (found === undefined) return "ended";
    if (!(await bringBack(core, manifestId, signal))) break;
    const actor = { accountId: found.repository.accountId, principalId: "ecr.amazonaws.com", arn: "ecr.amazonaws.com" };
    const ctx: RegistryContext = { core, actor, requestId: random.uuid() };
    const { repositoryId } = found;
    const followUps = await followUpsAfter(ctx, found);
    const outcome = await finishActivation(metadata, { manifestId, repositoryId, followUps, author: authorOf(ctx) });
    if (outcome !== "cold") return outcome;
  }
  const payload: ActivationJob = { manifestId };
  const runAt = clock.now() + busyPauseMs;
  await enqueueJob(metadata, { kind: activationJobKind, payload, runAt, dedupeKey: String(manifestId) });
  return "cold";
}

/** False: somebody else is moving one of its blobs. */
async function bringBack(core: RegistryCore, manifestId: number, signal: AbortSignal | undefined): Promise<boolean> {
  let isDone = true;
  let after = 0;
  await repeatUntilDone(signal, async () => {
    const blobIds = await tiers.listColdBlobs(core.metadata, { manifestId, after, limit: batchSize });
    for (const blobId of blobIds) {
      after = blobId;
      const result = await moveBlob(core, blobId, "standard", signal);
      if (result === "busy" || result === "superseded") isDone = false;
    }
    return blobIds.length;
  });
  return isDone;
}

/** As after a push of it. Nothing follows while the key of the repository refuses: nobody could read it. */
async function followUpsAfter(ctx: RegistryContext, found: ActivatingManifest): Promise<readonly PushFollowUp[]> {
  const { accountId, region, name } = found.repository;
  const registry = { accountId, region };
  try {
    const bytes = await manifestBytes(ctx, found, repositoryDetail(registry, name as RepositoryName));
    const manifest = bytes === undefined ? undefined : parseManifest(bytes, found.mediaType);
    if (manifest?.ok !== true) return [];
    return await followUpsOf(ctx.core, { registry, name: name as RepositoryName, manifest: manifest.value, isCopy: found.isCopy });
  } catch (error) {
    if (!isKeyRefusal(error)) throw error;
    return [];
  }
}

/** Moves one blob if it has to be there. Throws StorageError, and the signal's reason. */
async function moveBlob(core: RegistryCore, blobId: number, to: Tier, signal: AbortSignal | undefined): Promise<MoveResult> {
  const { metadata, clock, random, storage } = core;
  if (storage.tiers === undefined) throw new StorageError("unavailable", "the storage has no tiers any more");
  const moveId = random.uuid();
  const now = clock.now();
  const begun = await tiers.beginMove(metadata, { moveId, blobId, to, now, expiresAt: now + moveLeaseMs });
  if (begun.outcome !== "begun") return begun.outcome;
  const { copy } = begun;
  let toKey: string;
  try {
    toKey = await copyBytes(core, storage.tiers, { copy, to, moveId, signal });
  } catch (error) {
    await tiers.dropMove(metadata, moveId);
    throw error;
  }
  // When it is not known how this ended, the copy stays: the row may name it by now, and otherwise it is an orphan.
  const end = { moveId, blobId, to, now: clock.now(), fromKey: copy.storageKey, toKey };
  if (await tiers.finishMove(metadata, end)) return "moved";
  await storage.delete(toKey);
  return "superseded";
}

/** Copies the bytes as they are stored. What was pushed plain must still have its digest: a damaged copy is left where it is, to be found. */
async function copyBytes(
  core: RegistryCore,
  storageTiers: StorageTiers,
  move: { readonly copy: MovableCopy; readonly to: Tier; readonly moveId: string; readonly signal: AbortSignal | undefined },
): Promise<string> {
  const { metadata, clock } = core;
  const { copy, to, moveId, signal } = move;
  const { digest, storageKey: from, sealedKey } = copy;
  const storedBytes = storedSize(copy);
  const algorithm = digestAlgorithm(digest as Digest);
  const hash = sealedKey === undefined ? createHash(algorithm) : undefined;
  let copiedBytes = 0;
  let renewedAt = clock.now();
  const onChunk = async (chunk: Uint8Array): Promise<void> => {
    signal?.throwIfAborted();
    hash?.update(chunk);
    copiedBytes += chunk.byteLength;
    if (copiedBytes === storedBytes && hash !== undefined && `${algorithm}:${hash.digest("hex")}` !== digest)
      throw new StorageError("corrupt", `the stored copy ${from} does not have its digest`);
    if (clock.now() - renewedAt < renewEveryMs) return;
    renewedAt = clock.now();
    if (!(await tiers.renewMove(metadata, { moveId, expiresAt: renewedAt + moveLeaseMs })))
      throw new StorageError("unavailable", "the move was given up meanwhile");
  };
  return storageTiers.copy({ from, storedBytes, to, digest, incarnation: moveId, onChunk });
}
