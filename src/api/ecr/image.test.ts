import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import type { ImageIdentifier, PutImageCommandInput } from "@aws-sdk/client-ecr";
import {
  BatchDeleteImageCommand,
  BatchGetImageCommand,
  CompleteLayerUploadCommand,
  DeleteRepositoryCommand,
  DescribeImagesCommand,
  ECRClient,
  InitiateLayerUploadCommand,
  ListImagesCommand,
  PutImageCommand,
  PutImageTagMutabilityCommand,
  UploadLayerPartCommand,
  paginateDescribeImages,
  paginateListImages,
} from "@aws-sdk/client-ecr";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
let client: ECRClient;
const ociManifest = "application/vnd.oci.image.manifest.v1+json";
const ociIndex = "application/vnd.oci.image.index.v1+json";
const configType = "application/vnd.docker.container.image.v1+json";

before(async () => {
  server = await startRegistryServer({ limits: { tagsPerManifest: 3, manifestsPerRepository: 40 } });
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
});

after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

const sha256 = (bytes: Uint8Array | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

async function pushBlob(repositoryName: string, bytes: Buffer): Promise<{ digest: string; size: number }> {
  const digest = sha256(bytes);
  const { uploadId } = await client.send(new InitiateLayerUploadCommand({ repositoryName }));
  const part = { repositoryName, uploadId, partFirstByte: 0, partLastByte: bytes.length - 1, layerPartBlob: bytes };
  await client.send(new UploadLayerPartCommand(part));
  await client.send(new CompleteLayerUploadCommand({ repositoryName, uploadId, layerDigests: [digest] })).catch((error: Error) => {
    if (error.name !== "LayerAlreadyExistsException") throw error;
  });
  return { digest, size: bytes.length };
}

/** A manifest whose blobs are in the repository; `seed` makes it another one. */
async function makeManifest(repositoryName: string, seed: string, more: object = {}): Promise<string> {
  const config = await pushBlob(repositoryName, Buffer.from(`config ${seed}`));
  const layer = await pushBlob(repositoryName, Buffer.from("the layer"));
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: configType, ...config },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
    ...more,
  });
}

function makeIndex(children: readonly string[], annotations: object = {}): string {
  const manifests = children.map((child) => ({ mediaType: ociManifest, digest: sha256(child), size: child.length }));
  return JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests, annotations });
}

const put = (repositoryName: string, imageManifest: string, imageTag?: string, more: Partial<PutImageCommandInput> = {}) =>
  client.send(new PutImageCommand({ repositoryName, imageManifest, ...(imageTag !== undefined && { imageTag }), ...more }));
const describe = async (repositoryName: string, ...imageIds: ImageIdentifier[]) =>
  (await client.send(new DescribeImagesCommand({ repositoryName, imageIds }))).imageDetails ?? [];
const remove = async (repositoryName: string, ...imageIds: ImageIdentifier[]) => {
  const { imageIds: removed, failures } = await client.send(new BatchDeleteImageCommand({ repositoryName, imageIds }));
  return { removed, failures };
};

async function refused(call: Promise<unknown>, name: string, message?: string): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });
}

