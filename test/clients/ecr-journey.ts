/** One journey through all operations of the service `ecr`, the same for every client: what is sent, and what must come back. */
import assert from "node:assert/strict";
import { digestOf } from "#oci/digest.ts";
import type { Content } from "../fixtures/oci-content.ts";
import { makeArtifact, makeImage } from "../fixtures/oci-content.ts";
import { expectItems, beginJourney, time } from "./ecr-steps.ts";
import type { EcrDriver, Journey, JourneyGround, Members } from "./ecr-steps.ts";
import { excludePullers, fetchThroughRules, makeTemplates, setUpRegistry } from "./ecr-registry-journey.ts";

const repositoryName = "journey/app";

/** Goes all the way; at the end nothing of it is left. */
export async function goAllTheWay(driver: EcrDriver, ground: JourneyGround): Promise<void> {
  const journey = beginJourney(driver, ground);
  await setUpRegistry(journey);
  await excludePullers(journey);
  await fetchThroughRules(journey);
  await makeTemplates(journey);
  await makeRepositories(journey);
  await changeRepository(journey);
  const pushed = await pushImages(journey);
  await readImages(journey, pushed);
  await scanImages(journey, pushed.image);
  await applyLifecycle(journey, pushed);
  await removeAll(journey, pushed);
}

function repositoryShape({ accountId, region, host }: JourneyGround, name: string, more: Members = {}): Members {
  return {
    repositoryArn: `arn:aws:ecr:${region}:${accountId}:repository/${name}`,
    registryId: accountId,
    repositoryName: name,
    repositoryUri: `${host}/${name}`,
    createdAt: time,
    imageTagMutability: "MUTABLE",
    imageScanningConfiguration: { scanOnPush: false },
    encryptionConfiguration: { encryptionType: "AES256" },
    ...more,
  };
}

const otherNames = ["journey/more-1", "journey/more-2"];
const filters = {
  imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
  imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "dev-*" }],
};

async function makeRepositories(journey: Journey): Promise<void> {
  const { expect } = journey;
  const tags = [{ Key: "team", Value: "sea" }];
  await expect("CreateRepository", { repositoryName, tags }, { repository: repositoryShape(journey, repositoryName) });
  for (const name of otherNames) await expect("CreateRepository", { repositoryName: name }, { repository: repositoryShape(journey, name) });
  await expectItems(journey, "DescribeRepositories", {}, "repositoryName", [repositoryName, ...otherNames]);
  await expect("DescribeRepositories", { repositoryNames: [repositoryName] }, { repositories: [repositoryShape(journey, repositoryName)] });
}

async function changeRepository(journey: Journey): Promise<void> {
  const { expect, accountId: registryId, region } = journey;
  const place = { registryId, repositoryName };
  await expect("PutImageTagMutability", { repositoryName, ...filters }, { ...place, ...filters });
  const mutable = { imageTagMutability: "MUTABLE" };
  await expect("PutImageTagMutability", { repositoryName, ...mutable }, { ...place, ...mutable });
  const imageScanningConfiguration = { scanOnPush: false };
  await expect("PutImageScanningConfiguration", { repositoryName, imageScanningConfiguration }, { ...place, imageScanningConfiguration });
  const resourceArn = `arn:aws:ecr:${region}:${registryId}:repository/${repositoryName}`;
  const scanning = { repositoryArn: resourceArn, repositoryName, scanOnPush: false, scanFrequency: "MANUAL", appliedScanFilters: [] };
  const failure = { repositoryName: "journey/none", failureCode: "REPOSITORY_NOT_FOUND", failureReason: "REPOSITORY_NOT_FOUND" };
  await expect(
    "BatchGetRepositoryScanningConfiguration",
    { repositoryNames: [repositoryName, "journey/none"] },
    { scanningConfigurations: [scanning], failures: [failure] },
  );
  const statement = { Sid: "All", Effect: "Allow", Principal: "*", Action: "ecr:BatchGetImage" };
  const policyText = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  for (const operation of ["SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy"]) {
    const input = operation === "SetRepositoryPolicy" ? { repositoryName, policyText } : { repositoryName };
    await expect(operation, input, { ...place, policyText });
  }
  await expect("TagResource", { resourceArn, tags: [{ Key: "cost", Value: "" }] }, {});
  await expect("UntagResource", { resourceArn, tagKeys: ["team"] }, {});
  await expect("ListTagsForResource", { resourceArn }, { tags: [{ Key: "cost", Value: "" }] });
}

/** What lies in the repository. */
interface Pushed {
  readonly image: ReturnType<typeof makeImage>;
  readonly second: ReturnType<typeof makeImage>;
  readonly third: ReturnType<typeof makeImage>;
  /** Has no tag. */
  readonly signature: ReturnType<typeof makeArtifact>;
}

