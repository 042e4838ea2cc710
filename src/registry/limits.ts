/** Every bound the registry keeps, in one place, so that a setting can move it and a test can make it small. */
export interface Limits {
  /** Largest manifest, in bytes. ECR and the OCI specification's recommendation agree on 4 MiB. */
  readonly manifestBytes: number;
  readonly repositoriesPerRegistry: number;
  readonly manifestsPerRepository: number;
  readonly creationTemplatesPerRegistry: number;
  /** Principals whose pulls do not count. */
  readonly pullTimeExclusions: number;
  readonly tagsPerManifest: number;
  /** Key-value tags on one repository (not manifest tags). */
  readonly resourceTags: number;
  /** An upload session ends this long after its last append. */
  readonly uploadTtlMs: number;
  /** A blob stays readable in a repository this long after an upload, a mount or a HEAD that said yes, without any manifest. */
  readonly linkGraceMs: number;
  /** How long a blob without any link must have been so before garbage collection condemns it; also the age of orphaned bytes. */
  readonly unreferencedGraceMs: number;
  /** How long a blob stays condemned; at least the life of the longest download URL. */
  readonly condemnedMs: number;
  /** How long a deletion can be undone. */
  readonly undoMs: number;
  /** Every lifecycle policy runs at least once in this time. */
  readonly lifecycleEveryMs: number;
  /** Life of a URL from GetDownloadUrlForLayer. */
  readonly downloadTicketMs: number;
  /** The part size that InitiateLayerUpload advises. */
  readonly partSizeBytes: number;
  readonly partMaxBytes: number;
  /** Every part but the last must have this size at least (ECR's API only, never on `/v2/`). */
  readonly partMinBytes: number;
  readonly partsPerUpload: number;
  /** Appends that one session takes on `/v2/`; each is a row and a segment. */
  readonly appendsPerUpload: number;
  readonly blobMaxBytes: number;
  /** Accept an index whose children the repository does not hold (data plane only). */
  readonly allowSparseIndexes: boolean;
  /** Tags in a page when the client names no number. */
  readonly tagsPage: number;
  /** Repositories in a page of the catalog when the client names no number. */
  readonly catalogPage: number;
  readonly referrersPage: number;
  /** A page of referrers ends early here: clients refuse an index of more than 4 MiB. */
  readonly referrersPageBytes: number;
  /** Repositories considered when a mount names no source. Each such mount asks for so many, also where fewer have the blob. */
  readonly mountSources: number;
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const mebibyte = 1_048_576;

/** ECR's quotas where it has them, and what an operator would choose elsewhere. */
export const defaultLimits: Limits = {
  manifestBytes: 4 * mebibyte,
  repositoriesPerRegistry: 100_000,
  manifestsPerRepository: 100_000,
  creationTemplatesPerRegistry: 100,
  pullTimeExclusions: 100,
  tagsPerManifest: 1_000,
  resourceTags: 50,
  uploadTtlMs: dayMs,
  linkGraceMs: dayMs,
  unreferencedGraceMs: dayMs,
  condemnedMs: 20 * minuteMs,
  undoMs: 7 * dayMs,
  lifecycleEveryMs: dayMs,
  downloadTicketMs: 15 * minuteMs,
  partSizeBytes: 10 * mebibyte,
  partMaxBytes: 20 * mebibyte,
  partMinBytes: 5 * mebibyte,
  partsPerUpload: 4_200,
  appendsPerUpload: 20_000,
  blobMaxBytes: 52_000 * mebibyte,
  allowSparseIndexes: false,
  tagsPage: 1_000,
  catalogPage: 1_000,
  referrersPage: 1_000,
  referrersPageBytes: 4_000_000,
  mountSources: 8,
};