test("an image is put, got byte for byte, described and listed", async () => {
  const repositoryName = "images/life";
  await server.createRepository(repositoryName, { scanOnPush: true });
  // Blanks and escapes must come back as they were sent, for the digest is of exactly these bytes.
  const imageManifest = (await makeManifest(repositoryName, "é \u{1f600}")).replace("{", '{ "annotations" : {"a":"\\u00e9/\\/"},\n');
  const digest = sha256(imageManifest);
  const image = {
    registryId: "123456789012",
    repositoryName,
    imageId: { imageDigest: digest, imageTag: "v1" },
    imageManifest,
    imageManifestMediaType: ociManifest,
  };
  assert.deepEqual((await put(repositoryName, imageManifest, "v1", { imageDigest: digest })).image, image);
  const ids = [{ imageTag: "v1" }, { imageDigest: digest }, { imageDigest: digest, imageTag: "v1" }];
  const got = await client.send(new BatchGetImageCommand({ repositoryName, imageIds: ids }));
  assert.deepEqual(got.images, [image, { ...image, imageId: { imageDigest: digest } }, image]);
  assert.deepEqual(got.failures, []);
  const [detail, ...others] = await describe(repositoryName, { imageTag: "v1" }, { imageDigest: digest });
  assert.equal(others.length, 0);
  assert.equal(detail?.imagePushedAt?.getMilliseconds(), 0);
  assert.deepEqual(detail, {
    registryId: "123456789012",
    repositoryName,
    imageDigest: digest,
    imageTags: ["v1"],
    imageSizeInBytes: Buffer.byteLength("config é \u{1f600}") + "the layer".length,
    imagePushedAt: detail?.imagePushedAt,
    imageScanStatus: { status: "IN_PROGRESS" },
    imageManifestMediaType: ociManifest,
    artifactMediaType: configType,
    imageStatus: "ACTIVE",
  });
  const listed = await client.send(new ListImagesCommand({ repositoryName }));
  assert.deepEqual(listed.imageIds, [{ imageDigest: digest, imageTag: "v1" }]);
});

test("PutImage decides as ECR does", async () => {
  const repositoryName = "images/put";
  await server.createRepository(repositoryName);
  const [one, two] = [await makeManifest(repositoryName, "one"), await makeManifest(repositoryName, "two")];
  const where = `in the repository with name '${repositoryName}' in registry with id '123456789012'`;
  await put(repositoryName, one, "v1");
  await refused(
    put(repositoryName, one, "v1"),
    "ImageAlreadyExistsException",
    `Image with digest '${sha256(one)}' and tag 'v1' already exists ${where}`,
  );
  await refused(put(repositoryName, one), "ImageAlreadyExistsException");
  await put(repositoryName, one, "v2");
  await put(repositoryName, two, "v1");
  assert.deepEqual((await describe(repositoryName, { imageDigest: sha256(one) }))[0]?.imageTags, ["v2"]);
  await put(repositoryName, one, "v3");
  await put(repositoryName, one, "v4");
  await refused(
    put(repositoryName, one, "v5"),
    "LimitExceededException",
    `Adding tag 'v5' to an image ${where} exceeds the maximum allowed number of tags per image which is '3'`,
  );
  await refused(put(repositoryName, two, "v9", { imageDigest: sha256(one) }), "ImageDigestDoesNotMatchException");
  await refused(put(repositoryName, two, "v9", { imageDigest: "md5:00" }), "ImageDigestDoesNotMatchException");
  const missing = `sha256:${"0".repeat(64)}`;
  await refused(
    put(repositoryName, one.replace(/sha256:[0-9a-f]{64}/, missing)),
    "LayersNotFoundException",
    `Layers with digests '[${missing}]' required for pushing image into repository with name '${repositoryName}' in the registry with id '123456789012' do not exist`,
  );
  await refused(
    put(repositoryName, makeIndex([one, "not there"])),
    "ReferencedImagesNotFoundException",
    `Images with digests '[${sha256("not there")}]' required for pushing image into repository with name '${repositoryName}' in the registry with id '123456789012' do not exist`,
  );
  await refused(put("never/made", one), "RepositoryNotFoundException");
});

