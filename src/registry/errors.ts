/**
 * Everything a registry operation can refuse, as a closed set. `registry/` throws kinds with details only;
 * `distribution/errors.ts` and `api/errors.ts` are the two total tables that turn a kind into a code, a status and ECR's wording.
 */

/** Names a repository inside one registry; what most refusals need for their message. */
export interface RepositoryDetail {
  readonly registryId: string;
  readonly repositoryName: string;
}

/** The details that each kind of refusal carries. */
export interface RegistryErrorDetails {
  "repository-not-found": RepositoryDetail;
  "repository-exists": RepositoryDetail;
  "repository-not-empty": RepositoryDetail;
  /** A repository that the registry was to create itself and could not; whoever asked for it is told that it does not exist. */
  "creation-refused": RepositoryDetail & { readonly reason: string };
  /** `message` is ECR's whole sentence. */
  "lifecycle-policy-invalid": { readonly message: string };
  "lifecycle-policy-not-found": RepositoryDetail;
  "lifecycle-preview-in-progress": RepositoryDetail;
  "lifecycle-preview-not-found": RepositoryDetail;
  /** A creation template of that prefix. */
  "template-exists": { readonly registryId: string; readonly prefix: string };
  "template-not-found": { readonly registryId: string; readonly prefix: string };
  /** A principal whose pulls do not count already. */
  "pull-exclusion-exists": { readonly registryId: string; readonly principalArn: string };
  "pull-exclusion-not-found": { readonly registryId: string; readonly principalArn: string };
  /** A tag or digest that the repository does not hold. */
  "manifest-not-found": RepositoryDetail & { readonly digest?: string; readonly tag?: string };
  /** It is in the archive, or on its way back. */
  "manifest-archived": RepositoryDetail & { readonly digest?: string; readonly tag?: string; readonly status: "ARCHIVED" | "ACTIVATING" };
  /** The manifest has that class already, or something holds it where it is. `reason` completes the sentence. */
  "storage-class-refused": RepositoryDetail & { readonly digest: string; readonly tag?: string; readonly reason: string };
  /** Not a manifest: bad JSON, wrong types, unsupported media type, disagreement between header and body. */
  "manifest-invalid": { readonly problem: string };
  "manifest-too-large": { readonly limitBytes: number };
  /** The manifest names blobs that the repository does not hold. */
  "manifest-blobs-missing": RepositoryDetail & { readonly digests: readonly string[] };
  /** The index names manifests that the repository does not hold. */
  "manifest-children-missing": RepositoryDetail & { readonly digests: readonly string[] };
  /** A live index references the manifest that is to go. */
  "manifest-referenced": RepositoryDetail & { readonly digest: string; readonly parents: readonly string[] };
  /** The bytes do not have the digest that the caller named. */
  "digest-mismatch": { readonly expected: string; readonly actual: string };
  "digest-invalid": { readonly digest: string; readonly problem: string };
  "tag-invalid": { readonly tag: string };
  /** PutImage of exactly what is there already. The data plane answers 201 instead and never sees it. */
  "manifest-exists": RepositoryDetail & { readonly digest: string; readonly tag?: string };
  "tag-immutable": RepositoryDetail & { readonly tag: string };
  "blob-not-found": RepositoryDetail & { readonly digest: string };
  /** The blob is there, but no live manifest of the repository references it, or only archived ones do (GetDownloadUrlForLayer). */
  "blob-unreferenced": RepositoryDetail & { readonly digest: string; readonly isArchived?: boolean };
  /** DELETE of a blob that a live manifest of the repository references. */
  "blob-referenced": RepositoryDetail & { readonly digest: string };
  /** CompleteLayerUpload of a blob that the repository already holds. The data plane answers 201 instead. */
  "blob-exists": RepositoryDetail & { readonly digest: string };
  "upload-not-found": RepositoryDetail & { readonly uploadId: string };
  /** Bytes that do not begin where the session stands. `receivedBytes` is what the session holds. */
  "upload-range": RepositoryDetail & {
    readonly uploadId: string;
    readonly firstByte: number;
    readonly receivedBytes: number;
  };
  /** The body's length differs from what the request announced. */
  "upload-size": {
    readonly announcedBytes: number;
    readonly receivedBytes: number;
  };
  /** Another append or close of the same session is under way. */
  "upload-busy": RepositoryDetail & { readonly uploadId: string };
  "upload-empty": RepositoryDetail & { readonly uploadId: string };
  /** None of the offered digests is the bytes' own (CompleteLayerUpload). */
  "upload-digest-mismatch": RepositoryDetail & { readonly uploadId: string; readonly actual: string };
  "upload-part-too-small": RepositoryDetail & { readonly uploadId: string };
  /** A quota; `message` is ECR's sentence for it. */
  "limit-exceeded": { readonly message: string };
  /** A page token or `last` that this listing did not hand out. */
  "page-token-invalid": Record<string, never>;
  "resource-tag-invalid": { readonly problem: string };
  "resource-tags-too-many": Record<string, never>;
  /** Parameters that contradict each other or ask for what is not offered; ECR's form `Invalid parameter at '<parameter>' …`. */
  "parameter-invalid": { readonly parameter: string; readonly constraint: string };
  /** The key of the repository refuses to be used: it is disabled, deleted, or its grant was taken back. `kmsError` is KMS's code. */
  "key-unusable": RepositoryDetail & { readonly kmsError: string; readonly reason: string };
  "pull-through-rule-not-found": { readonly registryId: string; readonly prefix: string };
  "pull-through-rule-exists": { readonly registryId: string; readonly prefix: string };
  /** Another registry, from which something was to be fetched, does not let us have it. */
  "upstream-denied": RepositoryDetail;
  /** Another registry wants to be asked later. */
  "upstream-rate-limited": RepositoryDetail;
  /** Another registry does not answer, or answers what cannot be right. */
  "upstream-unavailable": RepositoryDetail;
  /** Nobody has scanned it, or not in the way that the registry is set to. */
  "scan-not-found": RepositoryDetail & { readonly digest?: string; readonly tag?: string };
  /** There is no file system in it to look through. */
  "scan-unsupported": RepositoryDetail & { readonly digest: string };
  /** Scans are not begun by hand where scanning is enhanced. */
  "scan-disabled": Record<string, never>;
  /** The bytes cannot be written now: the disk is full. */
  "storage-full": Record<string, never>;
  /** The client went away or stopped in the middle of its body. */
  "body-aborted": { readonly receivedBytes: number };
}

/** The name of a refusal. */
export type RegistryErrorKind = keyof RegistryErrorDetails;

/** A refusal as a discriminated union, for the two tables. */
export type RegistryRefusal = {
  [K in RegistryErrorKind]: { readonly kind: K; readonly detail: RegistryErrorDetails[K] };
}[RegistryErrorKind];

/** Thrown by `registry/` and caught once per plane. */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly refusal: RegistryRefusal;
  constructor(refusal: RegistryRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

/** Throws a refusal: `refuse("blob-not-found", { … })`. */
export function refuse<K extends RegistryErrorKind>(kind: K, detail: RegistryErrorDetails[K]): never {
  throw new RegistryError({ kind, detail } as RegistryRefusal);
}
