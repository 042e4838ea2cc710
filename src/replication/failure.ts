/** Why a replication failed, as the caller of DescribeImageReplicationStatus may read it, and whether trying again could help. */
import type { RegistryErrorKind } from "#registry/errors.ts";
import { RegistryError } from "#registry/errors.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import { PeerFault } from "#upstream/registry-push-call.ts";

/** ECR publishes none of its values; these are ours, in the style of its other failure codes. */
export type FailureCode =
  | "AccessDenied"
  | "DestinationNotConfigured"
  | "DestinationUnavailable"
  | "ImageNotFound"
  | "ImageNotReplicable"
  | "InternalError"
  | "KmsError"
  | "LimitExceeded"
  | "RepositoryCreationFailed"
  | "RepositoryNotFound"
  | "StorageFull";

/** A failure with its code. The message is for the log and for the follow-up's reason. */
export class ReplicationFailure extends Error {
  override readonly name = "ReplicationFailure";
  readonly code: FailureCode;
  /** Permanent ones are told at once; others are tried again first. */
  readonly isPermanent: boolean;
  constructor(code: FailureCode, message: string, isPermanent: boolean, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.isPermanent = isPermanent;
  }
}

const refusals: { readonly [Kind in RegistryErrorKind]?: readonly [FailureCode, isPermanent: boolean] } = {
  "repository-not-found": ["RepositoryNotFound", true],
  "manifest-not-found": ["ImageNotFound", true],
  "manifest-archived": ["ImageNotReplicable", true],
  "manifest-invalid": ["ImageNotReplicable", true],
  "manifest-children-missing": ["ImageNotReplicable", true],
  "limit-exceeded": ["LimitExceeded", true],
  "key-unusable": ["KmsError", true],
  "creation-refused": ["RepositoryCreationFailed", true],
  "storage-full": ["StorageFull", false],
};

/** What a peer's exceptions mean here; the rest are internal errors. */
const faults: ReadonlyMap<string, readonly [FailureCode, isPermanent: boolean]> = new Map([
  ["AccessDeniedException", ["AccessDenied", true]],
  ["UnrecognizedClientException", ["AccessDenied", true]],
  ["InvalidSignatureException", ["AccessDenied", true]],
  // The repository was deleted in the middle; the next attempt makes it again.
  ["RepositoryNotFoundException", ["RepositoryNotFound", false]],
  ["LayersNotFoundException", ["InternalError", false]],
  ["ReferencedImagesNotFoundException", ["ImageNotReplicable", true]],
  ["InvalidParameterException", ["ImageNotReplicable", true]],
  ["LimitExceededException", ["LimitExceeded", true]],
  ["KmsException", ["KmsError", true]],
]);

/** What a thrown error means to a replication. Errors that nobody expected are tried again. */
export function failureOf(error: unknown): ReplicationFailure {
  if (error instanceof ReplicationFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof RegistryError) {
    const [code, isPermanent] = refusals[error.refusal.kind] ?? (["InternalError", false] as const);
    return new ReplicationFailure(code, message, isPermanent, { cause: error });
  }
  if (error instanceof UpstreamError) {
    const isDenied = error.failure.outcome === "denied";
    return new ReplicationFailure(isDenied ? "AccessDenied" : "DestinationUnavailable", message, isDenied, { cause: error });
  }
  if (error instanceof PeerFault) {
    const [code, isPermanent] = faults.get(error.code) ?? (["InternalError", false] as const);
    return new ReplicationFailure(code, message, isPermanent, { cause: error });
  }
  return new ReplicationFailure("InternalError", message, false, { cause: error });
}
