/**
 * The control plane's half of every refusal: a total table from what `registry/` refuses to ECR's exception and wording,
 * and one from what is wrong with a signature to the code that each protocol shows. A new kind does not compile until it has a row.
 * Where ECR's own sentence is not known, ours is written in the style of those that are.
 */
import type { AuthFaultCode } from "#aws/sigv4.ts";
import type { RegistryErrorDetails, RegistryErrorKind, RegistryRefusal, RepositoryDetail } from "#registry/errors.ts";
import type { Json } from "#std/json.ts";
import { ApiFault, invalidParameterText } from "./fault.ts";

/** How one kind of refusal is shown: ECR's exception, its message, and what else the exception carries. */
export interface FaultRow<K extends RegistryErrorKind> {
  readonly exception: string;
  /** 400 when absent. */
  readonly status?: number;
  readonly message: (detail: RegistryErrorDetails[K]) => string;
  readonly members?: (detail: RegistryErrorDetails[K]) => Readonly<Record<string, Json>>;
}

/** ECR's grammar for digests, as its messages print it. */
export const digestPattern = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+";
/** The grammar of tags, as the messages print it. */
export const tagPattern = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";

const within = (d: RepositoryDetail): string =>
  `within the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`;
const inside = (d: RepositoryDetail): string => `in the repository with name '${d.repositoryName}' in registry with id '${d.registryId}'`;
const required = (what: string, digests: readonly string[], d: RepositoryDetail): string =>
  `${what} with digests '[${digests.join(", ")}]' required for pushing image into repository with name '${d.repositoryName}' in the registry with id '${d.registryId}' do not exist`;

/** ECR's notation of an identifier; the half that was not given prints as `null`. */
const imageId = (d: { readonly digest?: string; readonly tag?: string }): string =>
  `{imageDigest:'${d.digest ?? "null"}', imageTag:'${d.tag ?? "null"}'}`;

/** The text of ECR's ImageNotFoundException. */
function imageNotFoundText(detail: RegistryErrorDetails["manifest-not-found"]): string {
  return `The image with imageId ${imageId(detail)} does not exist ${within(detail)}`;
}

/** ECR's own sentence is not known; KMS's stands at its end. */
function keyUnusableText(detail: RegistryErrorDetails["key-unusable"]): string {
  const { registryId, repositoryName, kmsError, reason } = detail;
  return `The KMS key of the repository with name '${repositoryName}' in the registry with id '${registryId}' cannot be used: ${kmsError}${reason === "" ? "" : `: ${reason}`}`;
}