test("what is no manifest, tag or digest is refused", async () => {
  const repositoryName = "images/bad";
  await server.createRepository(repositoryName);
  const good = await makeManifest(repositoryName, "good");
  const syntax = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'";
  const bodies = [
    "{",
    "[]",
    "null",
    '"text"',
    good.replace('"schemaVersion":2', '"schemaVersion":1'),
    good.replace(ociManifest, "text/plain"),
    good.replace(`"mediaType":"${ociManifest}",`, ""),
    `\ufeff${good}`,
    good.replace('"layers"', '"schemaVersion":2,"layers"'),
  ];
  for (const body of bodies) {
    await assert.rejects(put(repositoryName, body), (error: Error) => {
      assert.equal(error.name, "InvalidParameterException", body);
      assert.ok(error.message.startsWith(syntax), error.message);
      return true;
    });
  }
  await refused(put(repositoryName, good, "v1", { imageManifestMediaType: ociIndex }), "InvalidParameterException");
  for (const tag of ["", "-v", "v 1", "v/1", "a".repeat(129), "ü"])
    await refused(put(repositoryName, good, tag), "InvalidParameterException");
  await refused(
    put(repositoryName, good, "v1", { imageDigest: "no digest" }),
    "InvalidParameterException",
    "Invalid parameter at 'imageDigest' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''",
  );
  await refused(put(repositoryName, " ".repeat(4_194_305)), "InvalidParameterException");
  await refused(put(repositoryName, `{"a":"${"é".repeat(2_200_000)}"}`), "InvalidParameterException");
  const untyped = good.replace(`"mediaType":"${ociManifest}",`, "");
  const { image } = await put(repositoryName, untyped, "v1", { imageManifestMediaType: ociManifest });
  assert.equal(image?.imageId?.imageDigest, sha256(untyped));
});

test("immutable tags cannot be moved, and can be deleted and made again", async () => {
  const repositoryName = "images/immutable";
  await server.createRepository(repositoryName);
  const [one, two] = [await makeManifest(repositoryName, "one"), await makeManifest(repositoryName, "two")];
  await put(repositoryName, one, "v1");
  await put(repositoryName, one, "latest");
  await client.send(
    new PutImageTagMutabilityCommand({
      repositoryName,
      imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
      imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "lat*" }],
    }),
  );
  await refused(
    put(repositoryName, two, "v1"),
    "ImageTagAlreadyExistsException",
    "The image tag 'v1' already exists in the 'images/immutable' repository and cannot be overwritten because the repository is immutable.",
  );
  await refused(put(repositoryName, one, "v1"), "ImageAlreadyExistsException");
  await put(repositoryName, two, "latest");
  await remove(repositoryName, { imageTag: "v1" });
  await put(repositoryName, two, "v1");
});

