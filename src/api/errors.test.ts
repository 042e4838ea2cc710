import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { RegistryRefusal } from "#registry/errors.ts";
import { registryFault, registryFaults, signatureFault, signatureFaults } from "./errors.ts";

const at = { registryId: "123456789012", repositoryName: "shop/web" };
const digest = `sha256:${"a".repeat(64)}`;
const other = `sha256:${"b".repeat(64)}`;
const uploadId = "0e5c2b1a-7d1f-4c55-9f0a-1b2c3d4e5f60";

/** One refusal of every kind with the exception and the whole text that clients see; texts that ECR is known to use are marked. */
const cases: readonly (readonly [RegistryRefusal, string, string])[] = [
  // ECR's own words
  [
    { kind: "repository-not-found", detail: at },
    "RepositoryNotFoundException",
    "The repository with name 'shop/web' does not exist in the registry with id '123456789012'",
  ],
  [
    { kind: "repository-exists", detail: at },
    "RepositoryAlreadyExistsException",
    "The repository with name 'shop/web' already exists in the registry with id '123456789012'",
  ],
  [
    { kind: "repository-not-empty", detail: at },
    "RepositoryNotEmptyException",
    "The repository with name 'shop/web' in registry with id '123456789012' cannot be deleted because it still contains images",
  ],
  [
    { kind: "creation-refused", detail: { ...at, reason: "secret" } },
    "RepositoryNotFoundException",
    "The repository with name 'shop/web' does not exist in the registry with id '123456789012'",
  ],
  [
    { kind: "template-exists", detail: { registryId: "1", prefix: "p/" } },
    "TemplateAlreadyExistsException",
    "The repository creation template with prefix 'p/' already exists in the registry with id '1'",
  ],
  [
    { kind: "template-not-found", detail: { registryId: "1", prefix: "p/" } },
    "TemplateNotFoundException",
    "The repository creation template with prefix 'p/' does not exist in the registry with id '1'",
  ],
  [
    { kind: "pull-exclusion-exists", detail: { registryId: "1", principalArn: "arn" } },
    "ExclusionAlreadyExistsException",
    "The pull time update exclusion for principal 'arn' already exists in the registry with id '1'",
  ],
  [
    { kind: "pull-exclusion-not-found", detail: { registryId: "1", principalArn: "arn" } },
    "ExclusionNotFoundException",
    "The pull time update exclusion for principal 'arn' does not exist in the registry with id '1'",
  ],
  [
    { kind: "manifest-not-found", detail: { ...at, tag: "v1" } },
    "ImageNotFoundException",
    "The image with imageId {imageDigest:'null', imageTag:'v1'} does not exist within the repository with name 'shop/web' in the registry with id '123456789012'",
  ],
  [
    { kind: "manifest-archived", detail: { ...at, digest, status: "ARCHIVED" } },
    "ImageArchivedException",
    `The image with imageId {imageDigest:'${digest}', imageTag:'null'} in the repository with name 'shop/web' in registry with id '123456789012' is archived`,
  ],
  [
    { kind: "storage-class-refused", detail: { ...at, digest, tag: "v1", reason: "the image is being restored" } },
    "ImageStorageClassUpdateNotSupportedException",
    `The storage class of the image with imageId {imageDigest:'${digest}', imageTag:'v1'} in the repository with name 'shop/web' in registry with id '123456789012' cannot be updated: the image is being restored`,
  ],
  [
    { kind: "manifest-blobs-missing", detail: { ...at, digests: [digest, other] } },
    "LayersNotFoundException",
    `Layers with digests '[${digest}, ${other}]' required for pushing image into repository with name 'shop/web' in the registry with id '123456789012' do not exist`,
  ],
  [
    { kind: "manifest-children-missing", detail: { ...at, digests: [digest] } },
    "ReferencedImagesNotFoundException",
    `Images with digests '[${digest}]' required for pushing image into repository with name 'shop/web' in the registry with id '123456789012' do not exist`,
  ],
  [
    { kind: "manifest-exists", detail: { ...at, digest, tag: "v1" } },
    "ImageAlreadyExistsException",
    `Image with digest '${digest}' and tag 'v1' already exists in the repository with name 'shop/web' in registry with id '123456789012'`,
  ],
  [
    { kind: "tag-immutable", detail: { ...at, tag: "v1" } },
    "ImageTagAlreadyExistsException",
    "The image tag 'v1' already exists in the 'shop/web' repository and cannot be overwritten because the repository is immutable.",
  ],
  [
    { kind: "upload-empty", detail: { ...at, uploadId } },
    "EmptyUploadException",
    `The upload with id '${uploadId}' in the repository with name 'shop/web' in registry with id '123456789012' cannot be completed because it does not have any parts`,
  ],
  [
    { kind: "upload-digest-mismatch", detail: { ...at, uploadId, actual: digest } },
    "InvalidLayerException",
    "None of the provided layer digests match the calculated layer digest",
  ],
  [
    { kind: "upload-part-too-small", detail: { ...at, uploadId } },
    "LayerPartTooSmallException",
    "All layer parts except the last part should be at least 5MB",
  ],
  [
    { kind: "upload-range", detail: { ...at, uploadId, firstByte: 7, receivedBytes: 5 } },
    "InvalidLayerPartException",
    "First byte of the layer part is 7 instead of 5",
  ],
  [
    { kind: "manifest-invalid", detail: { problem: "schemaVersion must be 2" } },
    "InvalidParameterException",
    "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax': schemaVersion must be 2",
  ],
  [
    { kind: "digest-invalid", detail: { digest: "x", problem: "" } },
    "InvalidParameterException",
    "Invalid parameter at 'imageDigest' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''",
  ],
  [
    { kind: "parameter-invalid", detail: { parameter: "maxResults", constraint: "no" } },
    "InvalidParameterException",
    "Invalid parameter at 'maxResults' failed to satisfy constraint: 'no'",
  ],
  [
    { kind: "blob-not-found", detail: { ...at, digest } },
    "LayersNotFoundException",
    `The layer with digest '${digest}' does not exist within the repository with name 'shop/web' in the registry with id '123456789012'`,
  ],
  // words of our own in the same style
  [
    { kind: "manifest-too-large", detail: { limitBytes: 4_194_304 } },
    "InvalidParameterException",
    "Invalid parameter at 'imageManifest' failed to satisfy constraint: 'Member must have length less than or equal to 4194304'",
  ],
  [
    { kind: "manifest-referenced", detail: { ...at, digest, parents: [other] } },
    "InvalidParameterException",
    `Requested image referenced by manifest list: [${other}]`,
  ],
  [
    { kind: "digest-mismatch", detail: { expected: digest, actual: other } },
    "ImageDigestDoesNotMatchException",
    `The image digest '${digest}' does not match the digest '${other}' calculated from the image manifest`,
  ],
  [
    { kind: "tag-invalid", detail: { tag: "-" } },
    "InvalidParameterException",
    "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''",
  ],
  [
    { kind: "blob-unreferenced", detail: { ...at, digest } },
    "LayerInaccessibleException",
    `The layer with digest '${digest}' is not accessible because no image in the repository with name 'shop/web' in registry with id '123456789012' references it`,
  ],
  [
    { kind: "blob-referenced", detail: { ...at, digest } },
    "InvalidParameterException",
    `The layer with digest '${digest}' is referenced by an image in the repository with name 'shop/web' in registry with id '123456789012'`,
  ],
  [
    { kind: "blob-exists", detail: { ...at, digest } },
    "LayerAlreadyExistsException",
    `The layer with digest '${digest}' already exists in the repository with name 'shop/web' in registry with id '123456789012'`,
  ],
  [
    { kind: "upload-not-found", detail: { ...at, uploadId } },
    "UploadNotFoundException",
    `The upload with id '${uploadId}' does not exist in the repository with name 'shop/web' in registry with id '123456789012'`,
  ],
  [
    { kind: "upload-size", detail: { announcedBytes: 9, receivedBytes: 5 } },
    "InvalidLayerPartException",
    "The layer part has 5 bytes instead of 9",
  ],
  [
    { kind: "upload-busy", detail: { ...at, uploadId } },
    "ThrottlingException",
    `Rate exceeded: another request for the upload with id '${uploadId}' in the repository with name 'shop/web' in registry with id '123456789012' is under way`,
  ],
  [{ kind: "limit-exceeded", detail: { message: "too many" } }, "LimitExceededException", "too many"],
  [
    { kind: "page-token-invalid", detail: {} },
    "InvalidParameterException",
    "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'",
  ],
  [{ kind: "resource-tag-invalid", detail: { problem: "no" } }, "InvalidTagParameterException", "no"],
  [{ kind: "resource-tags-too-many", detail: {} }, "TooManyTagsException", "The number of tags on the repository must not exceed 50"],
  [
    { kind: "key-unusable", detail: { ...at, kmsError: "DisabledException", reason: "it is disabled." } },
    "KmsException",
    "The KMS key of the repository with name 'shop/web' in the registry with id '123456789012' cannot be used: DisabledException: it is disabled.",
  ],
  [{ kind: "lifecycle-policy-invalid", detail: { message: "no" } }, "InvalidParameterException", "no"],
  [
    { kind: "lifecycle-policy-not-found", detail: at },
    "LifecyclePolicyNotFoundException",
    "Lifecycle policy does not exist for the repository with name 'shop/web' in the registry with id '123456789012'",
  ],
  [
    { kind: "lifecycle-preview-in-progress", detail: at },
    "LifecyclePolicyPreviewInProgressException",
    "A lifecycle policy preview is already in progress for the repository with name 'shop/web' in the registry with id '123456789012'",
  ],
  [
    { kind: "lifecycle-preview-not-found", detail: at },
    "LifecyclePolicyPreviewNotFoundException",
    "Lifecycle policy preview does not exist for the repository with name 'shop/web' in the registry with id '123456789012'",
  ],
  [
    { kind: "pull-through-rule-not-found", detail: { registryId: at.registryId, prefix: "hub" } },
    "PullThroughCacheRuleNotFoundException",
    "The pull through cache rule with Amazon ECR repository prefix 'hub' does not exist in the registry with id '123456789012'",
  ],
  [
    { kind: "pull-through-rule-exists", detail: { registryId: at.registryId, prefix: "hub" } },
    "PullThroughCacheRuleAlreadyExistsException",
    "The pull through cache rule with Amazon ECR repository prefix 'hub' already exists in the registry with id '123456789012'",
  ],
  [
    { kind: "upstream-denied", detail: at },
    "UnableToGetUpstreamImageException",
    "The upstream registry denied access to the image requested in the repository with name 'shop/web' in registry with id '123456789012'",
  ],
  [
    { kind: "upstream-rate-limited", detail: at },
    "UnableToGetUpstreamImageException",
    "The upstream registry limits requests, and did not provide the image requested in the repository with name 'shop/web' in registry with id '123456789012'",
  ],
  [
    { kind: "upstream-unavailable", detail: at },
    "UnableToGetUpstreamImageException",
    "The upstream registry did not provide the image requested in the repository with name 'shop/web' in registry with id '123456789012'",
  ],
  [
    { kind: "scan-not-found", detail: { registryId: "1", repositoryName: "r", tag: "t" } },
    "ScanNotFoundException",
    "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'t'}' in the repository with name 'r' in the registry with id '1'",
  ],
  [
    { kind: "scan-unsupported", detail: { registryId: "1", repositoryName: "r", digest: "sha256:d" } },
    "UnsupportedImageTypeException",
    "The image with digest 'sha256:d' in the repository with name 'r' in registry with id '1' is of a type that cannot be scanned",
  ],
  [{ kind: "scan-disabled", detail: {} }, "ValidationException", "This feature is disabled"],
  [{ kind: "storage-full", detail: {} }, "ServerException", "The registry cannot store more bytes now: its disk is full"],
  [
    { kind: "body-aborted", detail: { receivedBytes: 3 } },
    "RequestAbortedException",
    "The request ended before its body was complete; 3 bytes were received",
  ],
];

