import type { Database } from "./database.ts";
export interface ExpiredUpload {
  readonly uploadId: string;
  readonly segmentKeys: readonly string[];
}
export interface GarbageCounts {
  readonly live: number;
  readonly condemned: number;
  readonly gone: number;
  readonly tombstonedManifests: number;
  readonly tombstonedTags: number;
  readonly tombstonedRepositories: number;
  readonly openUploads: number;
}
export declare function listExpiredUploads(db: Database, input: { readonly now: number; readonly limit: number }): Promise<ExpiredUpload[]>;
export declare function knownUploads(db: Database, uploadIds: readonly string[]): Promise<Set<string>>;
export declare function knownStorageKeys(db: Database, storageKeys: readonly string[]): Promise<Set<string>>;
export declare function purgeTombstones(db: Database, input: { readonly deletedBefore: number; readonly limit: number }): Promise<number>;
export declare function dropStaleLinks(
  db: Database,
  input: { readonly now: number; readonly limit: number; readonly ignoreGrace: boolean },
): Promise<number>;
export declare function condemnBlobs(
  db: Database,
  input: { readonly unreferencedSince: number; readonly now: number; readonly limit: number },
): Promise<number>;
export declare function killBlobs(db: Database, input: { readonly condemnedBefore: number; readonly limit: number }): Promise<number>;
export declare function listGone(
  db: Database,
  input: { readonly limit: number; readonly after?: number },
): Promise<{ readonly blobId: number; readonly storageKey: string }[]>;
export declare function forgetGone(db: Database, blobId: number): Promise<void>;
export declare function gcCounts(db: Database): Promise<GarbageCounts>;
export declare function listBlobsForFsck(
  db: Database,
  page: { readonly after?: number; readonly limit: number },
): Promise<
  {
    readonly blobId: number;
    readonly digest: string;
    readonly sizeBytes: number;
    readonly storageKey: string;
    readonly state: "live" | "condemned" | "gone";
  }[]
>;
export declare function listManifestsForFsck(
  db: Database,
  page: { readonly after?: number; readonly limit: number },
): Promise<
  {
    readonly manifestId: number;
    readonly repositoryId: number;
    readonly repositoryName: string;
    readonly digest: string;
    readonly sizeBytes: number;
    readonly tombstoned: boolean;
    /** Digests of blobs that the manifest references and its repository does not link. */
    readonly unlinkedBlobs: readonly string[];
  }[]
>;
