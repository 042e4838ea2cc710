/**
 * The layout on disk. Every path is made here, from keys whose grammar has been checked; nobody else joins paths.
 *
 *     <folder>/
 *       check                                        what `check` writes and reads back
 *       blobs/                                       stored copies; key `<algorithm>/<hex>.<incarnation>`
 *         sha256/
 *           <first two hex>/
 *             <hex>.<incarnation>                    complete and durable from the moment it has this name
 *         sha512/
 *           ...
 *       segments/                                    bytes of uploads; key `<upload id>/<ordinal>`
 *         <upload id>/                               goes with its last segment
 *           <ordinal>
 *           joined-<random>                          several segments on their way to becoming one stored copy
 *
 * Both subtrees are on one filesystem, because a segment becomes a stored copy by rename.
 */
import { join } from "node:path";
import { digestAlgorithm, digestHex, parseDigest } from "#oci/digest.ts";
import { assert } from "#std/assert.ts";
import type { CommitTarget, SegmentKey, StorageKey } from "./driver.ts";

const word = /^[a-z0-9-]{1,64}$/;
const separator = "/";

/** The algorithms that have a folder under `blobs/`. */
export const storedAlgorithms = ["sha256", "sha512"] as const;

/** Makes the paths of one storage folder. */
export interface StoragePaths {
  readonly folder: string;
  readonly checkFile: string;
  readonly blobsFolder: string;
  readonly segmentsFolder: string;
  algorithmFolder(algorithm: (typeof storedAlgorithms)[number]): string;
  /** Where a stored copy is. Throws AssertionFailure for what {@link storageKeyOf} cannot have made. */
  storedFile(key: StorageKey): string;
  /** Throws AssertionFailure for anything but two words. */
  segmentFile(key: SegmentKey): string;
  segmentFolder(uploadId: string): string;
}

/** The paths below `folder`, which is absolute. */
export function storagePathsAt(folder: string): StoragePaths {
  const blobsFolder = join(folder, "blobs");
  const segmentsFolder = join(folder, "segments");
  const segmentFolder = (uploadId: string): string => {
    assert(word.test(uploadId), "an upload id consists of a-z, 0-9 and -");
    return join(segmentsFolder, uploadId);
  };
  return {
    folder,
    checkFile: join(folder, "check"),
    blobsFolder,
    segmentsFolder,
    segmentFolder,
    algorithmFolder: (algorithm) => join(blobsFolder, algorithm),
    storedFile(key) {
      const name = parseStorageKey(key);
      assert(name !== undefined, "a storage key was made by this driver");
      return join(blobsFolder, name.algorithm, name.hex.slice(0, 2), `${name.hex}.${name.incarnation}`);
    },
    segmentFile(key) {
      const [uploadId = "", ordinal = "", ...more] = key.split(separator);
      assert(word.test(ordinal) && more.length === 0, "a segment key is '<upload id>/<ordinal>'");
      return join(segmentFolder(uploadId), ordinal);
    },
  };
}

/** The parts of a storage key. */
export interface StoredName {
  readonly algorithm: string;
  readonly hex: string;
  readonly incarnation: string;
}

/** Reads a storage key; undefined when it is not one. */
export function parseStorageKey(key: string): StoredName | undefined {
  const slash = key.indexOf(separator);
  const dot = key.indexOf(".");
  if (slash === -1 || dot < slash) return undefined;
  const [algorithm, hex, incarnation] = [key.slice(0, slash), key.slice(slash + 1, dot), key.slice(dot + 1)];
  return parseDigest(`${algorithm}:${hex}`).ok && word.test(incarnation) ? { algorithm, hex, incarnation } : undefined;
}

/** The key of the copy that a commit makes. Throws AssertionFailure when the target is not well-formed. */
export function storageKeyOf(target: CommitTarget): StorageKey {
  const digest = parseDigest(target.digest);
  assert(digest.ok, "a stored copy has a digest of a registered algorithm");
  assert(word.test(target.incarnation), "an incarnation consists of a-z, 0-9 and -");
  assert(Number.isSafeInteger(target.sizeBytes) && target.sizeBytes >= 0, "a size is a whole number");
  return `${digestAlgorithm(digest.value)}${separator}${digestHex(digest.value)}.${target.incarnation}`;
}

/** The key of the segment with these two names on disk; undefined when they are not ours. */
export function segmentKeyOf(uploadId: string, ordinal: string): SegmentKey | undefined {
  return word.test(uploadId) && word.test(ordinal) ? `${uploadId}${separator}${ordinal}` : undefined;
}

/** The upload that a segment belongs to. */
export function segmentOwner(key: SegmentKey): string {
  return key.slice(0, key.indexOf(separator));
}