test("every refusal of the registry has ECR's exception and words", () => {
  for (const [refusal, code, message] of cases) {
    const fault = registryFault(refusal);
    assert.deepEqual([fault.code, fault.message], [code, message], refusal.kind);
    assert.equal(fault.status, code === "ServerException" ? 500 : 400, refusal.kind);
  }
  assert.deepEqual(new Set(cases.map(([{ kind }]) => kind)), new Set(Object.keys(registryFaults)));
});

test("a part that does not fit tells where to resume", () => {
  const fault = registryFault({ kind: "upload-range", detail: { ...at, uploadId, firstByte: 7, receivedBytes: 5 } });
  assert.deepEqual(fault.members, { ...at, uploadId, lastValidByteReceived: 4 });
});

test("exceptions are those of the model, except for what every AWS service answers", () => {
  const model = JSON.parse(readFileSync(new URL("../../models/ecr-2015-09-21.json", import.meta.url), "utf8")) as {
    shapes: Record<string, { exception?: boolean }>;
  };
  const general = ["ThrottlingException", "RequestAbortedException"];
  for (const { exception } of Object.values(registryFaults)) {
    assert.ok(general.includes(exception) || model.shapes[exception]?.exception === true, exception);
  }
});

test("faults of the signature are 400 in JSON, and as AWS has them in Query", () => {
  for (const code of Object.keys(signatureFaults) as (keyof typeof signatureFaults)[]) {
    const json = signatureFault("json", code, "text");
    assert.deepEqual([json.status, json.message], [400, "text"]);
    assert.equal(signatureFault("query", code, "text").status, signatureFaults[code].queryStatus);
  }
  assert.equal(signatureFault("query", "invalid-signature", "").code, "SignatureDoesNotMatch");
  assert.equal(signatureFault("json", "unrecognized-client", "").code, "UnrecognizedClientException");
});