async function pushImages(journey: Journey): Promise<Pushed> {
  const image = makeImage({ seed: "journey", layerCount: 1 });
  const second = makeImage({ seed: "journey 2", layerCount: 1 });
  const third = makeImage({ seed: "journey 3", layerCount: 1 });
  const signature = makeArtifact({ subject: image, artifactType: "application/vnd.example.signature" });
  const pushes = [
    [image, "v1"],
    [second, "v2"],
    [third, "v3"],
    [signature, undefined],
  ] as const;
  for (const [manifest, tag] of pushes) {
    for (const blob of [manifest.config, ...manifest.layers]) await uploadLayer(journey, blob);
    const imageTag = tag === undefined ? {} : { imageTag: tag };
    const shown = { imageManifest: manifest.bytes.toString(), imageManifestMediaType: manifest.mediaType };
    await journey.expect(
      "PutImage",
      { repositoryName, ...shown, ...imageTag },
      { image: { registryId: journey.accountId, repositoryName, imageId: { imageDigest: manifest.digest, ...imageTag }, ...shown } },
    );
  }
  return { image, second, third, signature };
}

/** In two parts is refused for so few bytes, so there is one. */
async function uploadLayer({ driver, expect, accountId: registryId }: Journey, { bytes, digest }: Content): Promise<void> {
  const { uploadId, partSize } = await driver.call("InitiateLayerUpload", { repositoryName });
  assert.equal(partSize, 10_485_760);
  const place = { registryId, repositoryName, uploadId };
  const last = bytes.byteLength - 1;
  await expect(
    "UploadLayerPart",
    { repositoryName, uploadId, partFirstByte: 0, partLastByte: last, layerPartBlob: bytes.toString("base64") },
    { ...place, lastByteReceived: last },
  );
  await expect("CompleteLayerUpload", { repositoryName, uploadId, layerDigests: [digest] }, { ...place, layerDigest: digest });
}

async function readImages(journey: Journey, { image, second, third, signature }: Pushed): Promise<void> {
  const { driver, expect, accountId: registryId } = journey;
  const layer = image.layers[0] ?? image.config;
  const noDigest = digestOf("sha256", Buffer.from("none"));
  await expect(
    "BatchCheckLayerAvailability",
    { repositoryName, layerDigests: [layer.digest, noDigest] },
    {
      layers: [
        { layerDigest: layer.digest, layerAvailability: "AVAILABLE", layerSize: layer.bytes.byteLength, mediaType: layer.mediaType },
        { layerDigest: noDigest, layerAvailability: "UNAVAILABLE" },
      ],
      failures: [],
    },
  );
  const { downloadUrl, layerDigest } = await driver.call("GetDownloadUrlForLayer", { repositoryName, layerDigest: layer.digest });
  assert.equal(layerDigest, layer.digest);
  assert.ok(Buffer.from(await (await fetch(String(downloadUrl))).arrayBuffer()).equals(layer.bytes));
  const shown = { imageManifest: image.bytes.toString(), imageManifestMediaType: image.mediaType };
  const imageId = { imageDigest: image.digest, imageTag: "v1" };
  await expect(
    "BatchGetImage",
    { repositoryName, imageIds: [{ imageTag: "v1" }, { imageTag: "none" }] },
    {
      images: [{ registryId, repositoryName, imageId, ...shown }],
      failures: [{ imageId: { imageTag: "none" }, failureCode: "ImageNotFound", failureReason: "Requested image not found" }],
    },
  );
  await expectItems(journey, "ListImages", { repositoryName }, "imageTag", ["v1", "v2", "v3", null]);
  const digests = [image, second, third, signature].map(({ digest }) => digest);
  await expectItems(journey, "DescribeImages", { repositoryName }, "imageDigest", digests);
  await expect("ListImages", { repositoryName, filter: { tagStatus: "UNTAGGED" } }, { imageIds: [{ imageDigest: signature.digest }] });
  await expect("DescribeImages", { repositoryName, imageIds: [{ imageTag: "v2" }] }, { imageDetails: [imageDetailShape(journey, second)] });
  const { digest, mediaType, bytes } = signature;
  const artifactType = "application/vnd.example.signature";
  await expect(
    "ListImageReferrers",
    { repositoryName, subjectId: { imageDigest: image.digest } },
    { referrers: [{ digest, mediaType, size: bytes.byteLength, artifactType, artifactStatus: "ACTIVE" }] },
  );
  const named = { repositoryName, imageId };
  await expect("DescribeImageReplicationStatus", named, { ...named, replicationStatuses: [] });
  await expect("DescribeImageSigningStatus", named, { registryId, ...named, signingStatuses: [] });
}