test("BatchGetImage tells per identifier what is wrong", async () => {
  const repositoryName = "images/get";
  await server.createRepository(repositoryName);
  const one = await makeManifest(repositoryName, "one");
  await put(repositoryName, one, "v1");
  const absent = `sha256:${"0".repeat(64)}`;
  const cases: readonly (readonly [ImageIdentifier, string, string])[] = [
    [{ imageTag: "none" }, "ImageNotFound", "Requested image not found"],
    [{ imageDigest: absent }, "ImageNotFound", "Requested image not found"],
    [{ imageDigest: "md5:00" }, "ImageNotFound", "Requested image not found"],
    [{}, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"],
    [
      { imageDigest: "no digest" },
      "InvalidImageDigest",
      "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
    ],
    [
      { imageTag: "no tag" },
      "InvalidImageTag",
      "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'",
    ],
    [
      { imageDigest: absent, imageTag: "v1" },
      "ImageTagDoesNotMatchDigest",
      "Requested image tag does not match the requested image digest",
    ],
  ];
  for (const [imageId, failureCode, failureReason] of cases) {
    const { images, failures } = await client.send(new BatchGetImageCommand({ repositoryName, imageIds: [imageId, { imageTag: "v1" }] }));
    assert.deepEqual(failures, [{ imageId, failureCode, failureReason }]);
    assert.equal(images?.length, 1);
  }
  const pull = (...acceptedMediaTypes: string[]) =>
    client.send(new BatchGetImageCommand({ repositoryName, imageIds: [{ imageTag: "v1" }], acceptedMediaTypes }));
  assert.equal((await pull("text/plain", ociManifest)).images?.length, 1);
  const unaccepted = await pull("application/vnd.docker.distribution.manifest.v2+json");
  assert.deepEqual([unaccepted.images, unaccepted.failures?.[0]?.failureCode], [[], "ImageNotFound"]);
  const tooMany = Array.from({ length: 101 }, (_, index) => ({ imageTag: `v${index}` }));
  await refused(client.send(new BatchGetImageCommand({ repositoryName, imageIds: tooMany })), "InvalidParameterException");
  await refused(client.send(new BatchGetImageCommand({ repositoryName, imageIds: [] })), "InvalidParameterException");
});

test("one answer does not hold a hundred of the largest manifests", async () => {
  const repositoryName = "images/large";
  await server.createRepository(repositoryName);
  const small = await makeManifest(repositoryName, "large");
  const imageIds: ImageIdentifier[] = [];
  for (let index = 0; index < 5; index++) {
    const padding = "x".repeat(4_194_304 - small.length - 64);
    await put(repositoryName, small.replace("{", `{"annotations":{"n":"${index}","padding":"${padding}"},`), `v${index}`);
    imageIds.push({ imageTag: `v${index}` });
  }
  const get = (ids: ImageIdentifier[]) => client.send(new BatchGetImageCommand({ repositoryName, imageIds: ids }));
  assert.equal((await get(imageIds.slice(0, 3))).images?.length, 3);
  await refused(get(imageIds), "LimitExceededException");
});

test("BatchDeleteImage removes tags and images as ECR does", async () => {
  const repositoryName = "images/delete";
  await server.createRepository(repositoryName);
  const [one, two] = [await makeManifest(repositoryName, "one"), await makeManifest(repositoryName, "two")];
  const index = makeIndex([one]);
  await put(repositoryName, one, "a");
  await put(repositoryName, one, "b");
  await put(repositoryName, two, "c");
  await put(repositoryName, two, "d");
  await put(repositoryName, index, "list");
  const child = { imageDigest: sha256(one) };
  assert.deepEqual(await remove(repositoryName, { imageTag: "a" }), { removed: [{ ...child, imageTag: "a" }], failures: [] });
  const referenced = {
    failureCode: "ImageReferencedByManifestList",
    failureReason: `Requested image referenced by manifest list: [${sha256(index)}]`,
  };
  assert.deepEqual(await remove(repositoryName, { imageTag: "b" }), {
    removed: [],
    failures: [{ imageId: { imageTag: "b" }, ...referenced }],
  });
  assert.deepEqual(await remove(repositoryName, child), { removed: [], failures: [{ imageId: child, ...referenced }] });
  assert.deepEqual(await remove(repositoryName, { imageDigest: sha256(two) }, { imageTag: "gone" }), {
    removed: [
      { imageDigest: sha256(two), imageTag: "c" },
      { imageDigest: sha256(two), imageTag: "d" },
    ],
    failures: [{ imageId: { imageTag: "gone" }, failureCode: "ImageNotFound", failureReason: "Requested image not found" }],
  });
  await refused(
    describe(repositoryName, { imageTag: "c" }),
    "ImageNotFoundException",
    "The image with imageId {imageDigest:'null', imageTag:'c'} does not exist within the repository with name 'images/delete' in the registry with id '123456789012'",
  );
  await refused(client.send(new DeleteRepositoryCommand({ repositoryName })), "RepositoryNotEmptyException");
  const { failures } = await remove(repositoryName, { imageTag: "list" }, child);
  assert.deepEqual(failures, []);
  await client.send(new DeleteRepositoryCommand({ repositoryName }));
});

test("a deleted subject takes its referrers with it", async () => {
  const repositoryName = "images/referrers";
  await server.createRepository(repositoryName);
  const subject = await makeManifest(repositoryName, "subject");
  await put(repositoryName, subject, "v1");
  const signature = await makeManifest(repositoryName, "signature", {
    subject: { mediaType: ociManifest, digest: sha256(subject), size: subject.length },
  });
  await put(repositoryName, signature);
  const [detail] = await describe(repositoryName, { imageDigest: sha256(signature) });
  assert.equal(detail?.subjectManifestDigest, sha256(subject));
  assert.equal(detail?.imageTags, undefined);
  await remove(repositoryName, { imageTag: "v1" });
  await refused(describe(repositoryName, { imageDigest: sha256(signature) }), "ImageNotFoundException");
});

test("both paginators show every image once, whatever the page", async () => {
  const repositoryName = "images/pages";
  await server.createRepository(repositoryName);
  const digests: string[] = [];
  for (let index = 0; index < 7; index++) {
    const manifest = await makeManifest(repositoryName, String(index));
    digests.push(sha256(manifest));
    await put(repositoryName, manifest, index % 2 === 0 ? `t${index}` : undefined);
    if (index === 0) {
      await put(repositoryName, manifest, "t0-more");
      await put(repositoryName, manifest, "t0-most");
    }
  }
  const index = makeIndex([await makeManifest(repositoryName, "0")]);
  await put(repositoryName, index, "list");
  const pairs = [...digests.slice(1), sha256(index), ...Array.from({ length: 3 }, () => digests[0] ?? "")].toSorted();
  for (const pageSize of [1, 2, 3, 100]) {
    const listed: ImageIdentifier[] = [];
    for await (const page of paginateListImages({ client, pageSize }, { repositoryName })) listed.push(...(page.imageIds ?? []));
    assert.deepEqual(listed.map(({ imageDigest }) => imageDigest ?? "").toSorted(), pairs);
    assert.equal(new Set(listed.map((id) => JSON.stringify(id))).size, listed.length);
    const described: string[] = [];
    for await (const page of paginateDescribeImages({ client, pageSize }, { repositoryName }))
      described.push(...(page.imageDetails ?? []).map(({ imageDigest }) => imageDigest ?? ""));
    assert.deepEqual(described.toSorted(), [...digests, sha256(index)].toSorted());
  }
  const count = async (filter: object) => {
    const listed = await client.send(new ListImagesCommand({ repositoryName, filter }));
    const described = await client.send(new DescribeImagesCommand({ repositoryName, filter }));
    return [listed.imageIds?.length, described.imageDetails?.length];
  };
  assert.deepEqual(await count({ tagStatus: "TAGGED" }), [7, 5]);
  assert.deepEqual(await count({ tagStatus: "UNTAGGED" }), [3, 3]);
  assert.deepEqual(await count({ tagStatus: "ANY", imageStatus: "ANY" }), [10, 8]);
  assert.deepEqual(await count({ imageStatus: "ARCHIVED" }), [0, 0]);
  const [list] = await describe(repositoryName, { imageTag: "list" });
  assert.equal(list?.artifactMediaType, undefined);
  assert.equal(list?.imageSizeInBytes, "config 0".length + "the layer".length);
  const { nextToken } = await client.send(new ListImagesCommand({ repositoryName, maxResults: 1 }));
  const wrong: readonly object[] = [
    { filter: { tagStatus: "TAGGED" } },
    { repositoryName: "images/delete-none" },
    { nextToken: `${nextToken}A` },
    { nextToken: "" },
  ];
  for (const more of wrong) {
    await assert.rejects(client.send(new ListImagesCommand({ repositoryName, nextToken, ...more })), { name: "InvalidParameterException" });
  }
  await refused(client.send(new DescribeImagesCommand({ repositoryName, nextToken })), "InvalidParameterException");
  const both = { repositoryName, imageIds: [{ imageTag: "list" }] };
  await refused(client.send(new DescribeImagesCommand({ ...both, maxResults: 1 })), "InvalidParameterException");
  await refused(client.send(new DescribeImagesCommand({ ...both, nextToken })), "InvalidParameterException");
  await refused(client.send(new DescribeImagesCommand({ repositoryName, imageIds: [{}] })), "InvalidParameterException");
  await refused(client.send(new ListImagesCommand({ repositoryName: "never/made" })), "RepositoryNotFoundException");
});