/** Every refusal of `registry/` in ECR's words. Also the source of the generated list of errors. */
export const registryFaults: { readonly [K in RegistryErrorKind]: FaultRow<K> } = {
  "repository-not-found": {
    exception: "RepositoryNotFoundException",
    message: (d) => `The repository with name '${d.repositoryName}' does not exist in the registry with id '${d.registryId}'`,
  },
  "repository-exists": {
    exception: "RepositoryAlreadyExistsException",
    message: (d) => `The repository with name '${d.repositoryName}' already exists in the registry with id '${d.registryId}'`,
  },
  "creation-refused": {
    exception: "RepositoryNotFoundException",
    message: (d) => `The repository with name '${d.repositoryName}' does not exist in the registry with id '${d.registryId}'`,
  },
  "lifecycle-policy-invalid": { exception: "InvalidParameterException", message: (d) => d.message },
  "lifecycle-policy-not-found": {
    exception: "LifecyclePolicyNotFoundException",
    message: (d) =>
      `Lifecycle policy does not exist for the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`,
  },
  "lifecycle-preview-in-progress": {
    exception: "LifecyclePolicyPreviewInProgressException",
    message: (d) =>
      `A lifecycle policy preview is already in progress for the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`,
  },
  "lifecycle-preview-not-found": {
    exception: "LifecyclePolicyPreviewNotFoundException",
    message: (d) =>
      `Lifecycle policy preview does not exist for the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`,
  },
  "template-exists": {
    exception: "TemplateAlreadyExistsException",
    message: (d) => `The repository creation template with prefix '${d.prefix}' already exists in the registry with id '${d.registryId}'`,
  },
  "template-not-found": {
    exception: "TemplateNotFoundException",
    message: (d) => `The repository creation template with prefix '${d.prefix}' does not exist in the registry with id '${d.registryId}'`,
  },
  "pull-exclusion-exists": {
    exception: "ExclusionAlreadyExistsException",
    message: (d) =>
      `The pull time update exclusion for principal '${d.principalArn}' already exists in the registry with id '${d.registryId}'`,
  },
  "pull-exclusion-not-found": {
    exception: "ExclusionNotFoundException",
    message: (d) =>
      `The pull time update exclusion for principal '${d.principalArn}' does not exist in the registry with id '${d.registryId}'`,
  },
  "repository-not-empty": {
    exception: "RepositoryNotEmptyException",
    message: (d) =>
      `The repository with name '${d.repositoryName}' in registry with id '${d.registryId}' cannot be deleted because it still contains images`,
  },
  "manifest-not-found": { exception: "ImageNotFoundException", message: imageNotFoundText },
  "manifest-invalid": {
    exception: "InvalidParameterException",
    // ECR says no more than its constraint; what exactly is wrong follows it.
    message: (d) => `${invalidParameterText("ImageManifest", "Invalid JSON syntax")}: ${d.problem}`,
  },
  "manifest-archived": {
    exception: "ImageArchivedException",
    message: (d) =>
      `The image with imageId ${imageId(d)} ${inside(d)} is ${d.status === "ARCHIVED" ? "archived" : "being restored from the archive"}`,
  },
  "storage-class-refused": {
    exception: "ImageStorageClassUpdateNotSupportedException",
    message: (d) => `The storage class of the image with imageId ${imageId(d)} ${inside(d)} cannot be updated: ${d.reason}`,
  },
  "manifest-too-large": {
    exception: "InvalidParameterException",
    message: (d) => invalidParameterText("imageManifest", `Member must have length less than or equal to ${d.limitBytes}`),
  },
  "manifest-blobs-missing": { exception: "LayersNotFoundException", message: (d) => required("Layers", d.digests, d) },
  "manifest-children-missing": { exception: "ReferencedImagesNotFoundException", message: (d) => required("Images", d.digests, d) },
  "manifest-referenced": {
    exception: "InvalidParameterException",
    message: (d) => `Requested image referenced by manifest list: [${d.parents.join(", ")}]`,
  },
  "digest-mismatch": {
    exception: "ImageDigestDoesNotMatchException",
    message: (d) => `The image digest '${d.expected}' does not match the digest '${d.actual}' calculated from the image manifest`,
  },
  "digest-invalid": {
    exception: "InvalidParameterException",
    message: () => invalidParameterText("imageDigest", `must satisfy regular expression '${digestPattern}'`),
  },
  "tag-invalid": {
    exception: "InvalidParameterException",
    message: () => invalidParameterText("imageTag", `must satisfy regular expression '${tagPattern}'`),
  },
  "manifest-exists": {
    exception: "ImageAlreadyExistsException",
    message: (d) => `Image with digest '${d.digest}' ${d.tag === undefined ? "" : `and tag '${d.tag}' `}already exists ${inside(d)}`,
  },
  "tag-immutable": {
    exception: "ImageTagAlreadyExistsException",
    message: (d) =>
      `The image tag '${d.tag}' already exists in the '${d.repositoryName}' repository and cannot be overwritten because the repository is immutable.`,
  },
  "blob-not-found": {
    exception: "LayersNotFoundException",
    message: (d) => `The layer with digest '${d.digest}' does not exist ${within(d)}`,
  },
  "blob-unreferenced": {
    exception: "LayerInaccessibleException",
    message: (d) =>
      d.isArchived === true
        ? `The layer with digest '${d.digest}' is not accessible because every image ${inside(d)} that references it is archived`
        : `The layer with digest '${d.digest}' is not accessible because no image ${inside(d)} references it`,
  },
  "blob-referenced": {
    exception: "InvalidParameterException",
    message: (d) => `The layer with digest '${d.digest}' is referenced by an image ${inside(d)}`,
  },
  "blob-exists": {
    exception: "LayerAlreadyExistsException",
    message: (d) => `The layer with digest '${d.digest}' already exists ${inside(d)}`,
  },
  "upload-not-found": {
    exception: "UploadNotFoundException",
    message: (d) => `The upload with id '${d.uploadId}' does not exist ${inside(d)}`,
  },
  "upload-range": {
    exception: "InvalidLayerPartException",
    message: (d) => `First byte of the layer part is ${d.firstByte} instead of ${d.receivedBytes}`,
    // The last valid byte is -1 as long as no byte counts; a client resumes at the byte after it.
    members: (d) => ({
      registryId: d.registryId,
      repositoryName: d.repositoryName,
      uploadId: d.uploadId,
      lastValidByteReceived: d.receivedBytes - 1,
    }),
  },
  "upload-size": {
    exception: "InvalidLayerPartException",
    message: (d) => `The layer part has ${d.receivedBytes} bytes instead of ${d.announcedBytes}`,
  },
  "upload-busy": {
    // A code that SDKs back off from and try again.
    exception: "ThrottlingException",
    message: (d) => `Rate exceeded: another request for the upload with id '${d.uploadId}' ${inside(d)} is under way`,
  },
  "upload-empty": {
    exception: "EmptyUploadException",
    message: (d) => `The upload with id '${d.uploadId}' ${inside(d)} cannot be completed because it does not have any parts`,
  },
  "upload-digest-mismatch": {
    exception: "InvalidLayerException",
    message: () => "None of the provided layer digests match the calculated layer digest",
  },
  "upload-part-too-small": {
    exception: "LayerPartTooSmallException",
    message: () => "All layer parts except the last part should be at least 5MB",
  },
  "limit-exceeded": { exception: "LimitExceededException", message: (d) => d.message },
  "page-token-invalid": { exception: "InvalidParameterException", message: () => invalidParameterText("nextToken", "Invalid token") },
  "resource-tag-invalid": { exception: "InvalidTagParameterException", message: (d) => d.problem },
  "resource-tags-too-many": { exception: "TooManyTagsException", message: () => "The number of tags on the repository must not exceed 50" },
  "parameter-invalid": { exception: "InvalidParameterException", message: (d) => invalidParameterText(d.parameter, d.constraint) },
  "key-unusable": { exception: "KmsException", message: keyUnusableText, members: (d) => ({ kmsError: d.kmsError }) },
  "pull-through-rule-not-found": {
    exception: "PullThroughCacheRuleNotFoundException",
    message: (d) =>
      `The pull through cache rule with Amazon ECR repository prefix '${d.prefix}' does not exist in the registry with id '${d.registryId}'`,
  },
  "pull-through-rule-exists": {
    exception: "PullThroughCacheRuleAlreadyExistsException",
    message: (d) =>
      `The pull through cache rule with Amazon ECR repository prefix '${d.prefix}' already exists in the registry with id '${d.registryId}'`,
  },
  "upstream-denied": {
    exception: "UnableToGetUpstreamImageException",
    message: (d) => `The upstream registry denied access to the image requested ${inside(d)}`,
  },
  "upstream-rate-limited": {
    exception: "UnableToGetUpstreamImageException",
    message: (d) => `The upstream registry limits requests, and did not provide the image requested ${inside(d)}`,
  },
  "upstream-unavailable": {
    exception: "UnableToGetUpstreamImageException",
    message: (d) => `The upstream registry did not provide the image requested ${inside(d)}`,
  },
  "scan-not-found": {
    exception: "ScanNotFoundException",
    message: (d) =>
      `Image scan does not exist for the image with '{imageDigest:'${d.digest ?? "null"}', imageTag:'${d.tag ?? "null"}'}' in the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`,
  },
  "scan-unsupported": {
    exception: "UnsupportedImageTypeException",
    message: (d) => `The image with digest '${d.digest}' ${inside(d)} is of a type that cannot be scanned`,
  },
  "scan-disabled": { exception: "ValidationException", message: () => "This feature is disabled" },
  "storage-full": {
    exception: "ServerException",
    status: 500,
    message: () => "The registry cannot store more bytes now: its disk is full",
  },
  "body-aborted": {
    exception: "RequestAbortedException",
    message: (d) => `The request ended before its body was complete; ${d.receivedBytes} bytes were received`,
  },
};

