/**
 * The data plane's half of every refusal: a total table from what `registry/` refuses to OCI's code, a status and ECR's wording,
 * which is what docker shows. A new kind does not compile until it has a row. Where OCI and ECR disagree on a code, OCI's stands
 * (specification section "Error Codes"); the sentences are ECR's where ECR has one.
 */
import type { RegistryErrorDetails, RegistryErrorKind, RegistryRefusal, RepositoryDetail } from "#registry/errors.ts";
import { uploadHeaders } from "./location.ts";

/** The codes we answer: those of the OCI specification, and the older ones that every client knows. */
export type OciCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "PAGINATION_NUMBER_INVALID"
  | "RANGE_INVALID"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNAVAILABLE"
  | "UNKNOWN"
  | "UNSUPPORTED";

/** An answer that is an error. Handlers throw it for what only the data plane can get wrong; the pipeline renders it. */
export class OciFault extends Error {
  override readonly name = "OciFault";
  readonly status: number;
  readonly code: OciCode;
  /** Flat name, value list of further response headers. */
  readonly headers: readonly string[];
  constructor(status: number, code: OciCode, message: string, headers: readonly string[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** How one kind of refusal is answered. */
export interface FaultRow<K extends RegistryErrorKind> {
  readonly status: number;
  readonly code: OciCode;
  readonly message: (detail: RegistryErrorDetails[K]) => string;
  readonly headers?: (detail: RegistryErrorDetails[K]) => readonly string[];
}

const within = (d: RepositoryDetail): string =>
  `within the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}'`;
const inside = (d: RepositoryDetail): string => `in the repository with name '${d.repositoryName}' in registry with id '${d.registryId}'`;
const invalidParameter = (parameter: string, constraint: string): string =>
  `Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`;
const required = (what: string, digests: readonly string[], d: RepositoryDetail): string =>
  `${what} with digests '[${digests.join(", ")}]' required for pushing image into repository with name '${d.repositoryName}' in the registry with id '${d.registryId}' do not exist`;
// Another request holds the session for as long as it takes to notice that its client is gone; clients try again by themselves.
const retrySoon: readonly string[] = ["Retry-After", "1"];

/** Every refusal of `registry/` in OCI's codes and ECR's words. Also the source of the generated list of errors. */
export const registryFaults: { readonly [K in RegistryErrorKind]: FaultRow<K> } = {
  "repository-not-found": {
    status: 404,
    code: "NAME_UNKNOWN",
    message: (d) => `The repository with name '${d.repositoryName}' does not exist in the registry with id '${d.registryId}'`,
  },
  "repository-exists": {
    status: 409,
    code: "UNSUPPORTED",
    message: (d) => `The repository with name '${d.repositoryName}' already exists in the registry with id '${d.registryId}'`,
  },
  "creation-refused": {
    status: 404,
    code: "NAME_UNKNOWN",
    message: (d) => `The repository with name '${d.repositoryName}' does not exist in the registry with id '${d.registryId}'`,
  },
  "lifecycle-policy-invalid": { status: 400, code: "UNSUPPORTED", message: (d) => d.message },
  "lifecycle-policy-not-found": { status: 404, code: "UNSUPPORTED", message: (d) => `There is no lifecycle policy ${within(d)}` },
  "lifecycle-preview-in-progress": {
    status: 409,
    code: "UNSUPPORTED",
    message: (d) => `A lifecycle policy preview is in progress ${within(d)}`,
  },
  "lifecycle-preview-not-found": { status: 404, code: "UNSUPPORTED", message: (d) => `There is no lifecycle policy preview ${within(d)}` },
  "template-exists": { status: 409, code: "UNSUPPORTED", message: (d) => `A template of the prefix '${d.prefix}' exists` },
  "template-not-found": { status: 404, code: "UNSUPPORTED", message: (d) => `There is no template of the prefix '${d.prefix}'` },
  "pull-exclusion-exists": { status: 409, code: "UNSUPPORTED", message: (d) => `'${d.principalArn}' is excluded already` },
  "pull-exclusion-not-found": { status: 404, code: "UNSUPPORTED", message: (d) => `'${d.principalArn}' is not excluded` },
  "repository-not-empty": {
    status: 409,
    code: "UNSUPPORTED",
    message: (d) =>
      `The repository with name '${d.repositoryName}' in registry with id '${d.registryId}' cannot be deleted because it still contains images`,
  },
  "manifest-not-found": { status: 404, code: "MANIFEST_UNKNOWN", message: () => "Requested image not found" },
  "manifest-archived": {
    status: 404,
    code: "MANIFEST_UNKNOWN",
    message: (d) =>
      d.status === "ARCHIVED"
        ? `Requested image is archived ${inside(d)}. Restore it to the STANDARD storage class with UpdateImageStorageClass, or push it again`
        : `Requested image is being restored from the archive ${inside(d)}. Try again in a few minutes`,
  },
  "storage-class-refused": {
    status: 400,
    code: "UNSUPPORTED",
    message: (d) => `The storage class of the image with digest '${d.digest}' ${inside(d)} cannot be updated: ${d.reason}`,
  },
  "manifest-invalid": { status: 400, code: "MANIFEST_INVALID", message: (d) => `The manifest is not valid: ${d.problem}` },
  "manifest-too-large": {
    status: 413,
    code: "SIZE_INVALID",
    message: (d) => invalidParameter("imageManifest", `Member must have length less than or equal to ${d.limitBytes}`),
  },
  "manifest-blobs-missing": { status: 404, code: "MANIFEST_BLOB_UNKNOWN", message: (d) => required("Layers", d.digests, d) },
  "manifest-children-missing": { status: 404, code: "MANIFEST_BLOB_UNKNOWN", message: (d) => required("Images", d.digests, d) },
  "manifest-referenced": {
    status: 405,
    code: "UNSUPPORTED",
    message: (d) => `Requested image referenced by manifest list: [${d.parents.join(", ")}]`,
  },
  "digest-mismatch": {
    status: 400,
    code: "DIGEST_INVALID",
    message: (d) => `The provided digest '${d.expected}' does not match the digest '${d.actual}' calculated from the content`,
  },
  "digest-invalid": { status: 400, code: "DIGEST_INVALID", message: (d) => `The digest '${shown(d.digest)}' is not valid: ${d.problem}` },
  "tag-invalid": {
    status: 400,
    code: "TAG_INVALID",
    message: () => invalidParameter("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"),
  },
  "manifest-exists": {
    status: 400,
    code: "TAG_INVALID",
    message: (d) => `Image with digest '${d.digest}' ${d.tag === undefined ? "" : `and tag '${d.tag}' `}already exists ${inside(d)}`,
  },
  "tag-immutable": {
    status: 400,
    code: "TAG_INVALID",
    message: (d) =>
      `The image tag '${d.tag}' already exists in the '${d.repositoryName}' repository and cannot be overwritten because the tag is immutable.`,
  },
  "blob-not-found": {
    status: 404,
    code: "BLOB_UNKNOWN",
    message: (d) => `The layer with digest '${d.digest}' does not exist ${within(d)}`,
  },
  "blob-unreferenced": {
    status: 404,
    code: "BLOB_UNKNOWN",
    message: (d) => `The layer with digest '${d.digest}' is not accessible because no image ${inside(d)} references it`,
  },
  "blob-referenced": {
    status: 405,
    code: "UNSUPPORTED",
    message: (d) => `The layer with digest '${d.digest}' is referenced by an image ${inside(d)}`,
  },
  "blob-exists": {
    status: 400,
    code: "BLOB_UPLOAD_INVALID",
    message: (d) => `The layer with digest '${d.digest}' already exists ${inside(d)}`,
  },
  "upload-not-found": {
    status: 404,
    code: "BLOB_UPLOAD_UNKNOWN",
    message: (d) => `The upload with id '${shown(d.uploadId)}' does not exist ${inside(d)}`,
  },
  "upload-range": {
    status: 416,
    code: "BLOB_UPLOAD_INVALID",
    message: (d) => `First byte of the layer part is ${d.firstByte} instead of ${d.receivedBytes}`,
    // A client resumes from these without asking for the status first.
    headers: (d) => uploadHeaders(d.repositoryName, d),
  },
  "upload-size": {
    status: 400,
    code: "SIZE_INVALID",
    message: (d) => `The layer part has ${d.receivedBytes} bytes instead of ${d.announcedBytes}`,
  },
  "upload-busy": {
    status: 429,
    code: "TOOMANYREQUESTS",
    message: (d) => `Rate exceeded: another request for the upload with id '${d.uploadId}' ${inside(d)} is under way`,
    headers: () => retrySoon,
  },
  "upload-empty": {
    status: 400,
    code: "BLOB_UPLOAD_INVALID",
    message: (d) => `The upload with id '${d.uploadId}' ${inside(d)} cannot be completed because it does not have any parts.`,
  },
  "upload-digest-mismatch": {
    status: 400,
    code: "DIGEST_INVALID",
    message: () => "None of the provided layer digests match the calculated layer digest",
  },
  "upload-part-too-small": {
    status: 400,
    code: "BLOB_UPLOAD_INVALID",
    message: () => "All layer parts except the last part should be at least 5MB",
  },
  "limit-exceeded": { status: 403, code: "DENIED", message: (d) => d.message },
  "page-token-invalid": {
    status: 400,
    code: "PAGINATION_NUMBER_INVALID",
    message: () => invalidParameter("last", "must be a value that an earlier page ended with"),
  },
  "resource-tag-invalid": { status: 400, code: "UNSUPPORTED", message: (d) => d.problem },
  "resource-tags-too-many": { status: 400, code: "UNSUPPORTED", message: () => "The number of tags on the repository must not exceed 50" },
  "parameter-invalid": { status: 400, code: "UNSUPPORTED", message: (d) => invalidParameter(d.parameter, d.constraint) },
  "key-unusable": {
    status: 403,
    code: "DENIED",
    message: (d) =>
      `The KMS key of the repository with name '${d.repositoryName}' in the registry with id '${d.registryId}' cannot be used: ${d.kmsError}${d.reason === "" ? "" : `: ${d.reason}`}`,
  },
  "pull-through-rule-not-found": {
    status: 404,
    code: "NAME_UNKNOWN",
    message: (d) =>
      `The pull through cache rule with Amazon ECR repository prefix '${d.prefix}' does not exist in the registry with id '${d.registryId}'`,
  },
  "pull-through-rule-exists": {
    status: 409,
    code: "UNSUPPORTED",
    message: (d) =>
      `The pull through cache rule with Amazon ECR repository prefix '${d.prefix}' already exists in the registry with id '${d.registryId}'`,
  },
  "upstream-denied": {
    status: 403,
    code: "DENIED",
    message: (d) => `The upstream registry denied access to the content requested for the repository with name '${d.repositoryName}'`,
  },
  "upstream-rate-limited": {
    status: 429,
    code: "TOOMANYREQUESTS",
    message: (d) => `Rate exceeded: the upstream registry limits requests for the repository with name '${d.repositoryName}'`,
  },
  "upstream-unavailable": {
    status: 503,
    code: "UNAVAILABLE",
    message: (d) => `The upstream registry did not provide the content requested for the repository with name '${d.repositoryName}'`,
  },
  "scan-not-found": { status: 404, code: "UNSUPPORTED", message: (d) => `Nothing in '${d.repositoryName}' of that name has been scanned` },
  "scan-unsupported": { status: 400, code: "UNSUPPORTED", message: (d) => `'${d.digest}' is of a type that cannot be scanned` },
  "scan-disabled": { status: 400, code: "UNSUPPORTED", message: () => "This feature is disabled" },
  "storage-full": {
    status: 507,
    code: "UNKNOWN",
    message: () => "The registry cannot store more bytes now: its disk is full",
  },
  "body-aborted": {
    status: 400,
    code: "SIZE_INVALID",
    message: (d) => `The request ended before its body was complete; ${d.receivedBytes} bytes were received`,
  },
};

/** Turns what `registry/` refused into the answer of the data plane. */
export function registryFault(refusal: RegistryRefusal): OciFault {
  // The row and the detail belong to the same kind; the compiler cannot see that through the union.
  const row = registryFaults[refusal.kind] as FaultRow<RegistryErrorKind>;
  const detail = refusal.detail as never;
  return new OciFault(row.status, row.code, row.message(detail), row.headers?.(detail) ?? []);
}

/** Text from a client, short enough to stand in a message. */
function shown(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

const expiredText = "Your authorization token has expired. Reauthenticate and try again.";

/** 401 with the challenge; `realm` is the host as the client wrote it. Docker takes the challenge from here and the text from the body. */
export function unauthorizedFault(host: string): OciFault {
  const challenge = `Basic realm="https://${host}/",service="ecr.amazonaws.com"`;
  return new OciFault(401, "UNAUTHORIZED", "Not Authorized", ["WWW-Authenticate", challenge]);
}

/** A token past its twelve hours, in the words that clients look for. */
export function expiredTokenFault(): OciFault {
  return new OciFault(403, "DENIED", expiredText);
}

/** A token of another region; `host` is where it is good. */
export function wrongRegionFault(tokenRegion: string, host: string): OciFault {
  return new OciFault(
    403,
    "DENIED",
    `Your authorization token was issued for the region '${tokenRegion}' and is valid only at ${host}. Use that host, or get a token for this region.`,
  );
}

/** Not allowed; `message` is AWS's sentence. `headers` explain it to who may have it explained. */
export function deniedFault(message: string, headers: readonly string[] = []): OciFault {
  return new OciFault(403, "DENIED", message, headers);
}

/** A download URL that is forged, past its time, or of a principal that is no longer active: all the same answer. */
export function downloadTicketFault(): OciFault {
  return new OciFault(403, "DENIED", "The download URL is not valid or has expired");
}

/** A qualified host of a region or domain that this deployment does not serve. */
export function unknownRegistryFault(host: string): OciFault {
  return new OciFault(404, "NAME_UNKNOWN", `Could not resolve registry id from host ${shown(host)}`);
}

/** A repository name that cannot exist, or a path that cannot be read. */
export function nameInvalidFault(problem: string): OciFault {
  return new OciFault(400, "NAME_INVALID", `The repository name is not valid: ${problem}`);
}

/** Nothing answers to this path. */
export function unknownPathFault(): OciFault {
  return new OciFault(404, "UNSUPPORTED", "404 page not found");
}

/** The path is known, the method is not; `allowed` are those that are. */
export function methodFault(method: string, allowed: readonly string[]): OciFault {
  return new OciFault(405, "UNSUPPORTED", `The method ${shown(method)} is not supported here`, ["Allow", allowed.join(", ")]);
}

/** Our own failure; the log has the rest under the same id. */
export function internalFault(requestId: string): OciFault {
  return new OciFault(500, "UNKNOWN", `Internal failure. Request id: ${requestId}`);
}

/** What we stand on does not answer just now; clients come again by themselves. The log has the rest under the same id. */
export function unavailableFault(requestId: string): OciFault {
  return new OciFault(503, "UNAVAILABLE", `The registry is not available. Request id: ${requestId}`, ["Retry-After", "1"]);
}