/** The second image, which nobody has pulled, scanned or archived. */
function imageDetailShape({ accountId: registryId }: JourneyGround, { digest, mediaType, config, layers }: Pushed["second"]): Members {
  return {
    registryId,
    repositoryName,
    imageDigest: digest,
    imageTags: ["v2"],
    imageSizeInBytes: [config, ...layers].reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
    imagePushedAt: time,
    imageManifestMediaType: mediaType,
    artifactMediaType: config.mediaType,
    imageStatus: "ACTIVE",
  };
}

/** No engine is built in, and a scan says so by failing: what a waiter must report. */
async function scanImages(journey: Journey, { digest }: Content): Promise<void> {
  const { driver, expect, accountId: registryId } = journey;
  const imageId = { imageTag: "v1" };
  const found = { registryId, repositoryName, imageId: { imageDigest: digest, ...imageId } };
  await expect("StartImageScan", { repositoryName, imageId }, { ...found, imageScanStatus: { status: "IN_PROGRESS" } });
  assert.equal(await driver.wait("ImageScanComplete", { repositoryName, imageId }), "failed");
  const { imageScanStatus, ...rest } = await driver.call("DescribeImageScanFindings", { repositoryName, imageId });
  assert.deepEqual([(imageScanStatus as Members)["status"], rest], ["FAILED", found]);
  assert.deepEqual(await driver.items("DescribeImageScanFindings", { repositoryName, imageId }, 1), []);
}

async function applyLifecycle(journey: Journey, { image, second }: Pushed): Promise<void> {
  const { driver, expect, accountId: registryId } = journey;
  const place = { registryId, repositoryName };
  const selection = { tagStatus: "tagged", tagPatternList: ["v*"], countType: "imageCountMoreThan", countNumber: 1 };
  const lifecyclePolicyText = JSON.stringify({ rules: [{ rulePriority: 1, selection, action: { type: "expire" } }] });
  await expect("PutLifecyclePolicy", { repositoryName, lifecyclePolicyText }, { ...place, lifecyclePolicyText });
  for (const operation of ["GetLifecyclePolicy", "DeleteLifecyclePolicy"])
    await expect(operation, { repositoryName }, { ...place, lifecyclePolicyText, lastEvaluatedAt: time });
  await expect(
    "StartLifecyclePolicyPreview",
    { repositoryName, lifecyclePolicyText },
    { ...place, lifecyclePolicyText, status: "IN_PROGRESS" },
  );
  assert.equal(await driver.wait("LifecyclePolicyPreviewComplete", { repositoryName }), "succeeded");
  const result = ({ digest }: Content, tag: string): Members => ({
    imageTags: [tag],
    imageDigest: digest,
    imagePushedAt: time,
    action: { type: "EXPIRE" },
    appliedRulePriority: 1,
    storageClass: "STANDARD",
  });
  await expect(
    "GetLifecyclePolicyPreview",
    { repositoryName, imageIds: [{ imageTag: "v1" }] },
    {
      ...place,
      lifecyclePolicyText,
      status: "COMPLETE",
      previewResults: [result(image, "v1")],
      summary: { expiringImageTotalCount: 2 },
    },
  );
  await expectItems(journey, "GetLifecyclePolicyPreview", { repositoryName }, "imageDigest", [image.digest, second.digest]);
}

async function removeAll({ driver, expect, accountId: registryId, ...ground }: Journey, { image, second }: Pushed): Promise<void> {
  const place = { registryId, repositoryName };
  await expect(
    "UpdateImageStorageClass",
    { repositoryName, imageId: { imageTag: "v2" }, targetStorageClass: "ARCHIVE" },
    { ...place, imageId: { imageDigest: second.digest, imageTag: "v2" }, imageStatus: "ARCHIVED" },
  );
  await expect(
    "BatchDeleteImage",
    { repositoryName, imageIds: [{ imageDigest: image.digest }, { imageTag: "none" }] },
    {
      imageIds: [{ imageDigest: image.digest, imageTag: "v1" }],
      failures: [{ imageId: { imageTag: "none" }, failureCode: "ImageNotFound", failureReason: "Requested image not found" }],
    },
  );
  for (const name of [repositoryName, ...otherNames])
    await expect(
      "DeleteRepository",
      { repositoryName: name, force: true },
      { repository: repositoryShape({ ...ground, accountId: registryId }, name) },
    );
  const { repositories } = await driver.call("DescribeRepositories", {});
  assert.deepEqual(repositories, []);
}
