/** The aws cli drives the core of the ECR API against a real server; docker's side of the same facts is docker.test.ts. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

const installed = needs("aws");
let server: ServerProcess;
before(async () => {
  server = await startServerProcess();
});
after(() => server.close());

function aws(...words: string[]): Promise<string> {
  return mustRun(["aws", ...words, "--output", "json"], { environment: server.awsEnvironment });
}

async function refused(...words: string[]): Promise<string> {
  const result = await runTool(["aws", ...words], { environment: server.awsEnvironment });
  assert.notEqual(result.status, 0, `${words.join(" ")} succeeded`);
  return result.stderr;
}

test("who am I", installed, async () => {
  const identity = json<{ Arn: string; Account: string }>(await aws("sts", "get-caller-identity"));
  assert.deepEqual([identity.Account, identity.Arn], ["000000000000", "arn:aws:iam::000000000000:root"]);
});

test("repositories: create, describe, list in pages, change mutability, tag, delete", installed, async () => {
  const created = json<{ repository: { repositoryUri: string; repositoryArn: string } }>(
    await aws(
      "ecr",
      "create-repository",
      "--repository-name",
      "shop/web",
      "--tags",
      "Key=team,Value=sea",
      "--image-scanning-configuration",
      "scanOnPush=true",
    ),
  );
  assert.equal(created.repository.repositoryUri, `${server.host}/shop/web`);
  assert.equal(created.repository.repositoryArn, "arn:aws:ecr:us-east-1:000000000000:repository/shop/web");
  assert.match(
    await refused("ecr", "create-repository", "--repository-name", "shop/web"),
    /RepositoryAlreadyExistsException.*The repository with name 'shop\/web' already exists in the registry with id '000000000000'/,
  );
  for (let index = 0; index < 7; index++) await aws("ecr", "create-repository", "--repository-name", `page/r${index}`);
  const listed = json<{ repositories: { repositoryName: string }[] }>(await aws("ecr", "describe-repositories", "--page-size", "3"));
  assert.deepEqual(
    listed.repositories.map(({ repositoryName }) => repositoryName),
    ["page/r0", "page/r1", "page/r2", "page/r3", "page/r4", "page/r5", "page/r6", "shop/web"],
  );
  const mutability = json<{ imageTagMutability: string }>(
    await aws(
      "ecr",
      "put-image-tag-mutability",
      "--repository-name",
      "shop/web",
      "--image-tag-mutability",
      "IMMUTABLE_WITH_EXCLUSION",
      "--image-tag-mutability-exclusion-filters",
      "filterType=WILDCARD,filter=dev-*",
    ),
  );
  assert.equal(mutability.imageTagMutability, "IMMUTABLE_WITH_EXCLUSION");
  await aws("ecr", "tag-resource", "--resource-arn", created.repository.repositoryArn, "--tags", "Key=tier,Value=1");
  await aws("ecr", "untag-resource", "--resource-arn", created.repository.repositoryArn, "--tag-keys", "team");
  assert.deepEqual(
    json<{ tags: unknown }>(await aws("ecr", "list-tags-for-resource", "--resource-arn", created.repository.repositoryArn)).tags,
    [{ Key: "tier", Value: "1" }],
  );
  await aws("ecr", "delete-repository", "--repository-name", "shop/web");
  assert.match(
    await refused("ecr", "describe-repositories", "--repository-names", "shop/web"),
    /RepositoryNotFoundException.*does not exist in the registry with id '000000000000'/,
  );
});

test("an image by the layer API alone: parts, completion, put, list, describe, download, retag, delete", installed, async () => {
  await aws("ecr", "create-repository", "--repository-name", "parts");
  const folder = mkdtempSync(join(tmpdir(), "supercargo-parts-"));
  const { createHash } = await import("node:crypto");
  const upload = async (bytes: Buffer): Promise<string> => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const { uploadId, partSize } = json<{ uploadId: string; partSize: number }>(
      await aws("ecr", "initiate-layer-upload", "--repository-name", "parts"),
    );
    for (let first = 0; first < bytes.length; first += partSize) {
      const last = Math.min(first + partSize, bytes.length) - 1;
      const part = join(folder, "part");
      writeFileSync(part, bytes.subarray(first, last + 1));
      const answer = json<{ lastByteReceived: number }>(
        await aws(
          "ecr",
          "upload-layer-part",
          "--repository-name",
          "parts",
          "--upload-id",
          uploadId,
          "--part-first-byte",
          String(first),
          "--part-last-byte",
          String(last),
          "--layer-part-blob",
          `fileb://${part}`,
        ),
      );
      assert.equal(answer.lastByteReceived, last);
    }
    const completed = json<{ layerDigest: string }>(
      await aws("ecr", "complete-layer-upload", "--repository-name", "parts", "--upload-id", uploadId, "--layer-digests", digest),
    );
    assert.equal(completed.layerDigest, digest);
    return digest;
  };
  const layer = Buffer.alloc(12_000_000, "cargo");
  const layerDigest = await upload(layer);
  const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [layerDigest] } }));
  const configDigest = await upload(config);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: configDigest, size: config.length },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layerDigest, size: layer.length }],
  });
  assert.match(
    await refused("ecr", "get-download-url-for-layer", "--repository-name", "parts", "--layer-digest", layerDigest),
    /LayerInaccessibleException/,
  );
  const put = json<{ image: { imageId: { imageDigest: string; imageTag: string } } }>(
    await aws("ecr", "put-image", "--repository-name", "parts", "--image-manifest", manifest, "--image-tag", "v1"),
  );
  assert.equal(put.image.imageId.imageTag, "v1");
  assert.match(
    await refused("ecr", "put-image", "--repository-name", "parts", "--image-manifest", manifest, "--image-tag", "v1"),
    /ImageAlreadyExistsException.*Image with digest '.*' and tag 'v1' already exists/,
  );
  await aws("ecr", "put-image", "--repository-name", "parts", "--image-manifest", manifest, "--image-tag", "v2");
  const described = json<{ imageDetails: { imageTags: string[]; imageSizeInBytes: number }[] }>(
    await aws("ecr", "describe-images", "--repository-name", "parts"),
  );
  assert.deepEqual(
    described.imageDetails.map((image) => [image.imageTags.toSorted(), image.imageSizeInBytes]),
    [[["v1", "v2"], layer.length + config.length]],
  );
  const { downloadUrl } = json<{ downloadUrl: string }>(
    await aws("ecr", "get-download-url-for-layer", "--repository-name", "parts", "--layer-digest", layerDigest),
  );
  const downloaded = Buffer.from(await (await fetch(downloadUrl)).arrayBuffer());
  assert.ok(downloaded.equals(layer));
  const got = json<{ images: { imageManifest: string }[]; failures: { failureCode: string }[] }>(
    await aws("ecr", "batch-get-image", "--repository-name", "parts", "--image-ids", "imageTag=v1", "imageTag=nope"),
  );
  assert.deepEqual([got.images[0]?.imageManifest, got.failures[0]?.failureCode], [manifest, "ImageNotFound"]);
  await aws("ecr", "batch-delete-image", "--repository-name", "parts", "--image-ids", "imageTag=v1");
  const left = json<{ imageIds: { imageTag: string }[] }>(await aws("ecr", "list-images", "--repository-name", "parts"));
  assert.deepEqual(
    left.imageIds.map(({ imageTag }) => imageTag),
    ["v2"],
  );
  assert.match(await refused("ecr", "delete-repository", "--repository-name", "parts"), /RepositoryNotEmptyException/);
  await aws("ecr", "delete-repository", "--repository-name", "parts", "--force");
});

test("what is not there yet says so, at once and without retries", installed, async () => {
  await aws("ecr", "create-repository", "--repository-name", "later");
  const text = await refused("ecr", "get-lifecycle-policy", "--repository-name", "later");
  assert.match(text, /GetLifecyclePolicy/);
});

test("the registry password logs in at /v2/", installed, async () => {
  const password = (await mustRun(["aws", "ecr", "get-login-password"], { environment: server.awsEnvironment })).trim();
  assert.ok(password.length < 400 && !password.includes(":"));
  const answer = await fetch(`${server.url}/v2/`, {
    headers: { authorization: `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}` },
  });
  assert.equal(answer.status, 200);
});