/** Turns what `registry/` refused into the answer of the control plane. */
export function registryFault(refusal: RegistryRefusal): ApiFault {
  // The row and the detail belong to the same kind; the compiler cannot see that through the union.
  const row = registryFaults[refusal.kind] as FaultRow<RegistryErrorKind>;
  const { detail } = refusal;
  return new ApiFault(row.exception, row.message(detail), row.status ?? 400, row.members?.(detail) ?? {});
}

/** What each protocol calls a fault of the signature. */
interface SignatureFaultRow {
  readonly json: string;
  readonly query: string;
  readonly queryStatus: number;
}

/** SDKs act on the code and not on the status: JSON 1.1 services answer 400 to every one of these, Query services as listed. */
export const signatureFaults: Readonly<Record<AuthFaultCode, SignatureFaultRow>> = {
  missing: { json: "MissingAuthenticationTokenException", query: "MissingAuthenticationToken", queryStatus: 403 },
  incomplete: { json: "IncompleteSignatureException", query: "IncompleteSignature", queryStatus: 400 },
  "invalid-signature": { json: "InvalidSignatureException", query: "SignatureDoesNotMatch", queryStatus: 403 },
  "unrecognized-client": { json: "UnrecognizedClientException", query: "InvalidClientTokenId", queryStatus: 403 },
  "expired-token": { json: "ExpiredTokenException", query: "ExpiredToken", queryStatus: 403 },
  "request-expired": { json: "RequestExpired", query: "RequestExpired", queryStatus: 400 },
};

/** Turns a fault of the signature into the answer of one protocol; the message is AWS's already. */
export function signatureFault(protocol: "json" | "query", code: AuthFaultCode, message: string): ApiFault {
  const row = signatureFaults[code];
  return protocol === "json" ? new ApiFault(row.json, message) : new ApiFault(row.query, message, row.queryStatus);
}
