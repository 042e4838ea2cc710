/** Layers and images: what each operation is refused with. */
import type { ErrorRow } from "./row.ts";
import { accountId, app, badName, inApp, invalid, largeTags, noDigest, noImage, noImageId, noRepository, refusedWith } from "./row.ts";

const noUploadId = "6b2c3c1e-7a55-4ac1-8f0f-0d5c6c2f8f11";
const noUpload = refusedWith(`The upload with id '${noUploadId}' does not exist in ${inApp.inside}`, { uploadId: noUploadId });
const digestConstraint = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
/** The disabled key of the repository; its ARN stands in the middle. */
const keyDisabled =
  /^The KMS key of the repository with name 'team\/sealed' in the registry with id '123456789012' cannot be used: DisabledException: /;
const byDisabledKey = { members: { kmsError: "DisabledException" } };
const part = { layerPartBlob: Buffer.from("0123456789").toString("base64"), partFirstByte: 0, partLastByte: 9 };

/** Rows by operation. */
export const imageRows: Readonly<Record<string, ErrorRow>> = {
  BatchCheckLayerAvailability: {
    input: { ...app, layerDigests: [noDigest] },
    shown: {
      InvalidParameter: invalid("layerDigests", "Member must have length greater than or equal to 1", { layerDigests: [] }),
      RepositoryNotFound: noRepository,
    },
  },
  InitiateLayerUpload: {
    input: app,
    shown: {
      InvalidParameter: badName,
      RepositoryNotFound: noRepository,
      Kms: refusedWith(keyDisabled, { repositoryName: "team/sealed" }, byDisabledKey),
    },
  },
  UploadLayerPart: {
    input: (ground) => ({ ...app, uploadId: ground.uploadId, ...part }),
    shown: {
      InvalidParameter: invalid("layerPartBlob", "Member must not be null", { layerPartBlob: undefined }),
      InvalidLayerPart: refusedWith(
        "First byte of the layer part is 5 instead of 0",
        { partFirstByte: 5, partLastByte: 14 },
        { members: { registryId: accountId, ...app, lastValidByteReceived: -1 } },
      ),
      RepositoryNotFound: noRepository,
      UploadNotFound: noUpload,
      LimitExceeded: refusedWith(/ exceeds the maximum allowed number of parts which is '1'$/, (ground) => ground.secondPart(), {
        place: "full",
      }),
      Kms: refusedWith(keyDisabled, (ground) => ({ repositoryName: "team/sealed", uploadId: ground.sealedUploadId }), byDisabledKey),
    },
  },
  CompleteLayerUpload: {
    input: (ground) => ({ ...app, uploadId: ground.uploadId, layerDigests: [noDigest] }),
    shown: {
      InvalidParameter: invalid("layerDigests", "Member must have length greater than or equal to 1", { layerDigests: [] }),
      RepositoryNotFound: noRepository,
      UploadNotFound: noUpload,
      InvalidLayer: refusedWith("None of the provided layer digests match the calculated layer digest", async (ground) => ({
        uploadId: await ground.startedUpload("wrong"),
      })),
      LayerPartTooSmall: refusedWith("All layer parts except the last part should be at least 5MB", async (ground) => ({
        uploadId: await ground.startedUpload("two", "parts"),
      })),
      LayerAlreadyExists: refusedWith(/^The layer with digest 'sha256:[0-9a-f]{64}' already exists in /, async (ground) => ({
        uploadId: await ground.startedUpload(ground.layerBytes),
        layerDigests: [ground.layerDigest],
      })),
      EmptyUpload: refusedWith(/^The upload with id '[0-9a-f-]{36}' in .* cannot be completed because it does not have any parts$/, {}),
      Kms: refusedWith(keyDisabled, (ground) => ({ repositoryName: "team/sealed", uploadId: ground.sealedUploadId }), byDisabledKey),
    },
  },
  GetDownloadUrlForLayer: {
    input: (ground) => ({ ...app, layerDigest: ground.layerDigest }),
    shown: {
      InvalidParameter: refusedWith(
        /^Invalid parameter at 'layerDigest' failed to satisfy constraint: 'Member must satisfy regular expression pattern: /,
        {
          layerDigest: "latest",
        },
      ),
      LayersNotFound: refusedWith(`The layer with digest '${noDigest}' does not exist within ${inApp.within}`, { layerDigest: noDigest }),
      LayerInaccessible: refusedWith(
        /^The layer with digest 'sha256:[0-9a-f]{64}' is not accessible because no image in .* references it$/,
        async (ground) => ({ layerDigest: await ground.looseLayer() }),
      ),
      RepositoryNotFound: noRepository,
      UnableToGetUpstreamLayer: refusedWith(`The upstream registry did not provide the layer with digest '${noDigest}'`, {
        repositoryName: "hub/app",
        layerDigest: noDigest,
      }),
    },
  },
  PutImage: {
    input: (ground) => ({ ...app, imageManifest: ground.otherManifest, imageTag: "other" }),
    shown: {
      InvalidParameter: refusedWith(/^Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'/, {
        imageManifest: "{",
      }),
      RepositoryNotFound: noRepository,
      ImageAlreadyExists: refusedWith(
        /^Image with digest 'sha256:[0-9a-f]{64}' and tag 'v1' already exists in the repository with name 'team\/app' in registry with id '123456789012'$/,
        (ground) => ({
          imageManifest: ground.manifest,
          imageTag: "v1",
        }),
      ),
      LayersNotFound: refusedWith(
        /^Layers with digests '\[sha256:[0-9a-f]{64}(, sha256:[0-9a-f]{64}){2}\]' required for pushing image into repository with name 'team\/empty' in the registry with id '123456789012' do not exist$/,
        { repositoryName: "team/empty" },
      ),
      ReferencedImagesNotFound: refusedWith(
        /^Images with digests '\[sha256:[0-9a-f]{64}\]' required for pushing image into repository with name 'team\/empty' in the registry with id '123456789012' do not exist$/,
        (ground) => ({
          repositoryName: "team/empty",
          imageManifest: ground.indexManifest,
        }),
      ),
      LimitExceeded: refusedWith(
        `T${inApp.inside.slice(1)} already has the maximum allowed number of images which is '1'`,
        {},
        { place: "full" },
      ),
      ImageTagAlreadyExists: refusedWith(
        "The image tag 'v1' already exists in the 'team/fixed' repository and cannot be overwritten because the repository is immutable.",
        { repositoryName: "team/fixed", imageTag: "v1" },
      ),
      ImageDigestDoesNotMatch: refusedWith(
        /^The image digest 'sha256:0{64}' does not match the digest 'sha256:[0-9a-f]{64}' calculated from the image manifest$/,
        {
          imageDigest: noDigest,
        },
      ),
      Kms: refusedWith(keyDisabled, { repositoryName: "team/sealed" }, byDisabledKey),
    },
  },
  BatchGetImage: {
    input: { ...app, imageIds: [{ imageTag: "v1" }] },
    shown: {
      InvalidParameter: invalid("imageIds", "Member must have length greater than or equal to 1", { imageIds: [] }),
      RepositoryNotFound: noRepository,
      LimitExceeded: refusedWith(/^The manifests of the requested images have \d+ bytes together, and one answer holds 16777216: /, {
        imageIds: largeTags.map((imageTag) => ({ imageTag })),
      }),
    },
    untriggered: { UnableToGetUpstreamImage: "item-failure" },
  },
  BatchDeleteImage: {
    input: { ...app, imageIds: [{ imageTag: "none" }] },
    shown: {
      InvalidParameter: invalid("imageIds", "Member must have length less than or equal to 100", {
        imageIds: Array.from({ length: 101 }, () => ({ imageTag: "v1" })),
      }),
      RepositoryNotFound: noRepository,
    },
  },
  ListImages: {
    input: app,
    shown: { InvalidParameter: invalid("nextToken", "Invalid token", { nextToken: "none" }), RepositoryNotFound: noRepository },
  },
  DescribeImages: {
    input: app,
    shown: {
      InvalidParameter: invalid("imageDigest", digestConstraint, { imageIds: [{ imageDigest: "latest" }] }),
      RepositoryNotFound: noRepository,
      ImageNotFound: refusedWith(noImage.text, { imageIds: [{ imageTag: "none" }] }),
    },
  },
  ListImageReferrers: {
    input: { ...app, subjectId: { imageDigest: noDigest } },
    shown: {
      InvalidParameter: invalid("maxResults", "Member must have value less than or equal to 50", { maxResults: 51 }),
      RepositoryNotFound: noRepository,
      UnableToListUpstreamImageReferrers: refusedWith(
        `The upstream registry did not list the referrers of the image with digest '${noDigest}'`,
        {
          repositoryName: "hub/app",
        },
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  UpdateImageStorageClass: {
    input: { ...app, imageId: { imageTag: "v1" }, targetStorageClass: "STANDARD" },
    shown: {
      InvalidParameter: invalid("targetStorageClass", "Member must satisfy enum value set: [STANDARD, ARCHIVE]", {
        targetStorageClass: "GLACIER",
      }),
      ImageNotFound: noImage,
      ImageStorageClassUpdateNotSupported: refusedWith(
        /^The storage class of the image with imageId \{imageDigest:'[^']+', imageTag:'v1'\} in .* cannot be updated: /,
        {},
      ),
      RepositoryNotFound: noRepository,
    },
    untriggered: { Validation: "second-code" },
  },
  DescribeImageReplicationStatus: {
    input: { ...app, imageId: { imageTag: "v1" } },
    shown: { InvalidParameter: noImageId, ImageNotFound: noImage, RepositoryNotFound: noRepository },
    untriggered: { Validation: "second-code" },
  },
  DescribeImageSigningStatus: {
    input: { ...app, imageId: { imageTag: "v1" } },
    shown: { InvalidParameter: noImageId, ImageNotFound: noImage, RepositoryNotFound: noRepository },
    untriggered: { Validation: "second-code" },
  },
  DescribeImageScanFindings: {
    input: { ...app, imageId: { imageTag: "v1" } },
    shown: {
      InvalidParameter: noImageId,
      ImageNotFound: noImage,
      RepositoryNotFound: noRepository,
      ScanNotFound: refusedWith(
        `Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in ${inApp.within}`,
        {},
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  StartImageScan: {
    input: { ...app, imageId: { imageTag: "v1" } },
    shown: {
      InvalidParameter: noImageId,
      UnsupportedImageType: refusedWith(/^The image with digest 'sha256:[0-9a-f]{64}' in .* is of a type that cannot be scanned$/, {
        imageId: { imageTag: "index" },
      }),
      LimitExceeded: refusedWith("The scan quota per image has been exceeded. Wait and try again.", async (ground) => {
        await ground.succeed("StartImageScan", { ...app, imageId: { imageTag: "scanned" } });
        return { imageId: { imageTag: "scanned" } };
      }),
      RepositoryNotFound: noRepository,
      ImageNotFound: noImage,
      Validation: refusedWith("This feature is disabled", {}, { place: "full" }),
      ImageArchived: refusedWith(/^The image with imageId \{imageDigest:'sha256:[0-9a-f]{64}', imageTag:'old'\} in .* is archived$/, {
        imageId: { imageTag: "old" },
      }),
    },
  },
};
